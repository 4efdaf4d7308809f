"""What making, mending and moving an environment share: progress, the log, room on the disk, errors in plain words."""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..protocol import ErrorKind, Event, SkyloopError
from .child import Runner
from .lock import locked

LOG_BYTES = 1 << 20
NO_NETWORK = (
    "Temporary failure in name resolution", "Name or service not known", "getaddrinfo failed", "nodename nor servname",
    "Network is unreachable", "NewConnectionError", "Failed to establish a new connection", "Connection refused",
    "ConnectTimeoutError", "ProxyError", "No route to host", "Max retries exceeded", "NameResolutionError",
    "Could not resolve host", "Failed to resolve", "ConnectionResetError", "ReadTimeoutError",
)  # fmt: skip


class SetupError(SkyloopError):
    """A failure of the set-up, and the file that tells more about it."""

    def __init__(self, kind: ErrorKind, message: str, hint: str, log: Path) -> None:
        super().__init__(kind, message, hint)
        self.log = log

    @property
    def line(self) -> str:
        return f"{super().line} Log: {self.log}"


@dataclass
class Work:
    """One run in one home folder. ``progress`` gets ``phase`` events; a ``note`` in one is a sentence for the user."""

    home: Path
    progress: Callable[[Event], None]
    cancelled: Callable[[], bool]
    run: Runner = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.run = Runner(self.home / "install.log", self.cancelled)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who changes this home; whatever goes wrong meanwhile is logged, in the user's words.

        Raises ``SkyloopError``, also when the folder cannot be written.
        """
        _writable(self.home)
        try:
            with locked(self.home / "install.lock", waiting=self._waiting) as fd:
                self.run.keep_fds = (fd,)
                if self.run.log.exists() and self.run.log.stat().st_size > LOG_BYTES:
                    self.run.log.replace(self.run.log.with_suffix(".old.log"))
                yield
        except OSError as error:
            self.run.note(f"failed: {error!r}")
            raise self.os_error(error) from error
        except SkyloopError as error:
            self.run.note(f"failed: {error.line}")
            raise

    def phase(self, name: str, done: int, total: int, unit: str = "step", note: str = "") -> None:
        data = {"name": name, "done": done, "total": total, "unit": unit}
        self.progress(Event(type="phase", data=data | ({"note": note} if note else {})))

    def command(
        self,
        command: list[str | Path],
        failure: str,
        on_line: Callable[[str], None] | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        """Run a child to its end. Raises ``SkyloopError``: what it says of network and disk, else ``failure``."""
        if self.run.run(command, on_line=on_line, on_tick=on_tick) == 0:
            return
        text = "\n".join(self.run.tail)
        if "No space left on device" in text or "not enough space on the disk" in text:
            raise self.os_error(OSError(errno.ENOSPC, "No space left on device"))
        if any(sign in text for sign in NO_NETWORK):
            raise self.error(
                "The Python package index cannot be reached, so the generator cannot be downloaded.",
                "Check the internet connection or proxy, then start again; nothing is lost.",
            )
        errors = [line for line in self.run.tail if line.lower().startswith("error")]
        detail = f" pip says: {errors[-1][6:].strip(': ')[:200]}." if errors else ""
        raise self.error(failure + detail, "Start again to go on from here.")

    def check_space(self, need_gb: float) -> None:
        """Raise ``disk_full`` when the home's disk has less than ``need_gb`` left."""
        free = shutil.disk_usage(self.home).free / 1e9
        if free < need_gb:
            raise SkyloopError(
                ErrorKind.DISK_FULL,
                f"This needs about {need_gb:.1f} GB more, and {self.home} has {free:.1f} GB free.",
                "Free some space, or choose a folder on another disk.",
            )

    def error(self, message: str, hint: str) -> SetupError:
        return SetupError(ErrorKind.INTERNAL, message, hint, self.run.log)

    def os_error(self, error: OSError) -> SkyloopError:
        if error.errno == errno.ENOSPC:
            return SkyloopError(
                ErrorKind.DISK_FULL,
                f"The disk of {self.home} is full.",
                "Free some space, then start again: what is downloaded stays.",
            )
        return self.error(f"Setting up the generator failed: {error}.", "Start again to go on from here.")

    def _waiting(self, seconds: float) -> None:
        self.run.check()
        note = "" if seconds > 0.1 else "Another Skyloop is setting up the generator; waiting for it to finish."
        self.phase("wait", int(seconds), 0, "s", note=note)


def _writable(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SkyloopError(
                ErrorKind.DISK_FULL, f"The disk of {home} is full.", "Free some space, or choose another folder."
            ) from error
        raise SkyloopError(
            ErrorKind.INTERNAL,
            f"Skyloop cannot write to its folder {home} ({error.strerror}).",
            "Choose another folder that you may write to, or connect the disk that it is on.",
        ) from error

"""The real backend: the process that the private runtime starts, and what can be done to that runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ...backend import runtime
from ...backend.protocol import Event, SkyloopError
from .client import BackendClient
from .installing import Cancelled, Report
from .state import Progress

ROOT = Path(__file__).resolve().parents[2]
DISK_PATIENCE_S = 3.0  # Blender stands still meanwhile


class InstalledRuntime:
    """The runtime in ``home`` (None: the default folder of this user)."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home

    def ready(self) -> bool:
        """Whether it can be started; a disk that does not answer soon is one where it cannot."""
        found: list[bool] = []
        asking = threading.Thread(target=lambda: found.append(self._is_ready()), name="skyloop-ready", daemon=True)
        asking.start()
        asking.join(DISK_PATIENCE_S)
        return any(found)

    def _is_ready(self) -> bool:
        return bool(runtime.status("backend", home=self.home)["ready"])

    def install(self, report: Report, cancelled: Cancelled) -> None:
        """Make it, go on making it, or mend it; nothing where it is ready."""
        runtime.ensure("backend", home=self.home, progress=_told(report), cancelled=cancelled)

    def repair(self, report: Report, cancelled: Cancelled, *, online: bool) -> None:
        """Check every file and bring back what is damaged; not ``online``, whatever needs a download is refused."""
        runtime.repair("backend", home=self.home, progress=_told(report), cancelled=cancelled, online=online)

    def move(self, chosen: Path, report: Report, cancelled: Cancelled) -> Path:
        """Move everything to the folder that a user chose, or into one of ours in it; returns where it is now.

        Raises ``SkyloopError``; until the copy has passed its test, the old one stays in use.
        """
        old, new = Path(runtime.status("backend", home=self.home)["home"]), runtime.target_of(chosen)
        runtime.move(new, home=old, progress=_told(report), cancelled=cancelled)
        report(Progress("remove"))
        try:
            runtime.retire(old, new)
        except SkyloopError as error:
            message = f"The generator was moved to {new}, but the old copy stays for now: {error.message}"
            raise SkyloopError(error.kind, message, "Remove the older copy later, in the preferences.") from error
        return new

    def remove(self, report: Report, cancelled: Cancelled, *, old: bool = False) -> None:
        """Remove it with its downloads; with ``old`` only what earlier versions left."""
        report(Progress("remove"))
        runtime.remove("backend", home=self.home, old=old)

    def client(self) -> BackendClient:
        python = runtime.ensure("backend", home=self.home)  # ready already, so this only says where it is
        return BackendClient([str(python), "-m", "backend", "stdio"], cwd=ROOT)


class CommandRuntime:
    """A backend process that is started by a command of the caller's; nothing to install."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def ready(self) -> bool:
        return True

    def install(self, report: Report, cancelled: Cancelled) -> None:
        """Nothing to do."""

    def client(self) -> BackendClient:
        return BackendClient(self.command, cwd=ROOT)


def _told(report: Report) -> Callable[[Event], None]:
    return lambda event: report(Progress.of(event))

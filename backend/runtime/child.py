"""Child processes of the installer: a clean environment, every line into the log, and an end when cancelled."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..jobs.redacting import redacted
from ..media.files import open_append
from ..protocol import ErrorKind, SkyloopError

# What would lead a child to Blender's Python or to folders of the system, or spoil what it computes.
_DROP = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE",
    "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT",
    "PIP_REQUIRE_VIRTUALENV", "PIP_NO_BINARY", "PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_NO_DEPS", "PIP_QUIET",
    "OMP_THREAD_LIMIT",  # below the number of threads, torch leaves a part of its work undone: no numbers (NaN)
)  # fmt: skip


# What holds unless the user says otherwise.
_DEFAULTS = {
    # Blender computes too: threads that wait by spinning cost half the speed as soon as a core is shared.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Libraries neither fetch models by themselves nor tell anyone that they were used.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # OpenCV's own limit, beneath that of `media.pictures`, which is a little lower.
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(1 << 27),
}


def clean_environ() -> dict[str, str]:
    """The environment for a child in the private runtime: UTF-8, offline, nothing of Blender's or the user's Python.

    Proxies, mirrors and certificates stay, as the installer needs them.
    """
    env = {name: value for name, value in os.environ.items() if name.upper() not in _DROP}
    return _DEFAULTS | env | {"PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1"}


@dataclass
class Runner:
    """Runs commands one at a time; ``tail`` holds the last lines of the latest one.

    ``cancelled`` is asked at least five times a second. ``keep_fds`` are inherited by every child (the lock).
    """

    log: Path
    cancelled: Callable[[], bool] = lambda: False
    keep_fds: tuple[int, ...] = ()
    tail: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise ``cancelled`` when the user asked for it."""
        if self.cancelled():
            raise SkyloopError(ErrorKind.CANCELLED, "Setting up was cancelled.", "Start again to go on from here.")

    def note(self, text: str) -> None:
        """Add one line to the log, without the passwords of proxies and indexes that it may name."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {redacted(text)}\n"
        with open_append(self.log) as file:
            file.write(line.encode(errors="replace"))

    def run(
        self,
        command: Sequence[str | Path],
        *,
        on_line: Callable[[str], None] | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> int:
        """Run to the end and return the exit status; ``on_line`` gets each line, ``on_tick`` runs while waiting."""
        self.check()
        words = [str(word) for word in command]
        self.note("$ " + " ".join(words))
        self.tail.clear()
        process = _start(words, self.keep_fds)
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
        try:
            self._follow(lines, on_line, on_tick)
            return process.wait()
        finally:
            _end(process)

    def _follow(
        self,
        lines: queue.Queue[str | None],
        on_line: Callable[[str], None] | None,
        on_tick: Callable[[], None] | None,
    ) -> None:
        while True:
            self.check()
            try:
                line = lines.get(timeout=0.2)
            except queue.Empty:
                if on_tick:
                    on_tick()
                continue
            if line is None:
                return
            line = redacted(line)
            self.note("  " + line)
            self.tail = [*self.tail[-40:], line]
            if on_line:
                on_line(line)


def _start(words: list[str], keep_fds: tuple[int, ...]) -> subprocess.Popen[str]:
    common = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    text = {"text": True, "encoding": "utf-8", "errors": "replace", "env": clean_environ()}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(words, creationflags=flags, **common, **text)
    return subprocess.Popen(words, start_new_session=True, pass_fds=keep_fds, **common, **text)


def _pump(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError):  # closed by _end
        for line in process.stdout:
            lines.put(line.rstrip())
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the whole group if it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()

"""One command of the backend's command line, run beside Blender: ``frames``, ``light``, ``export``.

Nothing here waits and no thread runs: the owner calls :meth:`Tool.done` when it has time.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...backend import runtime
from ...backend.protocol import PROGRESS_LINES, ErrorKind, SkyloopError
from ...backend.runtime.child import clean_environ
from .leash import Leash
from .pipes import LineReader
from .state import Progress

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
KILL_AFTER_S = 5.0
_CANCELLED = 130
_TAIL_LINES = 25
_PHASE = re.compile(r"skyloop: (?P<name>[^:]+): (?P<total>\d+) (?P<unit>\w+?)s?$")
_STEP = re.compile(r"skyloop: (?P<name>[^:]+): (?P<done>\d+) of (?P<total>\d+)(?: (?P<unit>\w+?)s?)?$")


def backend_command(*words: str, home: Path | None = None) -> list[str]:
    """``python -m backend WORDS`` in the private runtime in ``home``. Raises ``SkyloopError`` when it is not there."""
    if not runtime.status("backend", home=home)["ready"]:
        raise SkyloopError(ErrorKind.MISSING_MODEL, "The generator is not installed.", "Press Install first.")
    return [str(runtime.ensure("backend", home=home)), "-m", "backend", *words]


class Tool:
    """A command under way. Only to be made on Blender's main thread, whose end is its child's end on Linux."""

    def __init__(self, command: Sequence[str], *, cwd: Path = ROOT, environ: Mapping[str, str] | None = None) -> None:
        """Start ``command`` with ``--json`` added, ``environ`` besides its usual environment.

        Raises ``SkyloopError`` when it cannot be started.
        """
        self.progress = Progress("Working")
        self.document: dict[str, Any] = {}
        self.error: SkyloopError | None = None  # why it failed; of the kind CANCELLED after :meth:`cancel`
        self.log: Path | None = None  # which tells more of the failure
        self._finished = False
        self._out: list[str] = []
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._kill_at_s: float | None = None
        try:
            self._process = subprocess.Popen(
                [*command, "--json"],
                cwd=cwd,
                env=clean_environ() | {"PYTHONUNBUFFERED": "1"} | PROGRESS_LINES | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=True,  # Ctrl-C in Blender's terminal is Blender's to handle
            )
        except OSError as error:
            text = f"The generator could not be started: {error.strerror or error}."
            raise SkyloopError(ErrorKind.INTERNAL, text, "Use Install Anew in the Skyloop preferences.") from error
        assert self._process.stdout and self._process.stderr
        self._stdout, self._stderr = LineReader(self._process.stdout), LineReader(self._process.stderr)
        self._leash = Leash(self._process)

    def done(self) -> bool:
        """Take in what the command has said; whether it has ended. Then ``document`` or ``error`` is its answer."""
        if self._finished:
            return True
        ended = self._process.poll() is not None
        self._read()
        if not ended:
            if self._kill_at_s is not None and time.monotonic() > self._kill_at_s:
                self._process.kill()
            return False
        self._finished = True
        for pipe in (self._stdout, self._stderr):
            pipe.close()
        self._leash.release()
        self._judge(self._process.returncode)
        return True

    def cancel(self) -> None:
        """Ask it to end; :meth:`done` kills it when it does not."""
        if self._kill_at_s is None and not self._finished:
            self._kill_at_s = time.monotonic() + KILL_AFTER_S
            self._process.terminate()

    def wait(self, period_s: float = 0.05) -> None:
        """For scripts without a window: until it has ended."""
        while not self.done():
            time.sleep(period_s)

    def end(self) -> None:
        """Kill it and wait: Blender quits, or the add-on is switched off."""
        if not self._finished:
            self._kill_at_s = self._kill_at_s or 0.0
            self._process.kill()
            self._process.wait()
            self.done()

    def _read(self) -> None:
        for pipe, take in ((self._stdout, self._out.append), (self._stderr, self._hear)):
            while pipe.fill():
                while (line := pipe.next()) is not None:
                    take(line)
            while (line := pipe.next()) is not None:
                take(line)

    def _hear(self, line: str) -> None:
        log.debug("tool: %s", line)
        self._tail.append(line)
        if found := _STEP.match(line) or _PHASE.match(line):
            said = found.groupdict()
            self.progress = Progress(
                said["name"].lower(), int(said.get("done") or 0), int(said["total"]), said["unit"] or ""
            )

    def _judge(self, code: int) -> None:
        if self._kill_at_s is not None or code == _CANCELLED:
            self.error = SkyloopError(ErrorKind.CANCELLED, "Cancelled.")
            return
        try:
            found = json.loads("\n".join(self._out))
        except ValueError:
            found = None
        found = found if isinstance(found, dict) else {}
        if code == 0:
            self.document = found
            return
        said = found.get("error")
        said = said if isinstance(said, dict) else {}
        text = said.get("message") or f"The generator stopped unexpectedly (exit code {code})."
        if not said:
            log.error("%s %s", text, "\n".join(self._tail))
        kind = said.get("kind")
        known = ErrorKind(kind) if kind in set(ErrorKind) else ErrorKind.INTERNAL
        self.error = SkyloopError(known, str(text), str(said.get("hint") or "Try again."))
        self.log = Path(said["log"]) if isinstance(said.get("log"), str) and said["log"] else None

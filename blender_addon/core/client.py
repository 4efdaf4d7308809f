"""The backend process as the add-on sees it: start it, talk to it line by line, notice when it dies or falls silent.

Nothing here waits and nothing runs beside it: the owner drains the pipes when it has time (:mod:`.pipes`). The child
ends by itself when its stdin closes, so it never outlives Blender.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...backend.protocol import PROTOCOL_VERSION, Command, ErrorKind, Event, SkyloopError
from ...backend.runtime.child import clean_environ
from .leash import Leash
from .pipes import LineReader, LineWriter

log = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 60.0  # it comes in a second or two; a cold disk behind a virus scanner takes many times that
SILENCE_TIMEOUT_S = 60.0  # a heartbeat comes every few seconds; one long call into a driver may hold it back
LONGEST_TICK_S = 1.0
CLOSE_PATIENCE_S = 2.0
TAIL_LINES, TAIL_LINE_CHARS = 25, 2000
_POLL_S = 0.01
_LAST_WORDS_READS = 32


class LostError(SkyloopError):
    """The process is gone or useless. ``after``: what happened, to say before it is started again; empty: don't."""

    def __init__(self, kind: ErrorKind, message: str, hint: str, *, after: str = "") -> None:
        super().__init__(kind, message, hint)
        self.after = after


class TickClock:
    """Time during which its owner was at work. It stands still while the machine sleeps or Blender does not respond."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._last_s = time.monotonic()

    def tick(self) -> float:
        """Count the time since the last tick, ``LONGEST_TICK_S`` at most. Returns ``now_s``."""
        now_s = time.monotonic()
        self.now_s += min(max(0.0, now_s - self._last_s), LONGEST_TICK_S)
        self._last_s = now_s
        return self.now_s


class BackendClient:
    """One run of the backend process. Make a new client to start it again."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        hello_timeout_s: float = HELLO_TIMEOUT_S,
        silence_timeout_s: float = SILENCE_TIMEOUT_S,
    ) -> None:
        """Start ``command`` in ``cwd``. Raises ``SkyloopError`` when it cannot be started at all.

        Only to be called on Blender's main thread: on Linux the child asks to be killed when its parent dies, and the
        kernel takes the *thread* that started it for the parent. A child started by a worker would die with that.
        """
        self.devices: list[dict[str, Any]] = []
        self.ready = False
        self._hello_timeout_s = hello_timeout_s
        self._silence_timeout_s = silence_timeout_s
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._clock = TickClock()
        self._heard_s = 0.0
        self._deaf = False
        self._stops: list[Any] = []  # what is left to try of ending the process, while it is being closed
        self._stop_next_s = 0.0
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=cwd,
                env=clean_environ() | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=True,  # Ctrl-C in Blender's terminal is Blender's to handle
            )
        except OSError as error:
            raise SkyloopError(
                ErrorKind.INTERNAL,
                f"The generator could not be started: {error.strerror or error}.",
                "Use Repair in the Skyloop preferences.",
            ) from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._commands = LineWriter(self._process.stdin)
        self._events = LineReader(self._process.stdout)
        self._log = LineReader(self._process.stderr)
        self._leash = Leash(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def tail(self) -> str:
        """The last lines that the process wrote to its log."""
        return "\n".join(self._tail)

    @property
    def more(self) -> bool:
        """Whether events have been read that :meth:`drain` has not given out yet."""
        return self._events.waiting

    def send(self, command: Command) -> None:
        """Write one request. A process that is gone or does not listen is noticed by :meth:`failure`, not here."""
        self._deaf |= not self._commands.write(command.to_line())

    def drain(self, limit: int = 100) -> list[Event]:
        """The events of the next ``limit`` lines, oldest first; ``hello`` and heartbeats are dealt with here.

        Raises ``LostError`` when the process speaks another version of the protocol.
        """
        self._clock.tick()
        self._commands.flush()
        self._read_log()
        if not self._events.waiting and self._events.fill():
            self._heard_s = self._clock.now_s
        found: list[Event] = []
        for _ in range(limit):
            if (line := self._events.next()) is None:
                break
            try:
                event = Event.from_line(line)
            except ValueError:
                log.warning("not an event, ignored: %s", line[:200])
                self._tail.append(line[:200])
                continue
            if event.type == "hello":
                self._greet(event)
            elif event.type != "heartbeat":
                found.append(event)
        return found

    def failure(self) -> LostError | None:
        """Why no more events will come, once all are given out: the process died, fell silent, or never said hello.

        Patience is counted in time during which somebody called this or :meth:`drain`, not in time of the wall: after
        a night's sleep of the machine, or a long render in Blender, nothing has been silent for long.
        """
        now_s = self._clock.tick()
        if self._events.waiting:
            return None
        if not self.alive:
            if self._events.fill():
                self._heard_s = now_s
                return None
            for _ in range(_LAST_WORDS_READS):  # bounded, as a grandchild may hold the pipe and write on
                if not self._read_log():
                    break
            return _exit_error(self._process.returncode)
        if not self.ready and now_s > self._hello_timeout_s:
            return LostError(
                ErrorKind.INTERNAL,
                f"The generator did not answer within {self._hello_timeout_s:.0f} seconds of its start.",
                "Try again; if it stays so, use Repair in the Skyloop preferences.",
            )
        if self._deaf or (self.ready and now_s - self._heard_s > self._silence_timeout_s):
            return LostError(
                ErrorKind.INTERNAL,
                f"The generator has not answered for {self._silence_timeout_s:.0f} seconds and was stopped.",
                "Try again; a smaller size needs less memory.",
                after="the generator fell silent",
            )
        return None

    def begin_close(self, *, kill: bool = False) -> None:
        """Set about ending the process: ask, close its stdin, then terminate, then kill; or ``kill`` at once.

        Call :meth:`closed` until it says so.
        """
        if kill:
            self._process.kill()
        else:
            self.send(Command(type="shutdown"))
        self._commands.close()
        self._stops = [] if kill else [self._process.kill, self._process.terminate]
        self._stop_next_s = self._clock.tick() + CLOSE_PATIENCE_S

    def closed(self) -> bool:
        """Whether the process has ended; grows rougher with every ``CLOSE_PATIENCE_S``, and gives up in the end."""
        now_s = self._clock.tick()
        self._read_log()
        self._events.fill()  # nobody wants it, but a full pipe would keep it from ending
        while self._events.next():
            pass
        if self.alive and now_s > self._stop_next_s and self._stops:
            self._stops.pop()()
            self._stop_next_s = now_s + CLOSE_PATIENCE_S
        if self.alive and now_s <= self._stop_next_s:
            return False
        if self.alive:
            log.error("process %d cannot be ended; it may be stuck in a driver", self.pid)
        self._events.close()
        self._log.close()
        self._leash.release()
        return True

    def close(self, *, kill: bool = False) -> None:
        """End the process and wait for it: at most ``CLOSE_PATIENCE_S`` for each of three ways."""
        self.begin_close(kill=kill)
        while not self.closed():
            time.sleep(_POLL_S)

    def _greet(self, hello: Event) -> None:
        """Called twice: the process is ready with the first, and knows its devices with the second."""
        spoken = hello.data.get("protocol")
        if isinstance(spoken, int) and spoken > PROTOCOL_VERSION:
            raise LostError(
                ErrorKind.INTERNAL,
                f"The generator is newer than this add-on (protocol {spoken}, not {PROTOCOL_VERSION}).",
                "Update the add-on in Preferences > Get Extensions, then restart Blender.",
            )
        if spoken != PROTOCOL_VERSION:
            raise LostError(
                ErrorKind.INTERNAL,
                f"The generator is older than this add-on (protocol {spoken}, not {PROTOCOL_VERSION}).",
                "Use Repair in the Skyloop preferences, which brings it up to date.",
            )
        devices = hello.data.get("devices")
        self.devices = [d for d in devices if isinstance(d, dict)] if isinstance(devices, list) else []
        self.ready = True

    def _read_log(self) -> bool:
        """Take in some of what the process writes to its log; whether there was any."""
        found = self._log.fill()
        while (line := self._log.next()) is not None:
            self._tail.append(line[:TAIL_LINE_CHARS])
            log.debug("backend: %s", line)
        return found


def _exit_error(code: int) -> LostError:
    """What the end of the process most likely means. Negative codes are signals."""
    if code in (-9, 137):
        return LostError(
            ErrorKind.OUT_OF_MEMORY,
            "The system stopped the generator, most likely because memory ran out.",
            "Close other programs or choose a smaller size.",
            after="memory ran out",
        )
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return LostError(
        ErrorKind.INTERNAL,
        f"The generator stopped unexpectedly ({how}).",
        "Start again; the log has the details.",
        after="the generator stopped",
    )

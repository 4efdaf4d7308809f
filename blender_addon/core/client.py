"""The backend process as the add-on sees it: start it, talk to it line by line, notice when it dies or falls silent.

Nothing here waits: threads read the pipes into a bounded queue, and the owner drains that queue when it has time. The
child ends by itself when its stdin closes, so it never outlives Blender.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ...backend.protocol import PROTOCOL_VERSION, Command, ErrorKind, Event, SkyloopError
from ...backend.runtime.child import clean_environ

log = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 120.0  # the first start reads all of torch from a cold disk, perhaps through a virus scanner
SILENCE_TIMEOUT_S = 60.0  # a heartbeat comes every few seconds; one long call into a driver may hold it back
LAST_WORDS_S = 0.3
QUEUE_EVENTS = 1000
TAIL_LINES = 25
MAX_LINE_CHARS = 1 << 20


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
        """Start ``command`` in ``cwd``. Raises ``SkyloopError`` when it cannot be started at all."""
        self.devices: list[dict[str, Any]] = []
        self.ready = False
        self._hello_timeout_s = hello_timeout_s
        self._silence_timeout_s = silence_timeout_s
        self._events: queue.Queue[Event] = queue.Queue(QUEUE_EVENTS)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._closing = False
        self._heard_at = self._started_at = time.monotonic()
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=cwd,
                env=clean_environ() | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=True,  # Ctrl-C in Blender's terminal is Blender's to handle
            )
        except OSError as error:
            raise SkyloopError(
                ErrorKind.INTERNAL,
                f"The generator could not be started: {error.strerror or error}.",
                "Use Install Anew in the Skyloop preferences.",
            ) from error
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True, name="skyloop-events"),
            threading.Thread(target=self._read_log, daemon=True, name="skyloop-log"),
        ]
        for reader in self._readers:
            reader.start()

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

    def send(self, command: Command) -> None:
        """Write one request. A process that is gone is noticed by :meth:`failure`, not here."""
        with contextlib.suppress(OSError, ValueError):
            pipe = self._process.stdin
            assert pipe is not None
            pipe.write(command.to_line() + "\n")
            pipe.flush()

    def drain(self, limit: int = 100) -> list[Event]:
        """Up to ``limit`` events that have come in since, oldest first; ``hello`` and heartbeats are dealt with here.

        Raises ``SkyloopError`` when the process speaks another version of the protocol.
        """
        found: list[Event] = []
        with contextlib.suppress(queue.Empty):
            for _ in range(limit):
                event = self._events.get_nowait()
                if event.type == "hello":
                    self._greet(event)
                elif event.type != "heartbeat":
                    found.append(event)
        return found

    def failure(self) -> SkyloopError | None:
        """Why no more events will come, once the queue is empty: the process died, fell silent, or never said hello."""
        if not self._events.empty():
            return None
        now = time.monotonic()
        if not self.alive and not self._readers[0].is_alive():
            # Its last words are what explains it; they come within milliseconds, unless a grandchild holds the pipe.
            self._readers[1].join(LAST_WORDS_S)
            return _exit_error(self._process.returncode)
        if not self.ready and now - self._started_at > self._hello_timeout_s:
            return SkyloopError(
                ErrorKind.INTERNAL,
                f"The generator did not answer within {self._hello_timeout_s:.0f} seconds of its start.",
                "Try again; if it stays so, use Install Anew in the Skyloop preferences.",
            )
        if self.ready and now - self._heard_at > self._silence_timeout_s:
            return SkyloopError(
                ErrorKind.INTERNAL,
                f"The generator has not answered for {self._silence_timeout_s:.0f} seconds and was stopped.",
                "Try again; a smaller size needs less memory.",
            )
        return None

    def close(self, patience_s: float = 2.0) -> None:
        """End the process: ask, close its stdin, then terminate, then kill. Waits ``patience_s`` at most each time."""
        self._closing = True
        self.send(Command(type="shutdown"))
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        for stop in (self._process.terminate, self._process.kill):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                break
            stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        for reader in self._readers:
            reader.join(patience_s)

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        self._process.kill()
        self.close(patience_s=1.0)

    def _greet(self, hello: Event) -> None:
        if (spoken := hello.data.get("protocol")) != PROTOCOL_VERSION:
            raise SkyloopError(
                ErrorKind.INTERNAL,
                f"The generator speaks protocol {spoken}, this add-on {PROTOCOL_VERSION}.",
                "Use Install Anew in the Skyloop preferences to bring them together.",
            )
        self.devices = list(hello.data.get("devices", []))
        self.ready = True

    def _read_events(self) -> None:
        for line in _lines(self._process.stdout):
            self._heard_at = time.monotonic()
            try:
                event = Event.from_line(line)
            except ValueError:
                log.warning("not an event, ignored: %s", line[:200])
                self._tail.append(line[:200])
                continue
            if event.type == "heartbeat":
                continue
            while not self._closing:
                # A full queue means that nobody drains it; waiting here makes the child wait too, and loses nothing.
                with contextlib.suppress(queue.Full):
                    self._events.put(event, timeout=0.2)
                    break
            self._heard_at = time.monotonic()  # the time that Blender kept us waiting is not the child's silence

    def _read_log(self) -> None:
        for line in _lines(self._process.stderr):
            self._tail.append(line)
            log.debug("backend: %s", line)


def _lines(pipe: IO[str] | None) -> Any:
    """Non-empty lines until the pipe ends; a line without end is cut, so that garbage cannot fill the memory."""
    assert pipe is not None
    with contextlib.suppress(OSError, ValueError):
        while line := pipe.readline(MAX_LINE_CHARS):
            if text := line.strip():
                yield text


def _exit_error(code: int) -> SkyloopError:
    """What the end of the process most likely means. Negative codes are signals."""
    if code in (-9, 137):
        return SkyloopError(
            ErrorKind.OUT_OF_MEMORY,
            "The system stopped the generator, most likely because memory ran out.",
            "Close other programs or choose a smaller size.",
        )
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return SkyloopError(
        ErrorKind.INTERNAL,
        f"The generator stopped unexpectedly ({how}).",
        "Start again; the log has the details.",
    )

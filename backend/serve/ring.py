"""The latest events, for clients that ask for what came after the last one they know. Standard library only."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import deque
from dataclasses import replace

from ..jobs.store import encode_line
from ..protocol import Event

MAX_EVENTS = 10_000
MAX_BYTES = 32 << 20
ANSWER_BYTES = 1 << 20  # of one answer, or a single larger event; the client asks for the rest


class GoneError(Exception):
    """The events asked for are not there (any more); start again with those from ``first`` on."""

    def __init__(self, first: int) -> None:
        super().__init__(f"events before {first} are gone")
        self.first = first


class EventRing:
    """Numbers events from 0 and keeps the latest. ``stream`` is another with every start, as the numbers begin anew."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self.stream = secrets.token_hex(8)
        self._max_events, self._max_bytes = max_events, max_bytes
        self._lines: deque[bytes] = deque()
        self._size_bytes = 0
        self._next = 0
        self._more = threading.Condition()

    @property
    def last(self) -> int:
        """The number of the latest event; -1 before the first."""
        return self._next - 1

    def __call__(self, event: Event) -> None:
        """Add an event. Heartbeats are left out: whether a server lives, its answers tell."""
        if event.type == "heartbeat":
            return
        with self._more:
            line = encode_line(replace(event, seq=self._next).to_line())
            self._next += 1
            self._lines.append(line)
            self._size_bytes += len(line)
            while len(self._lines) > self._max_events or (self._size_bytes > self._max_bytes and len(self._lines) > 1):
                self._size_bytes -= len(self._lines.popleft())
            self._more.notify_all()

    def after(self, seq: int, timeout_s: float) -> list[bytes]:
        """The lines of the events after ``seq`` (-1 for all), once there are any; empty after ``timeout_s``.

        Raises :class:`GoneError` when some of them are kept no more, or ``seq`` is of an earlier start.
        """
        end = time.monotonic() + timeout_s
        with self._more:
            while seq == self.last and (left_s := end - time.monotonic()) > 0:
                self._more.wait(left_s)
            first = self._next - len(self._lines)
            if not first - 1 <= seq <= self.last:
                raise GoneError(first)
            found, size_bytes = [], 0
            for line in itertools.islice(self._lines, seq + 1 - first, None):
                size_bytes += len(line)
                if found and size_bytes > ANSWER_BYTES:
                    break
                found.append(line)
            return found

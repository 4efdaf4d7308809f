"""Progress on stderr: a bar with the time left on a terminal, else a line a phase. Looks like the installer's.

A program that reads along asks for more by ``PROGRESS_LINES`` in the environment: how far a phase is, in lines.
"""

from __future__ import annotations

import os
import time
from typing import TextIO

from ..protocol import LAST_EVENTS, PROGRESS_LINES, Event

LINE_PERIOD_S = 0.25
_BAR_CELLS = 28


class Progress:
    """Shows the events of one job; call it with each."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = PROGRESS_LINES.items() <= os.environ.items()
        self._bar = stream.isatty() and not self._lines
        self._phase = ""
        self._start_s = self._said_s = 0.0
        self._drawn = False

    def __call__(self, event: Event) -> None:
        if event.type == "phase":
            self._show(*(event.data[key] for key in ("name", "done", "total", "unit")))
            if note := event.data.get("note"):
                self.line(f"{event.data['name'].capitalize()}: {note}")
        elif event.type in LAST_EVENTS:
            self.clear()

    def line(self, text: str) -> None:
        """One line of its own."""
        self.clear()
        self._write(f"skyloop: {text}\n")

    def note(self, text: str) -> None:
        """What happens now, until something else does; on a terminal it then goes away."""
        self.clear()
        self._write(text if self._bar else f"skyloop: {text}\n")
        self._drawn = self._bar

    def _show(self, name: str, done: int, total: int, unit: str) -> None:
        now_s = time.monotonic()
        if name != self._phase:
            self._phase, self._start_s, self._said_s = name, now_s, now_s
            if not self._bar:
                self._write(f"skyloop: {name.capitalize()}: {_count(total, unit)}\n")
        elif self._lines and now_s - self._said_s >= LINE_PERIOD_S:
            self._said_s = now_s
            self._write(f"skyloop: {name.capitalize()}: {done} of {_count(total, unit)}\n")
        if self._bar:
            self.clear()
            self._write(bar(name, done, total, now_s - self._start_s))
            self._drawn = True
            if done >= total:
                self._write("\n")
                self._drawn = False

    def clear(self) -> None:
        """Remove the bar or note, if there is one."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' if number != 1 and not unit.isupper() else ''}"  # MB has no plural


def bar(name: str, done: int, total: int, elapsed_s: float) -> str:
    """``Layout   ██████······  50 %  0:12 left``; the time left assumes that the phase keeps its pace."""
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 1.0
    cells = round(share * _BAR_CELLS)
    note = ""
    if 0 < share < 1:
        seconds = round(elapsed_s * (1 - share) / share)
        note = f"  {seconds // 60}:{seconds % 60:02d} left"
    elif share == 1:
        note = f"  {elapsed_s:.1f} s"
    return f"{name.capitalize():<27} {'█' * cells}{'·' * (_BAR_CELLS - cells)} {share * 100:3.0f} %{note}"

"""One command of the backend at a time for a feature: started, looked at by a timer, cancelled, ended.

Blender goes on meanwhile. Where there is no window, and so no timer, the caller waits. A feature has one :class:`Works`
and says in a :class:`Work` of its own what follows from a command.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import bpy

from ..backend.protocol import ErrorKind, SkyloopError, bad_request
from . import redraw
from .core.installing import Pace
from .core.state import Progress
from .core.tool import Tool

log = logging.getLogger(__name__)

PERIOD_S = 0.2


@dataclass
class Work:
    """One command. ``title`` says what it is for."""

    title: str
    tool: Tool
    progress: Progress = field(init=False, default_factory=lambda: Progress("Preparing"))
    _pace: Pace = field(init=False, default_factory=Pace)

    def done(self) -> bool:
        """Take in what the command has said; whether it has ended, and what follows can be done now."""
        ended = self.tool.done()
        if (told := self.tool.progress).total:
            self.progress = replace(told, speed=self._pace.of(told, time.monotonic()))
        return ended

    def follow(self) -> SkyloopError | None:
        """Do what follows, on the main thread; why it failed, if it did: the command, or this."""
        return self.tool.error

    def close(self) -> None:
        """It is over, however it ended."""


W = TypeVar("W", bound=Work)


class Works(Generic[W]):
    """What a feature has under way, at most one command, and why the last one failed."""

    def __init__(self, name: str) -> None:
        """``name`` is for the log."""
        self._name = name
        self._current: W | None = None
        self._last: W | None = None
        self._problem: SkyloopError | None = None
        self._timer = self._tick  # kept, because each look at a method makes another object, unknown to Blender

    def current(self) -> W | None:
        return self._current

    def last(self) -> W | None:
        """The one that ended last, until it is dismissed or another is started."""
        return self._last

    def problem(self) -> SkyloopError | None:
        """Why that one failed."""
        return self._problem

    def dismiss(self) -> None:
        self._last = self._problem = None

    def why_not(self) -> str:
        """What keeps another from being started; empty when nothing does."""
        return f"{self._current.title}: wait for it, or cancel it" if self._current else ""

    def begin(self, make: Callable[[], W], *, wait: bool = False) -> None:
        """Start what ``make`` makes. Raises ``SkyloopError``; where it is waited for also when the command fails.

        It is waited for on request, and where there is no window.
        """
        if self._current:
            raise bad_request(f"{self._current.title} is still under way.", "Wait for it, or cancel it.")
        self.dismiss()
        self._current = make()
        if not (wait or bpy.app.background):
            bpy.app.timers.register(self._timer, first_interval=PERIOD_S, persistent=True)
            return
        self._wait()

    def cancel(self) -> None:
        if self._current:
            self._current.tool.cancel()

    def end(self) -> None:
        """Blender quits, or the add-on is switched off."""
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)
        if self._current:
            self._current.tool.end()
            self._current.close()
        self._current = None
        self.dismiss()

    def step(self) -> bool:
        """One look at the work; whether to look again."""
        work = self._current
        if work is None:
            return False
        redraw.panels()
        if not work.done():
            return True
        self._current, self._last = None, work
        error = work.follow()
        work.close()
        if error and error.kind is not ErrorKind.CANCELLED:
            self._problem = error
        return False

    def _wait(self) -> None:
        try:
            while self.step():
                time.sleep(PERIOD_S)
        finally:
            if self._current:  # Ctrl-C: what is begun is taken back
                self._current.tool.cancel()
                self._current.tool.wait()
                self._current.close()
                self._current = None
        if error := self._problem:
            self.dismiss()
            raise error

    def _tick(self) -> float | None:
        """Never raises: Blender would drop the timer without a word."""
        try:
            return PERIOD_S if self.step() else None
        except Exception:
            log.exception(self._name)
            self.end()
            return None

"""Notices an engine that has fallen silent, as it does when a driver hangs: no window comes back, no error is raised.

Silence is counted in heartbeats that were really beaten, so a machine that slept or a clock that was set counts for
nothing. How long is too long is learnt: many times the longest gap met so far, and never under a floor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..protocol import Event


@dataclass(frozen=True)
class Limits:
    """The shortest silence, in seconds, that counts as stuck: of an accelerator; of a processor, or while a model is
    loaded; and while a whole movie is measured, which gives no sign of life."""

    accelerator_s: float = 120.0
    processor_s: float = 600.0
    measuring_s: float = 3600.0
    gaps: float = 20.0  # or this many times the longest gap between two events of the job


@dataclass
class Watchdog:
    """Of one job. Events and beats may come from two threads."""

    limits: Limits
    on_processor: bool
    silent_s: float = 0.0
    longest_s: float = 0.0
    _phase: str = "load"
    _resting: bool = field(default=False, repr=False)

    def heard(self, event: Event) -> None:
        """The engine has yielded ``event``."""
        self.longest_s = max(self.longest_s, self.silent_s)
        self.silent_s = 0.0
        if event.type == "phase":
            self._phase = str(event.data.get("name", ""))

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """What is beaten inside, as in a pause, does not count."""
        self._resting = True
        try:
            yield
        finally:
            self.silent_s = 0.0
            self._resting = False

    def beat(self, beat_s: float) -> bool:
        """A heartbeat has gone out, ``beat_s`` after the one before. Returns whether the engine counts as stuck."""
        if not self._resting:
            self.silent_s += beat_s
        return self.silent_s > self.limit_s

    @property
    def limit_s(self) -> float:
        limits = self.limits
        if self._phase == "measure":
            floor_s = limits.measuring_s
        else:
            floor_s = limits.processor_s if self.on_processor or self._phase == "load" else limits.accelerator_s
        return max(floor_s, limits.gaps * self.longest_s)

"""Work that Blender must not wait for, mostly on the disk: each piece in a thread of its own, its outcome handed over.

While one is under way no operator is called from a timer: ``bpy.ops`` lets go of Python's lock meanwhile, and Blender
5.0's module was seen to crash (at least 3 of 48 times) when another thread was busy in Python just then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

PATIENCE_S = 5.0


def settled(patience_s: float = PATIENCE_S) -> bool:
    """Wait until none of our threads is at work, so long at most; whether that came. For who calls an operator that
    calls many others, as glTF's exporter does: with a thread at work beside it, it crashed 7 of 10 times."""
    end_s = time.monotonic() + patience_s
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("skyloop-")]
    for thread in ours:
        thread.join(max(0.0, end_s - time.monotonic()))
    return not any(thread.is_alive() for thread in ours)


class Errand(threading.Thread):
    """One piece of work. It must not touch ``bpy``."""

    def __init__(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        super().__init__(name="skyloop-errand", daemon=True)
        self._work, self._then = work, then
        self._outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._outcome = self._work()
        except Exception:
            log.exception("errand")

    def hand_over(self) -> None:
        """Tell the outcome, in the owner's thread; None where the work broke off."""
        self._then(self._outcome)


class Errands:
    """Those under way."""

    def __init__(self) -> None:
        self._under_way: list[Errand] = []

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def begin(self, work: Callable[[], Any], then: Callable[[Any], None] = lambda outcome: None) -> None:
        """Do ``work`` in a thread; a later :meth:`tick` gives what it returns to ``then``."""
        self._under_way.append(Errand(work, then))

    def tick(self) -> None:
        """Hand over what is ready; never waits."""
        ended = [errand for errand in self._under_way if not errand.is_alive()]
        self._under_way = [errand for errand in self._under_way if errand not in ended]
        for errand in ended:
            errand.hand_over()

    def finish(self) -> None:
        """Wait for all, ``PATIENCE_S`` at most for each; their outcomes are of no interest any more."""
        for errand in self._under_way:
            errand.join(PATIENCE_S)
        self._under_way.clear()

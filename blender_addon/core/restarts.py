"""Whether a backend that died is started again for the job it left. Pure bookkeeping: no process is touched here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ...backend.protocol import ErrorKind
from .client import LostError
from .queue import Task

MAX_RESTARTS, PERIOD_S = 3, 600.0


class RestartBudget:
    """So many restarts in so much time, so that a broken installation does not come and go for ever."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent_s: deque[float] = deque(maxlen=MAX_RESTARTS)

    def spend(self) -> bool:
        """Take one restart; whether there was one left."""
        now_s = self._clock()
        if len(self._spent_s) == MAX_RESTARTS and now_s - self._spent_s[0] < PERIOD_S:
            return False
        self._spent_s.append(now_s)
        return True

    def grant(self, task: Task, error: LostError) -> bool:
        """Whether ``task``, which the process left behind, is to be tried again; counted if so.

        Not when the process says that it is of no use, not when the task came no further since the last time, and only
        once when memory ran out: it would again.
        """
        starved = error.kind is ErrorKind.OUT_OF_MEMORY
        if not error.after or not task.moved_on or (starved and task.memory_restarts) or not self.spend():
            return False
        task.restarts += 1
        task.memory_restarts += starved
        task.moved_on = False
        return True

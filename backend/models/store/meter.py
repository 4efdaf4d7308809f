"""Bytes as ``phase`` events in MB, a few a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ...protocol import Event, phase

Progress = Callable[[Event], None]
Tell = Callable[[int], None]
Wait = Callable[[float], None]
_PERIOD_S = 0.1


class Meter:
    """Tells ``progress`` how far each phase is; the end of one only when all its bytes are done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said_s = 0.0

    def of(self, name: str, total: int, before: int = 0) -> Tell:
        """To be called with the bytes of one file done so far, where ``before`` of the phase's ``total`` were done."""
        return lambda count: self.tell(name, before + count, total)

    def tell(self, name: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        if done < total and now_s - self._said_s < _PERIOD_S:
            return
        self._said_s = now_s
        total_mb = max(1, round(total / 1e6))
        done_mb = total_mb if done >= total else min(round(done / 1e6), total_mb - 1)
        self._progress(phase(name, done_mb, total_mb, "MB"))

    def wait(self, seconds: float) -> None:
        """Sleep, and say how long still, where that is more than a moment."""
        whole = math.ceil(seconds)
        for gone in range(whole):
            if whole > 1:
                self._progress(phase("waiting for the hub", gone, whole, "second"))
            time.sleep(seconds / whole)

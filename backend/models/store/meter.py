"""Bytes as ``phase`` events in MB, a few a second, from one thread or several."""

from __future__ import annotations

import math
import threading
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
        self._lock = threading.RLock()

    def of(self, name: str, total: int, before: int = 0) -> Tell:
        """To be called with the bytes of one file done so far, where ``before`` of the phase's ``total`` were done."""
        return lambda count: self.tell(name, before + count, total)

    def tell(self, name: str, done: int, total: int) -> None:
        with self._lock:
            now_s = time.monotonic()
            if done < total and now_s - self._said_s < _PERIOD_S:
                return
            self._said_s = now_s
            total_mb = max(1, round(total / 1e6))
            done_mb = total_mb if done >= total else min(round(done / 1e6), total_mb - 1)
            self._progress(phase(name, done_mb, total_mb, "MB"))

    def wait(self, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Sleep, and say how long still, unless something else is being told meanwhile. ``check`` may raise to stop."""
        whole = math.ceil(seconds)
        for gone in range(whole):
            check()
            time.sleep(seconds / whole)
            with self._lock:
                if whole > 1 and time.monotonic() - self._said_s >= 1:
                    self._progress(phase("waiting for the hub", gone, whole, "second"))

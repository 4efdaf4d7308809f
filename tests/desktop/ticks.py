"""How long Skyloop holds up Blender's main thread; runs inside Blender."""

import time
from collections.abc import Callable
from typing import Any

import bpy
import walking as w


class Stopwatch:
    """Times every turn of the session's timer and every drawing of our panels, in ms, until it is stopped.

    It counts the main thread's own processor time: on a machine that others use too, the clock on the wall tells of
    them. ``walls_ms`` has that as well, for the timer.
    """

    def __init__(self) -> None:
        self.ticks_ms: list[float] = []
        self.walls_ms: list[float] = []
        self.draws_ms: list[float] = []
        session = w.part("blender_addon.session")
        self._session, self._timer = session, session._timer
        timer = session._timer

        def timed() -> float | None:
            began = time.perf_counter()
            period_s = self._time(self.ticks_ms, timer)
            self.walls_ms.append(1000 * (time.perf_counter() - began))
            return period_s

        self._replace(timed)
        self._panels = [cls for cls in w.part("blender_addon.registration").CLASSES if issubclass(cls, bpy.types.Panel)]
        self._draws = [cls.draw for cls in self._panels]
        for cls in self._panels:
            cls.draw = self._timed(cls.draw)

    def stop(self) -> dict[str, Any]:
        self._replace(self._timer)
        for cls, draw in zip(self._panels, self._draws, strict=True):
            cls.draw = draw
        return {
            "ticks_ms": figures(self.ticks_ms),
            "ticks_wall_ms": figures(self.walls_ms),
            "slowest_ms": self.slowest(),
            "panel_draws_ms": figures(self.draws_ms),
        }

    def slowest(self) -> list[list[float]]:
        """The turns that took longest by the clock on the wall: own time, and that."""
        turns = sorted(zip(self.walls_ms, self.ticks_ms, strict=True), reverse=True)[:3]
        return [[round(own_ms, 2), round(wall_ms, 2)] for wall_ms, own_ms in turns]

    def _replace(self, timer: Callable[[], float | None]) -> None:
        bpy.app.timers.unregister(self._session._timer)
        self._session._timer = timer
        bpy.app.timers.register(timer, first_interval=0.1, persistent=True)

    def _timed(self, draw: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def timed(panel: Any, context: Any) -> None:  # Blender looks at the number of arguments
            self._time(self.draws_ms, draw, panel, context)

        return timed

    def _time(self, times_ms: list[float], function: Callable[..., Any], *args: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*args)
        finally:
            times_ms.append(1000 * (time.thread_time() - began))


def figures(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    if not ordered:
        return {"count": 0}
    at = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    shares = {name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) for name, share in at.items()}
    return {"count": len(ordered), **shares, "max": round(ordered[-1], 2)}

"""The noise levels of the catalogue's models, told without loading any: those of :mod:`.levels`, in the standard
library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import accumulate
from operator import mul

from .catalogue import Entry

Levels = Callable[[int], list[float]]

# Where the scheduler that comes with the weights says it, as all of these do.
USUAL_SHIFT = 5.0
BETAS, TIMESTEPS = (0.00085, 0.012), 1000
LCM = range(999, 0, -20)
EDM_LEAST, EDM_MOST, EDM_RHO = 0.002, 700.0, 7


def levels_of(entry: Entry) -> Levels:
    """A function from a number of steps to so many falling noise levels, and 0."""
    preset = entry.preset
    if preset.sigmas:
        return partial(_spread, (*preset.sigmas, 0.0))
    if entry.family == "svd":
        return _exploding
    if entry.family == "cogvideox":
        return partial(_preserving, _cog(3.0 if entry.id.endswith("2b") else 1.0))
    if entry.family == "animatediff":
        every = _linear()
        return partial(_spread, (*(every[t] for t in LCM), 0.0)) if preset.solver == "renoise" else partial(
            _preserving, every)  # fmt: skip
    return partial(_shifted, preset.shift or USUAL_SHIFT)


def _spread(trained: Sequence[float], steps: int) -> list[float]:
    found = []
    for k in range(steps + 1):
        at = k * (len(trained) - 1) / steps
        at = int(at + 1e-9) if steps < len(trained) else at
        at = math.floor(at + 1e-9) if steps < len(trained) else at
        low = min(int(at), len(trained) - 2)
        found.append(trained[low] + (at - low) * (trained[low + 1] - trained[low]))
    return found


def _shifted(shift: float, steps: int) -> list[float]:
    even = [1 - k / steps for k in range(steps + 1)]
    return [shift * s / (1 + (shift - 1) * s) for s in even]


def _preserving(every: Sequence[float], steps: int) -> list[float]:
    even = [round(TIMESTEPS - k * TIMESTEPS / steps) - 1 for k in range(steps)]
    return [*(every[t] for t in even), 0.0]


def _exploding(steps: int) -> list[float]:
    most, least = EDM_MOST ** (1 / EDM_RHO), EDM_LEAST ** (1 / EDM_RHO)
    ramp = [(most + (least - most) * k / max(1, steps - 1)) ** EDM_RHO for k in range(steps)]
    return [*(b / (1 + b) for b in ramp), 0.0]


def _level(a2: float) -> float:
    """Of the share ``a2`` of the signal, as variance."""
    a, b = math.sqrt(a2), math.sqrt(max(0.0, 1 - a2))
    return b / (a + b)


def _signals(betas: list[float]) -> list[float]:
    return list(accumulate((1 - b for b in betas), mul))


def _between(low: float, high: float) -> list[float]:
    return [low + (high - low) * t / (TIMESTEPS - 1) for t in range(TIMESTEPS)]


@cache
def _linear() -> tuple[float, ...]:
    return tuple(map(_level, _signals(_between(*BETAS))))


@cache
def _cog(shift: float) -> tuple[float, ...]:
    """Its signal is weaker by ``shift``, and none at the first level (Lin et al. 2024, arXiv 2305.08891)."""
    roots = [math.sqrt(a / (shift + (1 - shift) * a))
             for a in _signals([b * b for b in _between(*map(math.sqrt, BETAS))])]  # fmt: skip
    return tuple(_level(((r - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2) for r in roots)

"""One step of the sampling ODE for the whole canvas: DPM-Solver++(2M) for flow matching, a pure function.

Lu et al. 2022 (arXiv 2211.01095), algorithm 2, with alpha = 1 - sigma. Its memory is the clean prediction of the step
before, as large as the canvas: windows may move between steps, since the solver never sees them.
"""

from __future__ import annotations

import math

from torch import Tensor


def _log_snr(sigma: float) -> float:
    return math.log((1 - sigma) / sigma)


def solver_step(x: Tensor, clean: Tensor, before: Tensor | None, sigmas: tuple[float, float, float]) -> Tensor:
    """Noisy ``x`` at ``sigmas[1]`` -> at ``sigmas[2]``, given the clean prediction and the one before (at
    ``sigmas[0]``).

    First order where there is no memory, at pure noise, and in the last step to 0.
    """
    last, now, then = sigmas
    if then == 0.0:
        return clean
    target = clean
    if before is not None and last < 1.0:
        h, h_last = _log_snr(then) - _log_snr(now), _log_snr(now) - _log_snr(last)
        slope = h / (2 * h_last)
        target = (1 + slope) * clean - slope * before
    # (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) clean: exact for a constant clean prediction.
    ratio = then / now
    return ratio * x + ((1 - then) - (1 - now) * ratio) * target

"""One step of the sampling ODE for the whole canvas, a pure function.

``multistep``  DPM-Solver++(2M) for flow matching: Lu et al. 2022 (arXiv 2211.01095), algorithm 2, alpha = 1 - sigma
``euler``      the same without memory: Euler's method along the velocity, and DDIM (Song et al. 2020), are this step
``renoise``    to the clean prediction and back up with fresh noise, as models distilled to a few steps were trained
               (Song et al. 2023, arXiv 2303.01469, algorithm 1)

The memory is the clean prediction of the step before, as large as the canvas: windows may move between steps, since
the solver never sees them.
"""

from __future__ import annotations

import math

from torch import Tensor

from .models.base import Solver


def _log_snr(sigma: float) -> float:
    return math.log((1 - sigma) / sigma)


def solver_step(
    x: Tensor,
    clean: Tensor,
    before: Tensor | None,
    sigmas: tuple[float, float, float],
    solver: Solver = "multistep",
    noise: Tensor | None = None,
) -> Tensor:
    """Noisy ``x`` at ``sigmas[1]`` -> at ``sigmas[2]``, given the clean prediction and the one before (at
    ``sigmas[0]``). ``noise``: fresh and white, for ``renoise`` alone.

    First order where there is no memory, at pure noise, and in the last step to 0.
    """
    last, now, then = sigmas
    if then == 0.0:
        return clean
    if solver == "renoise":
        assert noise is not None
        return (1 - then) * clean + then * noise
    target = clean
    if solver == "multistep" and before is not None and last < 1.0:
        h, h_last = _log_snr(then) - _log_snr(now), _log_snr(now) - _log_snr(last)
        slope = h / (2 * h_last)
        target = (1 + slope) * clean - slope * before
    # (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) clean: exact for a constant clean prediction.
    ratio = then / now
    return ratio * x + ((1 - then) - (1 - now) * ratio) * target

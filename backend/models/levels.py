"""Noise levels: every diffusion model seen as one whose noisy latents are (1 - sigma) clean + sigma noise.

A noisy latent of any of them is ``a * clean + b * noise``. Divided by ``a + b`` it is the engine's, at the noise level
``sigma = b / (a + b)``; the ratio b / a, and with it the path of the sampling ODE, is the same. So one solver, one
re-noising and one checkpoint do for all. ``out`` is what a network returns, ``x`` what it was given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

Predicts = Literal["noise", "velocity"]


class Levels(Protocol):
    """How a network was trained to see noise. ``start``: what white noise is multiplied by to be the engine's latents
    at the first of :meth:`sigmas`, which may be a little less than 1."""

    start: float

    def sigmas(self, steps: int) -> list[float]:
        """``steps + 1`` falling noise levels, to 0."""
        ...

    def native(self, sigma: float) -> tuple[float, float]:
        """What the engine's latents are multiplied by for the network, and the timestep that it is told."""
        ...

    def clean(self, out: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Clean latents, of what the network returned for the (scaled) ``x``."""
        ...


def spread(trained: Sequence[float], steps: int) -> list[float]:
    """``steps + 1`` noise levels along the curve of ``trained`` ones (which end at 0): some or all of those and no
    others, unless more are asked for than there are."""
    at = np.linspace(0, len(trained) - 1, steps + 1)
    at = np.floor(at + 1e-9) if steps < len(trained) else at
    return [float(s) for s in np.interp(at, np.arange(len(trained)), trained)]


class Flow:
    """Flow matching (Lipman et al. 2022, arXiv 2210.02747): the network returns noise - clean, its timestep is sigma
    times a thousand, and a ``shift`` spends more steps where windows of many tokens are decided:
    sigma' = shift sigma / (1 + (shift - 1) sigma) (Esser et al. 2024, arXiv 2403.03206, section 5.3.2).

    ``trained``: the falling noise levels of a model distilled to a few steps, from 1 to 0, instead of a shift.
    """

    def __init__(self, shift: float = 1.0, trained: Sequence[float] = (), timesteps: float = 1000.0) -> None:
        self.shift, self.trained, self.timesteps, self.start = shift, tuple(trained), timesteps, 1.0

    def sigmas(self, steps: int) -> list[float]:
        if self.trained:
            return spread(self.trained, steps)
        even = [1 - k / steps for k in range(steps + 1)]
        return [self.shift * s / (1 + (self.shift - 1) * s) for s in even]

    def native(self, sigma: float) -> tuple[float, float]:
        return 1.0, sigma * self.timesteps

    def clean(self, out: Tensor, x: Tensor, sigma: float) -> Tensor:
        return x - sigma * out


class VariancePreserving:
    """a^2 + b^2 = 1 (Ho et al. 2020): ``alphas_cumprod`` is a^2 by timestep, as diffusers' schedulers have it.

    The network returns the noise, or the velocity a noise - b clean (Salimans and Ho 2022, arXiv 2202.00512).
    """

    def __init__(self, alphas_cumprod: Sequence[float], predicts: Predicts, timesteps: Sequence[int] = ()) -> None:
        """``timesteps``: the falling ones of a model distilled to a few steps."""
        a2 = np.asarray(alphas_cumprod, np.float64)
        self._sigma = np.sqrt(1 - a2) / (np.sqrt(1 - a2) + np.sqrt(a2))  # rising with the timestep
        self.start = float(1 / (np.sqrt(a2[-1]) + np.sqrt(1 - a2[-1])))
        self.predicts: Predicts = predicts
        self.trained = [float(self._sigma[t]) for t in timesteps] + [0.0] if timesteps else []

    def timestep(self, sigma: float) -> float:
        return float(np.interp(sigma, self._sigma, np.arange(len(self._sigma))))

    def sigmas(self, steps: int) -> list[float]:
        """Even timesteps, the first the last of training ("trailing": Lin et al. 2024, arXiv 2305.08891)."""
        if self.trained:
            return spread(self.trained, steps)
        count = len(self._sigma)
        even = np.round(np.arange(count, 0, -count / steps)).astype(int)[:steps] - 1
        return [*(float(self._sigma[t]) for t in even), 0.0]

    def scales(self, sigma: float) -> tuple[float, float]:
        """a and b."""
        norm = math.hypot(1 - sigma, sigma)
        return (1 - sigma) / norm, sigma / norm

    def native(self, sigma: float) -> tuple[float, float]:
        return 1 / math.hypot(1 - sigma, sigma), self.timestep(sigma)

    def clean(self, out: Tensor, x: Tensor, sigma: float) -> Tensor:
        a, b = self.scales(sigma)
        return (x - b * out) / a if self.predicts == "noise" else a * x - b * out


class VarianceExploding:
    """a = 1, b up to hundreds (Karras et al. 2022, arXiv 2206.00364, "EDM"), as Stable Video Diffusion has it: the
    network is given x / sqrt(b^2 + 1) and log(b) / 4, and returns a velocity in those terms.

    Levels follow Karras' equation 5 with rho = 7 between ``least`` and ``most``.
    """

    def __init__(self, least: float, most: float, rho: float = 7.0) -> None:
        self.least, self.most, self.rho = least, most, rho
        self.start = math.sqrt(most * most + 1) / (1 + most)  # as diffusers begins

    def sigmas(self, steps: int) -> list[float]:
        ramp = np.linspace(self.most ** (1 / self.rho), self.least ** (1 / self.rho), steps) ** self.rho
        return [*(float(b / (1 + b)) for b in ramp), 0.0]

    def native(self, sigma: float) -> tuple[float, float]:
        b = sigma / (1 - sigma)
        return (1 + b) / math.sqrt(b * b + 1), math.log(b) / 4

    def clean(self, out: Tensor, x: Tensor, sigma: float) -> Tensor:
        b = sigma / (1 - sigma)
        return x / math.sqrt(b * b + 1) - out * (b / math.sqrt(b * b + 1))

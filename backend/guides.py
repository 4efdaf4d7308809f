"""What pulls the clean prediction of a step toward something known.

A guide is called with the clean charts of a few frames, each (C, f, rows, columns), and returns them changed. All of
them replace a part of the prediction by what is known of it,

    clean + weight * (L(known) - L(clean))

where L is the identity, the mean over time, or a low-pass filter (as in ILVR, Choi et al. 2021, arXiv 2108.02938, here
on clean samples, so that no noise is touched).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .charts import Chart


class Guide(Protocol):
    """Changes the clean prediction of a step."""

    def __call__(self, clean: list[Tensor], mean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        """Clean charts (C, f, rows, columns) of ``frames``, predicted at noise level ``sigma`` -> changed ones.
        ``mean`` (C, 1, rows, columns): their means over all frames."""
        ...

    def settled(self, chart: int, sigma: float) -> Tensor | None:
        """Cells (rows, columns) whose prediction is replaced entirely, so that no window need look at them."""
        ...


def low_pass(x: Tensor, down: float, across: float, wrap: bool) -> Tensor:
    """Gaussian blur of (N, rows, columns) with standard deviations of ``down`` rows and ``across`` columns; ``wrap``
    joins left and right edges, others repeat."""
    y = x[:, None]
    kernel, reach = _gaussian(across, x)
    y = F.conv2d(F.pad(y, (reach, reach, 0, 0), mode="circular" if wrap else "replicate"), kernel[None, None, None, :])
    kernel, reach = _gaussian(down, x)
    return F.conv2d(F.pad(y, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None])[:, 0]


def _gaussian(radius: float, like: Tensor) -> tuple[Tensor, int]:
    """A kernel (2 n + 1,) and n."""
    reach = max(1, round(2.5 * radius))
    at = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    kernel = torch.exp(-0.5 * (at / radius) ** 2)
    return kernel / kernel.sum(), reach


@dataclass(frozen=True)
class Hold:
    """Keeps known cells: where ``keep`` (rows, columns) is 1 the prediction is replaced, where 0 it is free.

    ``known`` charts (C, F or 1, rows, columns). Below the noise level ``above`` nothing is kept any more.
    """

    known: Sequence[Tensor]
    keep: Sequence[Tensor]
    above: float = 0.0

    def __call__(self, clean: list[Tensor], mean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        if sigma <= self.above:
            return clean
        return [torch.lerp(c, _part(k, frames), w) for c, k, w in zip(clean, self.known, self.keep, strict=True)]

    def settled(self, chart: int, sigma: float) -> Tensor | None:
        return self.keep[chart] >= 1.0 if sigma > self.above else None


@dataclass(frozen=True)
class Anchor:
    """Keeps the low frequencies of a still picture in the mean over time, so that all may move about them.

    ``known`` charts (C, 1, rows, columns), ``weight`` (rows, columns) how far each cell is known, ``radius`` of the
    low-pass filter in cells.
    """

    charts: Sequence[Chart]
    known: Sequence[Tensor]
    weight: Sequence[Tensor]
    radius: float

    def __call__(self, clean: list[Tensor], mean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        result = []
        for chart, ours, now, known, w in zip(self.charts, clean, mean, self.known, self.weight, strict=True):
            apart = low_pass(((known - now) * w)[:, 0], self.radius, self.radius, chart.wrap)
            result.append(ours + apart[:, None])
        return result

    def settled(self, chart: int, sigma: float) -> Tensor | None:
        return None


@dataclass(frozen=True)
class Still:
    """Takes motion away: where ``weight`` (rows, columns) is 1 every frame is the mean over time, where 0 all moves."""

    weight: Sequence[Tensor]

    def __call__(self, clean: list[Tensor], mean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        return [torch.lerp(c, m.expand_as(c), w) for c, m, w in zip(clean, mean, self.weight, strict=True)]

    def settled(self, chart: int, sigma: float) -> Tensor | None:
        return None


def _part(known: Tensor, frames: slice) -> Tensor:
    return known if known.shape[1] == 1 else known[:, frames]

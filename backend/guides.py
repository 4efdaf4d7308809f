"""What pulls the clean prediction of a step toward something known.

A guide is called with the clean charts of a few frames, each (C, f, rows, columns), and returns them changed. All of
them are the same idea at different widths: part of the known picture replaces part of the prediction.

    clean + strength(sigma) * weight * (L(known) - L(clean))

with L a low-pass filter (ILVR, Choi et al. 2021, arXiv 2108.02938, in clean-sample space) or the identity.
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

    def __call__(self, clean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        """Clean charts (C, f, rows, columns) of ``frames``, predicted at noise level ``sigma`` -> changed ones."""
        ...

    def settled(self, chart: int) -> Tensor | None:
        """Cells (rows, columns) whose prediction is replaced entirely, so that no window need look at them."""
        ...


def low_pass(x: Tensor, sigma_cells: float, wrap: bool) -> Tensor:
    """Gaussian blur of (N, rows, columns) over space; ``wrap`` joins left and right edges, others repeat."""
    radius = max(1, round(2.5 * sigma_cells))
    at = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (at / sigma_cells) ** 2)
    kernel = kernel / kernel.sum()
    y = F.pad(x[:, None], (radius, radius, 0, 0), mode="circular" if wrap else "replicate")
    y = F.conv2d(y, kernel[None, None, None, :])
    y = F.pad(y, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(y, kernel[None, None, :, None])[:, 0]


@dataclass(frozen=True)
class MotionLock:
    """Keeps what the coarser stage settled, its low frequencies in every frame, while detail is made anew.

    ``known`` charts (C, F, rows, columns); ``blur_cells`` the filter's width; ``full_above`` and ``none_below`` the
    noise levels between which the lock lets go.
    """

    charts: Sequence[Chart]
    known: Sequence[Tensor]
    blur_cells: float
    strength: float = 1.0
    full_above: float = 0.6
    none_below: float = 0.2

    def __call__(self, clean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        span = self.full_above - self.none_below
        strength = self.strength * min(1.0, max(0.0, (sigma - self.none_below) / span))
        if strength == 0.0:
            return clean
        result = []
        for chart, ours, theirs in zip(self.charts, clean, self.known, strict=True):
            apart = low_pass((theirs[:, frames] - ours).flatten(0, 1), self.blur_cells, chart.wrap)
            result.append(ours + strength * apart.reshape(ours.shape))
        return result

    def settled(self, chart: int) -> Tensor | None:
        return None


@dataclass(frozen=True)
class Hold:
    """Keeps known cells: where ``keep`` (rows, columns) is 1 the prediction is replaced, where 0 it is free."""

    known: Sequence[Tensor]
    keep: Sequence[Tensor]

    def __call__(self, clean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        return [torch.lerp(c, k[:, frames], w) for c, k, w in zip(clean, self.known, self.keep, strict=True)]

    def settled(self, chart: int) -> Tensor | None:
        return self.keep[chart] >= 1.0

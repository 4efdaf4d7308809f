"""Models whose best prediction is known exactly, to hold the engine to."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from backend.models.base import ModelSpec, View

SPEC = ModelSpec(
    id="oracle",
    channels=2,
    frames=16,
    cells=16,
    ratio=8,
    steps=8,
    guidance=1.0,
    window_batch=6,
    longest_step_s=0.2,
)


class SmoothOracle:
    """Stands in for :class:`Oracle` where data are smooth along a row: a stationary Gaussian process of variance 1,
    whose correlation falls with the distance as exp(-d^2 / (2 length^2)), or if ``rough`` as exp(-d / length)."""

    def __init__(self, length_cells: float = 6.0, cells: int = 16, rough: bool = False) -> None:
        distance = (torch.arange(cells)[:, None] - torch.arange(cells)).abs().double() / length_cells
        values, self.vectors = torch.linalg.eigh(torch.exp(-distance if rough else -(distance**2) / 2))
        self.values = values.clamp(min=0)

    def predict(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean given a window's row, in the covariance's own basis."""
        a = 1 - sigma
        gain = a * self.values / (a * a * self.values + sigma * sigma)
        return (((x.double() @ self.vectors) * gain) @ self.vectors.T).float()


class Oracle:
    """The optimal denoiser of data whose cells are independent normal numbers, shared over ``block`` x ``block`` cells.

    With ``block`` 1 it looks at single cells, with 16 at whole windows, so that windows disagree wherever they border.
    """

    device = torch.device("cpu")
    halo = 2

    def __init__(self, block: int = 1, window_batch: int = 6, smooth: SmoothOracle | None = None) -> None:
        self.spec = replace(SPEC, window_batch=window_batch)
        self.block, self.smooth = block, smooth
        self.calls: list[tuple[tuple[int, ...], float, list[View]]] = []

    def encode_text(self, texts: Sequence[str]) -> list[str]:
        return list(texts)

    def sigmas(self, steps: int) -> list[float]:
        return torch.linspace(1, 0, steps + 1).tolist()

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        assert len(x) == len(views) == len(prompts)
        self.calls.append((tuple(x.shape), sigma, list(views)))
        if self.smooth:
            return self.smooth.predict(x, sigma)
        n, c, f, h, w = x.shape
        k = self.block
        blocks = x.reshape(n, c, f, h // k, k, w // k, k)
        mean = blocks.mean((4, 6), keepdim=True).expand_as(blocks).reshape(x.shape)
        # Posterior mean of a unit normal seen as (1 - sigma) * data + sigma * noise, averaged over k * k cells.
        a = 1 - sigma
        return mean * a / (a * a + sigma * sigma / (k * k))

    def decode(self, latents: Tensor) -> Tensor:
        """A local picture: each cell's first channel, smoothed over its neighbours, blown up eight times."""
        smooth = torch.nn.functional.avg_pool2d(latents[:, :1], 3, 1, 1, count_include_pad=False)
        return smooth.repeat_interleave(8, 2).repeat_interleave(8, 3).expand(-1, 3, -1, -1).sigmoid()

    def encode(self, frames: Tensor) -> Tensor:
        """A cell's mean brightness, as every channel, undoing the sigmoid."""
        return torch.nn.functional.avg_pool2d(frames[:, :1], 8).clamp(1e-4, 1 - 1e-4).logit().expand(-1, 2, -1, -1)

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        return (self.decode(z[None]) for z in latents.unbind(1))

    def encode_clip(self, frames: Tensor) -> Tensor:
        return self.encode(frames).transpose(0, 1)

"""In the manner of SyncDiffusion (Lee et al. 2023, arXiv 2306.05178): MultiDiffusion whose windows are pulled toward
the look of an anchor window by gradient descent, in the first part of the steps.

The original's look is a perceptual distance (LPIPS), whose weights we do not have: here it is the mean and deviation
of every channel in bands of rows, so roughly the colours and contrast from the sky down to the ground. The gradient is
that with respect to the predicted clean latents, the model's prediction held fixed, which has a closed form and costs
no evaluation (the original differentiates through the model, at more than twice the cost).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..windows import Window
from . import Denoising, Task
from .baselines import fixed_windows, run

# The original: the first steps, each with a weight 0.95 times that of the one before.
PART_OF_STEPS = 0.25
RATE = 0.5
BANDS = 4


def look(window: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C, 1, bands, 1, 1) of a window's channels (C, f, bands, rows, columns)."""
    mean = window.mean((1, 3, 4), keepdim=True)
    return mean, (window - mean).square().mean((1, 3, 4), keepdim=True).add(1e-6).sqrt()


def gradient(window: Tensor, anchor: Tensor) -> Tensor:
    """Of half the squared distance of their looks, times the number of cells in a band: (C, f, h, w), like both."""
    bands = min(BANDS, window.shape[2])
    x, a = (t.unflatten(2, (bands, -1)) for t in (window, anchor))
    (mean, deviation), (mean_a, deviation_a) = look(x), look(a)
    return (mean - mean_a + (deviation - deviation_a) * (x - mean) / deviation).flatten(2, 3)


@dataclass(frozen=True)
class Synchronisation:
    """A guide: a gradient step of all windows toward their anchors, as long as the noise is above ``until``.

    The windows of one row share an anchor, the one nearest the front: sky need not look like ground. Prompts by
    direction are not known to it. Where windows overlap, their gradients are averaged, as their predictions are.
    """

    windows: Sequence[Window]
    columns: int
    until: float

    def __call__(self, clean: list[Tensor], mean: list[Tensor], frames: slice, sigma: float) -> list[Tensor]:
        if sigma < self.until:
            return clean
        pull, count = torch.zeros_like(clean[0]), torch.zeros(clean[0].shape[2:])
        for window in self.windows:
            where = (..., window.rows.index[:, None], window.columns.index)
            front = (..., window.rows.index[:, None], self._anchor(window).columns.index)
            pull[where] += gradient(clean[0][where], clean[0][front])
            count[where[1:]] += 1
        return [clean[0] - RATE * pull / count]

    def _anchor(self, window: Window) -> Window:
        row = [w for w in self.windows if torch.equal(w.rows.index, window.rows.index)]
        return min(row, key=lambda w: abs(w.columns.centre - self.columns / 2))

    def settled(self, chart: int, sigma: float) -> Tensor | None:
        return None


def compose(task: Task) -> Denoising:
    """Synchronise for a quarter of the steps, and average windows in all of them."""
    windows, sigmas = fixed_windows(task, overlap=0.5), task.model.sigmas(task.request.steps)
    first_time = windows[0].time
    places = [w for w in windows if w.time is first_time]
    columns = 1 + max(int(w.columns.index.max()) for w in places)
    until = sigmas[math.ceil(PART_OF_STEPS * task.request.steps) - 1]
    guide = Synchronisation(places, columns, until)
    return (yield from run(task, lambda step, last: windows, guides=[guide]))

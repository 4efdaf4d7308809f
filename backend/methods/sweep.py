"""One order-dependent denoising step, as DynamicScaler has it (arXiv 2412.11100: mask M_d, noise re-balancing).

Windows are visited one after the other on one canvas, and each overwrites what it covers. So a window finds cells that
an earlier one of the same step has already denoised (the mask M_d): they are noised back before it reads them, or the
model would be told a wrong noise level, and afterwards its result is mixed with what was there (re-balancing).

Derived from the paper's equations, for flow matching: noisy = (1 - sigma) * clean + sigma * noise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..charts import Chart
from ..conditioning import Prompts
from ..models.base import ModelSpec, VideoModel, View
from ..protocol import ErrorKind, SkyloopError
from ..solver import solver_step
from ..windows import Span


@dataclass(frozen=True)
class Footprint:
    """Where a window reads and writes: ``time`` (f latents, of which those without weight are only read) and ``cells``
    (h, w) of a chart, cells counted row by row.

    Of windows whose pixels miss some of the cells they look at: ``seen`` (n,) are all those cells, ``nearest`` (n,)
    the pixel (of h * w) that is closest to each.
    """

    time: Span
    cells: Tensor
    view: View
    prompt: int
    seen: Tensor | None = None
    nearest: Tensor | None = None


@dataclass(frozen=True)
class Denoiser(ABC):
    """One of the paper's two denoisers on a chart: which windows each step has, and where one reads and writes.

    ``frames``: the canvas's length; ``shares`` (prompts, rows, columns): prompts by cell; ``steps``: the schedule's.
    """

    chart: Chart
    frames: int
    loop: bool
    frame_step_s: float
    spec: ModelSpec
    shares: Tensor
    steps: int

    @abstractmethod
    def places(self, step: int) -> list[Any]:
        """The windows of ``step``, counted from the stage's start, in the order of their visits."""

    @abstractmethod
    def footprint(self, place: Any) -> Footprint:
        """Where one of them reads and writes."""


class Level(NamedTuple):
    """A step's noise levels before and after, its guidance, and the share of the old in re-balancing."""

    now: float
    then: float
    guidance: float
    mixing: float


def renoise_between(x: Tensor, lower: float, upper: float, noise: Tensor) -> Tensor:
    """Noisy ``x`` at level ``lower`` taken back up to ``upper`` (levels in [0, 1]) with fresh unit ``noise``.

    The forward process between two levels: scale so that the clean part fits, add the variance that is missing.
    """
    scale = (1 - upper) / (1 - lower)
    return scale * x + math.sqrt(upper**2 - (scale * lower) ** 2) * noise


def mixing_ratio(step: int, steps: int) -> float:
    """Share of what was there before: half at a stage's first step, falling to none after 20 of the run's 48.

    ``step`` counts from the stage's start, ``steps`` is the length of the whole schedule.
    """
    return max(0.0, 0.5 * (1 - step * 48 / steps / 20))


def last_writers(index: Tensor) -> tuple[Tensor, Tensor]:
    """Of entries (n,) that may name a target twice: the last entry of each target, and the targets."""
    targets, which = index.unique(return_inverse=True)
    entries = torch.arange(len(index))
    return torch.zeros_like(targets).scatter_reduce_(0, which, entries, "amax"), targets


def sweep(
    model: VideoModel,
    noisy: Tensor,
    clean: Tensor,
    footprints: Iterable[Footprint],
    prompts: Prompts,
    level: Level,
    generator: torch.Generator,
) -> Iterator[None]:
    """Take ``noisy`` (C, F, rows, columns) from ``level.now`` to ``level.then`` in place, window by window; yields
    after each. ``clean``, alike, receives the predictions. Raises ``SkyloopError`` where the model returns NaN.

    Cells that no window has written keep their noise and take the prediction of the nearest pixel that saw them. (In
    the reference run they would stay at the old noise level; its image variant fills them with the noised photo.)
    """
    z, c = noisy.view(*noisy.shape[:2], -1), clean.view(*clean.shape[:2], -1)
    denoised = torch.zeros(z.shape[1:], dtype=torch.bool)
    for footprint in footprints:
        frames, cells = footprint.time.index[:, None], footprint.cells.flatten()
        before, again = z[:, frames, cells], denoised[frames, cells]
        x = before
        if bool(again.any()):
            noise = torch.randn(before.shape, generator=generator)
            x = torch.where(again, renoise_between(before, level.then, level.now, noise), before)
        prediction = _predict(model, x, footprint, prompts, level)
        after = _stepped(model, x, prediction, level, generator)
        after = torch.where(again, torch.lerp(after, before, level.mixing), after)

        own = footprint.time.weight > 0
        prediction, after = prediction[:, own], after[:, own]
        at, frames = last_writers(footprint.time.index[own])
        at, frames = at[:, None], frames[:, None]
        if footprint.seen is not None and footprint.nearest is not None:
            seen = footprint.seen
            c[:, frames, seen] = torch.where(
                denoised[frames, seen], c[:, frames, seen], prediction[:, at, footprint.nearest]
            )
        pixels, cells = last_writers(cells)
        c[:, frames, cells] = prediction[:, at, pixels]
        z[:, frames, cells] = after[:, at, pixels]
        denoised[frames, cells] = True
        yield
    missed = ~denoised
    z[:, missed] = _stepped(model, z[:, missed], c[:, missed], level, generator)


def _stepped(model: VideoModel, x: Tensor, clean: Tensor, level: Level, generator: torch.Generator) -> Tensor:
    """A step without memory: of the first order, or with fresh noise for models that were trained for that."""
    if model.spec.solver == "renoise":
        noise = torch.randn(x.shape, generator=generator)
        return solver_step(x, clean, None, (1.0, level.now, level.then), "renoise", noise)
    return solver_step(x, clean, None, (1.0, level.now, level.then), "euler")


def _predict(model: VideoModel, x: Tensor, footprint: Footprint, prompts: Prompts, level: Level) -> Tensor:
    """Clean prediction of one window (C, f, h * w), on the host."""
    window = x.reshape(1, *x.shape[:2], *footprint.cells.shape)
    text = prompts.encoded[footprint.prompt]
    prediction = model.predict(window, level.now, [footprint.view], [text], prompts.negative, level.guidance)
    prediction = prediction[0].flatten(2).cpu()
    if not bool(prediction.isfinite().all()):
        raise SkyloopError(
            ErrorKind.INTERNAL,
            f"The model returned no number (NaN) at noise level {level.now:.2f}, in a window at pitch "
            f"{math.degrees(footprint.view.pitch):.0f}°, from frame {int(footprint.time.index[0])}.",
            "Try another seed; if it happens again, verify the model.",
        )
    return prediction

"""Denoising a canvas with a model that only sees windows; a generator, so its caller owns progress and cancel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from . import sphere
from .charts import Chart, covering
from .models.base import VideoModel, View
from .solver import solver_step
from .windows import Window, layout


@dataclass
class Canvas:
    """Latents (C, F, rows, columns) float32 on the host, one a chart; ``frame_step_s`` seconds between frames."""

    charts: list[Chart]
    latents: list[Tensor]
    loop: bool
    frame_step_s: float

    @property
    def frames(self) -> int:
        return self.latents[0].shape[1]


@dataclass(frozen=True)
class Progress:
    """After each window batch: ``clean`` is set once a step is complete (the predicted clean charts)."""

    step: int
    steps: int
    window: int
    windows: int
    clean: list[Tensor] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Overlap:
    """Where a chart lies under another: cells (n,) of the one, coordinates there in the other, and the blend weight."""

    chart: int
    other: int
    cells: Tensor
    u: Tensor
    v: Tensor
    weight: Tensor


def white_noise(charts: list[Chart], channels: int, frames: int, generator: torch.Generator) -> list[Tensor]:
    """Independent normal latents for every chart from one CPU generator."""
    return [torch.randn(channels, frames, c.rows, c.columns, generator=generator) for c in charts]


def overlaps(charts: list[Chart]) -> list[Overlap]:
    """The cells of each chart that another one owns in part."""
    found = []
    for i, chart in enumerate(charts):
        if chart.kind == "plane":
            continue
        d = chart.directions(*sphere.grid(chart.rows, chart.columns)).flatten(0, 1)
        for j, (u, v, weight) in enumerate(covering(charts, d)):
            cells = (weight > 0).nonzero()[:, 0]
            if i != j and len(cells):
                found.append(Overlap(i, j, cells, u[cells], v[cells], weight[cells]))
    return found


def exchange(charts: list[Chart], clean: list[Tensor], shared: list[Overlap]) -> list[Tensor]:
    """Make clean charts agree where they overlap. Clean latents may be resampled; noise never is."""
    result = [c.clone() for c in clean]
    for o in shared:
        image = clean[o.other].flatten(0, 1)[None]
        there = sphere.sample(image, o.u[None], o.v[None], wrap=charts[o.other].wrap)[0, :, 0]
        target = result[o.chart].flatten(0, 1).flatten(1)
        target[:, o.cells] = torch.lerp(target[:, o.cells], there, o.weight)
    return result


def _view(canvas: Canvas, window: Window, cells: int) -> View:
    return canvas.charts[window.chart].view(window.rows.centre, window.columns.centre, cells, canvas.frame_step_s)


def _merge(clean: list[Tensor], weights: list[Tensor], window: Window, prediction: Tensor) -> None:
    where = (window.time.index[:, None, None], window.rows.index[:, None], window.columns.index)
    w = window.weight
    weights[window.chart].index_put_(where, w, accumulate=True)
    channels = torch.arange(len(prediction))[:, None, None, None]
    clean[window.chart].index_put_((channels, *(i[None] for i in where)), prediction * w, accumulate=True)


def denoise(model: VideoModel, canvas: Canvas, text: Any, sigmas: list[float], guidance: float) -> Iterator[Progress]:
    """Take ``canvas`` from noise level ``sigmas[0]`` to ``sigmas[-1]``, in place, one scheduler step of the whole
    canvas at a time.

    Every window of a step reads the same canvas, so their order and batching do not matter (design, section 4). Only
    a window batch is on the model's device. Yields after every batch; stop iterating to cancel.
    """
    spec = model.spec
    shared = overlaps(canvas.charts)
    sizes = [(c.rows, c.columns, c.wrap) for c in canvas.charts]
    before: list[Tensor] | None = None
    for step in range(len(sigmas) - 1):
        last = sigmas[step + 1] == 0.0
        windows = layout(sizes, canvas.frames, canvas.loop, step, (spec.frames, spec.cells), finishing=last)
        clean = [torch.zeros_like(z) for z in canvas.latents]
        weights = [torch.zeros(z.shape[1:]) for z in canvas.latents]
        for start in range(0, len(windows), spec.window_batch):
            batch = windows[start : start + spec.window_batch]
            views = [_view(canvas, w, spec.cells) for w in batch]
            x = torch.stack([w.read(canvas.latents[w.chart]) for w in batch])
            for window, prediction in zip(batch, model.predict(x, sigmas[step], views, text, guidance), strict=True):
                _merge(clean, weights, window, prediction)
            if start + len(batch) < len(windows):
                yield Progress(step, len(sigmas) - 1, start + len(batch), len(windows))
        clean = exchange(canvas.charts, [c / w for c, w in zip(clean, weights, strict=True)], shared)
        around = (sigmas[step - 1] if step else 1.0, sigmas[step], sigmas[step + 1])
        history = before or [None] * len(clean)
        canvas.latents = [solver_step(x, c, b, around) for x, c, b in zip(canvas.latents, clean, history, strict=True)]
        before = clean
        yield Progress(step, len(sigmas) - 1, len(windows), len(windows), clean)

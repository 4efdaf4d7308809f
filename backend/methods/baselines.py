"""What panoramas from windows are usually compared with, on the same base model and solver as ours.

All denoise one equirectangular latent (or a plane) at the requested size; windows are plain crops of it and have the
same place at every step. None of them treats the poles in any way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..denoise import Schedule, denoise
from ..guides import Guide
from ..models.base import VideoModel, Wrapped
from ..sizes import own_of
from ..windows import Span, Window, led, offset, over_time
from . import Denoising, Task
from .dynamicscaler import panorama_chart


def fixed_spans(length: int, window: int, stride: int, wrap: bool) -> list[Span]:
    """Spans that start every ``stride`` or less on an axis; all of a span counts the same. On an axis that ends,
    the last one is docked."""
    if wrap:
        starts = [k * length // count for count in [-(-length // stride)] for k in range(count)]
    else:
        starts = sorted({*range(0, length - window, stride), length - window})
    return [Span((start + torch.arange(window)) % length, torch.ones(window)) for start in starts]


def in_turn(spans: list[Span], length: int) -> list[Span]:
    """The same spans, but each place belongs to the first that has it."""
    taken, result = torch.zeros(length, dtype=torch.bool), []
    for span in spans:
        result.append(Span(span.index, (~taken[span.index]).float()))
        taken[span.index] = True
    return result


def fixed_windows(task: Task, overlap: float) -> list[Window]:
    """Windows of space and time that overlap by a part of themselves, or, with 0, not at all."""
    chart, spec, request = panorama_chart(task.request, task.model.spec), task.model.spec, task.request
    axes = [
        (*own_of(task.frames, request.loop, spec), request.loop),
        (chart.rows, spec.cells, False),
        (chart.columns, spec.cells, chart.wrap),
    ]
    spans = [fixed_spans(length, window, round(window * (1 - overlap)), wrap) for length, window, wrap in axes]
    if overlap == 0:
        spans = [in_turn(s, length) for s, (length, _, _) in zip(spans, axes, strict=True)]
    times, rows, columns = spans
    times = led(times, task.frames, spec.lead, request.loop)
    return [Window(0, t, r, c) for t in times for r in rows for c in columns]


def run(
    task: Task,
    windows_of: Callable[[int, bool], list[Window]],
    guides: Sequence[Guide] = (),
    model: VideoModel | None = None,
) -> Denoising:
    """Denoise the canvas with these windows, guided at every step. Returns the clean canvas."""
    model, request = model or task.model, task.request
    chart = panorama_chart(request, task.model.spec)
    task.first(["layout"])  # refuses a checkpoint of anything else
    if begun := task.begun("layout"):
        latents = begun.of("x", task.shapes([chart]))
    else:
        latents = task.begin(task.noise([chart]))
    canvas = task.canvas([chart], latents)
    schedule = Schedule(model.sigmas(request.steps), [request.guidance] * request.steps)
    yield from denoise(
        model, canvas, task.prompts, schedule, guides=guides, fields=task.fields, windows_of=windows_of, begun=begun,
        fresh=lambda: task.noise([chart]),
    )  # fmt: skip
    return canvas


def independent(task: Task) -> Denoising:
    """Windows side by side, each denoised on its own: no overlap, no shift."""
    windows = fixed_windows(task, overlap=0.0)
    return (yield from run(task, lambda step, last: windows))


def multidiffusion(task: Task) -> Denoising:
    """MultiDiffusion (Bar-Tal et al. 2023, arXiv 2302.08113): windows that overlap by half, in time too, averaged at
    every step without weights. The average of predictions and that of next states are the same (both are linear)."""
    windows = fixed_windows(task, overlap=0.5)
    return (yield from run(task, lambda step, last: windows))


def native(task: Task) -> Denoising:
    """One window as large as the canvas, in the temporal windows that the model needs.

    The canvas is read from another column on at every step, which costs nothing and heals the join (as in 360DVD and
    PanoWan). A model that was trained on small perspective windows is far outside what it knows here: it has seen
    neither so many cells nor so wide a view (the built-in model answers as for its widest, 110°). One evaluation costs
    as much as all windows that would cover the canvas, or more, and memory grows with the canvas.
    """
    chart, spec = panorama_chart(task.request, task.model.spec), task.model.spec
    rows = Span(torch.arange(chart.rows), torch.ones(chart.rows))

    def windows_of(step: int, last: bool) -> list[Window]:
        start = int(offset(step, 2) * chart.columns) if chart.wrap else 0
        columns = Span((start + torch.arange(chart.columns)) % chart.columns, torch.ones(chart.columns))
        times = over_time(task.frames, task.window, spec.lead, offset(step, 0), task.request.loop, last)
        return [Window(0, t, rows, columns) for t in times]

    return (yield from run(task, windows_of, model=Wrapped(task.model, cells=chart.columns, window_batch=1)))

"""Denoising a canvas with a model that only sees windows; a generator, so its caller owns progress and cancel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .canvas import Canvas, exchange, overlaps
from .checkpoints import State, named
from .conditioning import LEAST_SHARE, Prompts
from .fields import Fields
from .guides import Guide
from .lookahead import fetched
from .models.base import VideoModel, View
from .protocol import ErrorKind, SkyloopError
from .sizes import window_of
from .solver import solver_step
from .windows import Window, layout

# What is in memory of a canvas on the disk: so many cells while a step is taken, and so many batches of windows.
CELLS_AT_ONCE = 1 << 17
BATCHES_PER_RELEASE = 16


@dataclass(frozen=True)
class Schedule:
    """Falling noise levels, and the guidance of each step between them."""

    sigmas: list[float]
    guidance: list[float]

    @property
    def steps(self) -> int:
        return len(self.guidance)


@dataclass(frozen=True)
class Progress:
    """After each batch: how many of a stage's windows are done and how many model evaluations that batch took.

    ``clean`` is set once a step is complete: the predicted clean canvas; and so is ``state``, to go on from later.
    """

    stage: str
    done: int
    total: int
    evaluations: int
    clean: Canvas | None = field(default=None, repr=False)
    state: State | None = None


@dataclass(frozen=True)
class Visit:
    """One evaluation of a window: with which prompt, and how much that counts in each of its cells (rows, columns)."""

    window: Window
    view: View
    prompt: int
    share: Tensor


def visits(canvas: Canvas, windows: Sequence[Window], shares: list[Tensor]) -> list[Visit]:
    """Every window once for each prompt that has a share of it."""
    found = []
    for window in windows:
        rows, columns, across = window.rows.centre, window.columns.centre, len(window.columns.index)
        view = canvas.charts[window.chart].view(rows, columns, across, canvas.frame_step_s)
        whole = not canvas.loop and len(window.time.index) == canvas.frames
        view = view._replace(avoid_step_s=canvas.avoid_step_s, whole=whole)
        share = shares[window.chart][:, window.rows.index[:, None], window.columns.index]
        most = share.amax((1, 2))
        wanted = (most >= min(LEAST_SHARE, float(most.max()))).nonzero()[:, 0].tolist()
        found += [Visit(window, view, k, share[k]) for k in wanted]
    return found


def unsettled(windows: Sequence[Window], guides: Sequence[Guide], charts: int, sigma: float) -> list[Window]:
    """The windows that have a say at noise level ``sigma``: some cell in them is not replaced by a guide anyway."""
    settled: list[Tensor | None] = []
    for chart in range(charts):
        known = [s for g in guides if (s := g.settled(chart, sigma)) is not None]
        settled.append(torch.stack(known).any(0) if known else None)

    def needed(window: Window) -> bool:
        done = settled[window.chart]
        return done is None or not bool(done[window.rows.index[:, None], window.columns.index].all())

    return [w for w in windows if needed(w)]


def _merge(clean: list[Tensor], weights: list[Tensor], visit: Visit, prediction: Tensor) -> None:
    window = visit.window
    weight = window.weight * visit.share
    weighted = prediction * weight
    for there, here in window.runs:
        weights[window.chart][there[1:]] += weight[here[1:]]
        clean[window.chart][there] += weighted[here]


def _checked(prediction: Tensor, batch: Sequence[Visit], step: int, steps: int) -> Tensor:
    if all(bool(extreme.isfinite()) for extreme in prediction.aminmax()):  # one pass: NaN is an extreme too
        return prediction
    bad = batch[int((~prediction.isfinite()).flatten(1).any(1).nonzero()[0])]
    rows, columns, first = bad.window.rows.centre, bad.window.columns.centre, int(bad.window.time.index[0])
    raise SkyloopError(
        ErrorKind.INTERNAL,
        f"The model returned no number (NaN) at step {step + 1} of {steps}, in the window around row {rows:g}, column "
        f"{columns:g} of chart {bad.window.chart} (pitch {math.degrees(bad.view.pitch):.0f}°), from frame {first}.",
        "Try another seed; if it happens again, verify the model.",
    )


def predict_all(
    model: VideoModel, canvas: Canvas, jobs: Sequence[Visit], prompts: Prompts, schedule: Schedule, step: int
) -> Iterator[tuple[Sequence[Visit], Tensor]]:
    """Clean predictions of all windows of a step, batch by batch, on the host; one batch is always in flight."""
    waiting: tuple[Sequence[Visit], Callable[[], Tensor]] | None = None
    size = model.spec.at_once(schedule.guidance[step])
    for start in range(0, len(jobs), size):
        batch = jobs[start : start + size]
        x = torch.stack([v.window.read(canvas.latents[v.window.chart]) for v in batch])
        texts = [prompts.encoded[v.prompt] for v in batch]
        # Only here, as what is given is as large as the windows.
        views = [v.view._replace(given=canvas.given(v.window)) if canvas.given else v.view for v in batch]
        prediction = fetched(
            model.predict(x, schedule.sigmas[step], views, texts, prompts.negative, schedule.guidance[step])
        )
        if waiting:
            yield waiting[0], _checked(waiting[1](), waiting[0], step, schedule.steps)
        waiting = (batch, prediction)
    if waiting:
        yield waiting[0], _checked(waiting[1](), waiting[0], step, schedule.steps)


def _means(clean: list[Tensor], weights: list[Tensor], blocks: list[slice], fields: Fields) -> list[Tensor]:
    """Means over all frames of the merged predictions, (C, 1, rows, columns) a chart."""
    means = [torch.zeros(c.shape[0], 1, *c.shape[2:]) for c in clean]
    for frames in blocks:
        for m, c, w in zip(means, clean, weights, strict=True):
            m += (c[:, frames] / w[frames].clamp(min=1e-6)).sum(1, keepdim=True) / c.shape[1]
        fields.release()
    return means


def denoise(
    model: VideoModel,
    canvas: Canvas,
    prompts: Prompts,
    schedule: Schedule,
    *,
    guides: Sequence[Guide] = (),
    stage: str = "layout",
    fields: Fields | None = None,
    windows_of: Callable[[int, bool], list[Window]] | None = None,
    final: bool = True,
    begun: State | None = None,
    fresh: Callable[[], list[Tensor]] | None = None,
    shape: tuple[int, int] | None = None,
) -> Iterator[Progress]:
    """Take ``canvas`` through ``schedule``, in place, one scheduler step of the whole canvas at a time.

    ``windows_of`` gives the windows of a step, and is told whether it is the last one; by default :func:`.layout`.
    ``final``: nothing comes after, so that the borders of the last step must heal in itself. ``begun``: go on from
    there, where the canvas's latents are its own already. ``fresh`` draws white noise for the whole canvas: for models
    whose solver is ``renoise``, once a step. ``shape``: rows and columns of the windows, where they are not the
    model's square ones.

    Every window of a step reads the same canvas, so their order and batching do not matter (design, section 4). Only
    a window batch is on the model's device. Yields after every batch; stop iterating to cancel. Raises
    ``SkyloopError`` where the model returns NaN.
    """
    spec, fields = model.spec, fields or Fields()
    shared, shares = overlaps(canvas.charts), [prompts.shares(c) for c in canvas.charts]
    sizes, shapes = [(c.rows, c.columns, c.wrap) for c in canvas.charts], [tuple(z.shape) for z in canvas.latents]
    before = begun.of("before", shapes) if begun else [fields.zeros(*shape) for shape in shapes]
    clean, weights = [fields.zeros(*shape) for shape in shapes], [fields.zeros(*shape[1:]) for shape in shapes]
    sigmas, at_once = schedule.sigmas, max(1, CELLS_AT_ONCE // sum(c.rows * c.columns for c in canvas.charts))

    def windows_at(step: int) -> list[Window]:
        last = final and sigmas[step + 1] == 0.0
        # One shape for all windows: one compiled graph.
        size = (window_of(canvas.frames, canvas.loop, spec), *(shape or (spec.cells,)))
        whole = windows_of or (
            lambda k, end: layout(sizes, canvas.frames, canvas.loop, k, size, spec.lead, finishing=end)
        )
        return unsettled(whole(step, last), guides, len(sizes), sigmas[step])

    first = begun.steps_of(schedule.steps) if begun else 0
    if first:
        canvas.windows = windows_at(first - 1)
    for step in range(first, schedule.steps):
        canvas.windows = windows_at(step)
        jobs = visits(canvas, canvas.windows, shares)
        each = 1 if schedule.guidance[step] == 1 else 2
        done, total = step * len(jobs), schedule.steps * len(jobs)
        for number, (batch, predictions) in enumerate(predict_all(model, canvas, jobs, prompts, schedule, step)):
            for visit, prediction in zip(batch, predictions, strict=True):
                _merge(clean, weights, visit, prediction)
            if number % BATCHES_PER_RELEASE == 0:
                fields.release()
            done += len(batch)
            yield Progress(stage, min(done, total), total, len(batch) * each)
        around = (sigmas[step - 1] if step else 1.0, sigmas[step], sigmas[step + 1])
        blocks = [slice(start, min(canvas.frames, start + at_once)) for start in range(0, canvas.frames, at_once)]
        noise: Sequence[Tensor | None] = [None] * len(sizes)
        if spec.solver == "renoise" and sigmas[step + 1] > 0:
            assert fresh is not None
            noise = fresh()
        mean = exchange(canvas.charts, _means(clean, weights, blocks, fields), shared) if guides else []
        for frames in blocks:
            now = [c[:, frames] / w[frames].clamp(min=1e-6) for c, w in zip(clean, weights, strict=True)]
            now = exchange(canvas.charts, now, shared)
            for guide in guides:
                now = guide(now, mean, frames, sigmas[step])
            for x, c, b, n in zip(canvas.latents, now, before, noise, strict=True):
                last, white = b[:, frames] if step else None, None if n is None else n[:, frames]
                x[:, frames] = solver_step(x[:, frames], c, last, around, spec.solver, white)
            for b, c in zip(before, now, strict=True):
                b[:, frames] = c
            for c, w in zip(clean, weights, strict=True):  # for the next step
                c[:, frames], w[frames] = 0, 0
            fields.release()
        state = State(stage, step + 1, named("x", canvas.latents) | named("before", before))
        total = schedule.steps * len(jobs)
        yield Progress(stage, (step + 1) * len(jobs), total, 0, replace(canvas, latents=before), state)

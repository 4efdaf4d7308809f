"""Offset Shifting Denoiser: a panorama covered by windows in the plane, the whole layout shifted at every step.

DynamicScaler (arXiv 2412.11100), section 3.2. Numbers that the paper leaves open are those of its reference run,
scaled from its window (64 x 40 cells) to the model's: windows abut in x and shift by a sixteenth of a window a step,
they overlap in y. Time is covered by overlapping windows that shift by a frame a step, on a ring for loops.

Known differences: the run joins the zenith's row to the nadir's and shifts around that torus; here the upper and lower
windows stay docked and those between slide. The run docks extra temporal windows at both ends of a clip; here the
first and last are docked, so that their number stays. Both are in the method's favour. The run's 16 frames never loop;
here a loop's single window starts a frame later at each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..models.base import ModelSpec
from ..sizes import own_of
from ..windows import Span, Window, led
from .sweep import Denoiser, Footprint

SHIFTS_PER_WINDOW = 16
TIME_CYCLE = 8
# The run has 40 % and 26.7 %: what is left over by the fewest windows that cover its two canvases.
LEAST_OVERLAP = 0.25
# Overlap of temporal windows before and after half of the schedule.
TIME_OVERLAPS = (0.75, 0.5)


def around(length: int, window: int, step: int) -> list[int]:
    """Starts of windows that abut on a circular axis, moved by a sixteenth of a window (at least a cell) a step."""
    count = math.ceil(length / window)
    shift = step % SHIFTS_PER_WINDOW * max(1, window // SHIFTS_PER_WINDOW)
    return [(shift + k * length // count) % length for k in range(count)]


def docked(length: int, window: int, count: int, phase: float) -> list[int]:
    """Starts of ``count`` windows on an axis that ends: the outer ones fixed, the inner ones slid by ``phase`` in
    [0, 1) within what they overlap, in order."""
    if count == 1:
        return [0]
    stride = (length - window) / (count - 1)
    slide = (phase - 0.5) * min(stride, window - stride)
    return [0, *(int(k * stride + slide) for k in range(1, count - 1)), length - window]


def spatial_starts(length: int, window: int, step: int, wrap: bool) -> list[int]:
    """Starts along a spatial axis: abutting where it is circular, overlapping by a quarter or more where it ends."""
    if wrap:
        return around(length, window, step)
    count = math.ceil((length - window) / (window * (1 - LEAST_OVERLAP))) + 1
    return docked(length, window, count, step % SHIFTS_PER_WINDOW / SHIFTS_PER_WINDOW)


def temporal_spans(frames: int, step: int, steps: int, loop: bool, spec: ModelSpec) -> list[Span]:
    """The temporal windows of ``step``, counted from the stage's start, on a canvas of ``frames`` latents; ``steps``:
    the schedule.

    A loop shorter than the window is read more than once around.
    """
    length, window = own_of(frames, loop, spec)
    overlap = TIME_OVERLAPS[0] if step < steps / 2 else TIME_OVERLAPS[1]
    count = max(1, math.ceil((length / window - 1) / (1 - overlap)) + 1)
    if loop:
        starts = [step % TIME_CYCLE + k * int(window * (1 - overlap)) for k in range(count)]
    else:
        starts = docked(length, window, count, step % TIME_CYCLE / TIME_CYCLE)
    spans = [Span((start + torch.arange(window)) % length, torch.ones(window)) for start in starts]
    return led(spans, frames, spec.lead, loop)


@dataclass(frozen=True)
class OffsetShiftingDenoiser(Denoiser):
    """The windows of each step on a chart in the plane.

    A window takes the prompt of its centre. (The run has one prompt here, though its code is made for more.)
    """

    def places(self, step: int) -> list[Window]:
        chart, cells = self.chart, self.spec.cells
        times = temporal_spans(self.frames, step, self.steps, self.loop, self.spec)
        rows = [start + torch.arange(cells) for start in spatial_starts(chart.rows, cells, step, False)]
        columns = [
            (start + torch.arange(cells)) % chart.columns
            for start in spatial_starts(chart.columns, cells, step, chart.wrap)
        ]
        ones = torch.ones(cells)
        return [Window(0, t, Span(r, ones), Span(c, ones)) for t in times for r in rows for c in columns]

    def footprint(self, place: Window) -> Footprint:
        chart, rows, columns = self.chart, place.rows, place.columns
        view = chart.view(rows.centre, columns.centre, self.spec.cells, self.frame_step_s)
        prompt = int(self.shares[:, int(rows.centre), int(columns.centre) % chart.columns].argmax())
        cells = rows.index[:, None] * chart.columns + columns.index
        return Footprint(place.time, cells, view, prompt)

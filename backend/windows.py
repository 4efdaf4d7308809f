"""The window layout of step i: where the model's fixed windows lie on a canvas. Pure functions of sizes and the step.

Offset Shifting Denoiser (DynamicScaler, arXiv 2412.11100, section 3.2): windows cover the canvas once, and the whole
layout moves at every step, so that no border stays where it was. Offsets follow the golden-ratio sequence, the most
even one for any number of steps; they wrap where the canvas is circular (longitude, and time in a loop).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from .sizes import span_count

GOLDEN = 0.6180339887498949
# Averages of two predictions are blurred ones: hand over within two cells.
FEATHER_CELLS = 2.0


@dataclass(frozen=True)
class Span:
    """Indices (n,) of one axis that a window covers, and how much each of them is its own (n,) in [0, 1]: 0 where it is
    only read."""

    index: Tensor
    weight: Tensor

    @property
    def centre(self) -> float:
        """Position of the middle in cells, cell edges being whole numbers; not wrapped."""
        return float(self.index[0]) + len(self.index) / 2

    @cached_property
    def runs(self) -> list[tuple[slice, slice]]:
        """Its parts without a gap, in order: where each is on the axis, and where in the window. Slices are read and
        written several times faster than single indices."""
        index = self.index.tolist()
        ends = [k for k in range(1, len(index)) if index[k] != index[k - 1] + 1]
        parts = zip([0, *ends], [*ends, len(index)], strict=True)
        return [(slice(index[a], index[b - 1] + 1), slice(a, b)) for a, b in parts]


@dataclass(frozen=True)
class Window:
    """A block of a canvas: frames x rows x columns of one chart."""

    chart: int
    time: Span
    rows: Span
    columns: Span

    def read(self, chart: Tensor) -> Tensor:
        """Crop of a chart (C, F, H, W) -> (C, f, h, w), a copy."""
        crop = chart.new_empty(len(chart), *(len(span.index) for span in (self.time, self.rows, self.columns)))
        for there, here in self.runs:
            crop[here] = chart[there]
        return crop

    @property
    def runs(self) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Its parts without a gap along any axis: where each is in a chart (C, F, H, W), and where in the window."""
        for parts in product(self.time.runs, self.rows.runs, self.columns.runs):
            yield (slice(None), *(there for there, _ in parts)), (slice(None), *(here for _, here in parts))

    @property
    def weight(self) -> Tensor:
        """(f, h, w): the product of the three spans' weights."""
        t, r, c = self.time.weight, self.rows.weight, self.columns.weight
        return t[:, None, None] * r[:, None] * c


def offset(step: int, axis: int) -> float:
    """Golden-ratio offset in [0, 1) of step ``step``; axes get shifted copies so that they do not move in lockstep."""
    return (step * GOLDEN + axis * 0.381966) % 1.0


def cover(length: int, window: int, shift: float, wrap: bool, finishing: bool = False) -> list[Span]:
    """Spans of ``window`` that cover an axis of ``length`` with little overlap, moved by ``shift`` in [0, 1).

    A circular axis that is a multiple of the window is tiled exactly and the tiling slides around. An axis that ends
    keeps its first and last span docked; those between slide, and so does the border within each overlap. A circular
    axis shorter than the window is read more than once around; an axis that ends must be at least as long as it.

    ``finishing`` is for the last step, whose borders no later step heals: a circular axis then overlaps too, and its
    windows cross-fade over all of the overlap.
    """
    if length < window and not wrap:
        raise ValueError(f"an axis of {length} is shorter than the window of {window}")
    count = span_count(length, window, wrap, finishing)
    if wrap:
        overlap = window - length / count
        starts = [int((shift + k) * length / count) for k in range(count)]
    elif length == window:
        overlap, starts = 0.0, [0]
    else:
        overlap = (count * window - length) / (count - 1)
        inner = [int(k * (window - overlap) + (shift - 0.5) * overlap) for k in range(1, count - 1)]
        starts = [0, *inner, length - window]
    if wrap and count == 1:
        return [Span((torch.arange(window) + starts[0]) % length, torch.ones(window))]
    feather = max(FEATHER_CELLS, overlap) if finishing and wrap else FEATHER_CELLS
    spans = []
    for k, start in enumerate(starts):
        position = torch.arange(window) + 0.5
        weight = torch.ones(window)
        following = starts[(k + 1) % count] + (length if k == count - 1 else 0)
        preceding = starts[k - 1] - (length if k == 0 else 0)
        for border, side in (
            (_border(preceding, start, window, shift, feather), 1),
            (_border(start, following, window, shift, feather), -1),
        ):
            if border is not None:
                weight = weight * ((position + start - border) * (side / feather) + 0.5).clamp(1e-3, 1)
        spans.append(Span((torch.arange(window) + start) % length, weight))
    return spans


def _border(first: int, second: int, window: int, shift: float, feather: float) -> float | None:
    """Where the window at ``first`` hands over to the one at ``second``, inside their overlap; None without one."""
    overlap = first + window - second
    if overlap <= 0:
        return None
    slack = max(0.0, overlap - feather)
    return second + overlap / 2 + (shift - 0.5) * slack


def led(spans: list[Span], length: int, lead: int, loop: bool) -> list[Span]:
    """Spans over time with the ``lead`` latents before each, which a model takes for a single image. Those are read
    and not written, unless they are the beginning of a clip that ends.

    ``spans`` are over a ring of ``length``, or over what a clip of that length has after its lead.
    """
    if not lead:
        return spans
    found = []
    for span in spans:
        index = span.index if loop else span.index + lead
        before = (index[0] + torch.arange(-lead, 0)) % length
        own = torch.zeros(lead) if loop else (before < lead).float()
        found.append(Span(torch.cat([before, index]), torch.cat([own, span.weight])))
    return found


def over_time(length: int, window: int, lead: int, shift: float, loop: bool, finishing: bool = False) -> list[Span]:
    """:func:`cover` of a canvas's latents in time by windows of ``window`` latents that begin with a lead."""
    spans = cover(length if loop else length - lead, window - lead, shift, loop, finishing)
    return led(spans, length, lead, loop)


def layout(
    sizes: list[tuple[int, int, bool]],
    frames: int,
    loop: bool,
    step: int,
    window: tuple[int, ...],
    lead: int = 0,
    finishing: bool = False,
) -> list[Window]:
    """All windows of step ``step`` over charts of (rows, columns, wrap). ``window``: its frames, of which ``lead`` are
    a lead (:func:`led`), its rows, and its columns where those are another number.

    Earlier ones come first, so that of a long canvas only a few frames are in use at a time.
    """
    span_frames, high, wide = (*window, window[-1])[:3]
    windows = []
    for t in over_time(frames, span_frames, lead, offset(step, 0), loop, finishing):
        for chart, (rows, columns, wrap) in enumerate(sizes):
            for r in cover(rows, high, offset(step, 1), False):
                windows += [Window(chart, t, r, c) for c in cover(columns, wide, offset(step, 2), wrap, finishing)]
    return windows

"""Panorama projection denoising: the sphere seen through overlapping perspective views that turn from step to step.

DynamicScaler (arXiv 2412.11100), its part on 360-degree panoramas. The latent is equirectangular; a view is gathered
from it, denoised, and scattered back, pixel by nearest cell. Numbers that the paper leaves open are those of its
reference run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .. import sphere
from ..models.base import View
from ..sampling import axes
from ..windows import Span
from .offset_shifting import temporal_spans
from .sweep import Denoiser, Footprint

# Rings of (pitch, views), in the order of their visits: poles first, horizon last.
RINGS_DEG = ((90, 1), (-90, 1), (75, 6), (-75, 6), (60, 6), (-60, 6), (45, 6), (-45, 6), (0, 6))
VIEWS = sum(count for _, count in RINGS_DEG)
# The run's views are 120° x 94.5°; the built-in model's are square and were trained up to 110°.
FOV_DEG = 110.0
YAW_SHIFT_DEG, YAW_CYCLE = 12.0, 10


def viewing_angles(step: int) -> list[tuple[float, float]]:
    """Yaw and pitch, radians, of the views of ``step``: all turn by 12° at each step, ten times over."""
    shift = YAW_SHIFT_DEG * (step % YAW_CYCLE)
    return [
        (math.radians(shift + k * 360 / count), math.radians(pitch)) for pitch, count in RINGS_DEG for k in range(count)
    ]


def gather_cells(yaw: float, pitch: float, fov: float, size: int, rows: int, columns: int) -> Tensor:
    """Nearest cell (size, size) of an equirectangular latent to each pixel of a view. Angles in radians.

    Exact to the pixel centres; the run's own mapping (W - 1 columns, rounded down) is half a cell off and never
    reaches the last column.
    """
    yaws, pitches, fovs = torch.tensor([[yaw], [pitch], [fov]])
    u, v = sphere.erp_coordinates(sphere.view_directions(yaws, pitches, fovs, size, size)[0])
    column = ((u + 1) / 2 * columns).floor().long() % columns
    row = ((v + 1) / 2 * rows).floor().long().clamp(0, rows - 1)
    return row * columns + column


def seen_cells(directions: Tensor, yaw: float, pitch: float, fov: float, size: int) -> tuple[Tensor, Tensor]:
    """Cells (n,) of those with ``directions`` (rows, columns, 3) that lie in a view, and their nearest pixel (n,)."""
    right, ahead, up = (directions.flatten(0, 1) @ axes(yaw, pitch).T).unbind(-1)
    reach = ahead.clamp(min=1e-6) * math.tan(fov / 2)
    x, y = right / reach, -up / reach
    seen = ((ahead > 0) & (x.abs() < 1) & (y.abs() < 1)).nonzero()[:, 0]
    column, row = (((a[seen] + 1) / 2 * size).long().clamp(0, size - 1) for a in (x, y))
    return seen, row * size + column


@dataclass(frozen=True)
class ProjectionDenoiser(Denoiser):
    """The views of each step on an ``erp`` chart.

    A view takes the prompt of its centre, as in the paper: prompts by elevation change from ring to ring.
    """

    @cached_property
    def directions(self) -> Tensor:
        """Of the chart's cells, (rows, columns, 3): the same for every view."""
        return sphere.erp_directions(self.chart.rows, self.chart.columns)

    def places(self, step: int) -> list[tuple[Span, float, float]]:
        """Frames, yaw and pitch of every view of ``step``, in the order of their visits."""
        spans = temporal_spans(self.frames, step, self.steps, self.loop, self.spec)
        return [(frames, yaw, pitch) for frames in spans for yaw, pitch in viewing_angles(step)]

    def footprint(self, place: tuple[Span, float, float]) -> Footprint:
        frames, yaw, pitch = place
        fov, size, chart = math.radians(FOV_DEG), self.spec.cells, self.chart
        cells = gather_cells(yaw, pitch, fov, size, chart.rows, chart.columns)
        seen, nearest = seen_cells(self.directions, yaw, pitch, fov, size)
        u, v = sphere.erp_coordinates(sphere.direction(torch.tensor(yaw), torch.tensor(pitch)))
        row = min(chart.rows - 1, int((float(v) + 1) / 2 * chart.rows))
        prompt = int(self.shares[:, row, int((float(u) + 1) / 2 * chart.columns) % chart.columns].argmax())
        return Footprint(frames, cells, View(pitch, fov, self.frame_step_s), prompt, seen, nearest)


def decimate(latents: Tensor, rows: int, columns: int) -> Tensor:
    """Nearest cells of latents (C, F, R, C) on a coarser grid: the hand-off to the planar stage. Noise stays white."""
    row, column = (torch.arange(n) * size // n for n, size in zip((rows, columns), latents.shape[2:], strict=True))
    return latents[:, :, row[:, None], column].contiguous()

"""A panorama as a few charts, in each of which a model window is a plain crop, so that noise stays exactly white.

The sphere is an atlas of three: a band around the horizon, circular in x, in Mercator's projection, and a stereographic
cap over each pole. Both are conformal, so a window is nowhere sheared; a large one is close enough to the perspective
view that the model knows, and six windows of 90 degrees cover the sphere.

An equirectangular latent, as other methods have it, is an atlas of one, circular in x; a flat panorama is a single
chart without directions. Chart coordinates (u, v) are image coordinates in [-1, 1] as in :mod:`.sphere`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from . import sphere
from .models.base import View
from .sizes import TIGHT_BAND, TIGHT_CAP, is_tight, sphere_rows

# Width of the handover between charts, in half extents of a chart.
FEATHER = 0.05


@dataclass(frozen=True)
class Chart:
    """One latent panorama of ``rows`` x ``columns`` cells: a ``plane``, ``band``, ``cap`` (``sign`` +1 zenith, -1
    nadir) or ``erp`` (equirectangular, the whole sphere).

    ``extent`` is the projection's ordinate at the upper edge. For a plane, ``fov`` is what a window shows
    and ``pitch`` where its middle looks (radians).
    """

    kind: str
    rows: int
    columns: int
    wrap: bool = False
    extent: float = 1.0
    sign: int = 1
    fov: float = math.pi / 2
    pitch: float = 0.0

    @property
    def on_sphere(self) -> bool:
        return self.kind != "plane"

    def in_pixels(self, ratio: int) -> Chart:
        """The chart as a picture: its rows and columns are pixels, ``ratio`` for each cell."""
        return replace(self, rows=self.rows * ratio, columns=self.columns * ratio)

    @property
    def columns_around(self) -> float:
        """Columns of a whole turn, or of all of a plane, at the scale that the chart has in its middle."""
        return self.columns * math.pi / self.extent if self.kind == "cap" else self.columns

    def directions(self, u: Tensor, v: Tensor) -> Tensor:
        """Directions (..., 3) of chart coordinates. Not for planes."""
        if self.kind == "erp":
            return sphere.direction(u * math.pi, v * (-math.pi / 2))
        if self.kind == "band":
            y = -v * self.extent
            return sphere.direction(u * math.pi, torch.atan(torch.sinh(y)))
        # As a view tilted up (down) to the pole shows it: what is ahead lies at the bottom (top).
        x, y = u * self.extent, self.sign * v * self.extent
        radius = torch.hypot(x, y).clamp(min=1e-9)
        angle = 2 * torch.atan(radius / 2)
        side = torch.sin(angle) / radius
        return torch.stack([x * side, y * side, self.sign * torch.cos(angle)], dim=-1)

    def coordinates(self, d: Tensor) -> tuple[Tensor, Tensor]:
        """Chart coordinates u, v of directions (..., 3); inverse of :meth:`directions`.
        Outside the chart: beyond +-1."""
        yaw, pitch = sphere.yaw_pitch(d)
        if self.kind == "erp":
            return yaw / math.pi, pitch / (-math.pi / 2)
        if self.kind == "band":
            return yaw / math.pi, -torch.asinh(torch.tan(pitch.clamp(-1.55, 1.55))) / self.extent
        angle = math.pi / 2 - self.sign * pitch
        radius = 2 * torch.tan((angle / 2).clamp(max=1.5)) / self.extent
        flat = F.normalize(d[..., :2], dim=-1)
        return flat[..., 0] * radius, self.sign * flat[..., 1] * radius

    def margin(self, u: Tensor, v: Tensor) -> Tensor:
        """How far inside the chart a coordinate is: 1 in the middle, 0 at the edge, negative outside."""
        return 1 - v.abs() if self.kind in ("band", "erp") else 1 - torch.maximum(u.abs(), v.abs())

    def view(self, row: float, column: float, cells: int, frame_step_s: float) -> View:
        """What a window of ``cells`` whose centre is at (row, column), in cells, looks like to the model."""
        if self.kind == "plane":
            pitch = self.pitch + (0.5 - row / self.rows) * self.fov * self.rows / cells
            return View(max(-math.pi / 2, min(math.pi / 2, pitch)), self.fov, frame_step_s)
        u, v = torch.tensor(2 * column / self.columns - 1.0), torch.tensor(2 * row / self.rows - 1.0)
        _, pitch = sphere.yaw_pitch(self.directions(u, v))
        if self.kind == "erp":
            fov = 2 * math.pi * cells / self.columns
        elif self.kind == "band":
            # Along the parallel: the chord through a wide window is shorter than what it shows.
            fov = 2 * math.pi * cells / self.columns * math.cos(float(pitch))
        else:
            half = cells / self.columns
            left, right = self.directions(u - half, v), self.directions(u + half, v)
            fov = math.acos(float((left * right).sum().clamp(-1, 1)))
        return View(float(pitch), fov, frame_step_s)


def ownership(margins: Tensor, feather: float = FEATHER) -> Tensor:
    """How much of a point each chart owns: margins (n, ...) -> weights (n, ...) that sum to 1.

    The chart that is further inside owns it; the handover takes ``feather`` of a chart's half extent.
    """
    weights = torch.ones_like(margins)
    for i in range(len(margins)):
        for j in range(len(margins)):
            if i != j:
                weights[i] = weights[i] * ((margins[i] - margins[j]) / (2 * feather) + 0.5).clamp(0, 1)
    return weights / weights.sum(0).clamp(min=1e-6)


def sphere_charts(columns: int, cells: int) -> list[Chart]:
    """Band, zenith cap and nadir cap with ``columns`` cells around the horizon, for windows of ``cells``."""
    rows, cap = sphere_rows(columns, cells)
    if is_tight(columns, cells):
        extents = (TIGHT_BAND, TIGHT_CAP)
    else:
        extents = (math.pi * rows / columns, math.pi * cap / columns)
    band = Chart("band", rows, columns, wrap=True, extent=extents[0])
    return [band, *(Chart("cap", cap, cap, extent=extents[1], sign=s) for s in (1, -1))]


def covering(charts: list[Chart], d: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each chart: coordinates u, v and ownership of directions (..., 3)."""
    where = [c.coordinates(d) for c in charts]
    weights = ownership(torch.stack([c.margin(u, v) for c, (u, v) in zip(charts, where, strict=True)]))
    return [(u, v, w) for (u, v), w in zip(where, weights, strict=True)]

"""What each window is given of a picture, for models that take one: its latents there, how far it is known, its pixels.

Windows of a ring all begin with the picture: their lead is read and never written, so that the loop stays whole and is
nowhere far from it. A film that ends begins with it, and its later windows go on from what is before them. A model that
takes nothing but pictures is given one in every window, and everywhere: what the picture leaves open is filled with the
colours around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .charts import Chart
from .models.base import Given
from .render import where
from .sampling import Image, Where, axes
from .windows import Span, Window

Read = Callable[[Where], tuple[Tensor, Tensor]]
"""RGB (3, h, w) in [0, 1] of a picture at directions or coordinates, and how far it is known there, (h, w)."""

LEAST_SHOWN = 0.5
"""Less of the sky than this is too little for a model that takes nothing but a picture: most would be made up of
colours, and nothing would be in them that could move."""

# Rows of the coarse picture that colours spread in, and up to how near (radians, or half heights) what is known counts.
_ROWS, _NEAR = 32, 0.1


@dataclass(frozen=True)
class Giving:
    """A still picture on the ``charts`` of a stage: ``latents`` (C, 1, rows, columns) and how far each cell is
    ``known``, one a chart, and how to read it there.

    ``pixels``: the side of the view that the model is shown besides, 0 for none; ``loop`` and ``always`` as the module
    says.
    """

    charts: Sequence[Chart]
    latents: Sequence[Tensor]
    known: Sequence[Tensor]
    reads: Sequence[Read]
    pixels: int
    loop: bool
    always: bool

    def __call__(self, window: Window) -> Given | None:
        """None where the window begins with something else, or nothing is known of all that it shows."""
        if not (self.loop or self.always or int(window.time.index[0]) == 0):
            return None
        place = window.rows.index[:, None], window.columns.index
        known = self.known[window.chart][place]
        if not bool(known.any()):
            return None
        return Given(self.latents[window.chart][:, :, *place], known, self._seen(window))

    def _seen(self, window: Window) -> Tensor:
        """What the window shows, RGB (3, side, side)."""
        side = self.pixels
        if not side:
            return torch.zeros(3, 0, 0)
        at = where(self.charts[window.chart], _even(window.rows, side), _even(window.columns, side))
        return self.reads[window.chart](at)[0].clamp(0, 1)


def _even(span: Span, count: int) -> Tensor:
    """``count`` places over a span, in cells: the middles of as many equal parts."""
    return int(span.index[0]) + (torch.arange(count) + 0.5) * (len(span.index) / count) - 0.5


def extended(read: Read, flat: bool, wrap: bool) -> Read:
    """The same picture with its colours spread over what is not known: each place takes the mean of the known ones, the
    nearer the more (inverse square distances, squared). How far it is known stays as it is."""
    at, area = _coarse(flat)
    rgb, known = read(at)
    points = torch.stack(at, -1) if isinstance(at, tuple) else at
    near = (torch.cdist(points.flatten(0, 1), points.flatten(0, 1)) ** 2 + _NEAR**2) ** -2
    shares = near * (known * area).flatten()
    spread = shares @ rgb.flatten(1).T / shares.sum(1, keepdim=True).clamp(min=1e-9)
    around = Image(spread.reshape(*known.shape, 3).numpy())

    def reading(where: Where) -> tuple[Tensor, Tensor]:
        rgb, known = read(where)
        return torch.lerp(around.at(where, wrap=wrap), rgb.clamp(0, 1), known), known

    return reading


def looking(read: Read, plane: Chart) -> Read:
    """A picture of the sky as a window sees it that looks ahead at the ``plane``'s pitch, with its field of view."""
    turn, reach = axes(0.0, plane.pitch), math.tan(plane.fov / 2)

    def reading(where: Where) -> tuple[Tensor, Tensor]:
        assert isinstance(where, tuple)
        u, v = where
        seen = torch.stack([u * reach, torch.ones_like(u), -v * reach], -1)
        return read(F.normalize(seen @ turn, dim=-1))

    return reading


def covered(read: Read, flat: bool) -> float:
    """How much of the sky, or of a flat panorama, a picture shows, from 0 to 1."""
    at, area = _coarse(flat)
    return float((read(at)[1] * area).sum() / area.sum())


def _coarse(flat: bool) -> tuple[Where, Tensor]:
    """Places all over the sky or panorama, and what each stands for, (rows, columns)."""
    chart = Chart("plane" if flat else "erp", _ROWS, 2 * _ROWS)
    down = (torch.arange(_ROWS) + 0.5) * (torch.pi / _ROWS)
    area = torch.ones(_ROWS) if flat else down.sin()
    return where(chart, torch.arange(_ROWS), torch.arange(2 * _ROWS)), area[:, None].expand(-1, 2 * _ROWS)

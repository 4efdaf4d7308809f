"""Latents of single frames to pixels, tile by tile, each with the halo that makes it exactly what decoding the whole
chart would give. Decoded tiles wait, as many as fit, for who reads a part of them (:mod:`.render`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .charts import Chart
from .models.base import VideoModel

# Cells that go through the autoencoder at once, over all frames: a 104 x 104 tile with a halo of 12, at most 4 frames.
# What it holds on the way stays below what a batch of windows takes.
CELLS_AT_ONCE = 1 << 14
FRAMES_AT_ONCE = 4
# Decoded tiles wait on the device where all those of a few frames fit into this, else on the host: there as many as a
# frame of 8192x4096 has.
KEPT_ON_DEVICE_BYTES, KEPT_BYTES = 48 << 20, 384 << 20


class Block(NamedTuple):
    """Rows and columns of a grid. Columns beyond its edges are those of the other side, where it wraps."""

    rows: range
    columns: range

    @property
    def size(self) -> int:
        return len(self.rows) * len(self.columns)


def tiles(rows: int, columns: int, wrap: bool, halo: int, at_once: int = 0) -> list[Block]:
    """The cut of a chart into even tiles that takes the fewest cells, halos included, of those of ``at_once`` or less
    (:data:`CELLS_AT_ONCE` unless given)."""
    at_once = at_once or CELLS_AT_ONCE

    def cost(n: int, m: int) -> tuple[int, int]:
        height = min(rows, -(-rows // n) + 2 * halo)
        width = -(-columns // m) + 2 * halo
        width = width if wrap else min(columns, width)
        return height * width, height * width * n * m

    most = 2 + max(rows, columns) // max(1, int(at_once**0.5) - 2 * halo)
    counts = [(n, m) for n in range(1, min(rows, most) + 1) for m in range(1, min(columns, most) + 1)]
    fitting = [c for c in counts if cost(*c)[0] <= at_once] or counts[-1:]
    n, m = min(fitting, key=lambda c: cost(*c)[1])
    rows_of = [range(k * rows // n, (k + 1) * rows // n) for k in range(n)]
    columns_of = [range(k * columns // m, (k + 1) * columns // m) for k in range(m)]
    return [Block(r, c) for r in rows_of for c in columns_of]


def haloed(tile: Block, chart: Chart, halo: int) -> Block:
    """A tile and the cells around it, up to the chart's edges."""
    (top, bottom), (left, right) = ((r.start - halo, r.stop + halo) for r in tile)
    if not chart.wrap:
        left, right = max(0, left), min(chart.columns, right)
    return Block(range(max(0, top), min(chart.rows, bottom)), range(left, right))


def cut(tile: Block, chart: Chart, halo: int, at_once: int) -> list[Block]:
    """A tile, or halves of it and halves of those, until each has with its halo at most ``at_once`` cells."""
    if haloed(tile, chart, halo).size <= at_once or tile.size == 1:
        return [tile]
    axis = int(len(tile.columns) > len(tile.rows))
    middle = len(tile[axis]) // 2
    halves = [tile._replace(**{Block._fields[axis]: part}) for part in (tile[axis][:middle], tile[axis][middle:])]
    return [part for half in halves for part in cut(half, chart, halo, at_once)]


def frames_at_once(model: VideoModel, charts: Sequence[Chart]) -> int:
    """How many frames of these charts' tiles go through the autoencoder together."""
    largest = max(haloed(t, c, model.halo).size for c in charts for t in tiles(c.rows, c.columns, c.wrap, model.halo))
    return max(1, min(FRAMES_AT_ONCE, CELLS_AT_ONCE // largest))


class Decoder:
    """Decoded charts, to be read a box at a time. A tile is decoded when first read, and again if it had to go."""

    def __init__(
        self, model: VideoModel, charts: Sequence[Chart], latents: Sequence[Tensor], at_once: int, stride: int = 1
    ) -> None:
        """``latents`` (C, F, rows, columns) a chart, of which one in ``stride`` is a frame; boxes are read for
        ``at_once`` frames or fewer."""
        self.model, self.charts, self.at_once = model, charts, at_once
        self.latents = [z[:, ::stride] for z in latents]
        self.frames = range(0)
        self.tiles = [tiles(c.rows, c.columns, c.wrap, model.halo) for c in charts]
        sizes, cell_bytes = [t.size for of_chart in self.tiles for t in of_chart], at_once * model.spec.ratio**2 * 3 * 4
        self.place = model.device if sum(sizes) * cell_bytes <= KEPT_ON_DEVICE_BYTES else torch.device("cpu")
        self.most = max(1, KEPT_BYTES // (max(sizes) * cell_bytes))
        self._kept: OrderedDict[tuple[int, Block], Tensor] = OrderedDict()

    def _tile(self, chart: int, tile: Block, frames: range) -> Tensor:
        key = (chart, tile)
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            if len(self._kept) == self.most:
                self._kept.popitem(last=False)
            self._kept[key] = self._decode(chart, tile, frames)
        return self._kept[key]

    def _decode(self, chart: int, tile: Block, frames: range) -> Tensor:
        around, ratio = haloed(tile, self.charts[chart], self.model.halo), self.model.spec.ratio
        rows, columns = torch.tensor(around.rows), torch.tensor(around.columns) % self.charts[chart].columns
        z = self.latents[chart][:, frames.start : frames.stop, rows[:, None], columns].transpose(0, 1)
        top, left = ((t.start - a.start) * ratio for t, a in zip(tile, around, strict=True))
        picture = self.model.decode(z)[..., top : top + len(tile.rows) * ratio, left : left + len(tile.columns) * ratio]
        return picture.to(self.place, copy=True)  # without its halo

    def move(self, place: torch.device) -> None:
        """Keep decoded tiles there from now on."""
        self.place = place
        self._kept.clear()

    def __call__(self, chart: int, box: Block, frames: range) -> Tensor:
        """RGB (n, 3, height, width) in [0, 1] of a box of a chart's cells (it may go around)."""
        if frames != self.frames:
            self._kept.clear()
            self.frames = frames
        ratio, around = self.model.spec.ratio, self.charts[chart].columns
        out = torch.empty(len(frames), 3, len(box.rows) * ratio, len(box.columns) * ratio, device=self.place)
        for tile in self.tiles[chart]:
            for turn in range(box.columns.start // around, -(-box.columns.stop // around)):
                there = Block(tile.rows, range(tile.columns.start + turn * around, tile.columns.stop + turn * around))
                rows, columns = (
                    range(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(there, box, strict=True)
                )
                if rows and columns:
                    part = Block(rows, columns)
                    source = self._tile(chart, tile, frames)
                    out[_pixels(part, box, ratio)] = source[_pixels(part, there, ratio)]
        return out


def _pixels(part: Block, whole: Block, ratio: int) -> tuple:
    """Index of the pixels of ``part`` in the picture of ``whole``, both in cells."""
    inside = [slice((p.start - w.start) * ratio, (p.stop - w.start) * ratio) for p, w in zip(part, whole, strict=True)]
    return (..., *inside)

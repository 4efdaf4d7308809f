"""From latents to pictures a block at a time, in device memory that depends neither on their size nor on their number.

Charts are decoded tile by tile, each with the halo that makes it exactly what decoding the whole chart would give. The
decoded tiles wait, as many as fit, for the blocks of the picture that show a part of them; a block reads its box of
each chart, bicubically, and charts blend by ownership.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import sphere
from .charts import Chart, covering
from .models.base import VideoModel
from .models.sparing import tried
from .sampling import Where

# Cells that go through the autoencoder at once, over all frames: a 104 x 104 tile with a halo of 12, at most 4 frames.
# What it holds on the way stays below what a batch of windows takes.
CELLS_AT_ONCE = 1 << 14
FRAMES_AT_ONCE = 4
# Decoded tiles wait on the device where all those of a few frames fit into this, else on the host: there as many as a
# frame of 8192x4096 has.
KEPT_ON_DEVICE_BYTES, KEPT_BYTES = 48 << 20, 384 << 20
# A box of decoded cells that a block of the picture reads, over all frames, is at most this many times CELLS_AT_ONCE.
BOX = 4
_SAMPLES = 33


class Block(NamedTuple):
    """Rows and columns of a grid. Columns beyond its edges are those of the other side, where it wraps."""

    rows: range
    columns: range

    @property
    def size(self) -> int:
        return len(self.rows) * len(self.columns)


def tiles(rows: int, columns: int, wrap: bool, halo: int) -> list[Block]:
    """The cut of a chart into even tiles that takes the fewest cells, halos included, of those small enough."""

    def cost(n: int, m: int) -> tuple[int, int]:
        height = min(rows, -(-rows // n) + 2 * halo)
        width = -(-columns // m) + 2 * halo
        width = width if wrap else min(columns, width)
        return height * width, height * width * n * m

    most = 2 + max(rows, columns) // max(1, int(CELLS_AT_ONCE**0.5) - 2 * halo)
    counts = [(n, m) for n in range(1, min(rows, most) + 1) for m in range(1, min(columns, most) + 1)]
    fitting = [c for c in counts if cost(*c)[0] <= CELLS_AT_ONCE] or counts[-1:]
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


def frames_at_once(model: VideoModel, charts: Sequence[Chart]) -> int:
    """How many frames of these charts' tiles go through the autoencoder together."""
    largest = max(haloed(t, c, model.halo).size for c in charts for t in tiles(c.rows, c.columns, c.wrap, model.halo))
    return max(1, min(FRAMES_AT_ONCE, CELLS_AT_ONCE // largest))


class Decoder:
    """Decoded charts, to be read a box at a time. A tile is decoded when first read, and again if it had to go."""

    def __init__(self, model: VideoModel, charts: Sequence[Chart], latents: Sequence[Tensor], at_once: int) -> None:
        """``latents`` (C, F, rows, columns) a chart; boxes are read for ``at_once`` frames or fewer."""
        self.model, self.charts, self.latents, self.at_once = model, charts, latents, at_once
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


def where(chart: Chart, rows: Tensor, columns: Tensor) -> Where:
    """What lies at the cells (or pixels) ``rows`` x ``columns`` of a chart: directions, of a plane coordinates u, v."""
    across, down = ((at + 0.5) * (2 / n) - 1 for at, n in ((columns, chart.columns), (rows, chart.rows)))
    v, u = torch.meshgrid(down, across, indexing="ij")
    return chart.directions(u, v) if chart.on_sphere else (u, v)


def coordinates(
    sources: Sequence[Chart], target: Chart, rows: Tensor, columns: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each source chart its coordinates u, v and its share in the cells ``rows`` x ``columns`` of ``target``."""
    at = where(target, rows, columns)
    return [(*at, torch.ones_like(at[0]))] if isinstance(at, tuple) else covering(list(sources), at)


def reach(at: Tensor, length: int, wrap: bool) -> range:
    """The cells of an axis of ``length`` that bicubic reading ``at`` (n,) in [-1, 1] touches; around it where it wraps:
    all but the largest gap."""
    cells = ((at + 1) * (length / 2)).floor().long()
    if not wrap:
        low, high = (int(x) for x in cells.clamp(0, length - 1).aminmax())
        return range(max(0, low - 1), min(length, high + 2))
    touched = torch.zeros(length, dtype=torch.bool, device=at.device)
    touched[cells % length] = True
    places = touched.nonzero()[:, 0].cpu()
    gaps = places.roll(-1) - places
    gaps[-1] += length
    widest = int(gaps.argmax())
    first, last = int(places[(widest + 1) % len(places)]), int(places[widest])
    return range(first - 1, first + (last - first) % length + 2)


def box_of(chart: Chart, u: Tensor, v: Tensor) -> Block:
    """The box of cells that reading a chart at u, v (n,) touches."""
    return Block(reach(v, chart.rows, False), reach(u, chart.columns, chart.wrap))


@dataclass(frozen=True)
class Reading:
    """Of which box of a chart a block shows something: in which of its ``rows``, where in the box, and its share."""

    chart: int
    box: Block
    rows: slice
    u: Tensor
    v: Tensor
    share: Tensor


class Renderer:
    """Makes any block of a picture from decoded charts."""

    def __init__(self, decoder: Decoder, target: Chart) -> None:
        """``target``: the picture as a chart of its own kind (``erp`` for a frame), rows and columns being pixels."""
        self.decoder, self.target, self.device = decoder, target, decoder.model.device
        self._last: tuple[Block, list[Reading]] | None = None

    def blocks(self) -> list[Block]:
        """The whole picture in blocks small enough for the device, halved where they are longest."""
        most_pixels = CELLS_AT_ONCE * self.decoder.model.spec.ratio**2 // self.decoder.at_once
        most_cells = BOX * CELLS_AT_ONCE // self.decoder.at_once

        def halved(block: Block) -> list[Block]:
            if block.size == 1 or (block.size <= most_pixels and self._most_cells(block) <= most_cells):
                return [block]
            axis = int(len(block.columns) > len(block.rows))
            middle = len(block[axis]) // 2
            return [b for half in (block[axis][:middle], block[axis][middle:]) for b in halved(
                block._replace(columns=half) if axis else block._replace(rows=half))]  # fmt: skip

        return halved(Block(range(self.target.rows), range(self.target.columns)))

    def _most_cells(self, block: Block) -> int:
        """The largest box of a chart that a block reads, from some of its pixels."""
        rows, columns = (torch.linspace(r.start, r.stop - 1, min(len(r), _SAMPLES)) for r in block)
        boxes = []
        for chart, (u, v, share) in zip(
            self.decoder.charts, coordinates(self.decoder.charts, self.target, rows, columns), strict=True
        ):
            shown = share > 0
            boxes.append(box_of(chart, u[shown], v[shown]).size if bool(shown.any()) else 0)
        return max(boxes)

    def _readings(self, block: Block) -> list[Reading]:
        if self._last is None or self._last[0] != block:
            self._last = (block, self._look(block))
        return self._last[1]

    def _look(self, block: Block) -> list[Reading]:
        rows, columns = (torch.arange(r.start, r.stop, device=self.device) for r in block)
        found = []
        for k, (u, v, share) in enumerate(coordinates(self.decoder.charts, self.target, rows, columns)):
            shown = share > 0
            part = shown.any(1).nonzero()[:, 0]
            if not len(part):
                continue
            inside = slice(int(part[0]), int(part[-1]) + 1)
            chart = self.decoder.charts[k]
            box = box_of(chart, u[shown], v[shown])
            x, y = ((a[inside] + 1) * (n / 2) for a, n in ((u, chart.columns), (v, chart.rows)))
            if chart.wrap:  # on the turn that the box is on; its first cell is a margin
                x = torch.remainder(x - (box.columns.start + 1), chart.columns) + (box.columns.start + 1)
            x, y = ((a - r.start) * (2 / len(r)) - 1 for a, r in ((x, box.columns), (y, box.rows)))
            found.append(Reading(k, box, inside, x, y, share[inside]))
        return found

    def __call__(self, block: Block, frames: range) -> Tensor:
        """The block's pixels, (n, 3, height, width) in [0, 1]; on the device, unless its memory ran out."""
        pixels = tried(lambda: self._render(block, frames), self.device, again=self.device.type != "cpu")
        if pixels is None:
            self.device, self._last = torch.device("cpu"), None
            self.decoder.move(self.device)
            return self._render(block, frames)
        return pixels

    def _render(self, block: Block, frames: range) -> Tensor:
        total = torch.zeros(len(frames), 3, len(block.rows), len(block.columns), device=self.device)
        for r in self._readings(block):
            image = self.decoder(r.chart, r.box, frames).to(self.device)
            total[:, :, r.rows] += sphere.sample(image, r.u, r.v, mode="bicubic") * r.share
        return total.clamp(0, 1)


@dataclass(frozen=True)
class Rendered:
    """After each block: how many are done. ``frames``, (height, width, 3) uint8 each, come with the last of theirs."""

    done: int
    total: int
    frames: Sequence[np.ndarray] = ()


@torch.inference_mode()
def render(
    model: VideoModel, charts: list[Chart], latents: list[Tensor], height: int, width: int, spans: Sequence[range]
) -> Iterator[Rendered]:
    """The frames in ``spans`` of clean charts (C, F, rows, columns), a few of a span at a time, block by block."""
    at_once = frames_at_once(model, charts)
    shape = Chart("plane" if charts[0].kind == "plane" else "erp", height, width)
    renderer = Renderer(Decoder(model, charts, latents, at_once), shape)
    blocks = renderer.blocks()
    parts = [s[start : start + at_once] for s in spans for start in range(0, len(s), at_once)]
    done, total = 0, len(blocks) * len(parts)
    for part in parts:
        pictures = np.empty((len(part), height, width, 3), np.uint8)
        for block in blocks:
            rows, columns = (slice(r.start, r.stop) for r in block)
            pixels = (renderer(block, part) * 255).round().to(torch.uint8)
            pictures[:, rows, columns] = pixels.permute(0, 2, 3, 1).cpu().numpy()
            done += 1
            if block is not blocks[-1]:
                yield Rendered(done, total)
        yield Rendered(done, total, list(pictures))


def decode_frames(
    model: VideoModel, charts: list[Chart], latents: list[Tensor], height: int, width: int, frames: range
) -> Iterator[np.ndarray]:
    """The frames of :func:`render` one by one: RGB (height, width, 3) uint8."""
    for piece in render(model, charts, latents, height, width, [frames]):
        yield from piece.frames

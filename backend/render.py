"""From decoded charts to any picture, a block at a time, in device memory that depends neither on its size nor on the
number of frames: a block reads its box of each chart, bicubically, and charts blend by ownership.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import decode, sphere
from .canvas import Canvas
from .charts import Chart, covering
from .decode import Block, Decoder, frames_at_once
from .fields import Fields
from .film import Film
from .models.base import VideoModel
from .models.sparing import tried
from .sampling import Where

# A block of the picture has over all frames at most decode.CELLS_AT_ONCE times so many pixels; a box of decoded cells
# that it reads BOX times as many.
CELL, BOX = 64, 4
_SAMPLES = 33
# Developing a film takes about so many times as long as showing it.
DEVELOPING = 4


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

    def __init__(self, decoder: Decoder | Film, target: Chart) -> None:
        """``target``: the picture as a chart of its own kind (``erp`` for a frame), rows and columns being pixels."""
        self.decoder, self.target, self.device = decoder, target, decoder.model.device
        self._last: tuple[Block, list[Reading]] | None = None

    def blocks(self) -> list[Block]:
        """The whole picture in blocks small enough for the device, halved where they are longest."""
        most_pixels = decode.CELLS_AT_ONCE * CELL // self.decoder.at_once
        most_cells = BOX * most_pixels // self.decoder.model.spec.ratio**2

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


def source_of(model: VideoModel, canvas: Canvas, wanted: range, fields: Fields, at_once: int = 0) -> Decoder | Film:
    """What the frames ``wanted`` of a clean canvas are read from, ``at_once`` together; a film must be developed."""
    if model.spec.clipwise:
        return Film(model, canvas, wanted, fields)
    at_once = at_once or frames_at_once(model, canvas.charts)
    return Decoder(model, canvas.charts, canvas.latents, at_once, canvas.stride)


@dataclass(frozen=True)
class Rendered:
    """After each block: how many are done. ``frames``, (height, width, 3) uint8 each, come with the last of theirs."""

    done: int
    total: int
    frames: Sequence[np.ndarray] = ()


@torch.inference_mode()
def render(
    model: VideoModel, canvas: Canvas, height: int, width: int, spans: Sequence[range], fields: Fields | None = None
) -> Iterator[Rendered]:
    """The frames in ``spans`` of a clean canvas, a few of a span at a time, block by block. ``fields``: where clips
    wait that are decoded as a whole."""
    shape = Chart("plane" if canvas.charts[0].kind == "plane" else "erp", height, width)
    source = source_of(model, canvas, range(spans[0].start, spans[-1].stop), fields or Fields())
    renderer = Renderer(source, shape)
    blocks = renderer.blocks()
    parts = [s[start : start + source.at_once] for s in spans for start in range(0, len(s), source.at_once)]
    done, total = 0, len(blocks) * len(parts)
    if isinstance(source, Film):
        longer = DEVELOPING * total
        total += longer
        for share in source.develop():
            done = int(share * longer)
            yield Rendered(done, total)
        done = longer
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
    model: VideoModel, canvas: Canvas, height: int, width: int, frames: range, fields: Fields | None = None
) -> Iterator[np.ndarray]:
    """The frames of :func:`render` one by one: RGB (height, width, 3) uint8."""
    for piece in render(model, canvas, height, width, [frames], fields):
        yield from piece.frames

"""Latents of a clip to frames, for autoencoders that see time: a tile at a time, all of the clip as one stream.

What a tile decodes to depends a little on all of its surroundings, so that tiles cross-fade over half of their halo.
The decoded charts wait on the host in bytes, or in files, and are read like those of :class:`.decode.Decoder`. A loop
begins to decode some latents before its first, and goes on after its last, so that its ends meet.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial

import torch
from torch import Tensor

from .canvas import Canvas, white_noise
from .charts import Chart
from .decode import Block, cut, haloed, tiles
from .fields import Fields
from .lookahead import fetched
from .models.base import ModelSpec, VideoModel
from .models.sparing import TooLargeError

FRAMES_AT_ONCE, ROWS_AT_ONCE = 4, 256
"""Frames of a picture that are made together, and rows of a chart that are taken."""


def played(latents: int, loop: bool, spec: ModelSpec) -> tuple[Tensor, int]:
    """Which latents of a canvas of so many are decoded, in order, and the number of the first frame that is its own.

    F latents are ``t * (F - lead) + lead`` frames; those of latent k begin at ``lead + t * (k - lead)``.
    """
    if not loop:
        return torch.arange(latents), 0
    before, after = max(spec.around[0], spec.lead), max(spec.around[1], min(spec.meet, latents))
    return torch.arange(-before, latents + after) % latents, spec.lead + spec.time_ratio * (before - spec.lead)


Shown = tuple[int, int, float]
"""A frame of the movie by its place among those that are wanted, a decoded frame, and how much of the one it is."""


def shown(wanted: Sequence[int], latents: int, loop: bool, spec: ModelSpec) -> list[Shown]:
    """What ``wanted`` frames of a canvas (by number) are made of, in the order of decoding."""
    first, fading = played(latents, loop, spec)[1], spec.time_ratio * min(spec.meet, latents) * loop
    found: list[Shown] = []
    for place, frame in enumerate(wanted):
        own = min(1.0, (frame + 0.5) / fading) if fading else 1.0
        found.append((place, first + frame, own))
        if own < 1:
            found.append((place, first + frame + spec.time_ratio * latents, 1 - own))
    return sorted(found, key=lambda each: each[1])


def handover(own: range, around: range, length: int, wrap: bool, fade: float) -> Tensor:
    """How much of each place of ``around`` (n,) is of a tile's ``own`` part of an axis of ``length``: 1 inside, falling
    to 0 within ``fade`` of its borders to either side, but for the axis' ends. Over all tiles this sums to 1."""
    at = torch.arange(around.start, around.stop) + 0.5

    def ramp(border: int) -> Tensor:
        return ((at - border) / (2 * max(fade, 1e-3)) + 0.5).clamp(0, 1)

    begins = ramp(own.start) if wrap or own.start > 0 else torch.ones_like(at)
    ends = ramp(own.stop) if wrap or own.stop < length else torch.zeros_like(at)
    return begins - ends


def share(tile: Block, around: Block, chart: Chart, fade: float) -> Tensor:
    """:func:`handover` in both directions: (rows, columns) of ``around``."""
    rows = handover(tile.rows, around.rows, chart.rows, False, fade)
    return rows[:, None] * handover(tile.columns, around.columns, chart.columns, chart.wrap, fade)


def turns(columns: range, length: int) -> list[tuple[slice, slice]]:
    """Pieces of ``columns`` that do not cross the edge of a circle of ``length``: where in them, and where on it."""
    found, at = [], columns.start
    while at < columns.stop:
        stop = min(columns.stop, (at // length + 1) * length)
        found.append((slice(at - columns.start, stop - columns.start), slice(at % length, at % length + stop - at)))
        at = stop
    return found


def tiles_of(model: VideoModel, charts: Sequence[Chart]) -> list[tuple[int, Block]]:
    """The tiles of all charts that go through a clip's autoencoder, one at a time."""
    spec = model.spec
    return [(k, t) for k, c in enumerate(charts) for t in tiles(c.rows, c.columns, c.wrap, model.halo, spec.clip_cells)]


Work = Callable[[int, Block, int], Generator[int, None, None]]


def tile_by_tile(model: VideoModel, charts: Sequence[Chart], length: int, work: Work) -> Generator[float, None, None]:
    """Do ``work`` on every tile of a clip of ``length``, and yield the part that is done. It is told the chart, the
    tile and up to where along the clip that has been done, and yields how far it has come. A tile that is too large
    for the device is cut, and its parts go on from there."""
    queue = [(chart, tile, 0) for chart, tile in tiles_of(model, charts)]
    total, done, told = sum(tile.size for _, tile, _ in queue), 0, 0.0
    while queue:
        chart, tile, begun = queue.pop(0)
        try:
            with closing(work(chart, tile, begun)) as working:
                for begun in working:
                    told = max(told, (done + tile.size * min(1.0, begun / length)) / total)
                    yield told
        except TooLargeError:
            parts = cut(tile, charts[chart], model.halo, model.spec.clip_cells)
            queue[:0] = [(chart, part, begun) for part in parts]
        else:
            done += tile.size


def noised(spec: ModelSpec, canvas: Canvas, fields: Fields) -> list[Tensor]:
    """Clean latents with the noise that the decoder was trained to see."""
    if not spec.decode_noise:
        return canvas.latents
    generator = torch.Generator().manual_seed(canvas.seed)
    noise = white_noise(canvas.charts, spec.channels, canvas.frames, generator, fields)
    for frame in range(canvas.frames):
        for n, z in zip(noise, canvas.latents, strict=True):
            n[:, frame] = torch.lerp(z[:, frame], n[:, frame], spec.decode_noise)
        fields.release()
    return noise


class Film:
    """Frames of a clean canvas, all decoded before any is read."""

    def __init__(self, model: VideoModel, canvas: Canvas, wanted: range, fields: Fields) -> None:
        """``wanted``: frames of the movie, of which there is one for every ``canvas.stride`` of the canvas."""
        self.model, self.charts, self.place = model, canvas.charts, model.device
        self.at_once = FRAMES_AT_ONCE
        self._canvas, self._wanted, self._fields = canvas, wanted, fields
        self._bytes: list[Tensor] = []

    def develop(self) -> Generator[float, None, None]:
        """Decode them; yields the part that is done. Device memory depends on neither the canvas nor its length."""
        spec, canvas = self.model.spec, self._canvas
        latents = noised(spec, canvas, self._fields)
        self._prepare()
        index, _ = played(canvas.frames, canvas.loop, spec)
        frames = shown([frame * canvas.stride for frame in self._wanted], canvas.frames, canvas.loop, spec)

        def work(chart: int, tile: Block, begun: int) -> Generator[int, None, None]:
            return self._tile(latents[chart], index, frames, chart, tile, begun)

        yield from tile_by_tile(self.model, self.charts, frames[-1][1] + 1, work)

    def _prepare(self) -> None:
        """Room for all frames."""
        ratio = self.model.spec.ratio
        self._bytes = [
            self._fields.zeros(3, len(self._wanted), c.rows * ratio, c.columns * ratio, dtype=torch.uint8)
            for c in self.charts
        ]

    def take(self, pictures: Sequence[Callable[[Block, range], Tensor]]) -> Generator[float, None, None]:
        """Instead: take them from ``pictures``, RGB (n, 3, height, width) in [0, 1] of blocks of each chart's pixels,
        all that is wanted of one frame before the next."""
        self._prepare()
        for frame in range(len(self._wanted)):
            yield frame / len(self._wanted)
            for pixels, picture in zip(self._bytes, pictures, strict=True):
                for top in range(0, pixels.shape[2], ROWS_AT_ONCE):
                    rows = range(top, min(pixels.shape[2], top + ROWS_AT_ONCE))
                    rgb = picture(Block(rows, range(pixels.shape[3])), range(frame, frame + 1))[0]
                    pixels[:, frame, top : rows.stop] = (rgb * 255).round().to(torch.uint8).cpu()
            self._fields.release()

    def pictures(self) -> list[Callable[[Block, range], Tensor]]:
        """Of each chart: RGB (n, 3, height, width) in [0, 1] of a block of its pixels (it may go around)."""
        return [partial(self._read, chart) for chart in range(len(self.charts))]

    def _tile(
        self, latents: Tensor, index: Tensor, frames: list[Shown], number: int, tile: Block, begun: int
    ) -> Generator[int, None, None]:
        """Decode a tile of the latents ``index``, and keep of ``frames`` those from the clip's frame ``begun`` on."""
        chart, into, ratio = self.charts[number], self._bytes[number], self.model.spec.ratio
        around = haloed(tile, chart, self.model.halo)
        rows, columns = torch.tensor(around.rows), torch.tensor(around.columns) % chart.columns
        z = latents[:, index[:, None, None], rows[:, None], columns]
        place, fade, at = in_pixels(around, ratio), self.model.halo / 2 * ratio, 0
        weight = 255 * share(in_pixels(tile, ratio), place, chart.in_pixels(ratio), fade).to(self.model.device)
        waiting: tuple[list[int], Callable[[], Tensor], int] | None = None
        with closing(self.model.decode_clip(z)) as pieces:
            for piece in pieces:
                here = [each for each in frames if max(at, begun) <= each[1] < at + len(piece)]
                much = piece.new_tensor([own for _, _, own in here])[:, None, None, None]
                taken = (piece[[f - at for _, f, _ in here]] * (weight * much)).round().to(torch.uint8)
                at += len(piece)
                if waiting:  # while the device goes on with the next
                    self._add(into, place, waiting[0], waiting[1]())
                    yield waiting[2]
                waiting = ([place for place, _, _ in here], fetched(taken), at)
                if at > frames[-1][1]:
                    break
        if waiting:
            self._add(into, place, waiting[0], waiting[1]())
        self._fields.release()
        yield at

    @staticmethod
    def _add(into: Tensor, place: Block, numbers: list[int], pixels: Tensor) -> None:
        """Add (n, 3, height, width) bytes of a block to those of a chart (3, F, rows, columns)."""
        for here, there in turns(place.columns, into.shape[-1]):
            for number, picture in zip(numbers, pixels, strict=True):
                part = into[:, number, place.rows.start : place.rows.stop, there]
                part += torch.minimum(picture[..., here], 255 - part)  # rounded shares can be one too many

    def move(self, place: torch.device) -> None:
        """Give what is read there from now on."""
        self.place = place

    def __call__(self, chart: int, box: Block, frames: range) -> Tensor:
        """RGB (n, 3, height, width) in [0, 1] of a box of a chart's cells (it may go around)."""
        return self._read(chart, in_pixels(box, self.model.spec.ratio), frames)

    def _read(self, chart: int, place: Block, frames: range) -> Tensor:
        pixels = self._bytes[chart]
        low = frames.start - self._wanted.start
        rows = pixels[:, low : low + len(frames), place.rows.start : place.rows.stop]
        parts = [rows[..., there].to(self.place) for _, there in turns(place.columns, pixels.shape[-1])]
        return torch.cat(parts, -1).transpose(0, 1).float() / 255


def in_pixels(cells: Block, ratio: int) -> Block:
    """The same block in pixels."""
    return Block(*(range(r.start * ratio, r.stop * ratio) for r in cells))

"""From pictures to latents, a tile and a few frames at a time: the way back of :mod:`.decode` and :mod:`.film`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

from .charts import Chart
from .decode import Block, haloed, tiles
from .denoise import Progress
from .fields import Fields
from .film import in_pixels, share, tile_by_tile, tiles_of
from .models.base import ModelSpec, VideoModel
from .sizes import frames_of

Picture = Callable[[Block, range], Tensor]
"""RGB (n, 3, height, width) in [0, 1] of a block of a chart's pixels, in some frames."""

# Pixels of all frames of a tile that are encoded as a clip together. A longer one goes in parts, each with what the
# encoder must have seen before.
CLIP_PIXELS = 1 << 25
Encoding = Generator[Progress, None, list[Tensor]]


@torch.inference_mode()
def encode_film(
    model: VideoModel,
    charts: Sequence[Chart],
    pictures: Sequence[Picture],
    count: int,
    at_once: int,
    fields: Fields,
    stage: str,
    *,
    loop: bool = True,
) -> Encoding:
    """Latents (C, ``count``, rows, columns) of each of ``charts``, from its picture; ``at_once`` frames are asked for
    together. Those of clips are asked for tile after tile, and stand for a ``loop`` or for a clip that ends.

    Each tile is encoded with the halo that makes it exactly what encoding the whole chart would give, or of clips
    nearly, so that their tiles cross-fade.
    """
    found = [fields.zeros(model.spec.channels, count, c.rows, c.columns) for c in charts]
    if model.spec.clipwise:
        clips = Clips(model, charts, pictures, found, loop, at_once)
        total = len(tiles_of(model, charts)) * count
        for part in tile_by_tile(model, charts, count, clips.encode):
            yield Progress(stage, int(part * total), total, 0)
            fields.release()
        yield Progress(stage, total, total, 0)
        return found
    work = [(z, c, p, t) for z, c, p in zip(found, charts, pictures, strict=True)
            for t in tiles(c.rows, c.columns, c.wrap, model.halo)]  # fmt: skip
    done, total = 0, len(work) * count
    for start in range(0, count, at_once):
        frames = range(start, min(count, start + at_once))
        for z, chart, picture, tile in work:
            yield Progress(stage, done, total, 0)
            _encode(model, picture, frames, chart, tile, z)
            done += len(frames)
        fields.release()
    yield Progress(stage, total, total, 0)
    return found


def _encode(model: VideoModel, picture: Picture, frames: range, chart: Chart, tile: Block, into: Tensor) -> None:
    """Latents of a tile of ``chart``, from its picture, ``into`` (C, F, rows, columns)."""
    around = haloed(tile, chart, model.halo)
    z = model.encode(picture(in_pixels(around, model.spec.ratio), frames)).transpose(0, 1)
    rows, columns = (slice(r.start, r.stop) for r in tile)
    top, left = (t.start - a.start for t, a in zip(tile, around, strict=True))
    inside = z[..., top : top + len(tile.rows), left : left + len(tile.columns)]
    into[:, frames.start : frames.stop, rows, columns] = inside.cpu()


def shown_by(latents: range, loop: bool, spec: ModelSpec) -> tuple[range, int]:
    """The frames that are encoded for some ``latents`` of a canvas (of a loop they go around), and how many of the
    latents that come out are dropped: before its own, a part has seen as much as a loop's beginning must have."""
    t, lead, before = spec.time_ratio, spec.lead, spec.around[0]
    if loop:
        return range(t * (latents.start - before) - lead, t * latents.stop), lead + before
    first, stop = latents.start - before, lead + t * (latents.stop - lead)
    if first <= lead:
        return range(stop), latents.start
    return range(t * (first - lead), stop), lead + before


class Clips:
    """Encodes the pictures of charts as clips, into latents (C, F, rows, columns) of zeros, one a chart."""

    def __init__(
        self,
        model: VideoModel,
        charts: Sequence[Chart],
        pictures: Sequence[Picture],
        into: Sequence[Tensor],
        loop: bool,
        at_once: int,
    ) -> None:
        self.model, self.charts, self.pictures, self.into = model, charts, pictures, into
        self.loop, self.at_once, self.count = loop, at_once, into[0].shape[1]

    def encode(self, number: int, tile: Block, begun: int) -> Generator[int, None, None]:
        """The latents of a tile, but for its first ``begun``, which are there. Yields how many are."""
        chart, spec, halo = self.charts[number], self.model.spec, self.model.halo
        around = haloed(tile, chart, halo)
        weight = share(tile, around, chart, halo / 2)
        rows, columns = torch.tensor(around.rows)[:, None], torch.tensor(around.columns) % chart.columns
        each = CLIP_PIXELS // (around.size * spec.ratio**2 * spec.time_ratio) - spec.around[0]
        each = max(each, spec.around[0], 4)
        while begun < self.count:
            latents = range(begun, min(self.count, begun + each))
            frames, dropped = shown_by(latents, self.loop, spec)
            clip = self._clip(self.pictures[number], in_pixels(around, spec.ratio), frames)
            z = self.model.encode_clip(clip)[:, dropped:].cpu() * weight
            # A narrow chart's tile may go around it more than once.
            where = (torch.arange(latents.start, latents.stop)[:, None, None], rows, columns)
            self.into[number].index_put_((torch.arange(len(z))[:, None, None, None], *where), z, accumulate=True)
            begun = latents.stop
            yield begun

    def _clip(self, picture: Picture, block: Block, frames: range) -> Tensor:
        """(n, 3, height, width): a few frames at a time, without crossing the end of a loop at once."""
        length = frames_of(self.count, self.loop, self.model.spec)
        parts, at = [], frames.start
        while at < frames.stop:
            low = at % length
            some = range(low, min(low + self.at_once, low + frames.stop - at, length))
            parts.append(picture(block, some))
            at += len(some)
        return torch.cat(parts)

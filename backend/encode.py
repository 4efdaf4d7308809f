"""From pictures to latents, a tile and a few frames at a time: the way back of :mod:`.decode`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

from .charts import Chart
from .decode import Block, haloed, tiles
from .denoise import Progress
from .fields import Fields
from .models.base import VideoModel

Picture = Callable[[Block, range], Tensor]
"""RGB (n, 3, height, width) in [0, 1] of a block of a chart's pixels, in some frames."""


@torch.inference_mode()
def encode_film(
    model: VideoModel,
    charts: Sequence[Chart],
    pictures: Sequence[Picture],
    count: int,
    at_once: int,
    fields: Fields,
    stage: str,
) -> Generator[Progress, None, list[Tensor]]:
    """Latents (C, ``count``, rows, columns) of each of ``charts``, from its picture; ``at_once`` frames together.

    Each tile is encoded with the halo that makes it exactly what encoding the whole chart would give.
    """
    found = [fields.zeros(model.spec.channels, count, c.rows, c.columns) for c in charts]
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
    around, ratio = haloed(tile, chart, model.halo), model.spec.ratio
    pixels = Block(*(range(r.start * ratio, r.stop * ratio) for r in around))
    z = model.encode(picture(pixels, frames)).transpose(0, 1)
    rows, columns = (slice(r.start, r.stop) for r in tile)
    top, left = (t.start - a.start for t, a in zip(tile, around, strict=True))
    inside = z[..., top : top + len(tile.rows), left : left + len(tile.columns)]
    into[:, frames.start : frames.stop, rows, columns] = inside.cpu()

"""Global Motion Guidance: low resolution first, then upsample, re-noise and refine.

DynamicScaler (arXiv 2412.11100), section 3.3: windows of a small canvas see most of the scene each, so it settles
layout and motion; the finer canvas starts from it at a noise level that keeps both and leaves the detail to be made.

The upsampling goes through pixels. Interpolated latents are no latents of any picture: refining them left a lattice
of the cells at every noise level tried (detail 1.5 to 3.4 times that of single windows, ``docs/engine.md``). And it
restores the octave that interpolation dims: a model that starts from a soft picture takes softness for what is wanted
and makes a soft one (detail 0.77 of single windows; 1.0 from a sharpened start, at equal cost).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import torch
from torch import Tensor

from .charts import Chart
from .decode import Block, Decoder, Renderer, frames_at_once, haloed, tiles
from .denoise import Canvas, Progress
from .fields import Fields
from .guides import low_pass
from .models.base import VideoModel

# Unsharp mask of the enlarged picture: how much of what a blur takes away is added, and the blur's standard deviation
# in pixels of the picture before.
SHARPEN, SHARPEN_RADIUS = 3.0, 0.7


@torch.inference_mode()
def upsample(
    model: VideoModel, canvas: Canvas, charts: list[Chart], fields: Fields
) -> Generator[Progress, None, list[Tensor]]:
    """Clean latents of ``canvas`` on a finer atlas, a few frames and a tile at a time. Returns one tensor a chart."""
    ratio, at_once = model.spec.ratio, frames_at_once(model, [*canvas.charts, *charts])
    scale = charts[0].columns / canvas.charts[0].columns
    decoder = Decoder(model, canvas.charts, canvas.latents, at_once)
    fine = [fields.zeros(model.spec.channels, canvas.frames, c.rows, c.columns) for c in charts]
    pictures = [Renderer(decoder, replace(c, rows=c.rows * ratio, columns=c.columns * ratio)) for c in charts]
    work = [(z, c, p, t) for z, c, p in zip(fine, charts, pictures, strict=True)
            for t in tiles(c.rows, c.columns, c.wrap, model.halo)]  # fmt: skip
    done, total = 0, len(work) * canvas.frames
    for start in range(0, canvas.frames, at_once):
        frames = range(start, min(canvas.frames, start + at_once))
        for z, chart, picture, tile in work:
            yield Progress("upsample", done, total, 0)
            _encode(model, picture, frames, chart, tile, z, scale)
            done += len(frames)
        fields.release()
    yield Progress("upsample", total, total, 0)
    return fine


def _encode(
    model: VideoModel, picture: Renderer, frames: range, chart: Chart, tile: Block, into: Tensor, scale: float
) -> None:
    """Latents of a tile of ``chart``, from its picture, ``into`` (C, F, rows, columns)."""
    around, ratio = haloed(tile, chart, model.halo), model.spec.ratio
    pixels = Block(*(range(r.start * ratio, r.stop * ratio) for r in around))
    z = model.encode(sharpened(picture(pixels, frames), SHARPEN_RADIUS * scale)).transpose(0, 1)
    rows, columns = (slice(r.start, r.stop) for r in tile)
    top, left = (t.start - a.start for t, a in zip(tile, around, strict=True))
    inside = z[..., top : top + len(tile.rows), left : left + len(tile.columns)]
    into[:, frames.start : frames.stop, rows, columns] = inside.cpu()


def sharpened(pictures: Tensor, radius: float) -> Tensor:
    """Unsharp mask of pictures (n, 3, h, w) in [0, 1]; ``radius``: standard deviation of the blur, pixels."""
    flat = pictures.flatten(0, 1)
    return (pictures + SHARPEN * (flat - low_pass(flat, radius, False)).reshape(pictures.shape)).clamp(0, 1)


def renoise(clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Clean latents taken to noise level ``sigma`` in [0, 1]."""
    return (1 - sigma) * clean + sigma * noise

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

from torch import Tensor

from .canvas import Canvas
from .charts import Chart
from .decode import frames_at_once
from .denoise import Progress
from .encode import Picture, encode_film
from .fields import Fields
from .film import Film, tiles_of
from .guides import low_pass
from .models.base import VideoModel
from .render import Renderer, source_of
from .sizes import frames_of

# Unsharp mask of the enlarged picture: how much of what a blur takes away is added, and the blur's standard deviation
# in pixels of the picture before.
SHARPEN, SHARPEN_RADIUS = 3.0, 0.7
# The same from a single equirectangular picture, which is followed at a higher noise level: more made a third too much
# detail (docs/engine.md).
PANORAMA_SHARPEN = 1.0


def upsample(
    model: VideoModel, canvas: Canvas, charts: list[Chart], fields: Fields
) -> Generator[Progress, None, list[Tensor]]:
    """Clean latents of ``canvas`` on a finer atlas, a few frames and a tile at a time. Returns one tensor a chart."""
    at_once = frames_at_once(model, [*canvas.charts, *charts])
    canvas = replace(canvas, stride=1)
    frames = range(frames_of(canvas.frames, canvas.loop, model.spec))
    decoder = source_of(model, canvas, frames, fields, at_once)
    if isinstance(decoder, Film):
        total = len(tiles_of(model, canvas.charts)) * canvas.frames
        for part in decoder.develop():
            yield Progress("upsample", int(part * total), total, 0)
    pictures = [
        sharper(Renderer(decoder, c.in_pixels(model.spec.ratio)), *_sharpening(old, c))
        for old, c in zip(canvas.charts * (len(charts) // len(canvas.charts)), charts, strict=True)
    ]
    at_once, loop = decoder.at_once, canvas.loop
    return (yield from encode_film(model, charts, pictures, canvas.frames, at_once, fields, "upsample", loop=loop))


def _sharpening(coarse: Chart, fine: Chart) -> tuple[float, float, float]:
    """How much, and the radius of the blur down and across, in pixels of the finer chart: by how much more it resolves
    that way."""
    if fine.kind != coarse.kind:  # an equirectangular one: all of the sky, at the scale of its horizon
        radius = SHARPEN_RADIUS * fine.columns_around / coarse.columns_around
        return PANORAMA_SHARPEN, radius, radius
    extents = fine.extent / coarse.extent
    down = fine.rows / coarse.rows / extents
    across = fine.columns / coarse.columns / (1 if coarse.wrap else extents)
    return SHARPEN, SHARPEN_RADIUS * down, SHARPEN_RADIUS * across


def sharper(picture: Picture, amount: float, down: float, across: float) -> Picture:
    """:func:`sharpened` blocks of a picture."""
    return lambda block, frames: sharpened(picture(block, frames), amount, down, across)


def sharpened(pictures: Tensor, amount: float, down: float, across: float) -> Tensor:
    """Unsharp mask of pictures (n, 3, h, w) in [0, 1]: ``amount`` times what a blur takes away is added, whose
    standard deviations are ``down`` and ``across`` pixels."""
    flat = pictures.flatten(0, 1)
    return (pictures + amount * (flat - low_pass(flat, down, across, False)).reshape(pictures.shape)).clamp(0, 1)


def renoise(clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Clean latents taken to noise level ``sigma`` in [0, 1]."""
    return (1 - sigma) * clean + sigma * noise

"""Global Motion Guidance: low resolution first, then upsample, re-noise and refine.

DynamicScaler (arXiv 2412.11100), section 3.3: windows of a small canvas see most of the scene each, so it settles
layout and motion; the finer canvas starts from it at a noise level that keeps both and leaves the detail to be made.

The upsampling goes through pixels. Interpolated latents are no latents of any picture: refining them left a lattice
of the cells at every noise level tried (detail 1.5 to 3.4 times that of single windows, ``docs/engine.md``).
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from . import sphere
from .charts import Chart
from .decode import FRAMES_AT_ONCE, Projector, decode_chart, encode_chart
from .denoise import Canvas, Progress
from .fields import Fields
from .models.base import VideoModel


@torch.inference_mode()
def upsample(
    model: VideoModel, canvas: Canvas, charts: list[Chart], fields: Fields
) -> Generator[Progress, None, list[Tensor]]:
    """Clean latents of ``canvas`` on a finer atlas, a few frames at a time. Returns one tensor a chart."""
    projectors = []
    for chart in charts:
        where = sphere.grid(chart.rows * model.spec.ratio, chart.columns * model.spec.ratio)
        projectors.append(
            Projector(canvas.charts, chart.directions(*where) if chart.on_sphere else where, model.device)
        )
    fine = [fields.zeros(model.spec.channels, canvas.frames, c.rows, c.columns) for c in charts]
    for start in range(0, canvas.frames, FRAMES_AT_ONCE):
        yield Progress("upsample", start, canvas.frames, 0)
        frames = slice(start, start + FRAMES_AT_ONCE)
        old = zip(canvas.latents, canvas.charts, strict=True)
        images = [decode_chart(model, z[:, frames].transpose(0, 1), c.wrap) for z, c in old]
        for project, chart, z in zip(projectors, charts, fine, strict=True):
            z[:, frames] = encode_chart(model, project(images), chart.wrap).transpose(0, 1)
    yield Progress("upsample", canvas.frames, canvas.frames, 0)
    return fine


def renoise(clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Clean latents taken to noise level ``sigma`` in [0, 1]."""
    return (1 - sigma) * clean + sigma * noise

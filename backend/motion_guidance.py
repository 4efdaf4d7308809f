"""Global Motion Guidance: low resolution first, then upsample, re-noise and refine.

DynamicScaler (arXiv 2412.11100), section 3.3: windows of a small canvas see most of the scene each, so it settles layout and
motion; the finer canvas starts from it at a noise level that keeps both and leaves the detail to be made.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import sphere
from .charts import Chart, covering
from .denoise import Canvas


def resample(clean: list[Tensor], old: list[Chart], new: list[Chart]) -> list[Tensor]:
    """Clean latents (C, F, rows, columns) of one atlas read at the cells of another. Bicubic; never for noisy latents."""
    result = []
    for chart in new:
        u, v = sphere.grid(chart.rows, chart.columns)
        if chart.kind == "plane":
            parts = [(u, v, torch.ones_like(u))]
        else:
            parts = covering(old, chart.directions(u, v))
        total = torch.zeros(*clean[0].shape[:2], chart.rows, chart.columns)
        for image, source, (u, v, weight) in zip(clean, old, parts, strict=True):
            read = sphere.sample(image.transpose(0, 1), u, v, wrap=source.wrap, mode="bicubic")
            total += read.transpose(0, 1) * weight
        result.append(total)
    return result


def refined(canvas: Canvas, charts: list[Chart], sigma: float, noise: list[Tensor]) -> Canvas:
    """The clean ``canvas`` on a finer atlas, re-noised to ``sigma`` in [0, 1]."""
    clean = resample(canvas.latents, canvas.charts, charts)
    latents = [(1 - sigma) * c + sigma * n for c, n in zip(clean, noise, strict=True)]
    return Canvas(charts, latents, canvas.loop, canvas.frame_step_s)

"""From latents to frames: charts are decoded tile by tile, circularly where they wrap, and read into the output projection."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from . import sphere
from .charts import Chart, covering
from .models.base import VideoModel

TILE_CELLS = 64
FRAMES_AT_ONCE = 4


def _padded(start: int, stop: int, length: int, halo: int, wrap: bool) -> tuple[Tensor, int]:
    """Indices of a tile with its halo along one axis, and where the tile starts in them."""
    if wrap:
        return torch.arange(start - halo, stop + halo) % length, halo
    first = max(0, start - halo)
    return torch.arange(first, min(length, stop + halo)), start - first


def decode_chart(model: VideoModel, latents: Tensor, wrap: bool) -> Tensor:
    """Latents (n, C, rows, columns) of n frames -> RGB (n, 3, height, width) in [0, 1] on the model's device.

    Exactly what decoding it whole would give, but for rounding, with device memory bounded by the tile.
    """
    n, _, rows, columns = latents.shape
    halo, ratio = model.decoder_halo, model.spec.ratio
    out = torch.empty(n, 3, rows * ratio, columns * ratio, device=model.device)
    for top in range(0, rows, TILE_CELLS):
        for left in range(0, columns, TILE_CELLS):
            bottom, right = min(rows, top + TILE_CELLS), min(columns, left + TILE_CELLS)
            r, y = _padded(top, bottom, rows, halo, False)
            c, x = _padded(left, right, columns, halo, wrap)
            tile = model.decode(latents[:, :, r][..., c])
            y, x, h, w = (k * ratio for k in (y, x, bottom - top, right - left))
            target = out[..., top * ratio : bottom * ratio, left * ratio : right * ratio]
            target.copy_(tile[..., y : y + h, x : x + w])
    return out


class Projector:
    """Reads decoded charts into frames of one size; made once, used for every frame."""

    def __init__(self, charts: list[Chart], height: int, width: int, device: torch.device) -> None:
        u, v = sphere.grid(height, width)
        if charts[0].kind == "plane":
            parts = [(u, v, torch.ones_like(u))]
        else:
            parts = covering(charts, sphere.erp_directions(height, width))
        self.size, self.wraps, self.parts = (height, width), [c.wrap for c in charts], []
        for u, v, weight in parts:
            rows = (weight > 0).any(dim=1).nonzero()[:, 0]
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            self.parts.append((part, *(t[part].to(device) for t in (u, v, weight))))

    def __call__(self, images: list[Tensor]) -> Tensor:
        """Charts (n, 3, h, w) in [0, 1] -> frames (n, 3, height, width) in [0, 1]. Bicubic, so that it stays sharp."""
        total = torch.zeros(len(images[0]), 3, *self.size, device=images[0].device)
        for image, wrap, (rows, u, v, weight) in zip(images, self.wraps, self.parts, strict=True):
            total[:, :, rows] += sphere.sample(image, u, v, wrap=wrap, mode="bicubic") * weight
        return total.clamp(0, 1)


@torch.inference_mode()
def decode_frames(
    model: VideoModel, charts: list[Chart], latents: list[Tensor], height: int, width: int, frames: range
) -> Iterator[np.ndarray]:
    """Frames ``frames`` of clean charts (C, F, rows, columns) as RGB (height, width, 3) uint8, a few at a time."""
    projector = Projector(charts, height, width, model.device)
    for start in range(frames.start, frames.stop, FRAMES_AT_ONCE):
        part = slice(start, min(frames.stop, start + FRAMES_AT_ONCE))
        images = [decode_chart(model, z[:, part].transpose(0, 1), c.wrap) for z, c in zip(latents, charts, strict=True)]
        pixels = (projector(images) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        yield from pixels.cpu().numpy()

"""From latents to frames: charts are decoded tile by tile, circularly where they wrap, and read into the output."""

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


def _tiles(rows: int, columns: int, halo: int, wrap: bool) -> Iterator[tuple[slice, slice, Tensor, Tensor, int, int]]:
    """Tiles of a chart, in cells: their place, the indices to read with a halo, and where the tile starts in those."""
    for top in range(0, rows, TILE_CELLS):
        for left in range(0, columns, TILE_CELLS):
            bottom, right = min(rows, top + TILE_CELLS), min(columns, left + TILE_CELLS)
            r, y = _padded(top, bottom, rows, halo, False)
            c, x = _padded(left, right, columns, halo, wrap)
            yield slice(top, bottom), slice(left, right), r, c, y, x


def _in_pixels(cells: slice, ratio: int, start: int = 0) -> slice:
    return slice((start + cells.start) * ratio, (start + cells.stop) * ratio)


def decode_chart(model: VideoModel, latents: Tensor, wrap: bool) -> Tensor:
    """Latents (n, C, rows, columns) of n frames -> RGB (n, 3, height, width) in [0, 1] on the model's device.

    Exactly what decoding it whole would give, but for rounding, with device memory bounded by the tile.
    """
    n, _, rows, columns = latents.shape
    ratio = model.spec.ratio
    out = torch.empty(n, 3, rows * ratio, columns * ratio, device=model.device)
    for row, column, r, c, y, x in _tiles(rows, columns, model.halo, wrap):
        tile = model.decode(latents[:, :, r][..., c])
        inside = tile[..., _in_pixels(row, ratio, y - row.start), _in_pixels(column, ratio, x - column.start)]
        out[..., _in_pixels(row, ratio), _in_pixels(column, ratio)] = inside
    return out


def encode_chart(model: VideoModel, frames: Tensor, wrap: bool) -> Tensor:
    """RGB (n, 3, height, width) in [0, 1] -> latents (n, C, rows, columns) on the host, tile by tile too."""
    ratio = model.spec.ratio
    rows, columns = frames.shape[-2] // ratio, frames.shape[-1] // ratio
    out = torch.empty(len(frames), model.spec.channels, rows, columns)
    within = torch.arange(ratio)
    for row, column, r, c, y, x in _tiles(rows, columns, model.halo, wrap):
        pixel_rows, pixel_columns = ((k[:, None] * ratio + within).flatten() for k in (r, c))
        tile = model.encode(frames[:, :, pixel_rows][..., pixel_columns])
        height, width = row.stop - row.start, column.stop - column.start
        out[..., row, column] = tile[..., y : y + height, x : x + width].cpu()
    return out


class Projector:
    """Reads decoded charts into another picture; made once, used for every frame."""

    def __init__(self, charts: list[Chart], directions: Tensor | tuple[Tensor, Tensor], device: torch.device) -> None:
        """``directions`` (height, width, 3) of the picture's pixels; for a plane, their coordinates u, v in it."""
        parts = (
            [(*directions, torch.ones_like(directions[0]))]
            if isinstance(directions, tuple)
            else covering(charts, directions)
        )
        self.size, self.wraps, self.parts = parts[0][0].shape, [c.wrap for c in charts], []
        for u, v, weight in parts:
            rows = (weight > 0).any(dim=1).nonzero()[:, 0]
            part = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
            self.parts.append((part, *(t[part].to(device) for t in (u, v, weight))))

    def __call__(self, images: list[Tensor]) -> Tensor:
        """Charts (n, 3, h, w) in [0, 1] -> pictures (n, 3, height, width). Bicubic, so that they stay sharp."""
        total = torch.zeros(len(images[0]), 3, *self.size, device=images[0].device)
        for image, wrap, (rows, u, v, weight) in zip(images, self.wraps, self.parts, strict=True):
            if rows.stop:
                total[:, :, rows] += sphere.sample(image, u, v, wrap=wrap, mode="bicubic") * weight
        return total.clamp(0, 1)


@torch.inference_mode()
def decode_frames(
    model: VideoModel, charts: list[Chart], latents: list[Tensor], height: int, width: int, frames: range
) -> Iterator[np.ndarray]:
    """Frames ``frames`` of clean charts (C, F, rows, columns) as RGB (height, width, 3) uint8, a few at a time."""
    plane = charts[0].kind == "plane"
    projector = Projector(
        charts, sphere.grid(height, width) if plane else sphere.erp_directions(height, width), model.device
    )
    for start in range(frames.start, frames.stop, FRAMES_AT_ONCE):
        part = slice(start, min(frames.stop, start + FRAMES_AT_ONCE))
        images = [decode_chart(model, z[:, part].transpose(0, 1), c.wrap) for z, c in zip(latents, charts, strict=True)]
        pixels = (projector(images) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        yield from pixels.cpu().numpy()

"""A small network that says what a view shows: kind of sky, time of day, ground, ridge, weather.

It judges one perspective picture at a time. Which way the picture looks is told to it pixel by pixel, as the elevation
of every ray, so that any pitch, field of view or crop is just another picture (as in CoordConv, Liu et al. 2018).
``backend/training/classifier.py`` made the weights; :mod:`.text` makes figures of what it sees.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VIEW_PX = 64
_CHANNELS = 6  # red, green, blue, elevation, elevation near the horizon, size of a pixel
_HORIZON = 0.1  # sine of the elevation up to which the ray is "near the horizon"

Box = tuple[float, float, float, float]  # left, top, right, bottom in [-1, 1] of a view
WHOLE: Box = (-1.0, -1.0, 1.0, 1.0)


def elevation(pitch: Tensor, fov: Tensor, size: int = VIEW_PX, box: Box = WHOLE) -> Tensor:
    """Sine of the elevation (N, 1, size, size) of every ray of perspective views without roll, or of a box of them.

    pitch, fov: (N,) radians; geometry as in :func:`backend.sphere.view_directions`.
    """
    left, top, right, bottom = box
    at = (torch.arange(size, device=pitch.device) + 0.5) / size
    u, v = left + at * (right - left), top + at * (bottom - top)
    t = torch.tan(fov / 2)[:, None, None]
    up = torch.sin(pitch)[:, None, None] - v[:, None] * t * torch.cos(pitch)[:, None, None]
    return (up / torch.sqrt(1 + t * t * (u[None, :] ** 2 + v[:, None] ** 2)))[:, None]


def visible(rays: Tensor) -> dict[str, Tensor]:
    """Which attributes the pictures with these :func:`elevation` maps (N, 1, h, w) can show: bool (N,) by attribute.

    A quarter of the picture must be sky for what is told by the sky, and ground for the ground; a ridge shows when a
    tenth of the picture is within 10 degrees over the horizon.
    """
    above, below = (part.float().mean((1, 2, 3)) > 0.25 for part in (rays > 0.05, rays < -0.05))
    horizon = ((rays > 0) & (rays < 0.17)).float().mean((1, 2, 3)) > 0.1
    return {"sky": above, "time": above, "weather": above, "ground": below, "ridge": horizon}


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(inplace=True)
    )


class SceneClassifier(nn.Module):
    """Eight convolutions (331 000 weights), one linear layer over mean and maximum. ``attributes``: name -> values."""

    def __init__(self, attributes: dict[str, list[str]]) -> None:
        super().__init__()
        self.attributes = attributes
        self.features = nn.Sequential(
            _conv(_CHANNELS, 16),
            _conv(16, 32, 2),
            _conv(32, 32),
            _conv(32, 64, 2),
            _conv(64, 64),
            _conv(64, 96, 2),
            _conv(96, 96),
            _conv(96, 128, 2),
        )
        self.head = nn.Linear(256, sum(map(len, attributes.values())))

    def forward(self, pictures: Tensor, rays: Tensor, fov: Tensor) -> dict[str, Tensor]:
        """Logits (N, values) by attribute.

        pictures: (N, 3, 64, 64) in [0, 1]; rays: their :func:`elevation` (N, 1, 64, 64); fov: (N,) radians.
        """
        pixel = torch.log(2 * torch.tan(fov / 2) / VIEW_PX / math.radians(1.0))[:, None, None, None].expand_as(rays)
        near = (rays / _HORIZON).clamp(-1, 1)
        x = self.features(torch.cat([4 * pictures - 2, 2 * rays, near, pixel], dim=1))
        logits = self.head(torch.cat([x.mean((2, 3)), F.adaptive_max_pool2d(x, 1).flatten(1)], dim=1))
        return dict(zip(self.attributes, logits.split([len(v) for v in self.attributes.values()], dim=1), strict=True))

"""Reading a picture at any directions and any scale, without aliasing: what is finer than asked for is averaged.

``where`` is always what to read at: directions (h, w, 3), or for a flat panorama its coordinates (u, v), each (h, w) in
[-1, 1], both as in :mod:`.sphere`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from . import sphere

Where = Tensor | tuple[Tensor, Tensor]


class Image:
    """Pixels (H, W, C), uint8 or float32 in [0, 1], C up to 4, to be read at any scale."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.height, self.width = pixels.shape[:2]
        self._levels = {(0, 0): pixels if pixels.ndim == 3 else pixels[..., None]}

    def at(self, where: Where, *, wrap: bool) -> Tensor:
        """(C, h, w) in [0, 1] of a picture that is the whole panorama; ``wrap`` matters to a flat one only."""
        if isinstance(where, tuple):
            return self.read(*where, grid_steps(*where), wrap=wrap)
        step = angle_step(where)
        return self.read(*sphere.erp_coordinates(where), (step / math.pi, 2 * step / math.pi), wrap=True)

    def read(self, u: Tensor, v: Tensor, steps: tuple[float, float], *, wrap: bool) -> Tensor:
        """(C, h, w) in [0, 1] at coordinates u, v (h, w); ``steps`` lie between neighbours, across and down.

        Bilinear in a copy of the picture whose pixels, averaged over areas, are as large as the steps, to half an
        octave.
        """
        ratios = (steps[0] * self.width / 2, steps[1] * self.height / 2)
        across, down = (max(0, round(2 * math.log2(max(1.0, ratio)))) for ratio in ratios)
        pixels = self._level(across, down)
        rows, height = _rows(v, len(pixels)), len(pixels)
        pixels, v = pixels[rows], ((v + 1) * height - 2 * rows.start) / (rows.stop - rows.start) - 1
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))
        if pixels.dtype == np.uint8:
            planes /= 255
        return sphere.sample(planes[None], u, v, wrap=wrap)[0].clamp(0, 1)

    def _level(self, across: int, down: int) -> np.ndarray:
        if (across, down) not in self._levels:
            size = (max(2, round(self.width / 2 ** (across / 2))), max(2, round(self.height / 2 ** (down / 2))))
            smaller = cv2.resize(self._levels[0, 0], size, interpolation=cv2.INTER_AREA)
            self._levels[across, down] = smaller.reshape(size[1], size[0], -1)
        return self._levels[across, down]


def _rows(v: Tensor, height: int) -> slice:
    """The rows of a picture that reading at v touches: a block of a panorama needs no more."""
    first, last = (int((float(x) + 1) * height / 2) for x in v.clamp(-1, 1).aminmax())
    return slice(max(0, min(first, height) - 2), min(height, last + 3))


def grid_steps(u: Tensor, v: Tensor) -> tuple[float, float]:
    """Typical distances between neighbours of a grid of coordinates (h, w), across and down."""
    across, down = (u[:, 1:] - u[:, :-1]).abs(), (v[1:] - v[:-1]).abs()
    return _typical(across), _typical(down)


def angle_step(directions: Tensor) -> float:
    """The typical angle, radians, between neighbours of a grid of directions (h, w, 3): down, as those of an ERP row
    crowd at the poles."""
    apart = (directions[1:] - directions[:-1]) if len(directions) > 1 else (directions[:, 1:] - directions[:, :-1])
    return _typical(apart.norm(dim=-1))


def _typical(distances: Tensor) -> float:
    return float(distances.median()) if distances.numel() else 0.0


def axes(yaw: float, pitch: float, roll: float = 0.0) -> Tensor:
    """What is right, ahead and up for one who looks there, as rows (3, 3); radians, ``roll`` clockwise."""
    ahead = sphere.direction(torch.tensor(yaw), torch.tensor(pitch))
    level = torch.tensor([math.cos(yaw), -math.sin(yaw), 0.0])
    above = torch.linalg.cross(level, ahead)
    right = level * math.cos(roll) - above * math.sin(roll)
    up = level * math.sin(roll) + above * math.cos(roll)
    return torch.stack([right, ahead, up])


def smoothstep(t: Tensor) -> Tensor:
    """0 up to 0, 1 from 1 on, level at both: 3 t^2 - 2 t^3."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)

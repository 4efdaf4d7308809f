"""What the shaders see: directions, time and pixel size of a batch of scenes, and small helpers to mix colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .attributes import Scene
from .noise import Noise

Rgb = tuple[float, float, float]


def send(values: Sequence[float] | Sequence[Rgb], device: torch.device) -> Tensor:
    """Numbers as a tensor on the device, without waiting for what runs there."""
    return torch.tensor(values, dtype=torch.float32).to(device, non_blocking=True)


def places(index: Sequence[int], device: torch.device) -> Tensor:
    """Places in a batch as an index tensor, likewise."""
    return torch.tensor(index, dtype=torch.int64).to(device, non_blocking=True)


@dataclass(frozen=True)
class View:
    """A batch of b windows. Scalars are (b, F or 1, h or 1, w or 1), colours (b, F or 1, 3, h or 1, w or 1)."""

    scenes: Sequence[Scene]
    x: Tensor
    y: Tensor
    z: Tensor
    t: Tensor  # (b, F, 1, 1) seconds
    pixel: Tensor  # angular size of a pixel, radians
    rough: Tensor  # blur of a reflection seen in these directions, radians; 0 for the sky itself
    noise: Noise

    def take(self, index: Sequence[int]) -> View:
        """The part of the batch at these places."""
        if len(index) == len(self.scenes):
            return self
        i = places(index, self.x.device)
        return replace(
            self,
            scenes=[self.scenes[k] for k in index],
            x=self.x[i],
            y=self.y[i],
            z=self.z[i],
            t=self.t[i],
            pixel=self.pixel[i],
            rough=self.rough[i],
        )

    def number(self, of: Callable[[Scene], float]) -> Tensor:
        """A number of each scene, (b, 1, 1, 1)."""
        return send([float(of(s)) for s in self.scenes], self.x.device)[:, None, None, None]

    def colour(self, of: Callable[[Scene], Rgb]) -> Tensor:
        """A colour of each scene, (b, 1, 3, 1, 1)."""
        return send([of(s) for s in self.scenes], self.x.device)[:, None, :, None, None]

    @property
    def seed(self) -> Tensor:
        return self.number(lambda s: s.seed)

    @property
    def wind(self) -> tuple[Tensor, Tensor]:
        """East and north parts of the wind."""
        return self.number(lambda s: s.wind * math.sin(s.wind_yaw)), self.number(
            lambda s: s.wind * math.cos(s.wind_yaw)
        )

    def sun(self) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vector to the sun."""
        return (
            self.number(lambda s: math.sin(s.sun_yaw) * math.cos(s.sun_pitch)),
            self.number(lambda s: math.cos(s.sun_yaw) * math.cos(s.sun_pitch)),
            self.number(lambda s: math.sin(s.sun_pitch)),
        )

    def by(self, key: Callable[[Scene], str]) -> dict[str, list[int]]:
        """Places of the batch by a category, so that each shader runs only for those that need it."""
        groups: dict[str, list[int]] = {}
        for i, s in enumerate(self.scenes):
            groups.setdefault(key(s), []).append(i)
        return groups


def merge(parts: Sequence[tuple[Sequence[int], Tensor]], count: int) -> Tensor:
    """Put the results of parts of a batch back in order, widened to a common shape."""
    if len(parts) == 1:
        return parts[0][1]
    shape = torch.broadcast_shapes(*(p.shape[1:] for _, p in parts))
    out = parts[0][1].new_empty((count, *shape))
    for index, p in parts:
        out[places(index, out.device)] = p.expand(len(index), *shape)
    return out


def mix(a: Tensor, b: Tensor | float, m: Tensor) -> Tensor:
    """From a (m = 0) to b (m = 1); a scalar m widens to colours."""
    if a.ndim == 5 and m.ndim == 4:
        m = m.unsqueeze(2)
    return a + (b - a) * m


def rgb(x: Tensor) -> Tensor:
    """A scalar (b, F, h, w) as a grey colour (b, F, 1, h, w)."""
    return x.unsqueeze(2)


def step(low: float, high: float, x: Tensor) -> Tensor:
    """0 below low, 1 above high, smooth between (high < low turns it round)."""
    u = ((x - low) / (high - low)).clamp(0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def hash01(*keys: Tensor | float) -> Tensor:
    """A number in [0, 1) from cell indices: the same keys give the same number."""
    total: Tensor | float = 0.0
    for k, factor in zip(keys, (12.9898, 78.233, 37.719, 9.151), strict=False):
        total = total + k * factor
    assert isinstance(total, Tensor)
    return torch.frac(torch.sin(torch.remainder(total, 6.2831853)) * 43758.547).abs()


def cube(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Project directions on the cube around the eye: u, v in [-1, 1], face number, distance of the point.

    v points up on the four walls, so what falls there falls straight; floor and ceiling are faces 4 and 5.
    """
    ax, ay, az = x.abs(), y.abs(), z.abs()
    on_x, on_z = (ax >= ay) & (ax >= az), (az > ax) & (az > ay)
    major = torch.maximum(torch.maximum(ax, ay), az)
    u = torch.where(on_x, y, x) / major
    v = torch.where(on_z, y, z) / major
    face = torch.where(on_x, (x > 0).float(), torch.where(on_z, 4.0 + (z > 0).float(), 2.0 + (y > 0).float()))
    return u, v, face, 1.0 / major

"""Directions on the sphere and the maps between them and images: pure geometry on tensors.

Convention
----------
A direction is a unit vector ``(x, y, z)``: x to the right, y ahead, z up, so yaw 0 pitch 0 is ``(0, 1, 0)``, yaw
grows to the right and pitch upward. Angles are radians in here. Image coordinates ``(u, v)`` are in [-1, 1] with u to
the right and v down, -1 and 1 being the outer edges of the outer pixels (``grid_sample`` with ``align_corners=False``).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def direction(yaw: Tensor, pitch: Tensor) -> Tensor:
    """Unit vectors (..., 3) of yaw and pitch, radians."""
    c = torch.cos(pitch)
    return torch.stack([torch.sin(yaw) * c, torch.cos(yaw) * c, torch.sin(pitch)], dim=-1)


def yaw_pitch(d: Tensor) -> tuple[Tensor, Tensor]:
    """Yaw in (-pi, pi] and pitch in [-pi/2, pi/2] of unit vectors (..., 3). Inverse of :func:`direction`."""
    return torch.atan2(d[..., 0], d[..., 1]), torch.asin(d[..., 2].clamp(-1.0, 1.0))


def pixel_centres(n: int, device: torch.device | str = "cpu") -> Tensor:
    """Centres (n,) of n pixels on [-1, 1]."""
    return (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * (2.0 / n) - 1.0


def grid(height: int, width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Image coordinates u, v (height, width) of every pixel centre."""
    v, u = torch.meshgrid(pixel_centres(height, device), pixel_centres(width, device), indexing="ij")
    return u, v


def erp_directions(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Directions (height, width, 3) of the pixels of an equirectangular frame: yaw 0 in the centre, up at the top."""
    u, v = grid(height, width, device)
    return direction(u * math.pi, -v * (math.pi / 2))


def erp_coordinates(d: Tensor) -> tuple[Tensor, Tensor]:
    """Image coordinates u, v (...) in an equirectangular frame of directions (..., 3)."""
    yaw, pitch = yaw_pitch(d)
    return yaw / math.pi, pitch / (-math.pi / 2)


def view_directions(yaw: Tensor, pitch: Tensor, fov: Tensor, height: int, width: int) -> Tensor:
    """Directions (B, height, width, 3) of perspective (gnomonic) views without roll.

    yaw, pitch, fov: (B,) radians; fov is the full horizontal angle, pixels are square.
    """
    u, v = grid(height, width, yaw.device)
    t = torch.tan(fov / 2)[:, None, None]
    rays = torch.stack([u * t, torch.ones_like(u * t), -v * t * (height / width)], dim=-1)
    return F.normalize(tilt(rays, yaw, pitch), dim=-1)


def tilt(d: Tensor, yaw: Tensor, pitch: Tensor) -> Tensor:
    """Turn vectors (B, ..., 3) up by pitch, then right by yaw, both (B,): (0, 1, 0) becomes their direction."""
    shape = (-1,) + (1,) * (d.ndim - 2)
    cy, sy = torch.cos(yaw).reshape(shape), torch.sin(yaw).reshape(shape)
    cp, sp = torch.cos(pitch).reshape(shape), torch.sin(pitch).reshape(shape)
    x, y, z = d.unbind(-1)
    y, z = y * cp - z * sp, y * sp + z * cp
    return torch.stack([x * cy + y * sy, y * cy - x * sy, z], dim=-1)


def sample(image: Tensor, u: Tensor, v: Tensor, *, wrap: bool = False, mode: str = "bilinear") -> Tensor:
    """Read images (N, C, H, W) at coordinates u, v (h, w) -> (N, C, h, w); ``wrap`` joins left and right edges."""
    if wrap:
        pad = 2
        width = image.shape[-1]
        image = torch.cat([image[..., -pad:], image, image[..., :pad]], dim=-1)
        u = torch.remainder(u + 1.0, 2.0) - 1.0
        u = u * (width / (width + 2 * pad))
    where = torch.stack([u, v], dim=-1).to(image.dtype).expand(image.shape[0], -1, -1, -1)
    return F.grid_sample(image, where, mode=mode, padding_mode="border", align_corners=False)

"""What moves through the air: rain, snow, sparks and bubbles, as soft dots and streaks on a cube round the eye."""

from __future__ import annotations

import torch
from torch import Tensor

from .sky import Colours
from .view import Rgb, View, cube, hash01, merge, mix, places, rgb, step


def weather(v: View, image: Tensor) -> Tensor:
    """Draw the weather of each scene over the finished picture (b, F or 1, 3, h, w)."""
    parts = []
    for kind, index in v.by(lambda s: s.weather).items():
        part = v.take(index)
        old = image if len(index) == len(v.scenes) else image[places(index, image.device)]
        shader = _SHADERS.get(kind)
        parts.append((index, old if shader is None else shader(part, Colours(part), old)))
    return merge(parts, len(v.scenes))


def _rain(v: View, c: Colours, image: Tensor) -> Tensor:
    """Streaks that fall along the walls of the cube; overhead the drops come toward the eye."""
    u, w, face, near = cube(v.x, v.y, v.z)
    wall = (face < 3.5).float()
    slant = v.number(lambda s: 0.10 * (s.wind - 1.0))
    veil = mix(image, c["horizon"] * 0.9, torch.full_like(v.pixel, 0.16))
    total: Tensor | float = 0.0
    for k, (spacing, speed, strength) in enumerate(((6.5, 2.6, 0.30), (14.0, 3.8, 0.48))):
        columns = torch.round(2.0 / (v.pixel * spacing)).clamp(6.0, 260.0)
        a = (u + slant * w + 1.0) * 0.5 * columns
        i = torch.floor(a)
        h = hash01(i, face + 0.13 * k, v.seed)
        length = torch.maximum(v.pixel * (26.0 + 16.0 * k), torch.full_like(v.pixel, 0.16 + 0.1 * k))
        b = (w + v.t * speed * (0.85 + 0.3 * h)) / (length * 2.2) + h * 17.0
        j = torch.floor(b)
        g = hash01(i, j + 0.5, face, v.seed)
        across = (a - i - 0.5 - 0.3 * (g - 0.5)) * (2.0 / columns)
        width = v.pixel * 0.75 * near
        along = b - j
        streak = (
            torch.exp(-((across / width) ** 2)) * step(0.0, 0.3, along) * step(0.62, 0.40, along) * (g > 0.35).float()
        )
        total = total + streak * strength * step(1.0, 0.75, w.abs())
    drops = _drift(v, 11.0, 0.0, fall=0.0, sway=0.0, blink=2.6, size=0.8)
    total = total * wall + drops * (1.0 - wall) * 0.35
    return veil + (c["horizon"] * 0.7 + 0.25) * rgb(total * 0.8)


def _drift(v: View, spacing: float, layer: float, *, fall: float, sway: float, blink: float, size: float) -> Tensor:
    """Soft dots of ``size`` pixels, one in ``spacing`` pixels, that fall (radians/s), sway, come and go."""
    u, w, face, near = cube(v.x, v.y, v.z)
    wall = (face < 3.5).float()
    cells = torch.round(2.0 / (v.pixel * spacing)).clamp(4.0, 200.0)
    step_size = 2.0 / cells
    a = (u + 1.0) / step_size
    i = torch.floor(a)
    lane = hash01(i, face + layer, v.seed)
    b = (w + 1.0 + wall * v.t * fall * (0.75 + 0.5 * lane)) / step_size + lane * 9.0
    j = torch.floor(b)
    h, g = hash01(i, j, face + layer, v.seed), hash01(j, i + 0.37, face + layer, v.seed)
    rate = blink * (0.6 + 0.8 * g)
    da = a - i - 0.5 - 0.22 * (h - 0.5) - sway * torch.sin(v.t * (0.9 + g) + h * 6.28)
    db = b - j - 0.5 - 0.4 * (g - 0.5) - sway * 0.7 * torch.sin(v.t * (0.7 + h) + g * 6.28)
    angle = torch.sqrt(da * da + db * db) * step_size / near
    life = 0.5 + 0.5 * torch.sin(v.t * rate + g * 40.0) if blink else torch.ones_like(h)
    width = v.pixel * size * (0.75 + 0.5 * h)
    return torch.exp(-((angle / width) ** 2)) * life * (g > 0.4).float()


def _snowfall(v: View, c: Colours, image: Tensor) -> Tensor:
    veil = mix(image, c["horizon"], torch.full_like(v.pixel, 0.14))
    fine = _drift(v, 8.5, 1.0, fall=0.22, sway=0.16, blink=0.0, size=0.85)
    large = _drift(v, 22.0, 2.0, fall=0.42, sway=0.18, blink=0.0, size=1.3)
    return mix(veil, (c["light"] * 0.9 + 0.16).clamp(max=1.0), (fine * 0.55 + large * 0.85).clamp(max=1.0))


def _sparks(
    v: View, image: Tensor, colour: Rgb, *, fall: float, blink: float, low: float, high: float, sway: float
) -> Tensor:
    place = step(low - 0.15, low, v.z) * step(high + 0.2, high, v.z)
    small = _drift(v, 15.0, 3.0, fall=fall, sway=sway, blink=blink, size=1.1)
    wide = _drift(v, 27.0, 4.0, fall=fall * 1.5, sway=sway, blink=blink * 0.8, size=1.7)
    halo = _drift(v, 27.0, 4.0, fall=fall * 1.5, sway=sway, blink=blink * 0.8, size=4.5)
    return image + v.colour(lambda s: colour) * rgb((small * 0.8 + wide * 1.1 + halo * 0.22) * place)


def _fireflies(v: View, c: Colours, image: Tensor) -> Tensor:
    return _sparks(v, image, (1.0, 0.86, 0.30), fall=0.0, blink=2.4, low=-0.6, high=0.22, sway=0.20)


def _embers(v: View, c: Colours, image: Tensor) -> Tensor:
    return _sparks(v, image, (1.15, 0.48, 0.12), fall=-0.30, blink=3.2, low=-0.9, high=0.6, sway=0.2)


def _dust(v: View, c: Colours, image: Tensor) -> Tensor:
    """Sand blown across the view, thickest along the horizon."""
    wx, wy = v.wind
    x, y = v.x * 1.2 - v.t * wx * 0.35 + v.seed, v.y * 1.2 - v.t * wy * 0.35
    n = v.noise.fbm(x, y, v.z * 2.4 + v.t * 0.15, 3, v.pixel * 2.0, gain=0.58, lift=4.0)
    thick = (0.42 + 0.16 * n) * torch.exp(v.z.abs() * -2.0) + 0.10
    return mix(image, c["light"] * v.colour(lambda s: (0.84, 0.64, 0.42)), thick.clamp(0.0, 0.9))


def _bubbles(v: View, c: Colours, image: Tensor) -> Tensor:
    small = _drift(v, 13.0, 5.0, fall=-0.20, sway=0.15, blink=0.0, size=1.0)
    ball = _drift(v, 34.0, 6.0, fall=-0.32, sway=0.18, blink=0.0, size=2.4)
    hollow = _drift(v, 34.0, 6.0, fall=-0.32, sway=0.18, blink=0.0, size=1.5)
    return image + (c["light"] * 0.6 + 0.2) * rgb(small * 0.5 + (ball - 0.9 * hollow).clamp(min=0.0) * 1.3)


_SHADERS = {
    "rain": _rain,
    "snowfall": _snowfall,
    "fireflies": _fireflies,
    "embers": _embers,
    "dust": _dust,
    "bubbles": _bubbles,
}

"""What hangs in the sky: stars, milky way, moon, planets, shooting stars."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .palette import ALIENS, HUES_OF_PLANETS
from .view import Rgb, View, cube, hash01, mix, places, rgb, step


def stars(v: View, strength: float) -> Tensor:
    """Stars as soft dots of about two pixels that twinkle a little; their count follows the pixel size."""
    u, w, face, near = cube(v.x, v.y, v.z)
    image: Tensor | float = 0.0
    for layer, (spacing, power) in enumerate(((7.5, 3.2), (24.0, 0.8))):
        cells = torch.round(2.0 / (v.pixel * spacing)).clamp(3.0, 160.0)
        a, b = (u + 1.0) * 0.5 * cells, (w + 1.0) * 0.5 * cells
        i, j = torch.floor(a), torch.floor(b)
        h1, h2, h3 = (hash01(i + k, j, face + layer * 7.0, v.seed) for k in (0.0, 0.31, 0.67))
        da, db = a - i - 0.25 - 0.5 * h1, b - j - 0.25 - 0.5 * h2
        angle = torch.sqrt(da * da + db * db) * (2.0 / cells) * near**1.5
        width = v.pixel * (0.75 + 0.35 * h3.pow(6)) * (1.0 + v.rough * 40.0)
        bright = hash01(i + 0.13, j + 0.57, face, v.seed).pow(power) * (h3 > 0.25).float()
        twinkle = 0.85 + 0.15 * torch.sin(v.t * (2.5 + 4.0 * h1) + h2 * 6.28)
        dot = torch.exp(-((angle / width) ** 2)) * bright * twinkle * (1.0 - v.rough * 20.0).clamp(min=0.0)
        warm = rgb(h2)
        colour = torch.cat([0.80 + 0.25 * warm, 0.86 + 0.06 * warm, 1.08 - 0.30 * warm], dim=2)
        image = image + colour * rgb(dot) * strength
    assert isinstance(image, Tensor)
    return image


def milky_way(v: View, image: Tensor) -> Tensor:
    """The band of our galaxy with its bright heart and dark lanes, added to the image."""
    a, b = v.seed * 1.9, 0.55 + torch.frac(v.seed) * 0.5
    nx, ny, nz = torch.sin(a) * torch.sin(b), torch.cos(a) * torch.sin(b), torch.cos(b)
    off = v.x * nx + v.y * ny + v.z * nz
    heart = (v.x * torch.cos(a) - v.y * torch.sin(a)).clamp(-1.0, 1.0) * 0.5 + 0.5
    pixel = v.pixel + v.rough
    n = v.noise.fbm(v.x * 1.4 + v.seed, v.y * 1.4, v.z * 1.4, 3, pixel * 1.4, gain=0.62, lift=4.0)
    lane = v.noise.fbm(v.x * 1.9 + 21.0, v.y * 1.9 + v.seed, v.z * 1.9, 3, pixel * 1.9, gain=0.6, lift=4.0)
    off = off + 0.05 * n
    width = 0.16 + 0.13 * heart
    band = torch.exp(-((off / width) ** 2)) * (0.65 + 0.35 * n).clamp(min=0.1) * (0.45 + 0.75 * heart)
    dark = torch.exp(-(((off + 0.025 * n) / (0.09 * width / 0.2)) ** 2)) * step(-0.7, 0.9, lane)
    glow = band * (1.0 - 0.8 * dark)
    core = rgb(torch.exp(-((off / (width * 0.6)) ** 2)) * heart)
    cool, warm = v.colour(lambda s: (0.30, 0.34, 0.52)), v.colour(lambda s: (0.62, 0.48, 0.40))
    return image + (cool + (warm - cool) * core) * rgb(glow * step(-0.05, 0.3, v.z) * (1.0 - 0.0 * lane))


def _disc(v: View, yaw: Tensor, pitch: Tensor, radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates of the view on a disc, 1 at its rim (right, up), and whether it is on the near side of the sky."""
    sy, cy, sp, cp = torch.sin(yaw), torch.cos(yaw), torch.sin(pitch), torch.cos(pitch)
    ahead = v.x * sy * cp + v.y * cy * cp + v.z * sp
    right = v.x * cy - v.y * sy
    above = v.z * cp - (v.x * sy + v.y * cy) * sp
    return right / radius, above / radius, (ahead > 0.1).float()


def moon(v: View, image: Tensor) -> Tensor:
    """The moon with its maria, phase and halo."""
    yaw = v.number(lambda s: s.sun_yaw)
    pitch = v.number(lambda s: 0.25 + 0.6 * s.cover)
    radius = torch.maximum(v.pixel * 3.0, torch.full_like(v.pixel, 0.035)) * (1.0 + v.rough * 3.0)
    x, y, on = _disc(v, yaw, pitch, radius)
    r2 = x * x + y * y
    r = r2.sqrt()
    n, fine = v.noise(x * 0.55 + v.seed, y * 0.55, v.seed)
    phase = v.number(lambda s: math.frexp(s.seed)[0] * 2.0 - 1.0)  # 0 full .. 1 half
    z = (1.0 - r2).clamp(min=0.0).sqrt()
    lit = step(-0.15, 0.15, z * (1.0 - phase) + x * phase + 0.02)
    face = (0.92 - 0.16 * step(0.0, 1.2, n) + 0.03 * fine) * lit
    cover = ((1.0 - r) * radius / v.pixel + 0.5).clamp(0.0, 1.0) * on
    halo = (0.34 * torch.exp((r * radius) * -16.0) + 0.16 * torch.exp((r * radius) * -3.5)) * on
    image = image + rgb(halo) * v.colour(lambda s: (0.70, 0.78, 0.95))
    return mix(image, rgb(face) * v.colour(lambda s: (1.0, 0.98, 0.92)), cover * (1.0 - v.rough * 8).clamp(min=0.15))


def planets(v: View, image: Tensor) -> Tensor:
    """A great planet, one with rings, or two moons, for the scenes that have them."""
    index = [i for i, s in enumerate(v.scenes) if s.feature in ("planet", "ringed", "moons")]
    if not index:
        return image
    part = v.take(index)
    at = places(index, image.device)
    old = image[at]
    new = _planet(
        part,
        old,
        lambda s: s.sun_yaw + 2.2,
        lambda s: 0.32 + 0.4 * s.cover,
        lambda s: 0.13 if s.feature == "moons" else 0.26 + 0.14 * s.cover,
        0,
    )
    new = _planet(
        part,
        new,
        lambda s: s.sun_yaw + 1.55,
        lambda s: 0.62 - 0.3 * s.cover,
        lambda s: 0.065 if s.feature == "moons" else 1e-4,
        1,
    )
    out = image.expand(len(v.scenes), *torch.broadcast_shapes(image.shape[1:], new.shape[1:])).clone()
    out[at] = new
    return out


def _planet(v: View, image: Tensor, yaw, pitch, size, which: int) -> Tensor:
    radius = v.number(size)
    x, y, on = _disc(v, v.number(yaw), v.number(pitch), radius)
    r = (x * x + y * y).sqrt()
    z = (1.0 - r * r).clamp(min=0.0).sqrt()
    # The banded face: noise drawn out along the equator, which leans with the seed.
    lean = v.seed * 0.7 + which
    bx, by = x * torch.cos(lean) + y * torch.sin(lean), y * torch.cos(lean) - x * torch.sin(lean)
    banded = v.number(lambda s: 0.25 if s.feature == "moons" else 1.0)
    pixel = v.pixel / radius
    n = v.noise.fbm(
        bx * (1.4 - 1.1 * banded) + v.seed + v.t * 0.004, by * 1.5, z * 0.3 + which * 5.0, 3, pixel * 1.5, gain=0.6
    )
    base, other = v.colour(lambda s: _planet_colour(s, which)), v.colour(lambda s: _planet_colour(s, which + 1))
    face = mix(base.expand(len(v.scenes), 1, 3, 1, 1), other, step(-1.3, 1.5, n))
    sun = v.number(lambda s: -1.0 if math.floor(s.seed * 3) % 2 else 1.0)
    light = step(-0.12, 0.85, x * 0.72 * sun + y * 0.35 + z * 0.45)
    face = face * rgb(0.06 + 0.95 * light)
    edge = ((1.0 - r) / pixel + 0.5).clamp(0.0, 1.0) * on
    night = rgb(edge * 0.9) * (image * 0.55)
    rim = torch.exp(((r - 1.0).abs()) * -9.0) * (0.15 + 0.85 * light) * (1.0 - edge * 0.4) * on
    out = mix(image, face + night, edge) + base * rgb(rim * 0.22)
    if which == 0:
        tilt = 0.28
        rr = (bx * bx + (by / tilt) ** 2).sqrt()
        groove, fine = v.noise(rr * 2.2 + v.seed, v.seed, v.seed * 0.5)
        ring = step(1.25, 1.35, rr) * step(2.2, 2.05, rr) * (0.6 + 0.25 * groove + 0.12 * fine).clamp(0.05, 1.0)
        behind = (by > 0).float() * ((1.0 - r) / pixel + 0.5).clamp(0.0, 1.0)
        ring = ring * (1.0 - behind) * on * v.number(lambda s: float(s.feature == "ringed"))
        out = mix(out, mix(other, 1.0, torch.full_like(v.seed, 0.35)) * 0.85, ring * 0.8)
    return out


def _planet_colour(s: object, which: int) -> Rgb:
    seed, hue = getattr(s, "seed"), getattr(s, "hue")  # noqa: B009
    if hue in ALIENS and which == 0:
        return tuple(0.25 + 0.75 * c for c in ALIENS[hue][2])  # type: ignore[return-value]
    return HUES_OF_PLANETS[(int(seed * 5) + which) % len(HUES_OF_PLANETS)]


def meteors(v: View, image: Tensor) -> Tensor:
    """Shooting stars, one after another, each a streak that fades behind its head."""
    for k in range(2):
        beat = v.t * 0.55 + v.seed + k * 0.43
        n, life = torch.floor(beat), torch.frac(beat)
        yaw, pitch, roll = (
            hash01(n, v.seed, k) * 6.2832,
            0.3 + 0.8 * hash01(n + 0.4, v.seed, k),
            hash01(n + 0.7, v.seed, k) * 6.2832,
        )
        x, y, on = _disc(v, yaw, pitch, torch.ones_like(v.pixel))
        along, across = x * torch.cos(roll) + y * torch.sin(roll), y * torch.cos(roll) - x * torch.sin(roll)
        head = life * 2.4 - 0.6
        behind = head - along
        tail = torch.exp(behind * -7.0) * step(-0.004, 0.004, behind) * step(0.0, 0.1, life) * step(0.75, 0.5, life)
        width = v.pixel * 0.85 + behind.clamp(min=0.0) * 0.0
        image = image + rgb(tail * torch.exp(-((across / width) ** 2)) * on) * v.colour(lambda s: (0.95, 1.0, 1.05))
    return image

"""What stands on the horizon: mountains, hills, trees, towers and islands, in layers that pale with distance."""

from __future__ import annotations

import torch
from torch import Tensor

from .sky import Colours, gradient
from .view import View, hash01, merge, mix, places, rgb, step


def ridges(v: View, image: Tensor) -> Tensor:
    """Draw the ridge of each scene over the sky (b, F or 1, 3, h, w)."""
    parts = []
    for kind, index in v.by(
        lambda s: "dunes" if s.ground == "desert" and s.ridge == "none" and s.sky != "nebula" else s.ridge
    ).items():
        part = v.take(index)
        old = image if len(index) == len(v.scenes) else image[places(index, image.device)]
        shader = _SHADERS.get(kind)
        parts.append((index, old if shader is None else shader(part, Colours(part), old)))
    return merge(parts, len(v.scenes))


def _compass(v: View) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Point on the unit circle below the view, slope of the view, and the pixel's size for edges."""
    level = (v.x * v.x + v.y * v.y).sqrt().clamp(min=1e-3)
    return v.x / level, v.y / level, v.z / level, v.pixel + 0.5 * v.rough


def _over(image: Tensor, colour: Tensor, height: Tensor, slope: Tensor, pixel: Tensor) -> Tensor:
    edge = ((height - slope) / pixel + 0.5).clamp(0.0, 1.0) * step(-0.001, 0.002, height)
    return mix(image, colour, edge)


def _haze(v: View) -> float | Tensor:
    return v.number(lambda s: {"fog": 0.62, "storm": 0.15}.get(s.sky, 0.0) + (0.35 if s.weather == "dust" else 0.0))


def _range(
    v: View,
    c: Colours,
    image: Tensor,
    layers: tuple[tuple[float, float, float, float], ...],
    snow: bool,
    rock: tuple[float, float, float],
    gap: float = 0.0,
    sharp: float = 1.0,
) -> Tensor:
    """Layers of (noise scale, base height, amplitude, share of air colour), far to near."""
    cx, cy, slope, pixel = _compass(v)
    air = gradient(v, c, torch.full_like(v.pixel, 0.03))
    sx, sy, sz = v.sun()
    seed = v.seed
    grow = v.number(lambda s: 0.75 + 0.6 * (s.seed % 1.0))
    for k, (scale, base, swing, pale) in enumerate(layers):
        n = v.noise.fbm(cx * scale + seed + 9.0 * k, cy * scale, seed * 0.7 + k, 3, pixel * scale, gain=0.52, lift=1.0)
        ridged = mix(n, 1.1 - n.abs() * 1.5, torch.full_like(v.pixel, sharp * 0.6))
        height = (base + swing * ridged) * grow if gap == 0.0 else swing * (n - gap).clamp(min=0.0).sqrt() * grow
        texture = 5.0 * scale / 2.0
        tx, ty, tz = cx * texture + seed, cy * texture, slope * texture * 1.7
        rough_pixel = pixel * texture
        a = v.noise.fbm(tx, ty, tz, 2, rough_pixel, gain=0.65, lift=4.0)
        b = v.noise.fbm(
            tx + 0.25 * (sx - 0.3 * cx), ty + 0.25 * (sy - 0.3 * cy), tz + 0.3, 2, rough_pixel, gain=0.65, lift=4.0
        )
        lit = (0.62 + 0.38 * (a - b)).clamp(0.15, 1.35)
        colour = c["light"] * v.colour(lambda s: rock) * rgb(lit)
        if snow:
            cap = step(0.25, 0.62, slope / height.clamp(min=0.02) + 0.16 * a)
            white = c["light"] * rgb(0.55 + 0.42 * lit) + c["zenith"] * 0.14
            colour = mix(colour, white, cap)
        veil = (pale + _haze(v) + 0.25 * torch.exp(slope.clamp(min=0.0) * -14.0)).clamp(max=0.95)
        image = _over(image, mix(colour, air, veil), height, slope, pixel)
    return image


def _mountains(v: View, c: Colours, image: Tensor) -> Tensor:
    layers = ((1.1, 0.10, 0.06, 0.66), (1.5, 0.065, 0.055, 0.40), (2.0, 0.03, 0.035, 0.16))
    return _range(v, c, image, layers, False, (0.34, 0.33, 0.34))


def _snowcaps(v: View, c: Colours, image: Tensor) -> Tensor:
    return _range(v, c, image, ((1.1, 0.13, 0.075, 0.42), (1.6, 0.07, 0.055, 0.14)), True, (0.32, 0.34, 0.40))


def _hills(v: View, c: Colours, image: Tensor) -> Tensor:
    layers = ((1.0, 0.060, 0.022, 0.55), (1.3, 0.036, 0.020, 0.32), (1.8, 0.014, 0.016, 0.10))
    return _range(v, c, image, layers, False, (0.28, 0.36, 0.20), sharp=0.0)


def _dunes(v: View, c: Colours, image: Tensor) -> Tensor:
    return _range(
        v, c, image, ((1.2, 0.035, 0.025, 0.34), (1.8, 0.012, 0.020, 0.08)), False, (0.80, 0.58, 0.36), sharp=0.5
    )


def _islands(v: View, c: Colours, image: Tensor) -> Tensor:
    layers = ((0.9, 0.0, 0.060, 0.58), (1.3, 0.0, 0.075, 0.18))
    return _range(v, c, image, layers, False, (0.30, 0.34, 0.26), gap=0.55)


def _forest(v: View, c: Colours, image: Tensor) -> Tensor:
    """Rows of conifers."""
    cx, cy, slope, pixel = _compass(v)
    turn = torch.atan2(cx, cy) / 6.2831853 + 0.5
    air = gradient(v, c, torch.full_like(v.pixel, 0.03))
    n, fine = v.noise(cx * 1.6 + v.seed, cy * 1.6, v.seed)
    for k, (count, base, tall, pale) in enumerate(
        ((420.0, 0.045, 0.030, 0.52), (260.0, 0.028, 0.048, 0.24), (150.0, 0.0, 0.075, 0.04))
    ):
        height = torch.zeros_like(turn) + base
        for shift in (0.0, 0.5):
            a = turn * count + shift
            i = torch.remainder(torch.floor(a), count)
            tree = hash01(i, float(k) + shift, v.seed)
            d = (a - torch.floor(a) - 0.5 + 0.2 * (tree - 0.5)).abs()
            jag = 1.0 + 0.22 * torch.sin(slope / tall * 46.0 + tree * 6.0)
            single = (1.0 - d * 2.4 * jag) * (0.45 + 0.55 * tree)
            sharp = (6.2832 / count / pixel - 1.2).clamp(0.0, 1.0)
            height = torch.maximum(height, base + tall * (0.38 + (single - 0.38) * sharp))
        height = height + 0.012 * n + 0.004 * fine
        mottle, _ = v.noise(cx * 30.0, cy * 30.0, slope * 60.0 + k)
        dark = (
            v.colour(lambda s: (0.10, 0.17, 0.11))
            * c["light"]
            * rgb(0.85 + 0.22 * mottle * (0.03 / pixel - 0.5).clamp(0.0, 1.0))
        )
        image = _over(
            image,
            mix(dark, air, (pale + _haze(v) * 1.1 + torch.zeros_like(v.pixel)).clamp(max=0.95)),
            height,
            slope,
            pixel,
        )
    return image


def _city(v: View, c: Colours, image: Tensor) -> Tensor:
    """Two rows of towers; their windows burn when it is dark."""
    cx, cy, slope, pixel = _compass(v)
    turn = torch.atan2(cx, cy) / 6.2831853 + 0.5
    air = gradient(v, c, torch.full_like(v.pixel, 0.03))
    dark = v.number(
        lambda s: {"night": 1.0, "dusk": 0.95, "sunset": 0.5, "sunrise": 0.3}.get(
            s.time, 0.3 if s.sky == "storm" else 0.04
        )
    )
    image = image + v.colour(lambda s: (0.95, 0.62, 0.34)) * rgb(torch.exp(slope.abs() * -9.0) * 0.20 * dark)
    downtown, _ = v.noise(cx * 0.45 + v.seed, cy * 0.45, v.seed)
    centre = 0.45 + 0.8 * step(-0.4, 1.4, downtown)
    for k, (count, low, tall, pale) in enumerate(((150.0, 0.03, 0.15, 0.48), (96.0, 0.015, 0.19, 0.12))):
        a = turn * count
        i, along = torch.remainder(torch.floor(a), count), torch.frac(a)
        h, w = hash01(i, float(k), v.seed), hash01(i, k + 0.5, v.seed)
        inside = ((0.30 + 0.22 * w - (along - 0.5).abs()) * (6.2832 / count) / pixel + 0.5).clamp(0.0, 1.0)
        spire = (h > 0.8).float() * (0.06 - (along - 0.5).abs() > 0).float() * 0.03
        height = (low * 0.6 + (low + tall * h.pow(2.2)) * inside + spire * inside) * centre
        cell = torch.maximum(pixel * 2.6, torch.full_like(pixel, 0.0058))
        columns, row_height = torch.round(6.2832 / cell), cell * 1.3
        wa, wb = turn * columns, slope / row_height
        ia, ib = torch.floor(wa), torch.floor(wb)
        da, db = wa - ia - 0.5, wb - ib - 0.5
        lit = (hash01(ia, ib, v.seed, float(k)) > 0.52).float() * (0.45 + 0.55 * hash01(ib, ia, v.seed))
        window = torch.exp(-(da * da + db * db) * 9.0) * lit * inside
        wall = c["light"] * v.colour(lambda s: (0.30, 0.31, 0.35)) * rgb(0.75 + 0.5 * w - 0.25 * (along - 0.5))
        glow = v.colour(lambda s: (1.1, 0.84, 0.48)) * rgb(window * (0.06 + 0.94 * dark) * (1.0 - 0.5 * pale))
        veil = (pale * 0.8 + _haze(v) + torch.zeros_like(pixel)).clamp(max=0.92)
        image = _over(image, mix(wall, air, veil) + glow * rgb(1.0 - veil * 0.6), height, slope, pixel)
    return image


_SHADERS = {
    "mountains": _mountains,
    "snowcaps": _snowcaps,
    "hills": _hills,
    "dunes": _dunes,
    "islands": _islands,
    "forest": _forest,
    "city": _city,
}

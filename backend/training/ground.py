"""What lies below: water that mirrors the sky, and solid ground lit by it, as a plane some metres under the eye."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .palette import ALIENS
from .sky import Colours, caustics, gradient
from .view import Rgb, View, mix, rgb, step

GRAVITY = 9.81  # m/s^2: deep-water waves travel by omega^2 = g k


@dataclass(frozen=True)
class Plane:
    """Where the view meets the ground: position, distance, size of a pixel (metres), share of haze."""

    x: Tensor
    y: Tensor
    far: Tensor
    pixel: Tensor
    haze: Tensor


def plane(v: View, eye: float | None = None) -> Plane:
    """The ground below the eye; ``eye`` overrides the scene's height, in metres."""
    height = v.number(lambda s: eye or s.eye_m)
    down = (-v.z).clamp(min=0.004)
    far = height / down
    reach = v.number(
        lambda s: (
            {"fog": 26.0, "underwater": 16.0, "storm": 160.0}.get(s.sky, 420.0)
            * (0.25 if s.weather == "dust" else 0.5 if s.weather in ("rain", "snowfall") else 1.0)
        )
    )
    pixel = v.pixel * far / down.sqrt().clamp(min=0.08) * 0.8
    return Plane(v.x * far, v.y * far, far, pixel, 1.0 - torch.exp(-far / (reach * (eye or 2.5) / 2.5)))


def _relief(v: View, p: Plane, field: Callable[[Tensor, Tensor], Tensor], lean: float) -> tuple[Tensor, Tensor]:
    """A height field and its light: about 0, positive where it faces the sun."""
    sx, sy, _ = v.sun()
    here = field(p.x, p.y)
    return here, here - field(p.x + sx * lean, p.y + sy * lean)


def _finish(v: View, c: Colours, colour: Tensor, p: Plane) -> Tensor:
    return mix(colour, gradient(v, c, torch.full_like(v.pixel, 0.015)), p.haze)


def _tone(v: View, usual: Rgb) -> Tensor:
    """The colour of a ground, pulled toward the hue of an alien sky."""

    def of(s) -> Rgb:
        if s.sky != "alien":
            return usual
        hue = ALIENS[s.hue][2]
        return (usual[0] * (0.45 + 0.6 * hue[0]), usual[1] * (0.45 + 0.6 * hue[1]), usual[2] * (0.45 + 0.6 * hue[2]))

    return v.colour(of)


def snow(v: View, c: Colours) -> Tensor:
    """Drifts combed by the wind."""
    p = plane(v)
    a = v.number(lambda s: math.sin(s.wind_yaw)), v.number(lambda s: math.cos(s.wind_yaw))

    def field(x: Tensor, y: Tensor) -> Tensor:
        along, across = x * a[0] + y * a[1], y * a[0] - x * a[1]
        return v.noise.fbm(along * 0.10 + v.seed, across * 0.28, v.seed, 4, p.pixel * 0.28, gain=0.52, lift=1.0)

    h, light = _relief(v, p, field, 0.35)
    shade = (0.80 + 0.20 * light + 0.05 * h).clamp(0.4, 1.12)
    colour = c["light"] * rgb(shade) * v.colour(lambda s: (0.90, 0.92, 0.96)) + c["zenith"] * rgb(0.20 * (1.1 - shade))
    return _finish(v, c, colour, p)


def desert(v: View, c: Colours) -> Tensor:
    """Dunes with a lee side in shade, and ripples between."""
    p = plane(v)
    a = v.number(lambda s: math.sin(s.wind_yaw)), v.number(lambda s: math.cos(s.wind_yaw))
    seed = v.seed

    def field(x: Tensor, y: Tensor) -> Tensor:
        along, across = x * a[0] + y * a[1], y * a[0] - x * a[1]
        bend, wobble = v.noise(along * 0.035 + seed, across * 0.035, seed)
        phase = along * 0.075 + 0.55 * bend + 0.16 * wobble
        u = torch.frac(torch.remainder(phase, 1024.0))
        dune = torch.where(u < 0.72, u / 0.72, (1.0 - u) / 0.28) * (1.0 - (p.pixel * 0.075 * 3.0).clamp(max=1.0))
        ripple = torch.sin(along * 15.0 + 2.2 * bend + 5.0 * wobble + 1.2 * torch.sin(across * 1.7)) * (
            0.42 / p.pixel * 0.4 - 0.6
        ).clamp(0.0, 1.0)
        grain = v.noise.fbm(x * 0.7, y * 0.7, seed, 3, p.pixel * 0.7, gain=0.6, lift=1.0)
        return dune * 2.2 + ripple * 0.07 + grain * 0.16

    _, light = _relief(v, p, field, 0.30)
    sand = _tone(v, (0.86, 0.63, 0.38))
    colour = c["light"] * sand * rgb((0.78 + 0.85 * light).clamp(0.30, 1.18)) + c["zenith"] * rgb(
        (0.10 - 0.2 * light).clamp(0.0, 0.12)
    )
    return _finish(v, c, colour, p)


def grass(v: View, c: Colours) -> Tensor:
    """A meadow with waves of wind in it, and flowers."""
    p = plane(v)
    wx, wy = v.wind
    seed = v.seed
    broad, mid = v.noise(p.x * 0.045 + seed, p.y * 0.045, seed)
    fade = (8.0 / p.pixel * 0.5 - 0.6).clamp(0.0, 1.0)
    gust, eddy = v.noise(p.x * 0.13 - v.t * wx * 0.42, p.y * 0.13 - v.t * wy * 0.42, v.t * 0.12 + seed)
    sway = 0.05 * gust
    blades = v.noise.fbm(
        p.x * 1.9 + seed + sway, p.y * 1.9 + sway, seed + v.t * 0.15, 4, p.pixel * 1.9, gain=0.72, lift=1.3
    )
    level = (0.5 + 0.16 * broad + 0.10 * mid + 0.20 * blades + 0.13 * gust * fade + 0.05 * eddy * fade).clamp(0.0, 1.0)
    dark, pale = _tone(v, (0.10, 0.21, 0.045)), _tone(v, (0.50, 0.62, 0.20))
    colour = mix(dark.expand(len(v.scenes), 1, 3, 1, 1), pale, level)
    spots, kind = v.noise(p.x * 2.6 + 7.0, p.y * 2.6 + seed, seed)
    bloom = step(1.75, 2.1, spots + 0.5 * broad) * (0.5 / p.pixel * 0.5 - 0.4).clamp(0.0, 1.0)
    flower = v.colour(
        lambda s: ((0.95, 0.85, 0.25), (0.92, 0.90, 0.95), (0.85, 0.30, 0.35), (0.60, 0.45, 0.90))[int(s.seed * 7) % 4]
    )
    colour = mix(
        colour, flower, bloom * v.number(lambda s: float(s.seed % 1.0 > 0.5)) * (0.7 + 0.3 * step(-1.0, 1.0, kind))
    )
    return _finish(v, c, colour * c["light"], p)


def lava(v: View, c: Colours) -> Tensor:
    """Black crust over fire: the cracks glow, swell and crawl."""
    p = plane(v)
    seed, flow = v.seed, v.t * 0.035
    x, y = p.x * 0.26 + seed, p.y * 0.26 - flow
    bx, fx = v.noise(x * 0.6, y * 0.6, seed + v.t * 0.02)
    by, fy = v.noise(x * 0.6 + 9.0, y * 0.6 + 4.0, seed + v.t * 0.02)
    x, y = x + 0.22 * bx + 0.05 * fx, y + 0.22 * by + 0.05 * fy
    a, b = v.noise(x, y, seed + v.t * 0.03)
    crust = v.noise.fbm(x * 3.0, y * 3.0, seed, 3, p.pixel * 0.8, gain=0.62, lift=1.0)
    sharp = (4.0 / p.pixel * 0.4 - 0.5).clamp(0.0, 1.0)
    heat = torch.exp(a.abs() * -5.5) + 0.55 * torch.exp(b.abs() * -7.0) * step(-0.6, 0.8, bx)
    pool = step(1.3, 2.4, by)
    heat = 0.28 + (heat + pool - 0.28) * sharp
    pulse = 1.0 + 0.22 * torch.sin(v.t * 1.6 + bx * 4.0 + seed)
    heat = (heat * pulse + 0.07 * crust * sharp).clamp(min=0.0)
    glow = torch.cat([rgb(1.25 * heat), rgb(1.05 * heat.pow(2.0)), rgb(0.50 * heat.pow(3.5))], dim=2)
    rock = _tone(v, (0.13, 0.115, 0.11)) * (c["light"] * 0.8 + 0.25) * rgb((0.8 + 0.40 * crust).clamp(0.15, 1.8))
    return _finish(v, c, rock + glow, replace(p, haze=p.haze * 0.7))


def rock(v: View, c: Colours) -> Tensor:
    """Bare stone, boulders and grit; the light rakes across it."""
    p = plane(v)
    seed = v.seed

    def field(x: Tensor, y: Tensor) -> Tensor:
        return v.noise.fbm(x * 0.22 + seed, y * 0.22, seed, 4, p.pixel * 0.22, gain=0.60, lift=1.0, billow=True)

    h, light = _relief(v, p, field, 0.22)
    stone, dust = _tone(v, (0.40, 0.37, 0.35)), _tone(v, (0.58, 0.52, 0.46))
    colour = mix(stone.expand(len(v.scenes), 1, 3, 1, 1), dust, step(-0.8, 1.0, -h))
    colour = colour * c["light"] * rgb((0.80 + 0.75 * light + 0.06 * h).clamp(0.18, 1.45)) + c["zenith"] * 0.05
    return _finish(v, c, colour, p)


def cloud_sea(v: View, c: Colours) -> Tensor:
    """The tops of clouds, seen from above them."""
    p = plane(v, eye=40.0)
    wx, wy = v.wind
    seed, boil = v.seed, v.t * 0.05

    def field(x: Tensor, y: Tensor) -> Tensor:
        x, y = x - v.t * wx * 1.6, y - v.t * wy * 1.6
        return v.noise.fbm(
            x * 0.016 + seed, y * 0.016, seed + boil, 4, p.pixel * 0.016, gain=0.62, lift=1.6, billow=True
        )

    h, light = _relief(v, p, field, 9.0)
    shade = (0.60 + 0.42 * light + 0.20 * h).clamp(0.0, 1.15)
    colour = mix(c["shade"].expand(len(v.scenes), 1, 3, 1, 1), c["lit"], shade)
    return _finish(v, c, colour, p)


def seabed(v: View, c: Colours) -> Tensor:
    """Rippled sand under dancing light, with dark weed, lost in the blue."""
    p = plane(v)
    seed = v.seed
    bend, wobble = v.noise(p.x * 0.16 + seed, p.y * 0.16, seed)
    weed = v.noise.fbm(
        p.x * 0.30 + 5.0 + 0.04 * torch.sin(v.t + p.x), p.y * 0.30 + seed, seed, 3, p.pixel * 0.3, lift=1.0
    )
    ripple = torch.sin(p.y * 9.0 + 3.0 * bend + 2.0 * wobble) * (0.70 / p.pixel * 0.4 - 0.6).clamp(0.0, 1.0)
    net = caustics(v, p.x * 0.42, p.y * 0.42, p.pixel * 0.42)
    sand = v.colour(lambda s: (0.78, 0.72, 0.55)) * rgb(0.50 + 0.06 * ripple + 0.05 * bend)
    ground = mix(sand, v.colour(lambda s: (0.10, 0.22, 0.14)), step(0.5, 1.3, weed) * 0.8)
    colour = ground * (c["horizon"] * 0.75 + c["light"] * rgb(0.10 + 0.75 * net))
    return _finish(v, c, colour, p)


SOLID = {
    "snow": snow,
    "desert": desert,
    "grass": grass,
    "lava": lava,
    "rock": rock,
    "clouds": cloud_sea,
    "seabed": seabed,
}


def water(v: View, scenery: Callable[[View], Tensor], *, sea: bool) -> Tensor:
    """Sky and the water under it. The sky is shaded once: below the horizon in the directions the waves reflect."""
    p = plane(v)
    slope_x, slope_y, crest, lost = (_waves if sea else _ripples)(v, p)
    below = step(0.0, 1.0, -v.z / v.pixel + 0.5)
    norm = torch.rsqrt(slope_x * slope_x + slope_y * slope_y + 1.0)
    toward = (-(v.x * -slope_x + v.y * -slope_y + v.z) * norm).clamp(min=0.0)  # cosine between view and wave
    rx, ry = v.x - 2.0 * toward * slope_x * norm, v.y - 2.0 * toward * slope_y * norm
    rz = (v.z + 2.0 * toward * norm).abs().clamp(min=0.004)
    length = torch.rsqrt(rx * rx + ry * ry + rz * rz)
    under = v.z < 0.0
    mirrored = replace(
        v,
        x=torch.where(under, rx * length, v.x),
        y=torch.where(under, ry * length, v.y),
        z=torch.where(under, rz * length, v.z),
        rough=torch.where(under, lost.sqrt(), torch.zeros_like(lost)),
    )
    reflected = scenery(mirrored)
    c = Colours(v)
    fresnel = 0.03 + 0.97 * (1.0 - (toward + 0.8 * lost.sqrt()).clamp(max=1.0)).pow(4.5)
    deep = v.colour(_water_colour) * (c["light"] * 0.75 + c["zenith"] * 0.55 + 0.07)
    sx, sy, _ = v.sun()
    body = deep * rgb((0.9 + 0.35 * crest + 2.6 * (slope_x * sx + slope_y * sy)).clamp(0.25, 2.4))
    surface = mix(body, reflected, fresnel)
    if sea:
        foam, grit = v.noise(p.x * 1.1 + v.seed - v.t * 0.2, p.y * 1.1, v.seed + v.t * 0.25)
        white = step(1.15, 2.3, crest + 0.55 * foam + 0.45 * grit) * v.number(
            lambda s: (0.9 if s.sky == "storm" else 0.45) * s.wind
        )
        surface = mix(surface, c["light"] * 0.88, (white * torch.exp(p.far * -0.012) * 0.8).clamp(max=1.0))
    air = gradient(v, c, torch.full_like(v.pixel, 0.02))
    surface = mix(surface, air, p.haze * (0.75 if sea else 0.55))
    return mix(reflected, surface, below)


def _water_colour(s) -> Rgb:
    if s.hue == "turquoise":
        return (0.05, 0.50, 0.52)
    if s.hue == "blue" and s.sky != "aurora":
        return (0.02, 0.16, 0.40)
    if s.sky == "alien":
        hue = ALIENS[s.hue][1]
        return (hue[0] * 0.7, hue[1] * 0.7, hue[2] * 0.7)
    return (0.03, 0.17, 0.22) if s.seed % 1.0 < 0.6 else (0.05, 0.20, 0.20)


def _waves(v: View, p: Plane) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slopes, crest height (about -1.5 to 1.5) and the variance of the slopes too small to see, of a wind sea."""
    force = v.number(lambda s: (0.65 + 0.35 * s.wind) * (1.5 if s.sky == "storm" else 1.0))
    warp, swell = v.noise(p.x * 0.030 + v.seed, p.y * 0.030, v.seed + v.t * 0.03)
    sx: Tensor = torch.zeros_like(v.x)
    sy, crest, lost = sx, sx, torch.zeros_like(v.x)
    for k, (length, steep) in enumerate(
        ((17.0, 0.060), (10.5, 0.065), (6.4, 0.070), (3.7, 0.075), (2.1, 0.075), (1.2, 0.07), (0.7, 0.06))
    ):
        turn = 0.75 * math.sin(k * 2.4 + 0.5)
        dx, dy = (
            v.number(lambda s, a=turn: math.sin(s.wind_yaw + a)),
            v.number(lambda s, a=turn: math.cos(s.wind_yaw + a)),
        )
        wave = 2 * math.pi / length
        phase = (
            wave * (p.x * dx + p.y * dy)
            - math.sqrt(GRAVITY * wave) * v.t
            + (2.6 * warp + 1.3 * swell) * (1 + 0.35 * k)
            + k * 1.9
        )
        seen = (length / p.pixel * 0.4 - 0.6).clamp(0.0, 1.0) * steep * force
        sine = torch.sin(phase)
        sx, sy = sx + seen * dx * sine, sy + seen * dy * sine
        crest = crest + torch.cos(phase) * seen * (length**0.5) * 1.9
        lost = lost + 0.5 * ((steep * force) ** 2 - seen * seen)
    wx, wy = v.wind
    for scale, steep in ((0.5, 0.055), (2.2, 0.07)):
        seen = (1.0 / (p.pixel * scale) * 0.5 - 0.6).clamp(0.0, 1.0) * steep * force
        a, b = v.noise(p.x * scale - v.t * wx * 0.5 * scale, p.y * scale - v.t * wy * 0.5 * scale, v.t * 0.6 + v.seed)
        sx, sy, crest = sx + seen * a, sy + seen * (0.8 * b + 0.4 * a), crest + 1.2 * seen * a
        lost = lost + (steep * force) ** 2 - seen * seen
    return sx, sy, crest, lost.clamp(min=0.0)


def _ripples(v: View, p: Plane) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same for a lake: nearly a mirror, with breaths of wind on it."""
    wx, wy = v.wind
    patch, _ = v.noise(p.x * 0.05 + v.seed - v.t * 0.02, p.y * 0.05, v.seed)
    breath = (0.35 + 0.65 * step(-0.5, 1.5, patch)) * v.number(lambda s: 0.5 + 0.5 * s.wind)
    sx: Tensor = torch.zeros_like(v.x)
    sy, lost = sx, torch.zeros_like(v.x)
    for scale, steep in ((0.28, 0.010), (0.9, 0.016), (2.8, 0.020)):
        seen = (1.0 / (p.pixel * scale) * 0.5 - 0.6).clamp(0.0, 1.0) * steep * breath
        a, b = v.noise(p.x * scale - v.t * wx * 0.22, p.y * scale - v.t * wy * 0.22, v.t * 0.35 + v.seed)
        sx, sy = sx + seen * a, sy + seen * (0.9 * b + 0.3 * a)
        lost = lost + ((steep * breath) ** 2 - seen * seen) * 0.5
    return sx, sy, sx * 12.0, lost.clamp(min=0.0)

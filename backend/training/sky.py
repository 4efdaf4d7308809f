"""The sky itself: daylight and its sun, cloud, night, aurora, nebula, other worlds and the world under water."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .attributes import Scene
from .heavens import meteors, milky_way, moon, planets, stars
from .palette import AURORAS, NEBULAE, Palette, Rgb, palette
from .view import View, merge, mix, places, rgb, step


class Colours:
    """The palettes of a batch, each field as a colour tensor (b, 1, 3, 1, 1)."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._palettes: dict[Scene, Palette] = {s: palette(s) for s in view.scenes}

    def __getitem__(self, field: str) -> Tensor:
        def of(s: Scene) -> Rgb:
            return getattr(self._palettes[s], field)

        return self._view.colour(of)


def gradient(v: View, c: Colours, z: Tensor) -> Tensor:
    """Cloudless sky colour at height z, in the compass direction of the view."""
    sx, sy, _ = v.sun()
    flat = (sx * sx + sy * sy).sqrt().clamp(min=1e-3)
    level = (v.x * v.x + v.y * v.y).sqrt().clamp(min=1e-3)
    s = rgb((0.5 + 0.5 * (v.x * sx + v.y * sy) / flat / level * level.clamp(max=0.3) / 0.3).clamp(0.0, 1.0))
    horizon = c["away"] * (1 - s) ** 2 + c["horizon"] * (2 * s * (1 - s)) + c["toward"] * (s * s)
    h = rgb(1.0 - torch.exp(z.clamp(min=0.0) * -3.4))
    return horizon * (1 - h) ** 2 + c["middle"] * (2 * h * (1 - h)) + c["zenith"] * (h * h)


def sunlight(v: View, c: Colours) -> Tensor:
    """Disc and glow of the sun, blurred where the view is a rough reflection."""
    sx, sy, sz = v.sun()
    cos = v.x * sx + v.y * sy + v.z * sz
    angle = torch.sqrt((2.0 - 2.0 * cos).clamp(min=0.0))
    radius = torch.maximum(v.pixel * 1.2, torch.full_like(v.pixel, 0.013))
    disc = ((radius - angle) / v.pixel + 0.5).clamp(0.0, 1.0) * torch.exp(v.rough * -60.0)
    spread = 0.05 + v.rough
    glow = 0.65 * torch.exp(-angle / spread) + 0.30 * torch.exp(angle * -2.6)
    above = ((sz + 0.06) * 12.0).clamp(0.0, 1.0)
    return c["sun"] * rgb((disc * 1.5 + glow * 0.62) * above)


def dome(v: View, height: float = 1.0, radius: float = 9.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the view meets a shell over the eye: x, y, distance, and the pixel's size there (all in shell heights)."""
    z = v.z.clamp(min=0.0)
    root = torch.sqrt(radius * radius * z * z + 2 * radius * height + height * height)
    distance = root - radius * z
    return v.x * distance, v.y * distance, distance, v.pixel * distance * (radius + height) / root


def clouds(v: View, c: Colours, base: Tensor) -> Tensor:
    """Heaped or layered cloud over the base colour, lit from the sun's side, drifting and boiling."""
    x, y, far, pixel = dome(v)
    wx, wy = v.wind
    scale = v.number(lambda s: {"scattered": 0.95, "storm": 0.62, "overcast": 0.6}.get(s.sky, 0.8))
    x, y = (x - v.t * wx * 0.055) * scale + v.seed, (y - v.t * wy * 0.055) * scale
    boil = v.seed * 1.7 + v.t * 0.06
    pixel = (pixel + v.rough * far) * scale
    n = v.noise.fbm(x, y, boil, 4, pixel, billow=True, gain=0.6)
    sx, sy, sz = v.sun()
    lean = 0.16 / (0.35 + sz.clamp(min=0.0))
    toward = v.noise.fbm(x + sx * lean, y + sy * lean, boil, 2, pixel, billow=True, gain=0.6)
    bias = v.number(lambda s: {"scattered": -0.55 + 0.75 * s.cover, "overcast": 2.9, "storm": 2.3}.get(s.sky, 0.0))
    thick = n + bias
    alpha = step(0.0, 0.55, thick)
    relief = ((n - toward) * 0.75).clamp(-0.7, 0.6)
    deep = step(0.2, 1.9, thick - v.number(lambda s: {"overcast": 2.2, "storm": 1.3}.get(s.sky, 0.0)))
    light = (0.86 - 0.55 * deep + relief).clamp(0.0, 1.25)
    colour = mix(c["shade"].expand(len(v.scenes), 1, 3, 1, 1), c["lit"], light)
    angle = torch.sqrt((2.0 - 2.0 * (v.x * sx + v.y * sy + v.z * sz)).clamp(min=0.0))
    lining = torch.exp(angle * -3.0) * (1.0 - deep) * 0.55
    colour = colour + c["sun"] * rgb(lining) * 0.5
    haze = torch.exp((far - 1.0) * -0.32)
    return mix(base, mix(gradient(v, c, v.z), colour, haze), alpha)


def wisps(v: View, c: Colours, base: Tensor, strength: Tensor) -> Tensor:
    """High ice cloud, drawn out along the wind."""
    x, y, far, pixel = dome(v)
    wx, wy = v.wind
    norm = (wx * wx + wy * wy).sqrt()
    ux, uy = wx / norm, wy / norm
    along, across = (x * ux + y * uy) * 0.30 - v.t * norm * 0.018 + v.seed, (y * ux - x * uy) * 1.25
    pixel = (pixel + v.rough * far) * 1.25
    bend, curl = v.noise(along * 0.8, across * 0.35, v.seed + v.t * 0.01)
    n = v.noise.fbm(along + 0.06 * curl, across + 0.22 * bend, v.seed + v.t * 0.03, 3, pixel, gain=0.66)
    veil = step(-0.6, 2.2, n + bend * 0.5) * strength * torch.exp((far - 1.0) * -0.25)
    return mix(base, c["lit"] * 1.02, veil)


def lightning(v: View, image: Tensor) -> Tensor:
    """Flashes that light the cloud from within, and the bolt."""
    seed = v.seed
    beat = v.t * 0.7 + seed * 0.37
    within = torch.frac(beat)
    pulse = torch.exp(within * -9.0) + 0.8 * torch.exp((within - 0.22).abs() * -22.0)
    on = v.number(lambda s: float(s.feature == "lightning"))
    yaw = torch.floor(beat) * 2.4 + seed
    ahead, side = v.x * torch.sin(yaw) + v.y * torch.cos(yaw), v.x * torch.cos(yaw) - v.y * torch.sin(yaw)
    near = torch.exp((ahead - 1.0) * 2.2)
    u, w = side / ahead.clamp(min=0.2), v.z / ahead.clamp(min=0.2)
    jag, fine = v.noise(w * 2.2 + seed, torch.floor(beat) * 3.1, seed)
    offset = (u + (jag * 0.075 + fine * 0.03) * w.clamp(0.05, 0.8)).abs()
    width = torch.maximum(v.pixel * 0.9, torch.full_like(v.pixel, 0.0045))
    shape = torch.exp(-((offset / width) ** 2)) + 0.25 * torch.exp(-offset / 0.05)
    bolt = shape * (ahead > 0.25).float() * step(0.75, 0.5, w) * (w > -0.02).float()
    flash = rgb(on * pulse * (0.12 + 0.30 * near)) * (0.35 + image)
    return image + flash + rgb(on * bolt * pulse.clamp(max=1.0)) * v.colour(lambda s: (0.9, 0.92, 1.1))


def aurora(v: View) -> Tensor:
    """Curtains of light: ribbons of noise on a plane, drawn upward through a stack of heights."""
    wx, wy = v.wind
    foot, top = v.colour(lambda s: AURORAS[s.hue][0]), v.colour(lambda s: AURORAS[s.hue][1])
    z = v.z.clamp(min=0.0)
    layers = 12
    glow: Tensor | float = 0.0
    bias = v.number(lambda s: (s.cover - 0.5) * 0.5)
    for i in range(layers):
        k = i / (layers - 1)
        distance = (1.0 + 0.75 * k) / (z + 0.16)
        x, y = v.x * distance, v.y * distance
        drift = v.t * 0.045
        n, fold = v.noise(x * 0.20 + v.seed + drift * wx, y * 0.20 + drift * wy, v.t * 0.030 + v.seed)
        rays, fine = v.noise(x * 1.3 + 0.5 * fold - v.t * 0.12, y * 1.3 + v.t * 0.07, v.t * 0.13)
        blur = 1.0 / (1.0 + (v.pixel + v.rough) * distance * 1.5)
        ribbon = torch.exp(-(((n + 0.25 * fold + 0.05 * rays + bias) * 3.6) ** 2))
        energy = math.exp(-1.9 * k) * (1.0 if i else 0.7)
        glow = glow + mix(foot.expand(len(v.scenes), 1, 3, 1, 1), top, torch.full_like(v.t, k**0.7)) * rgb(
            ribbon * (1.0 + (0.62 * rays + 0.34 * fine) * blur).clamp(min=0.06) * energy
        )
    assert isinstance(glow, Tensor)
    return glow * rgb(step(0.0, 0.16, v.z) * 0.235) + foot * rgb(torch.exp(z * -4.0) * 0.07)


def nebula(v: View) -> Tensor:
    """Glowing gas folded into itself, with dark dust, over stars, all round."""
    first, second, rim = (v.colour(lambda s, k=k: NEBULAE[s.hue][k]) for k in range(3))
    seed, drift = v.seed, v.t * 0.022
    pixel = v.pixel + v.rough
    x, y, z = v.x * 0.75 + seed, v.y * 0.75 + drift, v.z * 0.75 - drift * 0.6
    wx, fx = v.noise(x * 0.8, y * 0.8, z * 0.8)
    wy, fy = v.noise(x * 0.8 + 31.0, y * 0.8 + 5.0, z * 0.8)
    x, y, z = x + 0.17 * wx + 0.05 * fx, y + 0.17 * wy + 0.05 * fy, z + 0.12 * (wx - wy)
    gas = v.noise.fbm(x, y, z, 4, pixel, gain=0.58, lift=4.0)
    other = v.noise.fbm(x * 0.9 + 17.0, y * 0.9 + drift, z * 0.9, 2, pixel, gain=0.55, lift=4.0)
    dust = v.noise.fbm(x * 1.5 + 40.0, y * 1.5, z * 1.5, 3, pixel * 1.5, gain=0.6, lift=4.0)
    amount = v.number(lambda s: (s.cover - 0.5) * 0.8)
    a, b = step(-0.9, 2.2, gas + amount), step(-0.6, 2.3, other)
    core = step(0.7, 2.6, gas + 0.6 * other + amount)
    dark = 1.0 - 0.75 * step(0.15, 1.5, dust) * (1.0 - 0.6 * core)
    image = (first * rgb(a) * 1.15 + second * rgb(b) * 0.95) * rgb(dark) + rim * rgb(core * core * dark) * 0.62
    return image + second * 0.05 + v.colour(lambda s: (0.012, 0.012, 0.03)) + stars(v, 1.0) * rgb(1.0 - 0.5 * a)


def underwater(v: View, c: Colours) -> Tensor:
    """Looking through water: the dancing surface above, shafts of light, the deep below."""
    up = v.z
    h = rgb((0.5 + 0.5 * up).clamp(0.0, 1.0))
    image = c["shade"] * (1 - h) ** 2 + c["horizon"] * (2 * h * (1 - h)) + c["zenith"] * (h * h)
    far = 1.0 / up.clamp(min=0.0).add(0.10)
    x, y = v.x * far, v.y * far
    wx, wy = v.wind
    light = caustics(v, x * 0.55 + v.t * wx * 0.05, y * 0.55 + v.t * wy * 0.05, v.pixel * far * far * 0.4)
    window = step(0.05, 0.85, up)
    image = image + c["light"] * rgb(light * window * 0.42) + c["zenith"] * rgb(step(0.55, 1.0, up) * 0.22)
    sx, sy, sz = v.sun()
    cos = v.x * sx + v.y * sy + v.z * sz
    px, py, pz = v.x - cos * sx, v.y - cos * sy, v.z - cos * sz
    norm = (px * px + py * py + pz * pz).sqrt().clamp(min=1e-3)
    shaft, thin = v.noise(px / norm * 1.6 + v.seed, py / norm * 1.6 + v.t * 0.05, pz / norm * 1.6 + v.t * 0.08)
    reach = torch.exp((cos - 1.0) * 1.3) * step(0.02, 0.35, norm)
    image = image + c["light"] * rgb((0.16 * shaft + 0.09 * thin + 0.06).clamp(min=0.0) * reach * step(-0.7, 0.5, up))
    return image + c["light"] * rgb(torch.exp((cos - 1.0) * 14.0) * 0.55)


def caustics(v: View, x: Tensor, y: Tensor, pixel: Tensor) -> Tensor:
    """The net of light that waves cast: 0 to about 1.5, mean about 0.35."""
    bend, curl = v.noise(x * 0.7 + 9.0, y * 0.7, v.t * 0.25 + v.seed)
    a, fine = v.noise(x + 0.25 * bend + v.seed, y + 0.25 * curl, v.t * 0.42)
    sharp = (0.35 / pixel.clamp(min=1e-4) - 0.5).clamp(0.0, 1.0)
    net = torch.exp(a.abs() * -4.2) + 0.45 * torch.exp((fine + 0.4 * bend).abs() * -3.5)
    return 0.35 + (net - 0.35) * sharp


def sky(v: View) -> Tensor:
    """Colour of the sky (b, F or 1, 3, h, w) in the view's directions, which may point anywhere."""
    return merge(
        [(i, _SHADERS[kind](part, Colours(part))) for kind, i in v.by(lambda s: s.sky).items() for part in [v.take(i)]],
        len(v.scenes),
    )


def _day(v: View, c: Colours) -> Tensor:
    image = gradient(v, c, v.z) + sunlight(v, c)
    return _night(v, image)


def _night(v: View, image: Tensor) -> Tensor:
    """Add what the dark shows, for the scenes where it is dark."""
    dark = [i for i, s in enumerate(v.scenes) if s.time in ("dusk", "night")]
    if not dark:
        return image
    part = v.take(dark)
    seen = part.number(lambda s: {"dusk": 0.35}.get(s.time, 0.6 if s.feature == "moon" else 1.0))
    lit = image[places(dark, image.device)] + stars(part, 1.15) * rgb(seen * step(-0.02, 0.25, part.z))
    for feature, add in (("milkyway", milky_way), ("moon", moon), ("meteors", meteors)):
        some = [i for i, s in enumerate(part.scenes) if s.feature == feature]
        if some:
            rest = [i for i in range(len(dark)) if i not in set(some)]
            keep = [(rest, lit[places(rest, image.device)])] if rest else []
            lit = merge([(some, add(part.take(some), lit[places(some, image.device)])), *keep], len(dark))
    rest = [i for i in range(len(v.scenes)) if i not in set(dark)]
    keep = [(rest, image[places(rest, image.device)])] if rest else []
    return merge([(dark, lit), *keep], len(v.scenes))


def _cloudy(v: View, c: Colours) -> Tensor:
    return clouds(v, c, _day(v, c))


def _storm(v: View, c: Colours) -> Tensor:
    return lightning(v, clouds(v, c, gradient(v, c, v.z)))


def _overcast(v: View, c: Colours) -> Tensor:
    return clouds(v, c, gradient(v, c, v.z))


def _wispy(v: View, c: Colours) -> Tensor:
    return wisps(v, c, _day(v, c), v.number(lambda s: 0.65 + 0.3 * s.cover))


def _fog(v: View, c: Colours) -> Tensor:
    image = gradient(v, c, v.z * 0.7) + sunlight(v, c)
    wx, wy = v.wind
    n = v.noise.fbm(
        v.x * 0.8 + v.seed - v.t * wx * 0.03,
        v.y * 0.8 - v.t * wy * 0.03,
        v.z * 1.6 + v.t * 0.02,
        2,
        v.pixel + v.rough,
        lift=4.0,
    )
    return image * rgb(1.0 + 0.045 * n)


def _stars(v: View, c: Colours) -> Tensor:
    return _day(v, c)


def _aurora(v: View, c: Colours) -> Tensor:
    return _day(v, c) + aurora(v)


def _nebula(v: View, c: Colours) -> Tensor:
    return planets(v, nebula(v))


def _alien(v: View, c: Colours) -> Tensor:
    image = gradient(v, c, v.z) + sunlight(v, c) * 0.8
    image = image + stars(v, 1.0) * v.number(lambda s: {"day": 0.12, "dusk": 0.6, "night": 1.0}[s.time])[
        :, :, None
    ] * rgb(step(0.0, 0.3, v.z))
    return wisps(v, c, planets(v, image), v.number(lambda s: 0.45 * s.cover))


_SHADERS = {
    "clear": _day,
    "scattered": _cloudy,
    "wispy": _wispy,
    "overcast": _overcast,
    "storm": _storm,
    "fog": _fog,
    "stars": _stars,
    "aurora": _aurora,
    "nebula": _nebula,
    "alien": _alien,
    "underwater": underwater,
}

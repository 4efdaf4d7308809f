"""Colours of the hours and of the kinds of sky, display-referred."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from .attributes import Scene
from .view import Rgb


@dataclass(frozen=True)
class Palette:
    """Colours of a sky; those of the horizon are across, toward and away from the sun."""

    zenith: Rgb
    middle: Rgb
    horizon: Rgb
    toward: Rgb
    away: Rgb
    sun: Rgb
    lit: Rgb
    shade: Rgb
    light: Rgb  # what falls on the ground


HOURS: dict[str, Palette] = {
    "day": Palette(
        (0.10, 0.29, 0.66),
        (0.29, 0.53, 0.84),
        (0.70, 0.83, 0.93),
        (0.86, 0.90, 0.92),
        (0.66, 0.80, 0.93),
        (1.5, 1.42, 1.2),
        (1.0, 0.99, 0.97),
        (0.56, 0.62, 0.72),
        (1.0, 0.98, 0.94),
    ),
    "golden": Palette(
        (0.22, 0.38, 0.64),
        (0.52, 0.60, 0.70),
        (0.92, 0.78, 0.56),
        (1.05, 0.84, 0.46),
        (0.66, 0.66, 0.70),
        (1.6, 1.3, 0.8),
        (1.0, 0.90, 0.70),
        (0.58, 0.52, 0.54),
        (1.0, 0.82, 0.58),
    ),
    "sunrise": Palette(
        (0.26, 0.42, 0.70),
        (0.60, 0.66, 0.80),
        (0.96, 0.74, 0.62),
        (1.1, 0.80, 0.46),
        (0.66, 0.60, 0.72),
        (1.6, 1.25, 0.8),
        (1.0, 0.80, 0.68),
        (0.56, 0.52, 0.64),
        (0.86, 0.68, 0.58),
    ),
    "sunset": Palette(
        (0.15, 0.22, 0.46),
        (0.56, 0.40, 0.50),
        (0.93, 0.50, 0.28),
        (1.15, 0.60, 0.18),
        (0.46, 0.36, 0.50),
        (1.7, 1.1, 0.5),
        (1.05, 0.62, 0.40),
        (0.40, 0.32, 0.42),
        (0.78, 0.50, 0.38),
    ),
    "dusk": Palette(
        (0.05, 0.08, 0.22),
        (0.17, 0.17, 0.36),
        (0.46, 0.30, 0.40),
        (0.86, 0.44, 0.24),
        (0.20, 0.20, 0.36),
        (0.9, 0.45, 0.25),
        (0.60, 0.36, 0.38),
        (0.17, 0.17, 0.28),
        (0.30, 0.27, 0.38),
    ),
    "night": Palette(
        (0.022, 0.036, 0.092),
        (0.034, 0.056, 0.130),
        (0.070, 0.105, 0.190),
        (0.075, 0.11, 0.195),
        (0.065, 0.10, 0.185),
        (0.0, 0.0, 0.0),
        (0.22, 0.25, 0.33),
        (0.07, 0.085, 0.13),
        (0.21, 0.245, 0.345),
    ),
}
SUNSETS: dict[str, tuple[Rgb, Rgb, Rgb, Rgb]] = {  # middle, horizon, toward, lit cloud
    "orange": ((0.60, 0.42, 0.44), (0.97, 0.54, 0.22), (1.2, 0.64, 0.14), (1.1, 0.62, 0.32)),
    "pink": ((0.66, 0.46, 0.64), (0.98, 0.56, 0.60), (1.15, 0.66, 0.52), (1.08, 0.62, 0.66)),
    "purple": ((0.40, 0.28, 0.58), (0.68, 0.38, 0.66), (1.0, 0.50, 0.50), (0.82, 0.48, 0.76)),
    "red": ((0.44, 0.20, 0.28), (0.84, 0.24, 0.14), (1.2, 0.36, 0.08), (1.0, 0.34, 0.22)),
}
ALIENS: dict[str, tuple[Rgb, Rgb, Rgb]] = {  # zenith, middle, horizon
    "red": ((0.24, 0.05, 0.07), (0.52, 0.14, 0.10), (0.92, 0.42, 0.24)),
    "green": ((0.03, 0.20, 0.15), (0.10, 0.40, 0.28), (0.60, 0.80, 0.42)),
    "purple": ((0.14, 0.06, 0.34), (0.36, 0.18, 0.58), (0.82, 0.54, 0.82)),
    "orange": ((0.34, 0.16, 0.08), (0.70, 0.36, 0.14), (1.0, 0.74, 0.40)),
    "teal": ((0.02, 0.16, 0.26), (0.07, 0.38, 0.46), (0.52, 0.84, 0.80)),
}
AURORAS: dict[str, tuple[Rgb, Rgb]] = {  # foot and top of the curtains
    "green": ((0.07, 1.0, 0.36), (0.26, 0.34, 0.70)),
    "purple": ((0.55, 0.25, 1.0), (0.85, 0.20, 0.75)),
    "pink": ((1.0, 0.30, 0.65), (0.65, 0.25, 0.85)),
    "red": ((1.0, 0.16, 0.18), (0.75, 0.10, 0.30)),
    "blue": ((0.15, 0.50, 1.0), (0.35, 0.25, 0.90)),
}
NEBULAE: dict[str, tuple[Rgb, Rgb, Rgb]] = {  # two clouds and the bright rim
    "purple": ((0.42, 0.12, 0.62), (0.14, 0.20, 0.62), (1.0, 0.62, 0.92)),
    "blue": ((0.08, 0.26, 0.70), (0.05, 0.45, 0.62), (0.66, 0.90, 1.0)),
    "red": ((0.66, 0.10, 0.12), (0.42, 0.12, 0.30), (1.0, 0.62, 0.40)),
    "teal": ((0.04, 0.46, 0.46), (0.08, 0.26, 0.44), (0.70, 1.0, 0.84)),
    "gold": ((0.66, 0.40, 0.10), (0.42, 0.18, 0.08), (1.0, 0.88, 0.55)),
    "pink": ((0.80, 0.22, 0.48), (0.36, 0.16, 0.52), (1.0, 0.76, 0.82)),
}
WATERS: dict[str, tuple[Rgb, Rgb, Rgb]] = {  # under water: deep, level, surface
    "turquoise": ((0.02, 0.22, 0.32), (0.08, 0.48, 0.58), (0.50, 0.92, 0.90)),
    "blue": ((0.01, 0.06, 0.20), (0.04, 0.22, 0.48), (0.30, 0.66, 0.90)),
    "green": ((0.02, 0.14, 0.12), (0.08, 0.36, 0.28), (0.50, 0.82, 0.58)),
}
STORMS: dict[str, tuple[Rgb, Rgb]] = {  # lit and shaded cloud
    "grey": ((0.50, 0.51, 0.53), (0.13, 0.14, 0.16)),
    "blue": ((0.40, 0.48, 0.60), (0.09, 0.12, 0.19)),
    "green": ((0.44, 0.52, 0.44), (0.10, 0.15, 0.13)),
}


def _scale(c: Rgb, k: float) -> Rgb:
    return (c[0] * k, c[1] * k, c[2] * k)


def _blend(a: Rgb, b: Rgb, m: float) -> Rgb:
    return (a[0] + (b[0] - a[0]) * m, a[1] + (b[1] - a[1]) * m, a[2] + (b[2] - a[2]) * m)


def _grey(c: Rgb, m: float, k: float) -> Rgb:
    level = 0.3 * c[0] + 0.6 * c[1] + 0.1 * c[2]
    return _scale(_blend(c, (level * 0.98, level, level * 1.04), m), k)


@lru_cache(maxsize=4096)
def palette(scene: Scene) -> Palette:
    """The colours of a scene: those of its hour, changed by its named colour and by cloud that hides the sun."""
    p = HOURS.get(scene.time, HOURS["night" if scene.sky == "nebula" else "day"])
    if scene.time in ("sunset", "sunrise", "dusk") and scene.hue in SUNSETS:
        middle, horizon, toward, lit = SUNSETS[scene.hue]
        k = {"sunset": 0.0, "sunrise": 0.3, "dusk": 0.45}[scene.time]
        p = replace(
            p,
            middle=_blend(middle, p.middle, k),
            horizon=_blend(horizon, p.horizon, k),
            toward=_blend(toward, p.toward, k),
            lit=_blend(lit, p.lit, k),
            light=_blend(p.light, _scale(lit, 0.6), 0.3),
        )
    if scene.sky == "alien":
        zenith, middle, horizon = ALIENS[scene.hue]
        k = {"day": 1.0, "dusk": 0.66, "night": 0.4}[scene.time]
        p = replace(
            p,
            zenith=_scale(zenith, k),
            middle=_scale(middle, k),
            horizon=_scale(horizon, k),
            toward=_scale(_blend(horizon, (1.0, 0.95, 0.85), 0.25), k * 1.1),
            away=_scale(_blend(horizon, middle, 0.4), k),
            lit=_scale(_blend(horizon, (1.0, 1.0, 1.0), 0.4), k),
            shade=_scale(middle, k),
            light=_scale(_blend(horizon, (1.0, 1.0, 1.0), 0.35), 0.35 + 0.55 * k),
        )
    elif scene.sky == "overcast":
        names = ("zenith", "middle", "horizon", "toward", "away", "lit", "shade")
        p = replace(
            p,
            **{n: _grey(getattr(p, n), 0.7, 0.92) for n in names},
            light=_grey(p.light, 0.6, 0.72),
            sun=(0.0, 0.0, 0.0),
        )
    elif scene.sky == "storm":
        k = {"day": 1.0, "golden": 0.95, "sunrise": 0.85, "sunset": 0.8, "dusk": 0.55, "night": 0.34}[scene.time]
        lit, shade = STORMS[scene.hue]
        horizon = _blend(_scale(lit, k), p.horizon, 0.35)
        p = replace(
            p,
            zenith=_scale(shade, k),
            middle=_scale(shade, 1.6 * k),
            horizon=horizon,
            toward=_blend(horizon, p.toward, 0.4),
            away=_scale(lit, 0.8 * k),
            lit=_blend(_scale(lit, k), p.lit, 0.15),
            shade=_scale(shade, k),
            light=_scale(_blend(lit, p.light, 0.3), 0.75 * k),
            sun=(0.0, 0.0, 0.0),
        )
    elif scene.sky == "fog":
        grey = _grey(_blend(p.horizon, p.away, 0.5), 0.55, 1.4 if scene.time == "night" else 0.95)
        p = replace(
            p,
            horizon=grey,
            away=_scale(grey, 0.94),
            toward=_blend(grey, p.toward, 0.35),
            middle=_blend(grey, p.middle, 0.25),
            zenith=_blend(grey, p.zenith, 0.45),
            light=_grey(p.light, 0.5, 0.8),
            sun=_scale(p.sun, 0.25),
        )
    elif scene.sky == "aurora":
        foot, _ = AURORAS[scene.hue]
        p = replace(
            p, light=_blend(p.light, _scale(foot, 0.34), 0.5), horizon=_blend(p.horizon, _scale(foot, 0.25), 0.35)
        )
    elif scene.sky == "nebula":
        first, second, _ = NEBULAE[scene.hue]
        p = replace(
            p,
            light=_blend(p.light, first, 0.4),
            zenith=_scale(second, 0.06),
            middle=_scale(first, 0.09),
            horizon=_scale(first, 0.2),
            toward=_scale(first, 0.25),
            away=_scale(second, 0.2),
        )
    elif scene.sky == "underwater":
        deep, level, surface = WATERS[scene.hue]
        p = replace(
            p,
            zenith=surface,
            middle=_blend(level, surface, 0.4),
            horizon=level,
            toward=_blend(level, surface, 0.2),
            away=level,
            shade=deep,
            light=_blend(surface, (1.0, 1.0, 1.0), 0.2),
        )
    if scene.feature == "moon":
        p = replace(
            p,
            zenith=_blend(p.zenith, (0.05, 0.08, 0.17), 0.5),
            middle=_blend(p.middle, (0.07, 0.11, 0.22), 0.5),
            light=_blend(p.light, (0.24, 0.29, 0.40), 0.6),
            lit=_blend(p.lit, (0.34, 0.38, 0.48), 0.6),
        )
    return p


HUES_OF_PLANETS: tuple[Rgb, ...] = (
    (0.86, 0.70, 0.52),
    (0.55, 0.66, 0.86),
    (0.80, 0.42, 0.32),
    (0.62, 0.80, 0.74),
    (0.74, 0.66, 0.80),
    (0.90, 0.84, 0.70),
)

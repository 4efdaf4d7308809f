"""Colours of the hours and of the kinds of sky, display-referred."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .attributes import Scene
from .view import Rgb


@dataclass(frozen=True)
class Palette:
    """Colours of a sky: zenith, middle, horizon (across, toward and away from the sun), sun, lit and shaded cloud, light."""

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
    "day": Palette((.10, .29, .66), (.29, .53, .84), (.70, .83, .93), (.86, .90, .92), (.66, .80, .93),
                   (1.5, 1.42, 1.2), (1.0, .99, .97), (.56, .62, .72), (1.0, .98, .94)),
    "golden": Palette((.22, .38, .64), (.52, .60, .70), (.92, .78, .56), (1.05, .84, .46), (.66, .66, .70),
                      (1.6, 1.3, .8), (1.0, .90, .70), (.58, .52, .54), (1.0, .82, .58)),
    "sunrise": Palette((.26, .42, .70), (.60, .66, .80), (.96, .74, .62), (1.1, .80, .46), (.66, .60, .72),
                       (1.6, 1.25, .8), (1.0, .80, .68), (.56, .52, .64), (.86, .68, .58)),
    "sunset": Palette((.15, .22, .46), (.56, .40, .50), (.93, .50, .28), (1.15, .60, .18), (.46, .36, .50),
                      (1.7, 1.1, .5), (1.05, .62, .40), (.40, .32, .42), (.78, .50, .38)),
    "dusk": Palette((.05, .08, .22), (.17, .17, .36), (.46, .30, .40), (.86, .44, .24), (.20, .20, .36),
                    (.9, .45, .25), (.60, .36, .38), (.17, .17, .28), (.30, .27, .38)),
    "night": Palette((.014, .024, .070), (.024, .042, .105), (.055, .085, .165), (.06, .09, .17), (.05, .08, .16),
                     (.0, .0, .0), (.17, .20, .28), (.045, .06, .10), (.11, .135, .21)),
}
SUNSETS: dict[str, tuple[Rgb, Rgb, Rgb, Rgb]] = {  # middle, horizon, toward, lit cloud
    "orange": ((.60, .42, .44), (.97, .54, .22), (1.2, .64, .14), (1.1, .62, .32)),
    "pink": ((.66, .46, .64), (.98, .56, .60), (1.15, .66, .52), (1.08, .62, .66)),
    "purple": ((.40, .28, .58), (.68, .38, .66), (1.0, .50, .50), (.82, .48, .76)),
    "red": ((.44, .20, .28), (.84, .24, .14), (1.2, .36, .08), (1.0, .34, .22)),
}
ALIENS: dict[str, tuple[Rgb, Rgb, Rgb]] = {  # zenith, middle, horizon
    "red": ((.24, .05, .07), (.52, .14, .10), (.92, .42, .24)), "green": ((.03, .20, .15), (.10, .40, .28), (.60, .80, .42)),
    "purple": ((.14, .06, .34), (.36, .18, .58), (.82, .54, .82)), "orange": ((.34, .16, .08), (.70, .36, .14), (1., .74, .40)),
    "teal": ((.02, .16, .26), (.07, .38, .46), (.52, .84, .80)),
}
AURORAS: dict[str, tuple[Rgb, Rgb]] = {  # foot and top of the curtains
    "green": ((.10, 1.0, .45), (.30, .35, .75)), "purple": ((.55, .25, 1.0), (.85, .20, .75)),
    "pink": ((1.0, .30, .65), (.65, .25, .85)), "red": ((1.0, .16, .18), (.75, .10, .30)), "blue": ((.15, .50, 1.0), (.35, .25, .90)),
}
NEBULAE: dict[str, tuple[Rgb, Rgb, Rgb]] = {  # two clouds and the bright rim
    "purple": ((.42, .12, .62), (.14, .20, .62), (1.0, .62, .92)), "blue": ((.08, .26, .70), (.05, .45, .62), (.66, .90, 1.0)),
    "red": ((.66, .10, .12), (.42, .12, .30), (1.0, .62, .40)), "teal": ((.04, .46, .46), (.08, .26, .44), (.70, 1.0, .84)),
    "gold": ((.66, .40, .10), (.42, .18, .08), (1.0, .88, .55)), "pink": ((.80, .22, .48), (.36, .16, .52), (1.0, .76, .82)),
}
WATERS: dict[str, tuple[Rgb, Rgb, Rgb]] = {  # under water: deep, level, surface
    "turquoise": ((.02, .22, .32), (.08, .48, .58), (.50, .92, .90)), "blue": ((.01, .06, .20), (.04, .22, .48), (.30, .66, .90)),
    "green": ((.02, .14, .12), (.08, .36, .28), (.50, .82, .58)),
}
STORMS: dict[str, tuple[Rgb, Rgb]] = {  # lit and shaded cloud
    "grey": ((.50, .51, .53), (.13, .14, .16)), "blue": ((.40, .48, .60), (.09, .12, .19)), "green": ((.44, .52, .44), (.10, .15, .13)),
}


def _scale(c: Rgb, k: float) -> Rgb:
    return (c[0] * k, c[1] * k, c[2] * k)


def _blend(a: Rgb, b: Rgb, m: float) -> Rgb:
    return (a[0] + (b[0] - a[0]) * m, a[1] + (b[1] - a[1]) * m, a[2] + (b[2] - a[2]) * m)


def _grey(c: Rgb, m: float, k: float) -> Rgb:
    level = 0.3 * c[0] + 0.6 * c[1] + 0.1 * c[2]
    return _scale(_blend(c, (level * 0.98, level, level * 1.04), m), k)


def palette(scene: Scene) -> Palette:
    """The colours of a scene: those of its hour, changed by its named colour and by cloud that hides the sun."""
    p = HOURS.get(scene.time, HOURS["night" if scene.sky == "nebula" else "day"])
    if scene.time in ("sunset", "sunrise", "dusk") and scene.hue in SUNSETS:
        middle, horizon, toward, lit = SUNSETS[scene.hue]
        k = {"sunset": 0.0, "sunrise": 0.3, "dusk": 0.45}[scene.time]
        p = replace(p, middle=_blend(middle, p.middle, k), horizon=_blend(horizon, p.horizon, k),
                    toward=_blend(toward, p.toward, k), lit=_blend(lit, p.lit, k), light=_blend(p.light, _scale(lit, .6), .3))
    if scene.sky == "alien":
        zenith, middle, horizon = ALIENS[scene.hue]
        k = {"day": 1.0, "dusk": 0.62, "night": 0.3}[scene.time]
        p = replace(p, zenith=_scale(zenith, k), middle=_scale(middle, k), horizon=_scale(horizon, k),
                    toward=_scale(_blend(horizon, (1., .95, .85), .25), k * 1.1), away=_scale(_blend(horizon, middle, .4), k),
                    lit=_scale(_blend(horizon, (1., 1., 1.), .4), k), shade=_scale(middle, k),
                    light=_scale(_blend(horizon, (1., 1., 1.), .35), .35 + .55 * k))
    elif scene.sky == "overcast":
        names = ("zenith", "middle", "horizon", "toward", "away", "lit", "shade")
        p = replace(p, **{n: _grey(getattr(p, n), 0.7, 0.92) for n in names}, light=_grey(p.light, 0.6, 0.72), sun=(0., 0., 0.))
    elif scene.sky == "storm":
        k = {"day": 1.0, "golden": .95, "sunrise": .85, "sunset": .8, "dusk": .55, "night": .34}[scene.time]
        lit, shade = STORMS[scene.hue]
        horizon = _blend(_scale(lit, k), p.horizon, 0.35)
        p = replace(p, zenith=_scale(shade, k), middle=_scale(shade, 1.6 * k), horizon=horizon, toward=_blend(horizon, p.toward, .4),
                    away=_scale(lit, .8 * k), lit=_blend(_scale(lit, k), p.lit, .15), shade=_scale(shade, k),
                    light=_scale(_blend(lit, p.light, .3), .75 * k), sun=(0., 0., 0.))
    elif scene.sky == "fog":
        grey = _grey(_blend(p.horizon, p.away, .5), 0.55, 0.95)
        p = replace(p, horizon=grey, away=_scale(grey, .94), toward=_blend(grey, p.toward, .35), middle=_blend(grey, p.middle, .25),
                    zenith=_blend(grey, p.zenith, .45), light=_grey(p.light, .5, .8), sun=_scale(p.sun, .25))
    elif scene.sky == "aurora":
        foot, _ = AURORAS[scene.hue]
        p = replace(p, light=_blend(p.light, _scale(foot, .34), .5), horizon=_blend(p.horizon, _scale(foot, .25), .35))
    elif scene.sky == "nebula":
        first, second, _ = NEBULAE[scene.hue]
        p = replace(p, light=_blend(p.light, first, .4), zenith=_scale(second, .06), middle=_scale(first, .09), horizon=_scale(first, .2),
                    toward=_scale(first, .25), away=_scale(second, .2))
    elif scene.sky == "underwater":
        deep, level, surface = WATERS[scene.hue]
        p = replace(p, zenith=surface, middle=_blend(level, surface, .4), horizon=level, toward=_blend(level, surface, .2), away=level,
                    shade=deep, light=_blend(surface, (1., 1., 1.), .2))
    if scene.feature == "moon":
        p = replace(p, zenith=_blend(p.zenith, (.05, .08, .17), .5), middle=_blend(p.middle, (.07, .11, .22), .5),
                    light=_blend(p.light, (.24, .29, .40), .6), lit=_blend(p.lit, (.34, .38, .48), .6))
    return p
HUES_OF_PLANETS: tuple[Rgb, ...] = ((.86, .70, .52), (.55, .66, .86), (.80, .42, .32), (.62, .80, .74), (.74, .66, .80), (.90, .84, .70))

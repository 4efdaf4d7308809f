"""How much light is in a sky: measured from one equirectangular picture, with the World's own formula for highlights.

Plain Python, as Blender's half has no numpy: half a million pixels take about a second. Radiance 1 is the film's white;
irradiance is in the same unit times steradians, which is what Blender calls W/m² of a sun lamp: under a sky that is
white all around, the ground gets pi.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

Colour = tuple[float, float, float]
LUMA = (0.2126, 0.7152, 0.0722)
FULL_AT = 1.25  # times ``above``, the boost is whole
_GRID = (64, 32)  # cells in which the brightest place is looked for
_SUN_REACH = math.radians(12.0)
_SAFE = 0.75  # of its brightest pixel is boosted wholly: no two frames are equally bright
_TRIED_STOPS, _STOPS = 6.0, (2.0, 12.0)
_STANDS_OUT = 1.5  # times the mean of the sky above the horizon, at least, or there is no sun


@dataclass(frozen=True)
class Highlights:
    """The sliders of the World that make highlights brighter, and the one that says what is the lamp's. Radians."""

    boost: float = 0.0
    above: float = 0.8
    focus: float = 0.0
    size: float = math.radians(15.0)
    yaw: float = 0.0
    pitch: float = 0.0
    cap: float = 1.0


@dataclass(frozen=True)
class Sun:
    """Where the brightest place is, in the film: radians to the right of its middle, and up; ``size`` across."""

    yaw: float
    pitch: float
    size: float
    brightness: float  # the luminance of its brightest pixel, before any boost


@dataclass(frozen=True)
class Light:
    """What a picture sends: ``up`` to level ground, ``lamp`` towards where it comes from, above the cap only."""

    up: Colour
    lamp: Colour
    lamp_yaw: float
    lamp_pitch: float
    lamp_size: float  # how far across the disc that would send as much


@dataclass(frozen=True)
class Picture:
    """Linear RGBA values, row by row from the bottom, as Blender keeps them."""

    pixels: Sequence[float]
    width: int
    height: int


def linear(encoded: float) -> float:
    """The linear value of one of sRGB's."""
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def luma(colour: Colour) -> float:
    return LUMA[0] * colour[0] + LUMA[1] * colour[1] + LUMA[2] * colour[2]


def find_sun(picture: Picture) -> Sun | None:
    """The brightest place of the upper half; None when the sky is much the same all over."""
    columns, rows = _GRID
    cells = [[0.0, 0] for _ in range(columns * rows)]
    for y in range(picture.height // 2, picture.height):
        for x in range(picture.width):
            cell = cells[(y * rows // picture.height) * columns + x * columns // picture.width]
            cell[0] += _luma_at(picture, x, y)
            cell[1] += 1
    means = [(total / count if count else 0.0) for total, count in cells]
    above = means[columns * rows // 2 :]
    best = max(range(len(above)), key=above.__getitem__)
    if above[best] < _STANDS_OUT * sum(above) / len(above):
        return None
    column, row = best % columns, best // columns + rows // 2
    yaw, pitch = ((column + 0.5) / columns - 0.5) * math.tau, ((row + 0.5) / rows - 0.5) * math.pi
    return sun_at(picture, yaw, pitch)


def sun_at(picture: Picture, yaw: float, pitch: float) -> Sun:
    """The middle of what is nearly as bright as the brightest pixel around a place, and how far across that is."""
    near = list(_around(picture, yaw, pitch, _SUN_REACH))
    peak = max(_luma_at(picture, x, y) for x, y, _, _ in near)
    total, middle = 0.0, [0.0, 0.0, 0.0]
    for x, y, ahead, solid in near:
        if _luma_at(picture, x, y) >= 0.85 * peak:
            total += solid
            middle = [m + solid * a for m, a in zip(middle, ahead, strict=True)]
    yaw, pitch = _angles(middle)
    return Sun(yaw, pitch, 2.0 * math.sqrt(total / math.pi), peak)


def measure(picture: Picture, shown: Highlights) -> Light:
    """The light of a picture as the World shows it at strength 1, with its highlights boosted."""
    up, lamp, middle, brightest = [0.0] * 3, [0.0] * 3, [0.0] * 3, 0.0
    sun = direction(shown.yaw, shown.pitch)
    bright = _bright_places(picture, min(shown.above, shown.cap) if shown.boost else shown.cap)
    for ahead, solid, colour, is_bright in _samples(picture, bright):
        if is_bright:
            gain = boost_of(luma(colour), math.acos(max(-1.0, min(1.0, _dot(ahead, sun)))), shown)
            colour = (colour[0] * gain, colour[1] * gain, colour[2] * gain)
            if (peak := max(colour)) > shown.cap:
                share = (1.0 - shown.cap / peak) * solid
                excess = (colour[0] * share, colour[1] * share, colour[2] * share)
                weight = luma(excess)
                lamp = [a + b for a, b in zip(lamp, excess, strict=True)]
                middle = [m + weight * a for m, a in zip(middle, ahead, strict=True)]
                brightest = max(brightest, peak - shown.cap)
        if ahead[2] > 0.0:
            upward = solid * ahead[2]
            up[0] += colour[0] * upward
            up[1] += colour[1] * upward
            up[2] += colour[2] * upward
    yaw, pitch = _angles(middle) if any(middle) else (shown.yaw, shown.pitch)
    disc = 2.0 * math.sqrt(max(lamp) / brightest / math.pi) if brightest else 0.0
    return Light((up[0], up[1], up[2]), (lamp[0], lamp[1], lamp[2]), yaw, pitch, disc)


def _bright_places(picture: Picture, least: float) -> set[int]:
    """The pixels that are brighter than ``least``, and their neighbours, which renderers mix with them."""
    width, height, pixels = picture.width, picture.height, picture.pixels
    found: set[int] = set()
    for at in range(width * height):
        if max(pixels[4 * at], pixels[4 * at + 1], pixels[4 * at + 2]) > least:
            y, x = divmod(at, width)
            for beside in range(max(0, y - 1), min(height, y + 2)):
                found.update(beside * width + (x + step) % width for step in (-1, 0, 1))
    return found


def _samples(picture: Picture, bright: set[int]) -> Iterator[tuple[Colour, float, Colour, bool]]:
    """Direction, solid angle and colour of each pixel; of four places in each of the ``bright`` ones."""
    width, height, pixels = picture.width, picture.height, picture.pixels
    ahead_of = [(math.cos(yaw), -math.sin(yaw)) for yaw in (((x + 0.5) / width - 0.5) * math.tau for x in range(width))]
    for y in range(height):
        pitch = ((y + 0.5) / height - 0.5) * math.pi
        level, rise = math.cos(pitch), math.sin(pitch)
        solid = (math.tau / width) * (math.pi / height) * level
        for x in range(width):
            at = y * width + x
            if at in bright:
                for across in (-0.25, 0.25):
                    for along in (-0.25, 0.25):
                        yaw = ((x + 0.5 + across) / width - 0.5) * math.tau
                        place = direction(yaw, ((y + 0.5 + along) / height - 0.5) * math.pi)
                        yield place, solid / 4.0, _between(picture, x + across, y + along), True
            else:
                forth, aside = ahead_of[x]
                colour = (pixels[4 * at], pixels[4 * at + 1], pixels[4 * at + 2])
                yield (level * forth, level * aside, rise), solid, colour, False


def _between(picture: Picture, x: float, y: float) -> Colour:
    """The colour between the middles of four pixels, as renderers mix them."""
    left, low = math.floor(x), math.floor(y)
    mixed = [0.0, 0.0, 0.0]
    for row, along in ((low, 1.0 - (y - low)), (low + 1, y - low)):
        for column, across in ((left, 1.0 - (x - left)), (left + 1, x - left)):
            at = 4 * (min(max(row, 0), picture.height - 1) * picture.width + column % picture.width)
            mixed = [m + along * across * part for m, part in zip(mixed, picture.pixels[at : at + 3], strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def boost_of(brightness: float, from_sun: float, shown: Highlights) -> float:
    """The factor by which a highlight ``from_sun`` radians away from the sun is made brighter; as the nodes do it."""
    kept = 1.0 - shown.focus * _smooth(from_sun, 0.0, shown.size)
    return 2.0 ** (shown.boost * _smooth(brightness, shown.above, FULL_AT * shown.above) * kept)


def brightened(picture: Picture, sun: Sun, shown: Highlights) -> Highlights:
    """Sliders that boost ``sun`` alone; by so many stops, where none are chosen yet, that it gives about as much light
    to what faces it as the whole sky gives level ground, as a low sun does."""
    found = focused(sun, shown)
    if shown.boost:
        return found
    tried = measure(picture, replace(found, boost=_TRIED_STOPS))
    more = math.log2(max(luma(tried.up), 1e-6) / max(luma(tried.lamp), 1e-6))
    return replace(found, boost=float(round(min(max(_TRIED_STOPS + more, _STOPS[0]), _STOPS[1]))))


def focused(sun: Sun, shown: Highlights) -> Highlights:
    """Sliders that keep the boost to ``sun``."""
    return replace(
        shown,
        yaw=sun.yaw,
        pitch=sun.pitch,
        focus=1.0,
        size=min(max(2.0 * sun.size, math.radians(6.0)), math.radians(40.0)),
        above=min(shown.above, _SAFE * sun.brightness / FULL_AT),
    )


def direction(yaw: float, pitch: float) -> Colour:
    """The unit vector of a place in the film: x to its middle, y to its left, z up."""
    return (math.cos(pitch) * math.cos(yaw), -math.cos(pitch) * math.sin(yaw), math.sin(pitch))


def _angles(vector: Sequence[float]) -> tuple[float, float]:
    return math.atan2(-vector[1], vector[0]), math.atan2(vector[2], math.hypot(vector[0], vector[1]))


def _around(picture: Picture, yaw: float, pitch: float, reach: float) -> Iterator[tuple[int, int, Colour, float]]:
    """Pixels within ``reach`` of a place: x, y, direction, solid angle."""
    centre = direction(yaw, pitch)
    limit = math.cos(reach)
    for y in range(picture.height):
        level = ((y + 0.5) / picture.height - 0.5) * math.pi
        if abs(level - pitch) > reach:
            continue
        solid = (math.tau / picture.width) * (math.pi / picture.height) * math.cos(level)
        for x in range(picture.width):
            ahead = direction((x + 0.5) / picture.width * math.tau - math.pi, level)
            if _dot(ahead, centre) >= limit:
                yield x, y, ahead, solid


def _luma_at(picture: Picture, x: int, y: int) -> float:
    at = (y * picture.width + x) * 4
    red, green, blue = picture.pixels[at : at + 3]
    return luma((red, green, blue))


def _smooth(value: float, low: float, high: float) -> float:
    """Blender's smooth step; where both ends meet, its nodes give 0."""
    if high == low:
        return 0.0
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]

"""The light of a sky: how much comes from where, and whether it has a sun (or moon), where, how large and bright.

What is told is told in the units of the film: radiance 1 is the white of the display, so a sky of a constant radiance L
gives an irradiance of pi * L on any surface that sees all of it. That is also Blender's scale: the strength of its sun
lamp is the irradiance on a surface that faces it. Radiance is linear Rec.709, decoded from the film as sRGB, and ends
at white: a real sun is far brighter than any 8-bit film can show.

A sun is a small bright place: what is brighter than its surroundings lies within a few degrees of one direction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .media.files import atomic_write, read_bytes
from .protocol import SkyloopError
from .typed import parse_json, typed

FILE = "light.json"
VERSION = 1
_MAX_BYTES = 16 << 20
HEIGHT = 180  # rows that are looked at: a degree each
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)

LOWEST_DEG = -3.0  # what shines lower is a reflection
PEAK_DEG = 2.0  # standard deviation of the blur in which the brightest place is sought: stars vanish in it
NEAR_DEG, HALO_DEG, RING_DEG = 10.0, 6.0, (14.0, 35.0)
# What makes a sun. Its peak (blurred) is this bright, so much brighter than the middle of the ring around it, and so
# many times as bright as nearly all of that ring: a bright bank of clouds goes on there. The light near it beyond the
# ring's is so much of all from above: no star's is. Its brightest pixel has so much radiance: the middle of a milky way
# is darker.
LEAST_PEAK, LEAST_CONTRAST, LEAST_RISE, LEAST_SHARE, LEAST_RADIANCE = 0.25, 0.6, 1.4, 0.002, 0.5
# From HALO_DEG to NEAR_DEG there is at most so much beyond the ring's light, in parts of the ring's and the peak's: air
# that is bright itself glows around a sun; a planet, a nebula and an aurora are as bright there before a dark sky.
MOST_HALO = (1.0, 0.15)
FOLLOWED_DEG, FOLLOWED_GAIN = 20.0, 0.5  # what lies near where the sun was is preferred to another place as bright
CORE = 0.8
LEAST_SEEN = 0.5  # of the frames
SMOOTH_S = 0.3


@dataclass(frozen=True)
class Sun:
    """``size_deg``: diameter of a disc of as much solid angle as is brighter than half of the peak. ``color``: of its
    middle, linear, the largest part 1. ``irradiance``: of a surface that faces it, beyond what its surroundings give.
    ``strength``: that over the irradiance which all the rest of the sky gives on level ground."""

    yaw_deg: float
    pitch_deg: float
    size_deg: float
    color: tuple[float, float, float]
    irradiance: float
    strength: float


@dataclass(frozen=True)
class Moment:
    """One frame: irradiance (linear RGB) of level ground, of upright surfaces (a mean over all that they may face),
    and of a ceiling; and the brightest small place, if there is any."""

    up: np.ndarray
    horizon: np.ndarray
    down: np.ndarray
    sun: Sun | None


class Sphere:
    """Directions and solid angles of the pixels of an equirectangular picture."""

    def __init__(self, height: int, width: int) -> None:
        self.shape = (height, width)
        yaw = ((np.arange(width) + 0.5) / width * 2 - 1) * math.pi
        edges = np.linspace(math.pi / 2, -math.pi / 2, height + 1)
        pitch = (edges[1:] + edges[:-1]) / 2
        self.solid_angle = ((np.sin(edges[:-1]) - np.sin(edges[1:])) * 2 * math.pi / width)[:, None].repeat(width, 1)
        x, y, z = np.cos(pitch)[:, None] * np.sin(yaw), np.cos(pitch)[:, None] * np.cos(yaw), np.sin(pitch)[:, None]
        self.directions = np.stack([x, y, z.repeat(width, 1)], axis=-1)
        self.pitch = pitch

    @cached_property
    def cosines(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each pixel counts on level ground, on a mean upright surface, and on a ceiling; solid angle included."""
        up = self.directions[..., 2]
        level = np.sqrt(1 - up**2) / math.pi
        return up.clip(0) * self.solid_angle, level * self.solid_angle, (-up).clip(0) * self.solid_angle

    def soft(self, picture: np.ndarray) -> np.ndarray:
        """A picture (h, w) blurred over :data:`PEAK_DEG`, by solid angle: rows crowd at the poles."""
        return blurred(picture * self._crowding, PEAK_DEG) / self._soft_crowding

    @cached_property
    def _crowding(self) -> np.ndarray:
        return np.cos(self.pitch)[:, None].repeat(self.shape[1], 1).astype(np.float32)

    @cached_property
    def _soft_crowding(self) -> np.ndarray:
        return blurred(self._crowding, PEAK_DEG)

    def angle_deg(self, direction: np.ndarray) -> np.ndarray:
        """From each pixel to a direction (3,)."""
        return np.degrees(2 * np.arcsin((np.linalg.norm(self.directions - direction, axis=-1) / 2).clip(0, 1)))


def blurred(picture: np.ndarray, sigma_deg: float) -> np.ndarray:
    """An equirectangular picture (H, W) blurred as widely in every direction: along each parallel by its spectrum, as
    over more columns as the parallel is shorter; then along the meridians, over the poles."""
    height, width = picture.shape
    parallel = np.cos(np.pi * ((np.arange(height) + 0.5) / height - 0.5))
    waves = np.arange(width // 2 + 1) * math.radians(sigma_deg)
    gain = np.exp(-0.5 * (waves / parallel[:, None]) ** 2)
    picture = np.fft.irfft(np.fft.rfft(picture, axis=1) * gain, width, axis=1).astype(np.float32)
    sigma = height * sigma_deg / 180
    pad = min(height, math.ceil(4 * sigma))
    beyond = np.roll(picture, width // 2, axis=1)
    tall = np.concatenate([beyond[:pad][::-1], picture, beyond[-pad:][::-1]])
    return cv2.GaussianBlur(tall, (1, 2 * pad + 1), sigmaX=1e-6, sigmaY=sigma)[pad:-pad]


LINEAR = np.array(
    [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255], np.float32
)
"""Linear radiance of each value of a film."""


def linear(frame: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 linear radiance of a frame (H, W, 3) uint8, averaged to at most :data:`HEIGHT` rows."""
    light = LINEAR[frame]
    if len(light) > HEIGHT:
        light = cv2.resize(light, (round(HEIGHT * light.shape[1] / len(light)), HEIGHT), interpolation=cv2.INTER_AREA)
    return light


class Watcher:
    """Looks at the frames of a film in order."""

    def __init__(self) -> None:
        self._sphere: Sphere | None = None
        self._last: np.ndarray | None = None

    def __call__(self, frame: np.ndarray) -> Moment:
        """What a frame (H, W, 3) uint8 gives."""
        light = linear(frame)
        if self._sphere is None or self._sphere.shape != light.shape[:2]:
            self._sphere = Sphere(*light.shape[:2])
        up, horizon, down = (np.einsum("hwc,hw->c", light, weight) for weight in self._sphere.cosines)
        sun = find_sun(light, self._sphere, self._last)
        self._last = direction_of(sun) if sun else self._last
        return Moment(up, horizon, down, sun)


def find_sun(light: np.ndarray, sphere: Sphere, last: np.ndarray | None = None) -> Sun | None:
    """The sun in linear radiance (h, w, 3), None where nothing is like one; ``last``: where it was a frame before."""
    luminance = light @ LUMINANCE
    soft = sphere.soft(luminance)
    wanted = soft * (sphere.pitch >= math.radians(LOWEST_DEG))[:, None]
    if last is not None:
        wanted = wanted * (1 + FOLLOWED_GAIN * np.exp(-0.5 * (sphere.angle_deg(last) / FOLLOWED_DEG) ** 2))
    row, column = np.unravel_index(int(wanted.argmax()), wanted.shape)
    away = sphere.angle_deg(sphere.directions[row, column])
    seen = sphere.pitch[:, None] >= math.radians(LOWEST_DEG)
    ring = (away > RING_DEG[0]) & (away < RING_DEG[1]) & seen
    near, peak = (away < NEAR_DEG) & seen, float(soft[row, column])
    around = np.median(light[ring], axis=0)
    excess = (light - around).clip(0) * sphere.solid_angle[..., None]
    inside, base = float((excess[near] @ LUMINANCE).sum()), float(around @ LUMINANCE)
    above = float((luminance * sphere.solid_angle)[sphere.pitch > 0].sum())
    halo = float(luminance[near & (away > HALO_DEG)].mean())
    is_one = (
        peak > max(LEAST_PEAK, (1 + LEAST_CONTRAST) * base, LEAST_RISE * float(np.percentile(soft[ring], 90)))
        and inside > LEAST_SHARE * above
        and float(luminance[near].max()) > LEAST_RADIANCE
        and halo - base < MOST_HALO[0] * base + MOST_HALO[1] * (peak - base)
    )
    if not is_one:
        return None
    return _measured(light, sphere, near, excess, around)


def _measured(light: np.ndarray, sphere: Sphere, near: np.ndarray, excess: np.ndarray, around: np.ndarray) -> Sun:
    """The sun of which ``near`` are the pixels around, ``excess`` their light (times solid angle) beyond ``around``."""
    luminance = light @ LUMINANCE
    base = float(around @ LUMINANCE)
    disc = near & (luminance > (base + float(luminance[near].max())) / 2)
    weight = (excess @ LUMINANCE) * disc
    centre = np.einsum("hwc,hw->c", sphere.directions, weight)
    centre /= np.linalg.norm(centre)
    solid_angle = float(sphere.solid_angle[disc].sum())
    facing = (sphere.directions @ centre).clip(0) * near
    rgb = np.einsum("hwc,hw->c", excess, facing)
    own = float(rgb @ LUMINANCE)
    level = float(np.einsum("hwc,hw->c", light, sphere.cosines[0]) @ LUMINANCE)
    core = near & (luminance > CORE * float(luminance[near].max()))  # without the air's glow around it
    shown = light[core].mean(axis=0)
    red, green, blue = (float(v) for v in shown / max(1e-9, float(shown.max())))
    return Sun(
        *angles_deg(centre),
        size_deg=2 * math.degrees(math.acos(max(-1.0, 1 - solid_angle / (2 * math.pi)))),
        color=(red, green, blue),
        irradiance=own,
        strength=own / max(1e-6, level - own * max(0.0, float(centre[2]))),
    )


def angles_deg(direction: np.ndarray) -> tuple[float, float]:
    """Yaw and pitch of a direction (3,), which need not be of length 1."""
    x, y, z = (float(v) for v in direction)
    return math.degrees(math.atan2(x, y)), math.degrees(math.atan2(z, math.hypot(x, y)))


def direction_of(sun: Sun) -> np.ndarray:
    """Unit vector (3,): to the right, ahead, up."""
    yaw, pitch = math.radians(sun.yaw_deg), math.radians(sun.pitch_deg)
    return np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])


def summary(moments: list[Moment], fps: float, *, loop: bool) -> dict[str, Any]:
    """The document that is written: the whole film's ``irradiance`` and ``sun`` (None without one), and ``frames``,
    each with its irradiances and, where there is a sun, that: smoothed in time, around the end where it loops."""
    suns = _steady([m.sun for m in moments], fps, loop)
    whole = {name: np.mean([getattr(m, name) for m in moments], axis=0) for name in ("up", "horizon", "down")}
    frames = [
        {name: _rounded(getattr(moment, name)) for name in ("up", "horizon", "down")}
        | {"sun": _plain(sun) if sun else None}
        for moment, sun in zip(moments, suns, strict=True)
    ]
    known = [sun for sun in suns if sun]
    return {
        "version": VERSION,
        "unit": "radiance 1 is display white, linear Rec.709; irradiance in the same times steradians",
        "loop": loop,
        "fps": fps,
        "irradiance": {name: _rounded(value) for name, value in whole.items()},
        "sun": _plain(_mean(known)) | {"seen": round(np.mean([m.sun is not None for m in moments]), 3)}
        if known
        else None,
        "frames": frames,
    }


def _steady(suns: list[Sun | None], fps: float, loop: bool) -> list[Sun | None]:
    """One sun a frame, smoothed in time by unit vectors; none at all where too few frames show one."""
    count = len(suns)
    found = [s for s in suns if s]
    if len(found) < max(1, LEAST_SEEN * count):
        return [None] * count
    # A frame's direction, size and colour, each as often as its sun gives light, and the sum of the weights.
    rows = np.array([[*direction_of(s), s.size_deg, *s.color, 1.0] if s else [0.0] * 8 for s in suns])
    given = np.array([s.irradiance if s else 0.0 for s in suns])
    rows *= given[:, None]
    total = np.zeros_like(rows)
    sigma = max(0.5, SMOOTH_S * fps)
    for shift in range(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1):
        at = np.arange(count) + shift
        # Towards the ends of a clip over fewer frames, as many on either side: else the first lags behind.
        inside = np.ones(count, bool) if loop else abs(shift) <= np.minimum(np.arange(count), np.arange(count)[::-1])
        total[inside] += math.exp(-0.5 * (shift / sigma) ** 2) * rows[at[inside] % count]
    total[total[:, 7] < 1e-9 * rows[:, 7].sum()] = rows.sum(0)  # nothing near in time: as on the whole
    steady = list[Sun | None]()
    for row, own in zip(total, suns, strict=True):
        size, red, green, blue = (float(v) for v in row[3:7] / row[7])
        light = (own.irradiance, own.strength) if own else (0.0, 0.0)
        steady.append(Sun(*angles_deg(row[:3]), size, (red, green, blue), *light))
    return steady


def _mean(suns: list[Sun]) -> Sun:
    """Of all frames, by what the sun gives in each."""
    weights = np.array([s.irradiance for s in suns]) + 1e-9
    yaw, pitch = angles_deg(np.sum([direction_of(s) * w for s, w in zip(suns, weights, strict=True)], axis=0))
    size = float(np.average([s.size_deg for s in suns], weights=weights))
    red, green, blue = (float(v) for v in np.average([s.color for s in suns], axis=0, weights=weights))
    irradiance, strength = (float(np.mean([getattr(s, name) for s in suns])) for name in ("irradiance", "strength"))
    return Sun(yaw, pitch, size, (red, green, blue), irradiance, strength)


def _plain(sun: Sun) -> dict[str, Any]:
    return {name: _rounded(value) for name, value in asdict(sun).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple | np.ndarray):
        return [_rounded(v) for v in value]
    return round(float(value), 5)


def watch(frames: Iterable[np.ndarray]) -> Iterator[Moment]:
    """The light of each frame (H, W, 3) uint8 of an equirectangular film."""
    watcher = Watcher()
    for frame in frames:
        yield watcher(frame)


def suns(document: Any, frames: int) -> list[Sun | None] | None:
    """The sun of each frame that gives light, as a parsed ``light.json`` says; None where it is none, or about another
    number of frames."""
    try:
        found = [frame["sun"] and typed("sun", Sun, frame["sun"]) for frame in document["frames"]]
    except (ValueError, TypeError, LookupError):
        return None
    return [sun if sun and sun.irradiance > 0 else None for sun in found] if len(found) == frames else None


def recorded(film: Path, frames: int) -> list[Sun | None] | None:
    """:func:`suns` of a job's own film, from the record beside it; None where there is none."""
    try:
        document = parse_json(read_bytes(film.with_name(FILE), _MAX_BYTES)) if film.name == "sky.mp4" else None
    except (OSError, ValueError, SkyloopError):
        return None
    return suns(document, frames)


def write(path: Path, moments: list[Moment], fps: float, *, loop: bool) -> dict[str, Any]:
    """Put :func:`summary` under ``path``, whole, and return it. Raises ``SkyloopError``."""
    document = summary(moments, fps, loop=loop)
    atomic_write(path, json.dumps(document, indent=1, allow_nan=False).encode())
    return document

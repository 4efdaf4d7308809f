"""How much of the sphere regions, a mask and a camera concern, give or take the width of a window: plain numbers.

Standard library only. Areas are parts of the sphere's, angles degrees; ``reach_deg`` is how far from a window's middle
it still looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .controls import CameraKey, Region

_MARGIN = 1.2  # of the camera's field of view, as the engine keeps it (:mod:`.camera`)
Vector = tuple[float, float, float]
View = tuple[Vector, Vector, Vector, float, float]


def cap_or_band(region: Region, reach_deg: float) -> float:
    """The part of the sphere within ``reach_deg`` of a region and its soft edge."""
    return _area(region, feather_deg(region.radius_deg) + reach_deg)


def inside(region: Region, reach_deg: float) -> float:
    """The part of the sphere that is deeper than ``reach_deg`` inside a region and its soft edge."""
    return _area(region, -feather_deg(region.radius_deg) - reach_deg)


def feather_deg(radius_deg: float) -> float:
    """How far a region's edge reaches to either side; as :mod:`.conditioning` has it."""
    return min(radius_deg, max(5.0, 0.25 * radius_deg))


def _area(region: Region, beyond_deg: float) -> float:
    if region.radius_deg >= 180:
        return 1.0
    radius = region.radius_deg + beyond_deg
    if radius <= 0:
        return 0.0
    if region.yaw_deg is not None:
        return (1 - math.cos(math.radians(min(180.0, radius)))) / 2
    low, high = (math.radians(max(-90.0, min(90.0, region.pitch_deg + side * radius))) for side in (-1, 1))
    return (math.sin(high) - math.sin(low)) / 2


def seen(keys: Sequence[CameraKey], reach_deg: float, points: int = 600) -> float:
    """The part of the sphere that comes within ``reach_deg`` of a camera's view."""
    views = [_axes(key) for key in _path(keys)]
    golden = math.pi * (3 - math.sqrt(5))
    seen = 0
    for n in range(points):
        up = 1 - (2 * n + 1) / points
        level, turn = math.sqrt(1 - up * up), golden * n
        at = (level * math.sin(turn), level * math.cos(turn), up)
        seen += any(_shows(view, at, reach_deg) for view in views)
    return seen / points


def _path(keys: Sequence[CameraKey], most: int = 64) -> Iterator[CameraKey]:
    """The keys and, where they are further apart than a third of the view, places between."""
    keys = keys[:: -(-len(keys) // most)]
    yield keys[-1]
    for one, other in zip(keys, keys[1:], strict=False):
        yaw = (other.yaw_deg - one.yaw_deg + 180) % 360 - 180
        apart = max(abs(yaw), abs(other.pitch_deg - one.pitch_deg))
        count = min(most, 1 + int(apart / (one.fov_deg / 3)))
        for k in range(count):
            pitch = one.pitch_deg + (other.pitch_deg - one.pitch_deg) * k / count
            fov = one.fov_deg + (other.fov_deg - one.fov_deg) * k / count
            yield CameraKey(one.frame, one.yaw_deg + yaw * k / count, pitch, fov, one.aspect, one.roll_deg)


def _axes(key: CameraKey) -> View:
    """What is right, ahead and up for a view, and the half angles (degrees) that it shows across and down."""
    yaw, pitch, roll = (math.radians(a) for a in (key.yaw_deg, key.pitch_deg, key.roll_deg))
    ahead = (math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch))
    level = (math.cos(yaw), -math.sin(yaw), 0.0)
    above = (-math.sin(yaw) * math.sin(pitch), -math.cos(yaw) * math.sin(pitch), math.cos(pitch))
    c, s = math.cos(roll), math.sin(roll)
    right = (level[0] * c - above[0] * s, level[1] * c - above[1] * s, level[2] * c - above[2] * s)
    up = (level[0] * s + above[0] * c, level[1] * s + above[1] * c, level[2] * s + above[2] * c)
    across = math.radians(key.fov_deg) / 2
    down = math.atan(math.tan(across) / key.aspect)
    return right, ahead, up, _MARGIN * math.degrees(across), _MARGIN * math.degrees(down)


def _shows(view: View, at: Vector, reach_deg: float) -> bool:
    right, ahead, up, across, down = view
    x, y, z = (sum(a * b for a, b in zip(axis, at, strict=True)) for axis in (right, ahead, up))
    if math.degrees(math.acos(max(-1.0, min(1.0, y)))) > math.hypot(across, down) + reach_deg:
        return False
    aside, above = (math.degrees(math.atan2(abs(v), y)) for v in (x, z))
    return aside <= across + reach_deg and above <= down + reach_deg

"""Directions of the world and of the sky, and shapes drawn on the sky: pure geometry, without Blender.

World: Z is up; yaw 0 looks along +Y and grows to the right (90 is +X), pitch grows upward. Sky: yaw 0 is the frame's
centre, which shows where "front" points. Vectors are unit tuples (x, y, z); angles are degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Vector = tuple[float, float, float]
CIRCLE_STEPS = 48
FILL_STEP_DEG = 10.0  # between the rings that fill a circle, so that a wide one bends with the sphere
_LEAST_LENGTH = 1e-4
_SIDE_STEPS = 12


def direction(yaw_deg: float, pitch_deg: float) -> Vector:
    """The unit vector that looks there."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    return math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)


def yaw_pitch(vector: Sequence[float]) -> tuple[float, float] | None:
    """Yaw in (-180, 180] and pitch of a vector of any length; None when it has next to none, and so no direction."""
    x, y, z = vector
    if math.sqrt(x * x + y * y + z * z) < _LEAST_LENGTH:
        return None
    return math.degrees(math.atan2(x, y)), math.degrees(math.atan2(z, math.hypot(x, y)))


def wrapped(yaw_deg: float) -> float:
    """The same yaw in [-180, 180)."""
    return (yaw_deg + 180.0) % 360.0 - 180.0


def to_sky(world_yaw_deg: float, front_deg: float) -> float:
    """The yaw in the sky's frame, [-180, 180), of a yaw in the world, when the frame's centre is at ``front_deg``."""
    return wrapped(world_yaw_deg - front_deg)


def angle_deg(a: Vector, b: Vector) -> float:
    """Between two unit vectors, 0 to 180; exact for small ones too, unlike the arc cosine."""
    return math.degrees(2 * math.asin(min(1.0, math.dist(a, b) / 2)))


def frame_of(ahead: Vector) -> tuple[Vector, Vector]:
    """Two unit vectors at right angles to ``ahead`` and each other: to its right, and above."""
    x, y, _ = ahead
    flat = math.hypot(x, y)
    right = (y / flat, -x / flat, 0.0) if flat > 1e-6 else (1.0, 0.0, 0.0)
    return right, _cross(right, ahead)


def circle(centre: Vector, radius_deg: float, steps: int = CIRCLE_STEPS) -> list[Vector]:
    """``steps`` unit vectors at ``radius_deg`` around ``centre``, the first to its right, then upward."""
    right, up = frame_of(centre)
    along, out = math.cos(math.radians(radius_deg)), math.sin(math.radians(radius_deg))
    points: list[Vector] = []
    for step in range(steps):
        turn = 2 * math.pi * step / steps
        across, above = out * math.cos(turn), out * math.sin(turn)
        x, y, z = (along * c + across * r + above * u for c, r, u in zip(centre, right, up, strict=True))
        points.append((x, y, z))
    return points


def parallel(pitch_deg: float, steps: int = CIRCLE_STEPS) -> list[Vector]:
    """``steps`` unit vectors at one height all around."""
    return [direction(360 * step / steps, pitch_deg) for step in range(steps)]


def rims(centre: Vector, radius_deg: float, *, around: bool) -> list[list[Vector]]:
    """The closed lines that bound a region: its circle; of a band all around, its parallels that are no pole."""
    if not around:
        return [circle(centre, radius_deg)] if radius_deg < 180 else []
    _, pitch = yaw_pitch(centre) or (0.0, 0.0)
    edges = (pitch - radius_deg, pitch + radius_deg)
    return [parallel(edge) for edge in edges if abs(edge) < 90]


def filled(centre: Vector, radius_deg: float, *, around: bool) -> list[Vector]:
    """A region as triangles on the sphere, three unit vectors each."""
    if around:
        _, pitch = yaw_pitch(centre) or (0.0, 0.0)
        low, high = max(-90.0, pitch - radius_deg), min(90.0, pitch + radius_deg)
        rings = [parallel(p) for p in _steps(low, high)]
    else:
        rings = [circle(centre, radius) for radius in _steps(0.0, min(180.0, radius_deg))]
    triangles: list[Vector] = []
    for inner, outer in zip(rings, rings[1:], strict=False):
        for i in range(CIRCLE_STEPS):
            j = (i + 1) % CIRCLE_STEPS
            triangles += (inner[i], outer[i], outer[j], inner[i], outer[j], inner[j])
    return triangles


def picture_rim(yaw_deg: float, pitch_deg: float, fov_deg: float, aspect: float) -> list[Vector]:
    """The closed line around an upright photo on the sky: ``fov_deg`` wide, ``aspect`` is its width over its height."""
    ahead = direction(yaw_deg, pitch_deg)
    right, up = frame_of(ahead)
    across = math.tan(math.radians(fov_deg) / 2)
    corners = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
    rim: list[Vector] = []
    for (x, y), (to_x, to_y) in zip(corners, (*corners[1:], corners[0]), strict=True):
        for step in range(_SIDE_STEPS):
            part = step / _SIDE_STEPS
            u, v = (x + (to_x - x) * part) * across, (y + (to_y - y) * part) * across / aspect
            length = math.sqrt(1 + u * u + v * v)
            a, b, c = ((f + u * r + v * t) / length for f, r, t in zip(ahead, right, up, strict=True))
            rim.append((a, b, c))
    return rim


def segments(ring: Sequence[Vector]) -> list[Vector]:
    """A closed line as pairs of points."""
    return [point for pair in zip(ring, [*ring[1:], *ring[:1]], strict=True) for point in pair]


def sphere_mesh(
    columns: int, rows: int
) -> tuple[list[Vector], list[tuple[int, ...]], list[tuple[tuple[float, float], ...]]]:
    """A unit sphere seen from inside: points, faces, and for each face the picture's coordinates of its corners.

    The picture is equirectangular: u 0.5 at yaw 0, growing to the right; v 0 at the bottom. Column 0 is at yaw -180.
    """
    points = [direction(360 * c / columns - 180, 180 * r / rows - 90) for r in range(rows + 1) for c in range(columns)]
    faces: list[tuple[int, ...]] = []
    corners: list[tuple[tuple[float, float], ...]] = []
    for row in range(rows):
        for column in range(columns):
            after = (column + 1) % columns
            low, high = row * columns, (row + 1) * columns
            face: list[tuple[int, float, int]] = [
                (low + column, 0, 0),
                (low + after, 1, 0),
                (high + after, 1, 1),
                (high + column, 0, 1),
            ]
            if row == 0:  # at a pole the corners of a face meet in one point
                face[0:2] = [(0, 0.5, 0)]
            elif row == rows - 1:
                face[2:4] = [(high, 0.5, 1)]
            faces.append(tuple(index for index, _, _ in face))
            corners.append(tuple(((column + du) / columns, (row + dv) / rows) for _, du, dv in face))
    return points, faces, corners


def _steps(low: float, high: float) -> list[float]:
    count = max(1, math.ceil((high - low) / FILL_STEP_DEG))
    return [low + (high - low) * step / count for step in range(count + 1)]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]

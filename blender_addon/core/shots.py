"""How a camera looks at the sky over a shot: from corners of its picture to a request's keys, and how much is seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from ...backend.controls import CAMERA_FOV_RANGE_DEG, MAX_CAMERA_KEYS, CameraKey
from .directions import Vector, wrapped

MARGIN = 0.1  # the part of the field of view, on every side, that the backend refines besides what is seen
TOLERANCE_DEG = 0.1  # keys that lie between their neighbours to within this are left out
SHARE_POINTS = 1500
_GRAIN = MARGIN / 2  # views closer than this part of the field of view count as one
_WIDEST = math.radians(89.0)
_CONTINUED = ("yaw_deg", "roll_deg")  # the angles that jump where they pass the back


@dataclass(frozen=True)
class View:
    """A camera's axes in the world, unit vectors, and how far its picture reaches from its axis.

    ``across`` and ``down`` are tangents of half the fields of view.
    """

    right: Vector
    up: Vector
    ahead: Vector
    across: float
    down: float


def frame_range(start: int, end: int, most: int = MAX_CAMERA_KEYS) -> list[int]:
    """The scene frames at which to look, at most ``most``, evenly, with the first and the last."""
    count = end - start + 1
    if count <= most:
        return list(range(start, end + 1))
    return sorted({start + round(step * (count - 1) / (most - 1)) for step in range(most)})


def movie_frame(scene_frame: int, first: int, frames: int, *, loop: bool) -> int:
    """The frame of the shot, as a request counts, at which ``scene_frame`` of a range from ``first`` on is shown.

    The World shows the movie's frame 0 at the scene's frame 1, one frame for each of the scene's. A shot may be longer
    than the movie. A loop's shot begins at the movie's frame that ``first`` shows; what is no loop rests before and
    after, so that nothing comes before its frame 0.
    """
    return scene_frame - first + (first - 1) % frames if loop else max(0, scene_frame - 1)


def key_of(view: View, frame: int, front_deg: float) -> CameraKey:
    """The view as a request says it, for a sky whose front is at ``front_deg``. ``roll_deg`` is clockwise."""
    x, y, z = view.ahead
    flat = math.hypot(x, y)
    # Straight up or down there is no yaw: the camera's up, or what is below it, says where it would tilt to.
    yaw = math.atan2(x, y) if flat > 1e-6 else math.atan2(-view.up[0] * z, -view.up[1] * z)
    level = (math.cos(yaw), -math.sin(yaw), 0.0)
    above = _cross(level, view.ahead)
    roll = math.atan2(-_dot(view.right, above), _dot(view.right, level))
    low, high = CAMERA_FOV_RANGE_DEG
    return CameraKey(
        frame=frame,
        yaw_deg=round(wrapped(math.degrees(yaw) - front_deg), 4),
        pitch_deg=round(math.degrees(math.atan2(z, flat)), 4),
        fov_deg=round(min(high, max(low, math.degrees(2 * math.atan(view.across)))), 4),
        aspect=round(view.across / view.down, 5),
        roll_deg=round(math.degrees(roll), 4),
    )


def centred(view: View, shift_across: float, shift_down: float) -> View:
    """The view that looks straight at the middle of a picture that a lens shift moved, and shows no less than it.

    The shifts are tangents: how far the picture's middle lies to the right of the axis and above it.
    """
    if not (shift_across or shift_down):
        return view
    axes = (view.right, view.up, view.ahead)
    ahead = _unit(_mixed(axes, (shift_across, shift_down, 1.0)))
    right = _unit(_minus(view.right, ahead, _dot(view.right, ahead)))
    up = _cross(right, ahead)
    across = down = 0.0
    for side in (-1, 1):
        for top in (-1, 1):
            corner = _mixed(axes, (shift_across + side * view.across, shift_down + top * view.down, 1.0))
            depth = max(1e-3, _dot(corner, ahead))
            across = max(across, abs(_dot(corner, right)) / depth)
            down = max(down, abs(_dot(corner, up)) / depth)
    return View(right, up, ahead, across, down)


def thinned(keys: Sequence[CameraKey], tolerance_deg: float = TOLERANCE_DEG) -> tuple[CameraKey, ...]:
    """The keys without those that the even movement between the others comes to anyway; at equal frames the last."""
    rest = list({key.frame: key for key in keys}.values())
    if len(rest) < 2:
        return tuple(rest)
    turned = _continuous(rest)
    kept = [0]
    todo = [(0, len(turned) - 1)]
    while todo:  # Ramer, Douglas and Peucker, without recursion: a shot may be long
        first, last = todo.pop()
        worst, at = 0.0, 0
        for i in range(first + 1, last):
            off = _apart(turned[i], _between(turned[first], turned[last], turned[i].frame))
            if off > worst:
                worst, at = off, i
        if worst > tolerance_deg:
            todo += [(first, at), (at, last)]
        else:
            kept.append(last)
    ends = [rest[i] for i in sorted(kept)]
    still = len(ends) == 2 and _apart(turned[0], turned[-1]) <= tolerance_deg
    return (ends[0],) if still else tuple(ends)


def seen_share(keys: Sequence[CameraKey], margin: float = MARGIN) -> float:
    """The part of the sphere, 0 to 1, that the shot ever sees, with ``margin`` around every view; 1 without keys."""
    if not keys:
        return 1.0
    rest = _even_points(SHARE_POINTS)
    grain_deg = min(key.fov_deg for key in keys) * _GRAIN
    looked: set[tuple[int, ...]] = set()  # a hand-held camera comes back to nearly the same view all the time
    for key in _path(keys, grain_deg):
        angles = (key.yaw_deg, key.pitch_deg, key.roll_deg, key.fov_deg)
        nearly = (*(round(a / grain_deg) for a in angles), round(math.log(key.aspect) / _GRAIN))
        if nearly not in looked:
            looked.add(nearly)
            rest = _unseen(rest, _view(key), margin)
    return 1 - len(rest) / SHARE_POINTS


def _unseen(points: list[Vector], view: View, margin: float) -> list[Vector]:
    across, down = (math.tan(min((1 + 2 * margin) * math.atan(t), _WIDEST)) for t in (view.across, view.down))

    def seen(point: Vector) -> bool:
        ahead = _dot(point, view.ahead)
        return abs(_dot(point, view.right)) <= across * ahead and abs(_dot(point, view.up)) <= down * ahead

    return [point for point in points if not seen(point)]


def _path(keys: Sequence[CameraKey], grain_deg: float) -> Iterator[CameraKey]:
    """A shot as views that are no further apart than ``grain_deg``, or than a frame."""
    turned = _continuous(keys)
    for i, key in enumerate(turned):
        yield key
        if i + 1 == len(turned):
            return
        after = turned[i + 1]
        steps = min(after.frame - key.frame, math.ceil(_apart(key, after) / grain_deg))
        for step in range(1, steps):
            yield _between(key, after, key.frame + (after.frame - key.frame) * step / steps)


def _view(key: CameraKey) -> View:
    yaw, pitch, roll = (math.radians(a) for a in (key.yaw_deg, key.pitch_deg, key.roll_deg))
    ahead = (math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch))
    level = (math.cos(yaw), -math.sin(yaw), 0.0)
    axes = (level, _cross(level, ahead), ahead)
    right = _mixed(axes, (math.cos(roll), -math.sin(roll), 0.0))
    up = _mixed(axes, (math.sin(roll), math.cos(roll), 0.0))
    across = math.tan(math.radians(key.fov_deg) / 2)
    return View(right, up, ahead, across, across / key.aspect)


def _continuous(keys: Sequence[CameraKey]) -> list[CameraKey]:
    """The keys with angles that go on past the back: 179 is followed by 181, not by -179."""
    found = [keys[0]]
    for key in keys[1:]:
        before = found[-1]
        angles = {n: getattr(before, n) + wrapped(getattr(key, n) - getattr(before, n)) for n in _CONTINUED}
        found.append(replace(key, **angles))
    return found


def _between(a: CameraKey, b: CameraKey, frame: float) -> CameraKey:
    part = (frame - a.frame) / (b.frame - a.frame)
    mixed = {f.name: (1 - part) * getattr(a, f.name) + part * getattr(b, f.name) for f in fields(CameraKey)}
    return CameraKey(**{**mixed, "frame": round(frame)})


def _apart(a: CameraKey, b: CameraKey) -> float:
    """How much two views differ, in degrees."""
    angles = (abs(getattr(a, n) - getattr(b, n)) for n in ("yaw_deg", "pitch_deg", "roll_deg", "fov_deg"))
    return max(*angles, math.degrees(abs(math.log(a.aspect / b.aspect))))


def _even_points(count: int) -> list[Vector]:
    """Points spread evenly over the unit sphere: Fibonacci's lattice."""
    points: list[Vector] = []
    for i in range(count):
        z = 1 - (2 * i + 1) / count
        turn, flat = i * math.pi * (3 - math.sqrt(5)), math.sqrt(1 - z * z)
        points.append((flat * math.cos(turn), flat * math.sin(turn), z))
    return points


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _mixed(axes: tuple[Vector, Vector, Vector], parts: Vector) -> Vector:
    x, y, z = (sum(axis[i] * part for axis, part in zip(axes, parts, strict=True)) for i in range(3))
    return x, y, z


def _minus(a: Vector, b: Vector, times: float) -> Vector:
    return a[0] - times * b[0], a[1] - times * b[1], a[2] - times * b[2]


def _unit(a: Vector) -> Vector:
    length = math.hypot(*a)
    return a[0] / length, a[1] / length, a[2] / length

"""Shots: what the add-on says of a camera is what the engine understands, and how much of the sky it sees."""

from __future__ import annotations

import importlib
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend import camera as engine
from backend.protocol import CameraKey as EngineKey
from backend.protocol import GenerateRequest
from backend.sampling import axes
from blender_addon.__main__ import load_package

load_package()
shots = importlib.import_module("skyloop.blender_addon.core.shots")
View, CameraKey = shots.View, shots.CameraKey

ANGLES = st.tuples(st.floats(-180, 180), st.floats(-85, 85), st.floats(-170, 170))


def requested(keys: Any, frames: int) -> GenerateRequest:
    return GenerateRequest(prompt="x", camera=tuple(EngineKey(**asdict(key)) for key in keys), frames=frames)


def view(yaw: float, pitch: float, roll: float, fov: float = 60.0, aspect: float = 2.0) -> Any:
    """By the engine's own axes."""
    right, ahead, up = (tuple(a) for a in axes(*(math.radians(x) for x in (yaw, pitch, roll))).double().tolist())
    across = math.tan(math.radians(fov) / 2)
    return View(right, up, ahead, across, across / aspect)


@given(ANGLES, st.floats(-180, 180))
def test_a_key_is_how_the_engine_sees_it(angles: tuple[float, float, float], front: float) -> None:
    yaw, pitch, roll = angles
    key = shots.key_of(view(*angles), 7, front)
    assert key.frame == 7 and key.fov_deg == pytest.approx(60, abs=1e-3) and key.aspect == pytest.approx(2)
    again = view(key.yaw_deg + front, key.pitch_deg, key.roll_deg)
    for a, b in ((again.right, view(*angles).right), (again.ahead, view(*angles).ahead)):
        assert np.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_straight_up_and_down_there_still_is_a_way_up(pitch: float) -> None:
    seen = view(35, pitch, 0)
    key = shots.key_of(seen, 0, 0.0)
    assert key.pitch_deg == pytest.approx(pitch, abs=0.05)
    assert np.allclose(view(key.yaw_deg, key.pitch_deg, key.roll_deg).up, seen.up, atol=1e-3)


def test_a_shifted_lens_shows_no_less() -> None:
    straight = view(20, 10, 5, fov=50)
    moved = shots.centred(straight, 0.2, -0.1)
    for side in (-1, 0, 1):
        for top in (-1, 0, 1):
            x, y = 0.2 + side * straight.across, -0.1 + top * straight.down
            corner = np.array(straight.ahead) + x * np.array(straight.right) + y * np.array(straight.up)
            depth = corner @ moved.ahead
            assert abs(corner @ moved.right) <= moved.across * depth + 1e-6
            assert abs(corner @ moved.up) <= moved.down * depth + 1e-6
    assert moved.across < 1.3 * straight.across and shots.centred(straight, 0, 0) is straight


def test_the_movie_plays_as_the_world_does() -> None:
    loop = [shots.movie_frame(frame, 101, 16, loop=True) for frame in (101, 102, 117)]
    assert [frame % 16 for frame in loop] == [(frame - 1) % 16 for frame in (101, 102, 117)] and loop[2] - loop[0] == 16
    assert [shots.movie_frame(frame, 0, 16, loop=False) for frame in (0, 1, 2, 40)] == [0, 0, 1, 39]
    assert min(shots.movie_frame(frame, -5, 16, loop=True) for frame in range(-5, 20)) >= 0


@given(st.integers(-1000, 1000), st.integers(0, 20000))
def test_the_first_and_last_frame_are_looked_at(start: int, length: int) -> None:
    frames = shots.frame_range(start, start + length)
    assert frames[0] == start and frames[-1] == start + length and len(frames) <= 4096
    assert frames == sorted(set(frames))


def pan(frames: int, **step: float) -> list[Any]:
    return [
        CameraKey(f, **{"yaw_deg": 0.0, "pitch_deg": 0.0, "fov_deg": 50.0} | step_at(step, f)) for f in range(frames)
    ]


def step_at(step: dict[str, float], frame: int) -> dict[str, float]:
    values = {name: rate * frame for name, rate in step.items()}
    if "yaw_deg" in values:
        values["yaw_deg"] = (values["yaw_deg"] + 180) % 360 - 180
    return values


def test_even_movement_needs_two_keys_and_none_needs_one() -> None:
    assert [k.frame for k in shots.thinned(pan(100, yaw_deg=1.5))] == [0, 99]
    assert [k.frame for k in shots.thinned(pan(100))] == [0]
    assert shots.thinned([]) == () and len(shots.thinned(pan(1))) == 1
    back = [*pan(50, yaw_deg=1.0), *(CameraKey(50 + i, 49.0 - i, 0.0, 50.0) for i in range(50))]
    assert [k.frame for k in shots.thinned(back)] == [0, 49, 50, 99]


@given(st.lists(ANGLES, min_size=2, max_size=12))
def test_what_is_left_out_lies_between_what_is_kept(path: list[tuple[float, float, float]]) -> None:
    keys = [CameraKey(5 * i, yaw, pitch, 50.0, 1.5, roll) for i, (yaw, pitch, roll) in enumerate(path)]
    kept = shots.thinned(keys)
    request = requested(kept, keys[-1].frame + 1)
    assert not request.problems()
    at = [k.frame for k in kept]
    for key in keys:
        for name in ("yaw_deg", "roll_deg", "pitch_deg"):
            values = np.degrees(np.unwrap(np.radians([getattr(k, name) for k in kept])))
            found = np.interp(key.frame, at, values)
            assert abs((found - getattr(key, name) + 180) % 360 - 180) <= shots.TOLERANCE_DEG + 1e-6


@pytest.mark.parametrize(
    "keys",
    [
        [CameraKey(0, 10, 20, 50)],
        [CameraKey(0, -60, 0, 40), CameraKey(50, 60, 30, 40, 1.0, 40)],
        [CameraKey(0, 170, -80, 90), CameraKey(20, -170, 80, 90)],
        [CameraKey(i, 10 * math.sin(i), 8 * math.cos(1.7 * i), 50, 1.5, 5 * math.sin(3.1 * i)) for i in range(400)],
        [CameraKey(0, 0, 0, 120), CameraKey(10, 120, 0, 120), CameraKey(20, -120, 0, 120)],
    ],
)
def test_the_share_is_the_engines(keys: list[Any]) -> None:
    points = torch.tensor(shots._even_points(20_000)).float()
    request = requested(keys, 16)
    wanted = engine.ever_seen(request, range(16), points).float().mean()
    assert shots.MARGIN == engine.MARGIN
    assert shots.seen_share(keys) == pytest.approx(float(wanted), abs=0.02)


def test_all_is_seen_without_a_camera() -> None:
    assert shots.seen_share([]) == 1.0

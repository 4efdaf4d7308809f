"""Directions of the world and the sky, and the shapes that are drawn on it, against the engine's own geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend import conditioning, sphere
from backend.media.pictures import read_picture
from backend.protocol import Region
from blender_addon.core import directions as d
from blender_addon.core import grey_png

yaws, pitches = st.floats(-180, 179.9), st.floats(-89, 89)


@given(yaws, pitches)
def test_a_direction_and_back(yaw: float, pitch: float) -> None:
    found = d.yaw_pitch([7.5 * x for x in d.direction(yaw, pitch)])
    assert found and d.wrapped(found[0] - yaw) == pytest.approx(0, abs=1e-9) and found[1] == pytest.approx(pitch)


@given(yaws, pitches)
def test_directions_are_the_engines(yaw: float, pitch: float) -> None:
    ours = torch.tensor(d.direction(yaw, pitch))
    theirs = sphere.direction(torch.tensor(math.radians(yaw)), torch.tensor(math.radians(pitch)))
    assert torch.allclose(ours.float(), theirs, atol=1e-5)


def test_what_has_no_length_has_no_direction() -> None:
    assert d.yaw_pitch((0, 0, 0)) is None and d.yaw_pitch((0, 0, 1e-9)) is None
    assert d.yaw_pitch((0, 0, -2)) == (0, -90)


@given(yaws, st.floats(-1000, 1000))
def test_the_sky_turns_with_its_front(world_yaw: float, front: float) -> None:
    in_sky = d.to_sky(world_yaw, front)
    assert -180 <= in_sky < 180
    assert d.wrapped(in_sky + front - world_yaw + 90) == pytest.approx(90, abs=1e-6)
    assert d.to_sky(front, front) == pytest.approx(0, abs=1e-9)


@given(yaws, st.floats(-90, 90), st.floats(1, 179))
def test_a_circle_is_everywhere_at_its_radius(yaw: float, pitch: float, radius: float) -> None:
    centre = d.direction(yaw, pitch)
    for point in d.circle(centre, radius):
        assert d.angle_deg(centre, point) == pytest.approx(radius, abs=1e-4)
        assert math.hypot(*point) == pytest.approx(1)


def test_a_circle_begins_to_the_right_and_goes_up() -> None:
    points = d.circle(d.direction(30, 0), 10, steps=4)
    assert d.yaw_pitch(points[0]) == (pytest.approx(40), pytest.approx(0))
    assert d.yaw_pitch(points[1]) == (pytest.approx(30), pytest.approx(10))


@pytest.mark.parametrize("radius, around", [(20, False), (120, False), (180, False), (15, True), (60, True)])
def test_what_is_filled_is_the_region(radius: float, around: bool) -> None:
    """Every triangle's middle is in the engine's region, and together they are as large as it."""
    yaw, pitch = 40, 50
    points = np.array(d.filled(d.direction(yaw, pitch), radius, around=around)).reshape(-1, 3, 3)
    middle = points.mean(1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    region = Region(None if around else yaw, pitch, radius, "x")
    share = conditioning.region_share(region, torch.tensor(middle).float())
    assert (share > 0.45).all()
    area = np.linalg.norm(np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), axis=1).sum() / 2
    low, high = max(-90, pitch - radius), min(90, pitch + radius)
    around_area = 2 * math.pi * (math.sin(math.radians(high)) - math.sin(math.radians(low)))
    wanted = around_area if around else 2 * math.pi * (1 - math.cos(math.radians(radius)))
    assert area == pytest.approx(wanted, rel=0.02)


def test_the_rims_of_a_band_are_its_edges() -> None:
    two, one, none = (d.rims(d.direction(0, p), r, around=True) for p, r in ((10, 20), (80, 20), (0, 90)))
    assert [round(d.yaw_pitch(rim[5])[1]) for rim in two] == [-10, 30]  # type: ignore[index]
    assert len(one) == 1 and none == [] and d.rims((0, 1, 0), 180, around=False) == []
    assert len(d.segments(two[0])) == 2 * d.CIRCLE_STEPS and d.segments(two[0])[-1] == two[0][0]


def test_the_line_around_a_photo_is_where_the_engine_puts_its_edge() -> None:
    yaw, pitch, fov, aspect = 70.0, 25.0, 50.0, 1.6
    angles = [torch.tensor([math.radians(a)]) for a in (yaw, pitch, fov)]
    seen = sphere.view_directions(angles[0], angles[1], angles[2], 100, 160)[0]
    rim = torch.tensor(d.picture_rim(yaw, pitch, fov, aspect)).float()
    distance = torch.rad2deg(torch.cdist(rim, seen.reshape(-1, 3)).min(1).values)
    assert distance.max() < 0.5, "next to the picture's outermost pixels"
    assert torch.rad2deg(torch.cdist(rim, seen[2:-2, 2:-2].reshape(-1, 3)).min(1).values).min() > 0.3, "and outside"


def test_the_sphere_is_unrolled_as_skies_are() -> None:
    points, faces, corners = d.sphere_mesh(32, 16)
    assert len(faces) == 32 * 16
    for face, uvs in zip(faces, corners, strict=True):
        assert len(set(face)) == len(face)
        for index, (u, v) in zip(face, uvs, strict=True):
            yaw, pitch = d.yaw_pitch(points[index])  # type: ignore[misc]
            assert pitch == pytest.approx(180 * v - 90, abs=1e-6)
            assert abs(pitch) > 89.9 or d.wrapped(360 * u - 180 - yaw) == pytest.approx(0, abs=1e-6)
        a, b, c = (np.array(points[i]) for i in face[:3])
        assert np.cross(b - a, c - a) @ a < 0, "it is seen from inside"


def test_a_mask_is_read_back_as_it_was(tmp_path) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (16, 32), np.uint8)
    path = tmp_path / "mask.png"
    path.write_bytes(grey_png.encode(32, 16, [row.tobytes() for row in grey]))
    pixels, alpha = read_picture(path)
    assert alpha is None and (pixels == grey[..., None]).all()
    with pytest.raises(ValueError, match="16x16"):
        grey_png.encode(16, 16, [row.tobytes() for row in grey])

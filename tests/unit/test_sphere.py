"""Laws of the geometry: round trips, turns, views, and that turning the frame turns what is seen."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import sphere
from backend.evaluation import views

settings.register_profile("torch", deadline=None)  # the first call of torch takes a while
settings.load_profile("torch")

yaws = st.floats(-math.pi + 1e-3, math.pi - 1e-3)
pitches = st.floats(-math.pi / 2 + 1e-2, math.pi / 2 - 1e-2)
any_pitch = st.floats(-math.pi / 2, math.pi / 2)
fovs = st.floats(math.radians(20), math.radians(120))


def one(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


@given(yaws, pitches)
def test_yaw_and_pitch_survive_the_way_through_a_direction(yaw: float, pitch: float) -> None:
    back = sphere.yaw_pitch(sphere.direction(*one(yaw, pitch)))
    assert math.isclose(back[0].item(), yaw, abs_tol=1e-9)
    assert math.isclose(back[1].item(), pitch, abs_tol=1e-9)


@given(yaws, any_pitch)
def test_directions_are_unit_vectors_of_the_stated_axes(yaw: float, pitch: float) -> None:
    d = sphere.direction(*one(yaw, pitch))[0]
    assert math.isclose(d.norm().item(), 1, abs_tol=1e-12)
    assert math.copysign(1, d[2].item()) == math.copysign(1, pitch) or pitch == 0
    assert d[0].item() * math.sin(yaw) >= -1e-12, "yaw grows to the right"


@given(yaws, any_pitch)
def test_tilt_takes_ahead_to_the_direction(yaw: float, pitch: float) -> None:
    y, p = one(yaw, pitch)
    ahead = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(sphere.tilt(ahead, y, p), sphere.direction(y, p))


@given(yaws, any_pitch, st.integers(0, 2**31))
def test_tilt_is_a_rotation(yaw: float, pitch: float, seed: int) -> None:
    vectors = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    turned = sphere.tilt(vectors, *one(yaw, pitch))
    torch.testing.assert_close(turned @ turned.mT, vectors @ vectors.mT)
    before, after = torch.linalg.cross(vectors[0, 0], vectors[0, 1]), torch.linalg.cross(turned[0, 0], turned[0, 1])
    torch.testing.assert_close(sphere.tilt(before[None], *one(yaw, pitch))[0], after, msg="handedness is kept")


@given(yaws, any_pitch, fovs, st.integers(1, 8), st.integers(1, 8))
def test_a_views_centre_is_its_direction(yaw: float, pitch: float, fov: float, rows: int, columns: int) -> None:
    y, p, f = (value.float() for value in one(yaw, pitch, fov))
    d = sphere.view_directions(y, p, f, 2 * rows + 1, 2 * columns + 1)
    torch.testing.assert_close(d[0, rows, columns], sphere.direction(y, p)[0], atol=2e-6, rtol=0)


@given(yaws, any_pitch, fovs, st.integers(2, 64))
def test_a_view_spans_its_field_of_view(yaw: float, pitch: float, fov: float, width: int) -> None:
    """The outer pixel centres lie half a pixel, in tangents, inside the edges."""
    y, p, f = (value.float() for value in one(yaw, pitch, fov))
    d = sphere.view_directions(y, p, f, 1, width)[0, 0].double()
    angle = math.acos(min(1.0, (d[0] @ d[-1]).item()))
    assert math.isclose(angle, 2 * math.atan(math.tan(fov / 2) * (1 - 1 / width)), abs_tol=1e-3)


@given(yaws, st.floats(-1.4, 1.4), fovs)
def test_a_view_has_no_roll_and_its_top_is_up(yaw: float, pitch: float, fov: float) -> None:
    y, p, f = (value.float() for value in one(yaw, pitch, fov))
    d = sphere.view_directions(y, p, f, 3, 3)[0]
    assert abs(d[1, 0, 2] - d[1, 2, 2]) < 1e-5, "the middle row is level"
    right = sphere.direction(y + math.pi / 2, torch.zeros(1))[0]
    assert (d[1, 2] - d[1, 0]) @ right > 0
    assert d[0, 1, 2] > d[2, 1, 2] or abs(pitch) > math.pi / 2 - fov / 2, "upward is up unless the view holds a pole"


@given(st.integers(2, 40), st.integers(2, 80))
def test_pixels_of_a_frame_find_their_own_places(height: int, width: int) -> None:
    u, v = sphere.erp_coordinates(sphere.erp_directions(height, width))
    expected_u, expected_v = sphere.grid(height, width)
    torch.testing.assert_close(v, expected_v, atol=1e-5, rtol=0)
    torch.testing.assert_close(u, expected_u, atol=1e-4, rtol=0)


def test_the_frame_is_the_right_way_round() -> None:
    d = sphere.erp_directions(180, 360)
    assert d[0, :, 2].min() > 0.99, "up at the top"
    assert d[90, 180, 1] > 0.999, "ahead in the centre"
    assert d[90, 270, 0] > 0.999, "the right is right of the centre"
    assert d[90, 0, 1] < -0.999 and d[90, -1, 1] < -0.999, "behind at both edges"


@given(st.integers(-20, 20), yaws, st.floats(-1.2, 1.2), fovs, st.integers(0, 2**31))
def test_rolling_the_frame_is_turning_the_view(columns: int, yaw: float, pitch: float, fov: float, seed: int) -> None:
    width = 40
    image = torch.randn(1, 2, 20, width, generator=torch.Generator().manual_seed(seed))
    p, f = torch.tensor([pitch]), torch.tensor([fov])

    def seen(picture: torch.Tensor, angle: float) -> torch.Tensor:
        d = sphere.view_directions(torch.tensor([angle]), p, f, 5, 5)[0]
        return sphere.sample(picture, *sphere.erp_coordinates(d), wrap=True)

    rolled = seen(torch.roll(image, columns, dims=-1), yaw + columns * 2 * math.pi / width)
    torch.testing.assert_close(rolled, seen(image, yaw), atol=2e-3, rtol=0)


@given(st.integers(0, 2**31), st.booleans(), st.sampled_from(["bilinear", "nearest"]))
def test_reading_at_pixel_centres_gives_the_pixels(seed: int, wrap: bool, mode: str) -> None:
    image = torch.randn(1, 1, 6, 10, generator=torch.Generator().manual_seed(seed))
    read = sphere.sample(image, *sphere.grid(6, 10), wrap=wrap, mode=mode)
    torch.testing.assert_close(read, image, atol=1e-4, rtol=0)


def test_reading_between_the_edges_mixes_both_only_when_they_join() -> None:
    image = torch.zeros(1, 1, 2, 8)
    image[..., -1] = 1.0
    u, v = torch.full((1, 1), -1.0), torch.zeros(1, 1)
    torch.testing.assert_close(sphere.sample(image, u, v, wrap=True), torch.full((1, 1, 1, 1), 0.5), atol=1e-5, rtol=0)
    torch.testing.assert_close(sphere.sample(image, u, v, wrap=False), torch.zeros(1, 1, 1, 1), atol=1e-5, rtol=0)


@given(yaws, any_pitch, fovs)
def test_the_measuring_geometry_is_the_same(yaw: float, pitch: float, fov: float) -> None:
    """``evaluation.views`` is numpy on purpose; it must look where the engine draws."""
    y, p, f = (value.float() for value in one(yaw, pitch, fov))
    rays = views.turned(views.camera_rays(math.degrees(fov), 6, 6), math.degrees(yaw), math.degrees(pitch))
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    np.testing.assert_allclose(rays, sphere.view_directions(y, p, f, 6, 6)[0].numpy(), atol=3e-6)
    x, z = views.erp_pixels(rays, 64, 128)
    u, v = sphere.erp_coordinates(torch.from_numpy(rays))
    np.testing.assert_allclose(x, (u.numpy() + 1) * 64 - 0.5, atol=1e-4)
    np.testing.assert_allclose(z, (v.numpy() + 1) * 32 - 0.5, atol=1e-4)

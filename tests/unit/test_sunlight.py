"""How much light is in a picture, against numpy's sums and closed formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blender_addon.core import sunlight
from blender_addon.core.sunlight import Highlights, Picture


def picture(values: np.ndarray) -> Picture:
    """Of linear RGB (H, W, 3), the top row first."""
    height, width = values.shape[:2]
    rgba = np.concatenate([values, np.ones((height, width, 1))], axis=-1)[::-1]
    return Picture(rgba.ravel().tolist(), width, height)


def directions(height: int) -> np.ndarray:
    """In the film's own axes: its middle, its left, up."""
    yaw = ((np.arange(2 * height) + 0.5) / height - 1) * math.pi
    pitch = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * math.pi
    return np.stack([np.cos(pitch) * np.cos(yaw), -np.cos(pitch) * np.sin(yaw), np.sin(pitch) + 0 * yaw], axis=-1)


def with_sun(yaw_deg: float, pitch_deg: float, radius_deg: float = 6.0, height: int = 128) -> np.ndarray:
    values = np.full((height, 2 * height, 3), 0.1)
    at = sunlight.direction(math.radians(yaw_deg), math.radians(pitch_deg))
    values[directions(height) @ at > math.cos(math.radians(radius_deg))] = (1.0, 0.9, 0.5)
    return values


def test_an_even_sky_gives_pi() -> None:
    light = sunlight.measure(picture(np.ones((64, 128, 3))), Highlights())
    assert light.up == pytest.approx([math.pi] * 3, rel=1e-3)
    assert light.lamp == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0.0, 10.0), (178.0, 30.0), (-95.0, 65.0)])
def test_the_sun_is_found(yaw_deg: float, pitch_deg: float) -> None:
    found = sunlight.find_sun(picture(with_sun(yaw_deg, pitch_deg)))
    assert found
    off = sunlight.direction(found.yaw, found.pitch)
    wanted = sunlight.direction(math.radians(yaw_deg), math.radians(pitch_deg))
    assert math.degrees(math.acos(min(1.0, float(np.dot(off, wanted))))) < 1.0
    assert math.degrees(found.size) == pytest.approx(12.0, abs=1.0)


def test_an_even_sky_has_no_sun() -> None:
    assert sunlight.find_sun(picture(np.full((64, 128, 3), 0.7))) is None


def test_what_is_above_the_cap_is_the_lamps() -> None:
    """Light above and below the cap add up to the whole."""
    values = picture(with_sun(40.0, 30.0))
    whole = sunlight.measure(values, Highlights(boost=4.0, above=0.7))
    soft = sunlight.measure(values, Highlights())
    rise = math.sin(whole.lamp_pitch)
    below = [up - lamp * rise for up, lamp in zip(whole.up, whole.lamp, strict=True)]
    assert below[0] == pytest.approx(soft.up[0], rel=0.01)
    assert math.degrees(whole.lamp_yaw) == pytest.approx(40.0, abs=0.5)
    assert math.degrees(whole.lamp_pitch) == pytest.approx(30.0, abs=0.5)


def test_the_lamp_is_as_strong_as_the_disc() -> None:
    values = picture(with_sun(40.0, 30.0, radius_deg=20.0, height=256))
    light = sunlight.measure(values, Highlights(boost=4.0, above=0.7))
    disc = 2 * math.pi * (1 - math.cos(math.radians(20.0)))
    assert light.lamp[0] == pytest.approx(15.0 * disc, rel=0.06)
    assert light.lamp[2] / light.lamp[0] == pytest.approx(0.5, rel=0.01)
    assert math.degrees(light.lamp_size) == pytest.approx(40.0, abs=1.5)


def test_focus_leaves_the_rest_alone() -> None:
    values = with_sun(40.0, 30.0)
    values[20:40, :60] = 1.0  # a white cloud far from it
    found = sunlight.sun_at(picture(values), math.radians(40.0), math.radians(30.0))
    shown = sunlight.focused(found, Highlights(boost=5.0))
    light = sunlight.measure(picture(values), shown)
    assert math.degrees(light.lamp_yaw) == pytest.approx(40.0, abs=0.5)
    assert sunlight.boost_of(1.0, math.radians(90.0), shown) == 1.0
    assert sunlight.boost_of(1.0, 0.0, shown) == 32.0


@pytest.mark.parametrize("radius_deg", [2.0, 6.0])
def test_a_sun_gives_about_as_much_as_its_sky(radius_deg: float) -> None:
    values = picture(with_sun(40.0, 30.0, radius_deg))
    sun = sunlight.sun_at(values, math.radians(40.0), math.radians(30.0))
    light = sunlight.measure(values, sunlight.brightened(values, sun, Highlights()))
    assert 0.5 < sunlight.luma(light.lamp) / sunlight.luma(light.up) < 2.0
    chosen = sunlight.brightened(values, sun, Highlights(boost=3.0))
    assert chosen.boost == 3.0, "what the user chose stays"

"""The right way round, as mathematics: what each engine documents, applied to the calibration film as it is exported.

For each engine: its axes, how its own panorama material finds a pixel for a direction, and what its glTF importer makes
of glTF's axes, each with its source. No number of :mod:`backend.exports.orientation` is repeated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from backend.exports.orientation import ENGINES, turn, wrapped
from tests import calibration
from tests.calibration import BACK, COLORS, DOWN, FRONT, LEFT, RIGHT, UP, Sample

Vector = tuple[float, float, float]
TAU = 2 * math.pi


@dataclass(frozen=True)
class Documented:
    """``material``: the (u, v) in a frame, from its upper left corner, of a direction, with no rotation set.
    ``imports``: where a glTF direction comes to lie."""

    right: Vector
    up: Vector
    ahead: Vector
    material: Callable[[float, float, float], tuple[float, float]]
    imports: Callable[[float, float, float], Vector]


def unity(x: float, y: float, z: float) -> tuple[float, float]:
    """ToRadialCoords of Unity's Skybox/Panoramic; v is up there."""
    u, v = 0.5 - math.atan2(z, x) / TAU, 1 - math.acos(y) / math.pi
    return u, 1 - v


def three(x: float, y: float, z: float) -> tuple[float, float]:
    """equirectUv of three.js's shader chunk "common"; v is up there."""
    return math.atan2(z, x) / TAU + 0.5, 1 - (math.asin(y) / math.pi + 0.5)


def godot(x: float, y: float, z: float) -> tuple[float, float]:
    """SKY_COORDS, which PanoramaSkyMaterial reads by."""
    return math.atan2(x, -z) / TAU, math.acos(y) / math.pi


def unreal(x: float, y: float, z: float) -> tuple[float, float]:
    """There is none of its own: the formula that study and script take."""
    return 0.5 + math.atan2(y, x) / TAU, math.acos(z) / math.pi


def usd(x: float, y: float, z: float) -> tuple[float, float]:
    """OpenEXR's latitude-longitude map: longitude 0 is +Z, +90° is +X, and it falls from +180° at the left edge."""
    return 0.5 - math.atan2(x, z) / TAU, 0.5 - math.asin(y) / math.pi


def kept(x: float, y: float, z: float) -> Vector:
    return x, y, z


DOCUMENTED = {
    "unity": Documented((1, 0, 0), (0, 1, 0), (0, 0, 1), unity, lambda x, y, z: (-x, y, z)),  # UnityGLTF's issue 257
    "unreal": Documented((0, 1, 0), (0, 0, 1), (1, 0, 0), unreal, lambda x, y, z: (x, z, y)),  # GLTFCore, ConvertVec3
    "godot": Documented((1, 0, 0), (0, 1, 0), (0, 0, -1), godot, kept),
    "three": Documented((1, 0, 0), (0, 1, 0), (0, 0, -1), three, kept),
    "usd": Documented((1, 0, 0), (0, 1, 0), (0, 0, -1), usd, kept),
}
FRAME = calibration.frame(9, 512)


def seen(engine: str, frame: np.ndarray, *, turned_deg: float) -> Sample:
    """What a viewer in the engine sees to the right of its forward, with the engine's own material turned to the right
    by so much."""
    axes = DOCUMENTED[engine]
    sample = calibration.on_frame(frame)

    def at(yaw: float, pitch: float) -> np.ndarray:
        u, v = axes.material(*along(axes, yaw - turned_deg, pitch))
        return sample(u % 1 * 360 - 180, 90 - v * 180)

    return at


def along(axes: Documented, yaw_deg: float, pitch_deg: float) -> Vector:
    """The engine's direction for one that is seen at a yaw and pitch."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    parts = math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw)
    x, y, z = np.clip(np.array(parts) @ np.array([axes.right, axes.up, axes.ahead]), -1, 1)
    return float(x), float(y), float(z)


def yaw_of(axes: Documented, direction: Vector) -> float:
    return math.degrees(math.atan2(np.dot(direction, axes.right), np.dot(direction, axes.ahead)))


def imported(engine: str, x: float, y: float, z: float) -> float:
    """The yaw at which something level in Blender is found once imported; its glTF exporter writes (x, z, -y)."""
    axes = DOCUMENTED[engine]
    return yaw_of(axes, axes.imports(x, z, -y))


def test_every_engine_of_the_table_is_documented_here() -> None:
    assert DOCUMENTED.keys() == ENGINES.keys() - {"film"}


@pytest.mark.parametrize("engine", DOCUMENTED)
def test_unturned_materials_show_the_centre_where_the_table_says_and_do_not_mirror(engine: str) -> None:
    errors = calibration.color_errors(seen(engine, FRAME, turned_deg=0), turned_deg=ENGINES[engine].default_deg)
    assert max(errors.values()) == 0, errors


@pytest.mark.parametrize("engine", DOCUMENTED)
def test_forward_finds_the_film_as_it_is(engine: str) -> None:
    found = turn(engine, "forward", 123.0, prerotate=False)
    assert (found.roll_deg, found.yaw_deg) == (0, 0), "the engine has to show the centre ahead, and no pixel is moved"
    sample = seen(engine, FRAME, turned_deg=found.yaw_deg - ENGINES[engine].default_deg)
    for place in (FRONT, RIGHT, BACK, LEFT, UP, DOWN):
        assert np.array_equal(sample(*place), COLORS[place])
    assert calibration.number_in(sample) == 9, "squares that run to the right, so not mirrored"


@pytest.mark.parametrize("front_deg", [0.0, 90.0, -90.0, 180.0, 45.0])
@pytest.mark.parametrize("prerotate", [False, True])
@pytest.mark.parametrize("engine", DOCUMENTED)
def test_with_blender_sky_and_imported_geometry_stay_together(engine: str, prerotate: bool, front_deg: float) -> None:
    found = turn(engine, "blender", front_deg, prerotate=prerotate)
    frame = np.roll(FRAME, round(found.roll_deg / 360 * FRAME.shape[1]), axis=1)
    turned_deg = 0 if prerotate else found.yaw_deg - ENGINES[engine].default_deg
    sample = seen(engine, frame, turned_deg=turned_deg)
    in_blender = {(0, 1, 0): 0, (1, 0, 0): 90, (0, -1, 0): 180, (-1, 0, 0): -90}  # yaw from +Y
    for axis, blender_deg in in_blender.items():
        in_film = wrapped(blender_deg - front_deg)
        expected = calibration.on_frame(FRAME)(in_film, 10)
        assert np.abs(sample(imported(engine, *axis), 10) - expected).max() <= 1, axis


@pytest.mark.parametrize("engine", DOCUMENTED)
def test_prerotated_films_need_no_turn(engine: str) -> None:
    found = turn(engine, "forward", 0, prerotate=True)
    sample = seen(engine, np.roll(FRAME, round(found.roll_deg / 360 * 512), axis=1), turned_deg=0)
    assert max(calibration.color_errors(sample).values()) == 0
    assert found.yaw_deg == wrapped(ENGINES[engine].default_deg), "which is what the material does by itself"


@pytest.mark.parametrize("front_deg", [0.0, 90.0, -45.0])
def test_a_film_without_an_engine_is_turned_itself(front_deg: float) -> None:
    assert turn("film", "forward", front_deg, prerotate=True).roll_deg == 0
    found = turn("film", "blender", front_deg, prerotate=False)
    frame = np.roll(FRAME, round(found.roll_deg / 360 * 512), axis=1)
    assert found.yaw_deg == 0
    assert max(calibration.color_errors(calibration.on_frame(frame), turned_deg=front_deg).values()) == 0


def test_angles_are_wrapped() -> None:
    assert [wrapped(deg) for deg in (0, 180, -180, 190, 540, -190)] == [0, -180, -180, -170, -180, 170]

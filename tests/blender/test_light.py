"""The light of a sky: what reaches the ground is right, whether the sky gives it or a lamp in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .conftest import FRAMES, Blender, frame_colour
from .pictures import direction, directions, linear, save_png

SUN_YAW_DEG, SUN_PITCH_DEG, SUN_RADIUS_DEG = 60.0, 40.0, 4.0
SKY, GROUND = (90, 110, 150), (60, 50, 40)


@pytest.fixture
def sunny(tmp_path: Path) -> Path:
    """A blue sky with a warm white sun, over brown ground."""
    ahead = directions(256)
    picture = np.where(ahead[..., 2:] > 0, SKY, GROUND)
    away = np.degrees(np.arccos((ahead @ direction(SUN_YAW_DEG, SUN_PITCH_DEG)).clip(-1, 1)))
    picture[away < SUN_RADIUS_DEG] = (255, 250, 220)
    save_png(tmp_path / "sunny.png", picture.astype(np.uint8))
    return tmp_path / "sunny.png"


def test_a_lamp_gives_what_the_sky_no_longer_does(blender: Blender, sunny: Path) -> None:
    found = blender.ask("sky:lights", engine="CYCLES", samples=512, still=sunny)
    plain, bright, lamp, without = (np.array(found[name]) for name in ("plain", "bright", "lamp", "without_lamp"))
    sky = np.array([linear(value) for value in SKY])
    assert np.allclose(plain, sky, rtol=0.15), "a sky of one colour gives the ground that colour"
    assert np.allclose(found["thrice"], 3 * plain, rtol=0.03)
    assert np.allclose(found["still_seen"], sky, rtol=0.05), "but it looks as before"
    assert np.allclose(found["sun"], [SUN_YAW_DEG, SUN_PITCH_DEG], atol=0.5)
    assert (bright > 1.15 * plain).all(), "the boosted sun must count"
    assert np.allclose(lamp, bright, rtol=0.03), "lamp and softened sky give what the sky gave alone"
    assert np.allclose(without, plain, rtol=0.03), "the sky has none of the sun's light left twice"


@pytest.mark.once
def test_eevee_takes_the_suns_light_from_the_lamp_too(blender: Blender, sunny: Path) -> None:
    found = blender.ask("sky:lights", engine="EEVEE", samples=8, still=sunny)
    plain, bright, lamp, without = (np.array(found[name]) for name in ("plain", "bright", "lamp", "without_lamp"))
    assert np.allclose(found["thrice"], 3 * plain, rtol=0.03)
    assert np.allclose(without, plain, rtol=0.05)
    # EEVEE knows the light of a sky by a few numbers only: a small sun is spread a little too wide.
    assert np.allclose(lamp, bright, rtol=0.12)


def test_the_lamp_follows_the_sun_over_the_loop(blender: Blender, sunny: Path, tmp_path: Path) -> None:
    """A sun that goes right round, through straight behind where its angle jumps, and is dark in one frame."""
    yaws = [(SUN_YAW_DEG + 360.0 * frame / FRAMES + 180.0) % 360.0 - 180.0 for frame in range(FRAMES)]
    suns = [[yaw, SUN_PITCH_DEG + frame, 2.0 if frame != 5 else 0.0] for frame, yaw in enumerate(yaws)]
    frames = [1, 5, FRAMES, FRAMES + 1, FRAMES + 5, 1 - FRAMES + 4]
    found = blender.ask("sky:sun_lamp", root=tmp_path, still=sunny, suns=suns, frames=frames, slow_frames=[1, 9, 41])
    moves = found["moves"]
    for (yaw, pitch, _), frame in zip(moves, frames, strict=True):
        wanted = suns[(frame - 1) % FRAMES]
        assert abs((yaw - wanted[0] + 180.0) % 360.0 - 180.0) < 0.1 and abs(pitch - wanted[1]) < 0.1, frame
    assert moves[0][2] == pytest.approx(moves[3][2]) and moves[0][2] > 0.0
    assert moves[1] == pytest.approx(moves[4], abs=1e-3) and moves[1] == pytest.approx(moves[5], abs=1e-3)
    turned = found["turned"][0] - moves[0][0]
    assert (turned - 30.0 + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=0.1)
    assert not found["python"]
    assert found["stale"], "another speed needs another lamp, and the panel says so"
    assert found["slow"][1] == pytest.approx(moves[1], abs=1e-2)
    assert found["slow"][2] == pytest.approx(found["slow"][1], abs=1e-2)
    assert found["lamps"] == 1 and found["softened"] == 1.0
    assert found["after"] == [0, [], 0.0]
    assert found["undone"] == [1, 1.0]


@pytest.mark.parametrize(("level", "height"), [(255, 64), (64, 64), (128, 516)])
def test_how_bright_a_sky_is(blender: Blender, tmp_path: Path, level: int, height: int) -> None:
    """The last is wider than what is read pixel by pixel."""
    save_png(tmp_path / "even.png", np.full((height, 2 * height, 3), level, np.uint8))
    found = blender.ask("sky:brightness", still=tmp_path / "even.png")
    assert found["share"] == pytest.approx(linear(level), rel=0.01)
    assert found["exposure"] == pytest.approx(-np.log2(linear(level)), abs=0.02)
    assert found["after"] == pytest.approx(1.0, rel=0.01)
    assert found["overhead"] == pytest.approx(linear(frame_colour(0)[0]), abs=0.003), "a film is measured at its start"

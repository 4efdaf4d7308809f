"""The light of a sky, on films whose light is known."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from backend import commands, lighting
from backend.lighting import Moment, Sphere, direction_of, find_sun, linear, summary, watch
from backend.media.video import VideoWriter
from backend.sphere import erp_directions
from backend.training.scenes import Renderer, sample_scene

HEIGHT, WIDTH = 180, 360
SPHERE = Sphere(HEIGHT, WIDTH)
BLUE = (70, 110, 190)


def toward(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    return direction_of(lighting.Sun(yaw_deg, pitch_deg, 1.0, (1.0, 1.0, 1.0), 1.0, 1.0))


def sky(*discs: tuple[float, float, float], base: tuple[int, int, int] = BLUE, color: int = 255) -> np.ndarray:
    """A frame of one colour with bright discs of (yaw, pitch, diameter) in degrees."""
    frame = np.full((HEIGHT, WIDTH, 3), base, np.uint8)
    for yaw, pitch, size in discs:
        frame[SPHERE.angle_deg(toward(yaw, pitch)) < size / 2] = color
    return frame


def found(*frames: np.ndarray, loop: bool = True) -> dict:
    return summary(list(watch(frames)), 8.0, loop=loop)


def apart_deg(sun: dict, yaw_deg: float, pitch_deg: float) -> float:
    cosine = float(toward(sun["yaw_deg"], sun["pitch_deg"]) @ toward(yaw_deg, pitch_deg))
    return math.degrees(math.acos(min(1.0, cosine)))


def test_a_constant_sky_gives_pi_times_its_radiance_everywhere() -> None:
    for value, radiance in ((255, 1.0), (128, 0.2158605), (0, 0.0)):
        document = found(np.full((64, 128, 3), value, np.uint8))
        for name in ("up", "horizon", "down"):
            assert document["irradiance"][name] == pytest.approx([math.pi * radiance] * 3, rel=1e-3)
        assert document["sun"] is None
        assert document["frames"][0]["sun"] is None


def test_half_a_sky_lights_what_faces_it() -> None:
    frame = np.zeros((64, 128, 3), np.uint8)
    frame[:32] = 255
    irradiance = found(frame)["irradiance"]
    assert irradiance["up"] == pytest.approx([math.pi] * 3, rel=1e-3)
    assert irradiance["horizon"] == pytest.approx([math.pi / 2] * 3, rel=1e-3)
    assert irradiance["down"] == [0, 0, 0]


def test_large_frames_are_averaged_as_light_not_as_numbers() -> None:
    stripes = np.zeros((720, 1440, 3), np.uint8)
    stripes[::2] = 255
    assert linear(stripes).shape == (HEIGHT, WIDTH, 3)
    assert found(stripes)["irradiance"]["up"] == pytest.approx([math.pi / 2] * 3, rel=1e-3)


@pytest.mark.parametrize("yaw_deg", [-179.0, -90.0, 0.0, 33.3, 180.0])
@pytest.mark.parametrize("pitch_deg", [0.0, 20.0, 60.0, 88.0])
@pytest.mark.parametrize("size_deg", [4.0, 9.0])
def test_a_sun_is_where_it_is_as_wide_and_as_bright(yaw_deg: float, pitch_deg: float, size_deg: float) -> None:
    sun = found(sky((yaw_deg, pitch_deg, size_deg)))["sun"]
    assert apart_deg(sun, yaw_deg, pitch_deg) < (2.0 if pitch_deg < size_deg / 2 else 0.3)  # of one half below ground
    if pitch_deg > size_deg:
        assert sun["size_deg"] == pytest.approx(size_deg, abs=0.6)
        solid_angle = 2 * math.pi * (1 - math.cos(math.radians(size_deg / 2)))
        beyond = 1 - float(linear(sky())[0, 0] @ lighting.LUMINANCE)
        assert sun["irradiance"] == pytest.approx(solid_angle * beyond, rel=0.12)
    assert sun["color"] == pytest.approx([1, 1, 1], abs=0.01)
    assert sun["seen"] == 1


def test_a_sun_in_black_is_all_there_is() -> None:
    document = found(sky((40, 50, 8), base=(0, 0, 0)))
    solid_angle = 2 * math.pi * (1 - math.cos(math.radians(4)))
    assert document["irradiance"]["up"][0] == pytest.approx(solid_angle * math.sin(math.radians(50)), rel=0.05)
    assert document["sun"]["strength"] > 1000


def test_a_sun_that_crosses_the_back_is_followed_around() -> None:
    yaws = [170 + 2 * n for n in range(12)]
    suns = [frame["sun"] for frame in found(*(sky((yaw, 30, 5)) for yaw in yaws), loop=False)["frames"]]
    assert all(apart_deg(sun, yaw, 30) < 0.5 for sun, yaw in zip(suns, yaws, strict=True))
    assert all(abs(sun["yaw_deg"]) > 160 for sun in suns), "no mean of 179 and -179"


def test_a_loop_is_smoothed_over_its_end_and_a_clip_is_not() -> None:
    pitches = [20 + 10 * n / 15 for n in range(16)]
    frames = [sky((0, pitch, 5)) for pitch in pitches]
    loop, clip = (found(*frames, loop=loop)["frames"] for loop in (True, False))
    assert abs(loop[0]["sun"]["pitch_deg"] - loop[-1]["sun"]["pitch_deg"]) < 5
    assert abs(clip[0]["sun"]["pitch_deg"] - clip[-1]["sun"]["pitch_deg"]) > 7
    assert loop[8]["sun"]["pitch_deg"] == pytest.approx(clip[8]["sun"]["pitch_deg"], abs=0.1)


def test_of_two_suns_the_larger_is_taken_and_kept() -> None:
    assert apart_deg(found(sky((-60, 30, 4), (50, 40, 8)))["sun"], 50, 40) < 0.5
    # Twins, of which now one and now the other is a little larger.
    frames = [sky((-60, 30, 5 + n % 2), (50, 40, 6 - n % 2)) for n in range(8)]
    yaws = [frame["sun"]["yaw_deg"] for frame in found(*frames)["frames"]]
    assert max(yaws) - min(yaws) < 1


def test_a_sun_behind_a_cloud_for_a_while_stays_where_it_is_and_gives_nothing() -> None:
    frames = [sky((20, 40, 6)) if n not in (5, 6) else sky() for n in range(16)]
    document = found(*frames)
    assert document["sun"]["seen"] == pytest.approx(14 / 16, abs=1e-3)
    for n in (5, 6):
        hidden = document["frames"][n]["sun"]
        assert hidden["irradiance"] == 0
        assert apart_deg(hidden, 20, 40) < 0.5
    mostly = [sky() if n % 4 else sky((20, 40, 6)) for n in range(16)]
    assert found(*mostly)["sun"] is None


def clouds() -> np.ndarray:
    rng = np.random.default_rng(2)
    field = lighting.blurred(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), 8.0)
    white = field > np.quantile(field, 0.6)
    return np.where(white[..., None], np.uint8(235), np.array(BLUE, np.uint8))


def stars() -> np.ndarray:
    rng = np.random.default_rng(3)
    frame = np.full((HEIGHT, WIDTH, 3), 8, np.uint8)
    frame[rng.integers(0, 90, 300), rng.integers(0, WIDTH, 300)] = 255
    return frame


def bright_ground() -> np.ndarray:
    return np.linspace(0, 255, HEIGHT).astype(np.uint8)[:, None, None].repeat(WIDTH, 1).repeat(3, 2)


@pytest.mark.parametrize(
    "frame",
    [clouds(), stars(), sky((30, 40, 26), base=(10, 10, 30)), sky((30, -40, 8)), bright_ground()],
    ids=["bank of clouds", "stars", "a planet", "a reflection", "bright ground"],
)
def test_what_is_bright_but_no_sun_is_none(frame: np.ndarray) -> None:
    assert found(frame)["sun"] is None


def test_suns_of_rendered_skies_are_found_and_clouds_are_not() -> None:
    """The procedural skies that the model learned from know where their sun is."""
    renderer, directions = Renderer("cpu"), erp_directions(HEIGHT, WIDTH)[None]
    expected = {2: True, 43: True, 14: True, 49: True, 18: True, 3: False, 51: False, 9: False, 27: False, 23: False}
    for seed, has in expected.items():
        scene = sample_scene(random.Random(seed))
        picture = renderer.shade([scene], directions, torch.zeros(1, 1), math.pi / HEIGHT)[0, 0].permute(1, 2, 0)
        sun = find_sun(linear((picture * 255).round().to(torch.uint8).numpy()), SPHERE)
        assert (sun is not None) == has, (seed, scene.sky, sun)
        if sun:
            at = math.degrees(scene.sun_yaw), math.degrees(scene.sun_pitch)
            assert apart_deg({"yaw_deg": sun.yaw_deg, "pitch_deg": sun.pitch_deg}, *at) < 4, (seed, sun)


def film(path: Path, height: int = 128, width: int = 256) -> Path:
    with VideoWriter(path, width, height, 8.0) as video:
        for n in range(3):
            video.write(
                np.roll(np.repeat(np.arange(width, dtype=np.uint8)[None, :, None], 3, 2).repeat(height, 0), n, 1)
            )
    return path


def test_the_command_writes_what_it_finds_beside_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("backend.commands.light.enter_runtime", lambda argv: None)
    job = tmp_path / "job"
    job.mkdir()
    film(job / "sky.mp4")
    assert commands.main(["light", str(job), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((job / "light.json").read_text())
    assert document["version"] == 1 and len(document["frames"]) == 3 and document["loop"] is True
    assert commands.main(["light", str(film(tmp_path / "other.mp4")), "--no-loop"]) == 0
    assert json.loads((tmp_path / "other.light.json").read_text())["loop"] is False
    assert "sun" in capsys.readouterr().out
    assert commands.main(["light", str(film(tmp_path / "flat.mp4", width=128))]) == 2
    assert "twice as wide as high" in capsys.readouterr().err
    assert commands.main(["light", str(tmp_path / "nowhere")]) == 2


def test_nothing_is_no_light() -> None:
    dark = Moment(np.zeros(3), np.zeros(3), np.zeros(3), None)
    assert summary([dark], 8.0, loop=True)["sun"] is None

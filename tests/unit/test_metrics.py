"""The figures mean what they say: made-up skies whose seams, motion and sharpness are known."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import sphere
from backend.evaluation import arcs, evaluate_file, poles, report, spatial, temporal, views
from backend.evaluation.metrics import PASS, figures, passes
from backend.evaluation.spatial import ReferenceView
from backend.media.video import VideoWriter
from backend.protocol import ErrorKind, SkyloopError

HEIGHT, WIDTH = 128, 256
FPS = 8.0


def texture(
    directions: np.ndarray, seed: int = 0, time: float = 0.0, waves: int = 120, fine: float = 35.0
) -> np.ndarray:
    """A field with no preferred place, direction or, over one unit of time, moment: waves through the ball.

    (..., 3) unit vectors -> (..., 3) uint8. ``fine`` is the usual number of radians of phase a radian of angle.
    """
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(waves, 3)) * fine / math.sqrt(3)
    phases = rng.uniform(0, 2 * math.pi, (3, waves)) + 2 * math.pi * time * rng.integers(-1, 2, waves)
    along = directions.reshape(-1, 3).astype(np.float32) @ vectors.T.astype(np.float32)
    field = np.stack([np.cos(along + phase.astype(np.float32)).sum(axis=1) for phase in phases], axis=-1)
    return (128 + 50 * math.sqrt(2 / waves) * field).clip(0, 255).astype(np.uint8).reshape(directions.shape)


@functools.cache
def still(seed: int = 0) -> np.ndarray:
    """One frame (HEIGHT, WIDTH, 3) of a seamless sphere."""
    return texture(sphere.erp_directions(HEIGHT, WIDTH).numpy(), seed)


@functools.cache
def living(frames: int = 12) -> np.ndarray:
    """A video (frames, HEIGHT, WIDTH, 3) that loops and has no seam."""
    directions = sphere.erp_directions(HEIGHT, WIDTH).numpy()
    return np.stack([texture(directions, 0, t / frames) for t in range(frames)])


def seen(pitch_deg: float, yaw_deg: float = 0.0, fov_deg: float = 90.0, size: int = 64, seed: int = 0) -> np.ndarray:
    """What a camera with pixels (size, size) sees of the same sphere, not by way of a frame."""
    rays = views.turned(views.camera_rays(fov_deg, size, size), yaw_deg, pitch_deg)
    return texture(rays / np.linalg.norm(rays, axis=-1, keepdims=True), seed)


def weights() -> np.ndarray:
    return views.row_weights(HEIGHT)


def grey(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def step_at(column: int, size: int = 60) -> np.ndarray:
    """A sphere with one step along the meridian left of ``column``, fading out within half a turn on its right."""
    fade = np.roll(np.clip(1 - np.arange(WIDTH) / (WIDTH / 2), 0, 1), column)
    return (still().astype(float) * 0.6 + 40 + size * fade[:, None]).clip(0, 255).astype(np.uint8)[None]


def test_a_seamless_sphere_has_no_seam() -> None:
    found = [spatial.seam(grey(still(seed)[None]), weights()) for seed in range(6)]
    assert np.mean([one for one, _ in found]) == pytest.approx(1, abs=0.05)
    assert np.mean([two for _, two in found]) < PASS["seam2"][1]


def test_a_step_at_the_edge_is_a_seam_and_elsewhere_is_not() -> None:
    assert spatial.seam(grey(step_at(0)), weights())[0] > 2
    assert arcs.seam_percentile(grey(step_at(0))) > 97.5
    for column in (WIDTH // 2, 77):
        without, with_step = (spatial.seam(grey(step_at(column, size)), weights())[0] for size in (0, 60))
        assert with_step == pytest.approx(without, abs=0.1)
        assert arcs.seam_percentile(grey(step_at(column))) < 97.5


def test_a_faint_seam_shows_beside_strong_edges() -> None:
    """Three grey levels at the join, in a dark sky with stars: the plain mean of the steps would not see them."""
    rng = np.random.default_rng(0)
    sky = rng.normal(30, 0.5, (HEIGHT, WIDTH))
    sky[rng.integers(0, HEIGHT, 250), rng.integers(0, WIDTH, 250)] = 255
    faint = sky + 3 * np.clip(1 - np.arange(WIDTH) / (WIDTH / 2), 0, 1)
    clean, seamed = (image.clip(0, 255).astype(np.uint8)[None] for image in (sky, faint))
    assert spatial.seam(clean, weights())[0] == pytest.approx(1, abs=0.1)
    assert spatial.seam(seamed, weights())[0] > 2
    assert arcs.seam_percentile(clean) < 97.5 < arcs.seam_percentile(seamed)


def test_a_step_of_colour_alone_is_a_seam_of_colour() -> None:
    fade = np.clip(1 - np.arange(WIDTH) / (WIDTH / 2), 0, 1)[:, None]
    red_to_green = still().astype(float) * 0.5 + 64 + fade * [40, -40 * 0.299 / 0.587, 0]
    frames = red_to_green.clip(0, 255).astype(np.uint8)[None]
    assert passes("seam_color", spatial.seam_color(still()[None], weights()))
    assert not passes("seam_color", spatial.seam_color(frames, weights()))
    assert spatial.seam(grey(frames), weights())[0] < 1.2


def test_a_kink_without_a_step_is_found_by_the_second_difference() -> None:
    ramp = np.abs(np.arange(WIDTH) + 0.5 - WIDTH / 2) * 1.9
    frame = np.broadcast_to(ramp[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8)[None]
    first, second = spatial.seam(grey(frame), weights())
    assert first < 1.1 < PASS["seam2"][1] < second


def test_smearing_the_join_is_no_way_to_pass() -> None:
    wide = np.concatenate([still()[:, -16:], still()[:, :16]], axis=1)
    smeared = still().copy()
    soft = cv2.blur(wide, (15, 1))
    smeared[:, -8:], smeared[:, :8] = soft[:, 8:16], soft[:, 16:24]
    assert not passes("seam", spatial.seam(grey(smeared[None]), weights())[0])
    assert not passes("seam_percentile", arcs.seam_percentile(grey(smeared[None])))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, WIDTH - 1), st.integers(0, 5))
def test_turning_a_sphere_makes_another_column_the_join(columns: int, seed: int) -> None:
    """Wherever the join falls, its step is that of the column that fell there, over the same median."""
    luma = grey(still(seed)[None])
    turned = np.roll(luma, columns, axis=2)
    first, _ = spatial.seam(turned, weights())
    steps = np.abs(np.diff(luma[0].astype(float), axis=1, append=luma[0][:, :1]))
    profile = spatial.typical(np.roll(steps, columns + 1, axis=1), weights())
    near = WIDTH // 12
    assert first == pytest.approx(profile[0] / np.median([*profile[1 : near + 1], *profile[-near:]]), rel=0.02)


def test_the_percentile_of_seamless_spheres_is_spread_evenly() -> None:
    found = [arcs.seam_percentile(grey(np.roll(still(seed), 40 * seed, 1)[None])) for seed in range(10)]
    assert 25 < np.mean(found) < 75
    assert np.std(found) > 10


@functools.cache
def fine_pole(blur: str) -> dict[float, float]:
    height = 256
    frame = texture(sphere.erp_directions(height, 2 * height).numpy(), 3, waves=200, fine=60)
    if blur == "spokes":  # what is drawn without regard to the sphere is pinched at its poles
        few = np.random.default_rng(0).integers(0, 256, (1, 24, 3), np.uint8)
        frame = cv2.resize(few, (2 * height, height), interpolation=cv2.INTER_CUBIC)
    if blur == "rings":
        frame = cv2.blur(np.tile(frame, (1, 3, 1)), (121, 1))[:, 2 * height : 4 * height]
    return {pitch: poles.pole(grey(frame[None]), pitch) for pitch in (90.0, -90.0)}


def test_poles_without_direction_are_round_and_spokes_and_rings_are_not() -> None:
    assert np.mean(list(fine_pole("").values())) == pytest.approx(1, abs=0.15)
    for pitch in (90.0, -90.0):
        assert fine_pole("spokes")[pitch] > 2
        assert fine_pole("rings")[pitch] < 0.7


def test_a_loop_closes_and_a_cut_does_not() -> None:
    good = figures(living(), fps=FPS, loop=True)
    assert all(passes(name, good[name]) for name in ("loop", "loop_flow", "loop_color"))
    cut = figures(living()[:7], fps=FPS, loop=True)
    assert cut["loop"] > 1.3
    assert cut["loop_flow"] > 1.3
    assert not {"loop", "loop_flow", "loop_color"} & set(figures(living(), fps=FPS, loop=False))


def test_a_drift_of_colour_that_jumps_back_is_found() -> None:
    redder = np.array([1.5, 0, 0]) * np.arange(len(living()))[:, None, None, None]
    drift = (living() + redder).clip(0, 255).astype(np.uint8)
    assert not passes("loop_color", figures(drift, fps=FPS, loop=True)["loop_color"])


def test_a_gap_in_a_long_video_is_not_taken_for_motion() -> None:
    ends = np.concatenate([living()[:4], living()[8:]])
    assert figures(ends, fps=FPS, loop=True, gap=3)["loop"] == pytest.approx(1, abs=0.15)
    assert (3, 4) not in temporal.neighbours(8, loop=True, gap=3)


@given(st.integers(0, 40), st.booleans())
def test_neighbours_follow_each_other_and_close_the_loop_once(count: int, loop: bool) -> None:
    pairs = temporal.neighbours(count, loop=loop)
    assert all(b == (a + 1) % count for a, b in pairs)
    assert len(pairs) == max(0, count if loop and count > 2 else count - 1)


def detail_by_pitch(frame: np.ndarray, reference: list[ReferenceView]) -> dict[float, float]:
    found = spatial.detail(grey(frame[None]), reference)
    pitches = {view.pitch_deg for view, _ in found}
    return {p: spatial.typical_of([ratio for view, ratio in found if view.pitch_deg == p]) for p in pitches}


def test_detail_of_the_same_sphere_is_one_in_every_view() -> None:
    """The reference never saw a frame; the journey through one is put on it."""
    reference = [
        ReferenceView(pitch_deg=pitch, fov_deg=90, frames=seen(pitch, yaw)[None])
        for pitch in (-90, -45, 0, 45, 90)
        for yaw in (0, 120, 240)
    ]
    found = spatial.detail(grey(still()[None]), reference)
    assert {(view.yaw_deg, view.pitch_deg) for view, _ in found} == {(v.yaw_deg, v.pitch_deg) for v in views.ALL_ROUND}
    assert [ratio for _, ratio in found] == pytest.approx([1] * 14, abs=0.12)
    assert list(detail_by_pitch(still(), reference).values()) == pytest.approx([1] * 5, abs=0.06)


def test_detail_does_not_depend_on_the_size_of_the_panorama() -> None:
    reference = [ReferenceView(pitch_deg=0, fov_deg=60, frames=seen(0, yaw, 60, 48)[None]) for yaw in range(0, 360, 60)]
    for height in (64, 128, 384):
        fine = texture(sphere.erp_directions(2 * height, 4 * height).numpy())
        frame = cv2.resize(fine, (2 * height, height), interpolation=cv2.INTER_AREA)
        assert detail_by_pitch(frame, reference)[0] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("radius", [1.0, 2.0])
def test_blur_is_a_loss_of_detail_and_grain_a_gain(radius: float) -> None:
    reference = [ReferenceView(pitch_deg=0, fov_deg=90, frames=seen(0)[None])]
    blurred = cv2.GaussianBlur(still(), (0, 0), radius)
    grainy = cv2.add(still(), np.random.default_rng(0).normal(0, 20 * radius, still().shape), dtype=cv2.CV_8U)
    assert detail_by_pitch(blurred, reference)[0] < 0.85
    assert detail_by_pitch(grainy, reference)[0] > 1.15


def test_a_turning_sphere_moves_at_its_own_speed_in_every_view() -> None:
    """Degrees a second times the cosine of the pitch, whatever the stretch of the view and of the frame."""
    height, columns = 256, 2
    base = texture(sphere.erp_directions(height, 2 * height).numpy())
    found = figures(np.stack([np.roll(base, columns * t, axis=1) for t in range(4)]), fps=FPS, loop=False)
    turning = columns * 360 / (2 * height) * FPS
    for yaw, pitch, speed in found["motion_by_view"]:
        rays = views.turned(views.camera_rays(90, 128, 128), yaw, pitch)[13:-13, 13:-13]
        cosine = np.hypot(rays[..., 0], rays[..., 1]) / np.linalg.norm(rays, axis=-1)
        assert speed == pytest.approx(turning * cosine.mean(), rel=0.1), (yaw, pitch)
    assert found["motion_islands"] == []


def test_motion_is_measured_against_the_models_own() -> None:
    reference = [ReferenceView(pitch_deg=0, fov_deg=90, frames=np.stack([seen(0, -2 * t, size=128) for t in range(4)]))]
    height = 256
    base = texture(sphere.erp_directions(height, 2 * height).numpy())
    slow = 360 / (2 * height)
    for columns in (1, 2):
        video = np.stack([np.roll(base, columns * t, axis=1) for t in range(4)])
        found = figures(video, fps=FPS, loop=False, reference=reference)
        assert found["motion_ratio"] == pytest.approx(columns * slow / 2, rel=0.1)


def test_an_island_of_motion_is_flagged() -> None:
    height = 256
    base = texture(sphere.erp_directions(height, 2 * height).numpy())
    video = np.stack([np.roll(base, t, axis=1) for t in range(4)])
    video[:, 32:-32, 170:342] = video[0, 32:-32, 170:342]  # ahead stands still
    found = figures(video, fps=FPS, loop=False)
    assert [0.0, 0.0] in found["motion_islands"]
    assert [180.0, 0.0] not in found["motion_islands"]


def test_flicker_at_the_period_of_the_autoencoder_is_a_line() -> None:
    rng = np.random.default_rng(0)
    levels = 100 + rng.normal(0, 0.1, 32)
    assert passes("flicker_line", temporal.flicker_line(levels))
    for period in (4, 8):
        pulsing = levels + (np.arange(32) % period == 0)
        assert not passes("flicker_line", temporal.flicker_line(pulsing))
    assert passes("flicker_line", temporal.flicker_line(levels + np.linspace(0, 5, 32))), "a slow change is no flicker"


def test_the_residual_forgives_motion_and_not_boiling() -> None:
    pictures = [texture(views.turned(views.camera_rays(60, 96, 96), -t, 0) / 1.2)[..., 0] for t in range(4)]
    rng = np.random.default_rng(0)
    boiling = [cv2.add(p, rng.normal(0, 15, p.shape), dtype=cv2.CV_8U) for p in pictures]
    pairs = temporal.neighbours(4, loop=False)
    plain = np.mean([np.abs(pictures[a].astype(float) - pictures[b]).mean() for a, b in pairs])
    moving, boiled = temporal.residual(pictures, pairs), temporal.residual(boiling, pairs)
    assert moving is not None and boiled is not None
    assert moving < plain / 2
    assert boiled > 2 * moving


def test_flicker_is_the_spread_of_brightness_in_grey_levels() -> None:
    video = np.stack([np.full((64, 128, 3), 100 + 4 * (t % 2), np.uint8) for t in range(6)])
    assert figures(video, fps=FPS, loop=False)["flicker"] == pytest.approx(2, abs=0.01)


def test_the_same_thing_twice_is_repetition() -> None:
    height = 256
    base = texture(sphere.erp_directions(height, 2 * height).numpy(), 5, fine=60)
    twice = base.copy()
    twice[:, height:] = twice[:, :height]
    assert spatial.sphere_repetition(grey(base[None])[0]) < 0.6
    assert spatial.sphere_repetition(grey(twice[None])[0]) > 0.95
    layers = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, 2 * height)).astype(np.uint8)
    assert spatial.sphere_repetition(layers) < 0.6, "a sky that is the same all around repeats nothing"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 17])
@pytest.mark.parametrize("kind", ["black", "white", "static", "noise"])
@pytest.mark.parametrize("shape", ["sphere", "strip", "ring"])
def test_odd_videos_give_finite_figures(count: int, kind: str, shape: str) -> None:
    size = (32, 64) if shape == "sphere" else (48, 80)
    one = {
        "black": np.zeros((*size, 3), np.uint8),
        "white": np.full((*size, 3), 255, np.uint8),
        "static": np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8),
        "noise": None,
    }[kind]
    video = np.random.default_rng(1).integers(0, 256, (count, *size, 3), np.uint8) if one is None else None
    video = np.repeat(one[None], count, axis=0) if video is None and one is not None else video
    assert video is not None
    reference = [ReferenceView(pitch_deg=0, fov_deg=90, frames=video[:, :32, :32])]
    found = figures(
        video, fps=FPS, loop=True, flat=shape != "sphere", wrap=shape != "strip", reference=reference
    )  # fmt: skip
    json.dumps(found, allow_nan=False)
    assert ("seam" in found) == (shape != "strip")
    assert ("pole" in found) == (shape == "sphere")
    assert ("loop" in found) == (count > 2)
    if kind in ("black", "white", "static") and count > 2:
        assert (found["loop"], found["loop_color"]) == (1, 0)
        assert found.get("motion", found.get("motion_px")) == 0
    assert report.table(found).count("\n") == len(found) + 1


def test_the_table_marks_what_fails() -> None:
    text = report.table({"seam": 1.0, "loop": 1.4, "motion": 3.0, "pole": {"zenith": 1.0, "nadir": 2.0}})
    marks: dict[str, Any] = {line.split()[0]: line.split()[-1] for line in text.splitlines()[2:]}
    assert (marks["seam"], marks["loop"], marks["pole"]) == ("pass", "FAIL", "FAIL")
    assert "deg/s" in text


def test_a_contact_sheet_shows_the_middle_frame_and_its_views(tmp_path: Path) -> None:
    red, blue = (np.full((64, 128, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    entries = [("a long prompt " * 40, np.stack([blue, red, blue])), ("日本 é \n ☂", np.stack([red, blue, red]))]
    report.contact_sheet(entries, tmp_path / "sheet.png")
    from backend.media.stills import read_image

    sheet = read_image(tmp_path / "sheet.png")
    top, bottom = sheet[: len(sheet) // 2], sheet[len(sheet) // 2 :]
    for half, mine, other in ((top, [255, 0, 0], [0, 0, 255]), (bottom, [0, 0, 255], [255, 0, 0])):
        assert (half == mine).all(axis=-1).mean() > 0.6
        assert not (half == other).all(axis=-1).any()
        assert (half.max(axis=-1) < 128).any(), "the caption is there"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "sky.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, FPS) as writer:
        for frame in living():
            writer.write(frame)
    return path


def test_a_file_is_measured_like_its_frames(film: Path) -> None:
    """Coding may cost a little; above all it must not look like a seam."""
    found, direct = evaluate_file(film), figures(living(), fps=FPS, loop=True)
    assert set(found) == set(direct)
    for name in ("seam", "seam_color", "loop", "motion"):
        assert found[name] == pytest.approx(direct[name], rel=0.15), name


def test_what_the_video_is_meant_to_be_is_read_beside_it(film: Path) -> None:
    beside = film.with_name("result.json")
    for intent, absent in (({"loop": False}, "loop"), ({"flat": True, "wrap": False}, "seam")):
        beside.write_text(json.dumps({"request": {"prompt": "a sky", **intent}}))
        assert absent not in evaluate_file(film)
    beside.write_text("{ broken")
    assert {"seam", "loop"} <= set(evaluate_file(film))
    beside.unlink()


def test_a_long_film_is_measured_by_its_ends(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 128, 64, FPS) as writer:
        for t in range(90):
            writer.write(cv2.resize(np.roll(still(), t, axis=1), (128, 64), interpolation=cv2.INTER_AREA))
    from backend.evaluation.files import MOST_FRAMES, _ends

    frames, gap = _ends(tmp_path / "a.mp4", MOST_FRAMES)
    assert (len(frames), gap) == (MOST_FRAMES, MOST_FRAMES // 2 - 1)
    assert evaluate_file(tmp_path / "a.mp4")["loop"] > 1.5, "the last frame of all against the first"


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(SkyloopError) as caught:
        evaluate_file(tmp_path / "a.mp4")
    assert caught.value.kind is ErrorKind.BAD_REQUEST

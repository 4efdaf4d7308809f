"""What steers a sky besides its prompt, from the request to the movie, on a model that costs nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.media.video import VideoWriter, read_frames
from backend.pipeline import generate
from backend.protocol import CameraKey, GenerateRequest, Region
from tests.backend.test_pipeline import OracleEngine

# Large enough for one refinement; figures take long, and have tests of their own.
SMALL = GenerateRequest(prompt="anything", width=512, height=256, steps=4, seed=7, fov_deg=90.0, measure=False)
LARGE = replace(SMALL, width=1024, height=512)


def make(request: GenerateRequest, job: Path) -> tuple[np.ndarray, dict, OracleEngine]:
    job.mkdir()
    engine = OracleEngine()
    list(generate(request, job, engine=engine))
    return np.stack(list(read_frames(job / "sky.mp4"))), json.loads((job / "result.json").read_text()), engine


def picture(path: Path, pixels: np.ndarray) -> str:
    assert cv2.imwrite(str(path), pixels)
    return str(path)


def test_an_edit_leaves_the_rest_alone_and_costs_less(tmp_path: Path) -> None:
    first, whole, _ = make(LARGE, tmp_path / "first")
    edit = replace(LARGE, seed=8, source=str(tmp_path / "first"), mask_at=(90.0, 20.0, 20.0))
    second, part, _ = make(edit, tmp_path / "second")
    apart = np.abs(second.astype(int) - first).mean((0, 3))
    assert apart[:, :512].max() < 6  # left of the middle: only the codec
    assert apart[200:240, 740:800].mean() > 10  # yaw 90, pitch 20
    assert part["evaluations"] < 0.6 * whole["evaluations"]


def test_an_edit_of_everything_is_a_new_sky(tmp_path: Path) -> None:
    make(SMALL, tmp_path / "first")
    mask = picture(tmp_path / "white.png", np.full((256, 512), 255, np.uint8))
    edited, _, _ = make(replace(SMALL, seed=8, source=str(tmp_path / "first"), mask=mask), tmp_path / "second")
    fresh, _, _ = make(replace(SMALL, seed=8), tmp_path / "third")
    assert np.abs(edited.astype(int) - fresh).mean() < 1


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of what is where in two movies of any size."""
    a, b = (np.stack([cv2.resize(f, (64, 32), interpolation=cv2.INTER_AREA) for f in m]) for m in (one, other))
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.fixture
def soft(tmp_path: Path) -> Path:
    """A film of soft shapes that turn around the horizon, as large as SMALL."""
    folder = tmp_path / "soft"
    folder.mkdir()
    yaw, pitch = np.meshgrid(np.linspace(-np.pi, np.pi, 512), np.linspace(np.pi / 2, -np.pi / 2, 256))
    with VideoWriter(folder / "sky.mp4", 512, 256, SMALL.fps) as video:
        for t in range(SMALL.frames):
            waves = np.sin(3 * yaw + 2 * np.pi * t / SMALL.frames) * np.cos(pitch) + 0.5 * np.sin(5 * pitch)
            video.write(np.repeat((127 + 70 * waves)[..., None], 3, axis=2).astype(np.uint8))
    return folder


def test_a_sky_made_of_another_is_like_it_by_as_much_as_it_keeps(tmp_path: Path, soft: Path) -> None:
    old = np.stack(list(read_frames(soft / "sky.mp4")))
    alike, evaluations = list[float](), list[int]()
    for strength in (0.1, 0.5, 0.9):
        request = replace(SMALL, source=str(soft), strength=strength)
        new, result, _ = make(request, tmp_path / f"{strength}")
        alike.append(likeness(old, new))
        evaluations.append(result["evaluations"])
    assert alike[0] > 0.95
    assert alike[0] > alike[1] > alike[2]
    _, whole, _ = make(SMALL, tmp_path / "whole")
    assert evaluations[0] <= evaluations[1] < evaluations[2] <= whole["evaluations"]


@pytest.mark.parametrize("fov_deg", [90.0, 45.0])  # the layout is as fine as the candidate, or finer
def test_a_candidate_becomes_a_large_sky_of_the_same_layout(tmp_path: Path, soft: Path, fov_deg: float) -> None:
    grow = replace(LARGE, fov_deg=fov_deg, source=str(soft), strength=0.2)
    large, _, engine = make(grow, tmp_path / "large")
    assert large.shape == (16, 512, 1024, 3)
    assert likeness(np.stack(list(read_frames(soft / "sky.mp4"))), large) > 0.9
    assert max(sigma for _, sigma, _ in engine.oracle.calls) <= 0.4, "nothing is made from noise alone"


def test_a_slight_change_of_a_large_sky_does_not_go_through_a_small_one(tmp_path: Path) -> None:
    make(LARGE, tmp_path / "first")
    again = replace(LARGE, source=str(tmp_path / "first"))
    for strength, widest_rad in ((0.1, 0.9), (0.5, 1.6)):  # 45 degrees are what a window of the refinement sees
        _, _, engine = make(replace(again, strength=strength), tmp_path / f"{strength}")
        views = [view for _, _, seen in engine.oracle.calls for view in seen if abs(view.pitch) < 0.1]
        assert max(view.fov for view in views) == pytest.approx(widest_rad, abs=0.2)


def test_a_still_panorama_keeps_its_low_frequencies(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:256, 0:512]
    grey = (127 + 60 * np.sin(2 * np.pi * columns / 512) * np.cos(np.pi * (rows / 256 - 0.5))).astype(np.uint8)
    image = picture(tmp_path / "still.png", grey)
    movie, result, _ = make(replace(SMALL, image=image, measure=True), tmp_path / "with")
    assert result["figures"]["fidelity_low_db"] > 20
    assert np.abs(np.diff(movie.astype(int), axis=0)).mean() > 1, "it must move"
    without, _, _ = make(SMALL, tmp_path / "without")
    expected = cv2.GaussianBlur(grey, (0, 0), 8).astype(float)

    def miss(frames: np.ndarray) -> float:
        return float(np.abs(cv2.GaussianBlur(frames.mean((0, 3)), (0, 0), 8) - expected)[32:-32].mean())

    assert miss(movie) < 0.5 * miss(without)


def test_a_photo_is_placed_where_it_looks(tmp_path: Path) -> None:
    image = picture(tmp_path / "photo.png", np.full((60, 80, 3), 250, np.uint8))
    request = replace(SMALL, image=image, image_yaw_deg=-90.0, image_pitch_deg=0.0, image_fov_deg=70.0)
    movie, _, _ = make(request, tmp_path / "job")
    brightness = movie.mean((0, 3))
    assert brightness[118:138, 118:138].mean() > 1.3 * brightness[118:138, 330:430].mean()


def test_what_shall_not_move_stands_still(tmp_path: Path) -> None:
    mask = np.zeros((256, 512), np.uint8)
    mask[:, 256:] = 255
    movie, _, _ = make(replace(SMALL, motion_mask=picture(tmp_path / "m.png", mask)), tmp_path / "job")
    steps = np.abs(np.diff(movie.astype(int), axis=0)).mean((0, 3))
    assert steps[60:196, 30:226].mean() < 0.1 * steps[60:196, 286:482].mean()
    none, _, _ = make(replace(SMALL, motion=0.0), tmp_path / "none")
    assert np.abs(np.diff(none.astype(int), axis=0)).max() <= 4  # the codec


def test_only_what_the_camera_sees_is_refined(tmp_path: Path) -> None:
    camera = (CameraKey(0, 0.0, 0.0, 50.0), CameraKey(15, 40.0, 0.0, 50.0))
    whole, all_of_it, _ = make(LARGE, tmp_path / "whole")
    seen, part, _ = make(replace(LARGE, camera=camera), tmp_path / "seen")
    assert part["evaluations"] < 0.75 * all_of_it["evaluations"]
    ahead = (slice(None), slice(226, 286), slice(482, 600))
    assert (
        np.abs(seen[ahead].astype(int) - whole[ahead]).mean() < 0.3 * np.abs(whole[ahead] - whole[ahead].mean()).mean()
    )


def test_a_region_asks_the_model_for_its_prompt(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    class Listening(OracleEngine):
        def __init__(self) -> None:
            super().__init__()
            predict = self.oracle.predict

            def listen(x, sigma, views, prompts, negative, guidance):
                asked.append(list(prompts))
                return predict(x, sigma, views, prompts, negative, guidance)

            self.oracle.predict = listen

    job = tmp_path / "job"
    job.mkdir()
    request = replace(SMALL, regions=(Region(90.0, 0.0, 30.0, "a storm"),))
    list(generate(request, job, engine=Listening()))
    flat = [p for batch in asked for p in batch]
    assert 0 < flat.count("a storm") < 0.5 * flat.count("anything")


@pytest.mark.parametrize("field", ["image", "source", "mask", "motion_mask"])
def test_a_missing_file_is_named_before_any_work(tmp_path: Path, field: str) -> None:
    from backend.protocol import SkyloopError

    extra = {"source": str(tmp_path)} if field == "mask" else {"mask_at": (0.0, 0.0, 20.0)} if field == "source" else {}
    request = replace(SMALL, **{field: str(tmp_path / "nothing.png"), **extra})
    with pytest.raises(SkyloopError, match=r"nothing\.png|sky\.mp4"):
        list(generate(request, tmp_path, engine=OracleEngine()))

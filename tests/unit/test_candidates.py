"""Exploring before spending: what a candidate asks for, what becomes of it, which are shown and which cleaned up."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.__main__ import load_package

load_package()
archive = importlib.import_module("skyloop.blender_addon.core.archive")
candidates = importlib.import_module("skyloop.blender_addon.core.candidates")
jobs = importlib.import_module("skyloop.blender_addon.core.jobs")
protocol = importlib.import_module("skyloop.backend.protocol")
queue_module = importlib.import_module("skyloop.blender_addon.core.queue")
styles = importlib.import_module("skyloop.blender_addon.core.styles")
settings = importlib.import_module("skyloop.blender_addon.core.settings")

WANTED = protocol.GenerateRequest(
    prompt="stars", negative="sun", width=2048, height=1024, frames=16, seed=3, guidance=4.0,
    regions=(protocol.Region(10.0, 20.0, 30.0, "moon"),), camera=(protocol.CameraKey(1, 0.0, 0.0, 50.0),),
)  # fmt: skip


def made(root: Path, name: str, *, done: bool = True, **fields: Any) -> Path:
    """A job folder of that name; ``name`` orders it in time, too."""
    folder = importlib.import_module("skyloop.backend.jobs.store").create(root / name, replace(WANTED, **fields)).path
    if done:
        (folder / "sky.mp4").write_bytes(b"movie")
        (folder / "result.json").write_text("{}", encoding="utf-8")
    return folder


def listed_in(root: Path) -> list[Any]:
    return archive.look([root], [], archive.Archive()).finished


def stamp(number: int) -> str:
    return f"20260101-0000{number:02d}-stars"


@pytest.mark.parametrize(("width", "factor"), [(512, 1.0), (1024, 1 / 0.78), (2048, 1 / 0.78**2)])
def test_a_candidate_moves_the_more_that_refining_will_take_away(tmp_path: Path, width: int, factor: float) -> None:
    wanted = replace(WANTED, width=width, height=width // 2, motion=0.8)
    quick = candidates.candidate_of(wanted, 1)
    assert quick.motion == pytest.approx(0.8 * factor)
    assert candidates.refined(quick, tmp_path, wanted).motion == 0.8
    assert candidates.candidate_of(replace(wanted, motion=2.0), 1).motion == 2.0
    assert candidates.candidate_of(replace(wanted, motion=0.0), 1).motion == 0.0


@given(
    width=st.sampled_from([256, 512, 1024, 4096]), frames=st.integers(1, 4096), steps=st.integers(0, 200),
    source=st.sampled_from(["", "/skies/a"]), seed=st.integers(0, 2**31 - 1),
)  # fmt: skip
def test_a_candidate_is_small_and_can_always_be_made(
    width: int, frames: int, steps: int, source: str, seed: int
) -> None:
    wanted = replace(
        WANTED,
        width=width,
        height=width // 2,
        frames=frames,
        steps=steps,
        source=source,
        strength=0.5 if source else 1.0,
    )
    quick = candidates.candidate_of(wanted, seed)
    assert quick.problems() == [] and quick.seed == seed and not quick.measure
    assert quick.width <= 512 and quick.frames <= 16 and 0 < quick.steps <= candidates.STEPS
    assert (quick.prompt, quick.negative, quick.regions, quick.guidance) == ("stars", "sun", WANTED.regions, 4.0)


@given(
    frames=st.integers(1, 64),
    fps=st.sampled_from([8.0, 24.0]),
    loop=st.booleans(),
    width=st.sampled_from([256, 512, 2048]),
)
def test_the_full_sky_of_a_candidate_has_its_content_and_the_wanted_length(
    frames: int, fps: float, loop: bool, width: int
) -> None:
    wanted = replace(WANTED, frames=frames, fps=fps, loop=loop, width=width, height=width // 2)
    chosen = candidates.candidate_of(replace(WANTED, frames=16, fps=8.0, loop=True), 99)
    full = candidates.refined(chosen, Path("/skies/candidates/a"), wanted)
    assert full.problems() == [] and full.measure and full.seed == 99 and full.camera == wanted.camera
    assert (full.frames, full.fps, full.loop) == (frames, fps, loop)
    assert full.width == max(width, chosen.width) and full.regions == WANTED.regions
    if (frames, fps, loop) == (16, 8.0, True):
        assert full.source == "/skies/candidates/a" and full.strength < 1 and not full.image
    else:  # a movie cannot be made longer
        assert full.image == "/skies/candidates/a/poster.png" and not full.source and full.strength == 1


def test_what_was_made_of_a_photo_goes_on_without_it() -> None:
    photo = replace(WANTED, image="/photos/a.jpg", image_yaw_deg=20.0, image_fov_deg=60.0)
    chosen = candidates.candidate_of(photo, 1)
    assert chosen.image == "/photos/a.jpg" and chosen.problems() == []
    for wanted in (photo, replace(photo, frames=24)):
        full = candidates.refined(chosen, Path("/c"), wanted)
        assert full.problems() == [] and "photos" not in full.image and full.image_fov_deg == 0


def test_a_variation_is_as_large_and_long_as_its_sky() -> None:
    variation = candidates.variation_of(replace(WANTED, mask_at=(0.0, 0.0, 9.0), source="/x"), Path("/sky"), 5, "cpu")
    assert variation.problems() == [] and variation.source == "/sky" and variation.seed == 5
    assert (variation.width, variation.frames, variation.fps) == (WANTED.width, WANTED.frames, WANTED.fps)
    assert candidates.refined(variation, Path("/v"), replace(WANTED, width=512, height=256)).width == WANTED.width


def task(root: Path, name: str, title: str, **fields: Any) -> Any:
    folder = root / name
    folder.mkdir(parents=True)
    return queue_module.Task(folder, replace(WANTED, prompt=title), jobs.Claim(folder), **fields)


def test_what_a_chosen_one_will_take_is_told_from_its_card(tmp_path: Path) -> None:
    chosen = candidates.candidate_of(WANTED, 7)
    folder = made(
        tmp_path / "candidates", stamp(1), **{n: getattr(chosen, n) for n in ("width", "height", "steps", "seed")}
    )
    [listed] = listed_in(tmp_path / "candidates")
    for wanted in (WANTED, replace(WANTED, frames=40), replace(WANTED, fps=24.0)):
        told, full = candidates.refined_of(listed, wanted), candidates.refined(chosen, folder, wanted)
        for name in ("width", "frames", "fps", "source", "image", "strength", "seed", "steps"):
            assert getattr(told, name) == getattr(full, name), name
        assert not candidates.is_whole(listed, wanted)
    assert candidates.is_whole(listed, replace(WANTED, width=512, height=256))
    assert not candidates.is_whole(listed, replace(WANTED, width=512, height=256, loop=False))


def test_the_grid_shows_one_kind_and_what_is_being_made_of_it(tmp_path: Path) -> None:
    root = tmp_path / "candidates"
    small: dict[str, Any] = {"width": 512, "height": 256}
    made(root, stamp(1), prompt="dawn", **small)
    made(root, stamp(2), **small)
    made(root, stamp(3), **small)
    made(root, stamp(4), prompt="stars", width=1024, height=512)
    listed = listed_in(root)
    queue = queue_module.JobQueue()
    names = [cell.folder.name for cell in candidates.cells(listed, queue, "dawn")]
    assert names == [stamp(1)]
    assert [c.folder.name for c in candidates.cells(listed, queue, "stars")] == [stamp(4)], "the newest kind of it"
    assert [c.folder.name for c in candidates.cells(listed, queue, "never tried")] == [stamp(4)]
    queue.tasks = [
        task(root, "a", "rain"),
        task(root, "b", "rain"),
        task(tmp_path, "sky", "rain"),
        task(root, "c", "dawn"),
    ]
    queue.running = queue.tasks[0]
    rain = candidates.cells(listed, queue, "rain")
    assert [(c.folder.name, c.running, c.listed) for c in rain] == [("a", True, None), ("b", False, None)]
    assert [c.folder.name for c in candidates.cells(listed, queue, "dawn")] == [stamp(1), "c"]
    assert candidates.cells([], queue_module.JobQueue(), "rain") == []


def test_the_newest_stay_and_those_in_use_with_them(tmp_path: Path) -> None:
    root = tmp_path / "candidates"
    folders = [made(root, stamp(n)) for n in range(20)]
    left_undone = made(root, stamp(30), done=False)
    candidates.pin(folders[2])
    waiting = made(root, stamp(31), done=False)
    claim = jobs.Claim(waiting)
    candidates.clean_up(root, {folders[0]}, new=4)
    claim.release()
    left = {f.name for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")}
    assert left == {folders[0].name, folders[2].name, waiting.name, *(f.name for f in folders[-8:])}
    assert not left_undone.exists()
    candidates.clean_up(tmp_path / "none", set())


def test_discarding_spares_what_a_sky_was_made_of(tmp_path: Path) -> None:
    one, other = made(tmp_path / "candidates", "a"), made(tmp_path / "candidates", "b")
    candidates.pin(one)
    for folder in (one, other, tmp_path / "candidates" / "gone"):
        candidates.discard(folder)
    assert one.exists() and not other.exists()


def test_a_candidate_is_kept_as_a_sky_of_its_own(tmp_path: Path) -> None:
    folder = made(tmp_path / "candidates", stamp(1))
    candidates.pin(folder)
    kept = [candidates.keep(folder) for _ in range(2)]
    assert [k.parent for k in kept] == [tmp_path, tmp_path] and kept[0] != kept[1]
    assert {f.name for f in kept[0].iterdir()} == {"request.json", "sky.mp4", "result.json"}
    assert {job.folder for job in listed_in(tmp_path)} == set(kept) and folder.exists()


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = made(tmp_path / "candidates", stamp(1))
    tmp_path.chmod(0o500)
    with pytest.raises(protocol.SkyloopError):
        candidates.keep(folder)


@given(prompt=st.text(max_size=60), style=st.sampled_from([s.id for s in styles.STYLES] + ["NONE"]))
def test_a_prompt_with_its_style_comes_apart_into_the_same_whole(prompt: str, style: str) -> None:
    whole = styles.styled(prompt, styles.style_words(style, ""))
    own, found = styles.unstyled(whole)
    assert styles.styled(own, styles.style_words(found, "")) == whole
    if prompt.strip() and style != "NONE":
        assert (own, found) == (prompt, style)


def test_the_numbers_of_styles_are_theirs_alone() -> None:
    assert len({s.number for s in styles.STYLES}) == len({s.id for s in styles.STYLES}) == len(styles.STYLES)


def test_styles_and_examples_are_of_words_that_the_model_has_learnt() -> None:
    captions = importlib.import_module("skyloop.backend.training.captions")
    kinds = ("SKIES", "TIMES", "GROUNDS", "RIDGES", "WEATHERS", "FEATURES", "HUES")
    known = {
        word for kind in kinds for phrases in getattr(captions, kind).values() for p in phrases for word in p.split()
    }
    known |= {"over", "a", "the", "with", "in", "under", "above", "of", "at", "and"}
    for text in (*(s.words for s in styles.STYLES), *styles.EXAMPLES):
        missing = set(text.replace(",", "").split()) - known
        assert not missing, (text, missing)


@given(frames=st.integers(1, 4096), fps=st.floats(1, 120))
def test_seconds_and_frames_are_one_length(frames: int, fps: float) -> None:
    assert settings.frames_in(settings.duration_s(frames, fps), fps) == frames


@given(width=st.integers(-5, 20000))
def test_the_nearest_width_can_be_made(width: int) -> None:
    near = settings.nearest_width(width)
    assert protocol.GenerateRequest(prompt="x", width=near, height=near // 2).problems() == []
    assert abs(near - width) <= 16 or near in (256, 8192)

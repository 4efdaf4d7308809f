"""A result made beside an earlier one: whenever the work is cut short, one of the two is whole, or can be made so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from backend.jobs import folders, staging, store
from backend.jobs.store import OUTPUTS, Job
from backend.media import files
from backend.protocol import GenerateRequest, SkyloopError

REQUEST = GenerateRequest(prompt="dusk over dunes", seed=7)


def set_age(path: Path, age_s: float) -> None:
    then_s = time.time() - age_s
    os.utime(path, (then_s, then_s))


RESULT = ("sky.mp4", "poster.png", "result.json")


def _finish(job: Job, text: str) -> None:
    for name in RESULT:
        (job.path / name).write_text(text, encoding="utf-8")


def _content(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.name != "request.json"}


def test_a_published_result_takes_the_place_of_an_earlier_one_as_a_whole(tmp_path: Path) -> None:
    with staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "old")
        (job.path / "preview.png").write_text("old", encoding="utf-8")
        staging.publish(job, tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "new")
        assert set(_content_of_files(tmp_path).values()) == {"old", "mine"}
        staging.publish(job, tmp_path)
    new = dict.fromkeys(("sky.mp4", "poster.png", "result.json"), "new")
    assert _content(tmp_path) == new | {"notes.txt": "mine"}


def _content_of_files(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.is_file() and p.suffix != ".json"}


def test_a_video_that_cannot_be_replaced_costs_neither_result(tmp_path: Path) -> None:
    (tmp_path / "sky.mp4").mkdir()  # as good as a file that Windows has open: it cannot be replaced
    (tmp_path / "result.json").write_text("old", encoding="utf-8")
    with pytest.raises(SkyloopError) as caught, staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "new")
        staging.publish(job, tmp_path)
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == "old"
    kept = next(tmp_path.glob("skyloop-*"))
    assert str(kept) in caught.value.hint
    assert _content(kept) == dict.fromkeys(("sky.mp4", "poster.png", "result.json"), "new")


def test_a_still_that_cannot_be_replaced_leaves_no_mixed_result(tmp_path: Path) -> None:
    (tmp_path / "poster.png").mkdir()
    (tmp_path / "result.json").write_text("old", encoding="utf-8")
    with pytest.raises(SkyloopError) as caught, staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "new")
        staging.publish(job, tmp_path)
    assert not (tmp_path / "result.json").exists()  # the video is already the new one's
    assert (tmp_path / "sky.mp4").read_text(encoding="utf-8") == "new"
    kept = next(tmp_path.glob("skyloop-*"))
    assert str(kept) in caught.value.hint
    assert (kept / "result.json").read_text(encoding="utf-8") == "new"


def test_an_unpublished_run_leaves_the_earlier_result_and_its_log(tmp_path: Path) -> None:
    with staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "old")
        staging.publish(job, tmp_path)
    before = _content(tmp_path)
    with pytest.raises(KeyboardInterrupt), staging.staged(tmp_path, REQUEST) as job:
        (job.path / "sky.mp4").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert _content(tmp_path) == before
    with staging.staged(tmp_path, REQUEST) as job:
        job.log.write_text("why", encoding="utf-8")
        log = staging.keep_log(job, tmp_path)
    assert _content(tmp_path) == before | {log.name: "why"}


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    old, busy, young = (store.create(tmp_path / f".skyloop-{name}", REQUEST) for name in ("old", "busy", "young"))
    with busy.locked():
        for abandoned in (old, busy):
            set_age(abandoned.path, 61)
        with staging.staged(tmp_path, REQUEST):
            assert not old.path.exists()
            assert busy.path.exists()
            assert young.path.exists()


def _checkpoint(stage: Path) -> None:
    (stage / "checkpoint").mkdir()
    (stage / "checkpoint" / "denoise-3.safetensors").write_bytes(b"x")


def _left(folder: Path, request: GenerateRequest = REQUEST, age_s: float = 0) -> Path:
    """The stage of a run that was killed so long ago, after its first checkpoint."""
    stage = store.create(folder / f".skyloop-{len(list(folder.iterdir()))}", request).path
    _checkpoint(stage)
    _set_age(stage, age_s)
    return stage


def _set_age(stage: Path, age_s: float) -> None:
    for path in (stage / "checkpoint", stage):
        set_age(path, age_s)


def test_a_run_with_a_checkpoint_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging.staged(tmp_path, REQUEST) as job:
        _checkpoint(job.path)
        raise KeyboardInterrupt
    with staging.staged(tmp_path, REQUEST) as again:
        assert again.path == job.path
        _finish(again, "new")
        staging.publish(again, tmp_path)
    assert _content(tmp_path) == dict.fromkeys(RESULT, "new")  # and nothing of the stage


@pytest.mark.parametrize(
    "change", [{"prompt": "dawn"}, {"seed": 8}, {"frames": 8}, {"model": "other"}, {"motion": 0.5}], ids=str
)
def test_another_request_starts_its_own_and_leaves_the_other_alone(tmp_path: Path, change: dict[str, object]) -> None:
    left = _left(tmp_path)
    other = replace(REQUEST, **change)  # type: ignore[arg-type]
    assert (staging.unfinished(tmp_path, other, any_seed=True) is not None) == (change == {"seed": 8})
    with staging.staged(tmp_path, other) as job:
        assert job.path != left
        assert job.request() == other
    assert store.has_checkpoint(left)
    assert not job.path.exists()


def test_of_several_interrupted_runs_the_latest_goes_on(tmp_path: Path) -> None:
    for age_s, seed in ((50, 1), (10, 2), (90, 3)):
        _left(tmp_path, replace(REQUEST, seed=seed), age_s)
    found = staging.unfinished(tmp_path, REQUEST, any_seed=True)
    assert found and found.request().seed == 2
    with found.locked():
        found = staging.unfinished(tmp_path, REQUEST, any_seed=True)
    assert found and found.request().seed == 1


DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("age_s", "stays"),
    [(0, True), (13 * DAY_S, True), (15 * DAY_S, False), (-DAY_S, True), (-3650 * DAY_S, True), (3650 * DAY_S, True)],
    ids=["new", "13 days", "15 days", "tomorrow", "in ten years", "ten years ago"],
)
def test_a_checkpoint_is_swept_after_two_weeks_by_a_clock_that_can_be_believed(
    tmp_path: Path, age_s: float, stays: bool
) -> None:
    left = _left(tmp_path, age_s=age_s)
    with Job(left, "").locked():
        _set_age(left, age_s)
        staging.sweep(tmp_path)
        assert store.has_checkpoint(left)
    _set_age(left, age_s)
    staging.sweep(tmp_path)
    assert store.has_checkpoint(left) == stays
    if stays and not 0 <= age_s < 365 * DAY_S:  # from then on it is counted
        assert abs(time.time() - left.stat().st_mtime) < 60
        assert abs(time.time() - (left / "checkpoint").stat().st_mtime) < 60


def test_what_is_old_but_asked_for_again_goes_on(tmp_path: Path) -> None:
    left = _left(tmp_path, age_s=15 * DAY_S)
    with staging.staged(tmp_path, REQUEST) as job:
        assert job.path == left
        assert store.has_checkpoint(left)


def test_a_removal_that_is_cut_short_leaves_nothing_that_could_be_taken_for_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _finish(store.create(tmp_path, REQUEST), "old")
    left = _left(tmp_path, age_s=15 * DAY_S)
    (left / "result.json").write_text("stale", encoding="utf-8")  # the rest of it is removed first
    set_age(left, 15 * DAY_S)
    with monkeypatch.context() as patch:
        patch.setattr(folders.shutil, "rmtree", lambda *_, **__: None)
        staging.sweep(tmp_path)
    assert staging.recover(tmp_path) == []
    assert staging.unfinished(tmp_path, REQUEST) is None
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == "old"


class Killed(BaseException):
    """As good as kill -9: nothing tidies up, as nothing but the tests knows it."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """Die right after the change of names of that number, 0 before the first; yields what was done till then."""
    done: list[str] = []

    def counting(change):  # noqa: ANN001, ANN202
        def counted(path, *arguments, **options):  # noqa: ANN001, ANN002, ANN003, ANN202
            if len(done) >= number:
                raise Killed
            result = change(path, *arguments, **options)
            done.append(f"{change.__name__} {path.name}")
            return result

        return counted

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink"):
            patch.setattr(Path, name, counting(getattr(Path, name)))
        patch.setattr(files, "discard", lambda path: None)
        try:
            yield done
        except Killed:
            done.append("killed")


OLD = dict.fromkeys((*OUTPUTS[:-2], "result.json"), "old")  # with a preview, events and a log, which the new one lacks


def _begin(folder: Path) -> Job:
    """An earlier result, and a stage with a whole new one."""
    for name, text in OLD.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "failed.log.txt").write_text("old", encoding="utf-8")
    job = store.create(folder / ".skyloop-0", REQUEST)
    for name in ("sky.mp4", "poster.png"):
        (job.path / name).write_text("new", encoding="utf-8")
    (job.path / "result.json").write_text(json.dumps({"request": REQUEST.to_json()}), encoding="utf-8")
    return job


def _is_new(folder: Path) -> bool:
    content = _content_of_files(folder)
    new = {"sky.mp4": "new", "poster.png": "new"}
    return content == new and {p.name for p in folder.iterdir() if p.is_file()} == {*new, "result.json", "request.json"}


def test_a_result_is_whole_or_made_whole_whichever_rename_was_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, ended = [], False
    while not ended:
        folder = tmp_path / str(len(moments))
        folder.mkdir()
        job = _begin(folder)
        with killed_at(monkeypatch, len(moments)) as done:
            staging.publish(job, folder)
        ended = "killed" not in done
        moments.append(done)
        planned = (job.path / "publish.json").is_file()
        moved = staging.recover(folder)  # as the same command does first
        if not _is_new(folder):  # nothing of it was moved: the old result is whole, and so is the new one in its stage
            assert not moved and not planned
            assert _content_of_files(folder) == {n: t for n, t in OLD.items() if not n.endswith(".json")} | {
                "failed.log.txt": "old"
            }
            assert (folder / "result.json").read_text(encoding="utf-8") == "old"
            left = staging.unfinished(folder, REQUEST, any_seed=True)
            assert left is not None and store.status(left.path) is store.Status.DONE
            staging.publish(left, folder)
        assert _is_new(folder)
        assert store.recorded(folder) == REQUEST
        staging.sweep(folder)
        assert staging.unfinished(folder, REQUEST) is None
    renamed = [name for name in moments[-1] if not name.startswith("unlink")]
    assert len(renamed) >= 6  # the plan, the earlier index, video, poster, request, index; and the stage goes


def test_making_whole_can_be_cut_short_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in range(2, 12):
        folder = tmp_path / str(first)
        folder.mkdir()
        job = _begin(folder)
        with killed_at(monkeypatch, first):
            staging.publish(job, folder)
        for _ in range(20):  # one rename at a time
            with killed_at(monkeypatch, 1) as done:
                staging.recover(folder)
            if "killed" not in done:
                break
        assert _is_new(folder)


def test_another_request_makes_the_cut_short_one_whole_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = _begin(tmp_path)
    with killed_at(monkeypatch, 5) as done:
        staging.publish(job, tmp_path)
    assert not (tmp_path / "result.json").exists() and "killed" in done
    with staging.staged(tmp_path, replace(REQUEST, prompt="dawn")):
        assert _is_new(tmp_path)


@pytest.mark.parametrize(
    "plan",
    [
        b"", b"{", b"[]", b"{}", b'{"move": [], "remove": []}', b'{"move": 5, "remove": []}', b"[" * 50_000,
        b'{"move": ["sky.mp4", "../../mine", "result.json"], "remove": []}',
        b'{"move": ["sky.mp4", "result.json"], "remove": ["../mine"]}',
        b'{"move": ["sky.mp4", "result.json"], "remove": ["notes.txt"]}',
        b'{"move": ["result.json", "sky.mp4"], "remove": []}',
    ],
)  # fmt: skip
def test_a_plan_that_is_not_ours_is_not_carried_out(tmp_path: Path, plan: bytes) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for mine in (folder / "notes.txt", tmp_path / "mine"):
        mine.write_text("mine", encoding="utf-8")
    stage = _begin(folder).path
    (stage / "publish.json").write_bytes(plan)
    assert staging.recover(folder) == []
    assert (folder / "result.json").read_text(encoding="utf-8") == "old"
    assert (folder / "notes.txt").exists() and (tmp_path / "mine").exists()


def test_links_are_not_taken_for_stages_or_results(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
    stage = _begin(elsewhere).path
    _checkpoint(stage)
    (folder / ".skyloop-link").symlink_to(stage)
    assert staging.unfinished(folder, REQUEST) is None
    set_age(stage, 15 * DAY_S)
    staging.sweep(folder)
    assert store.has_checkpoint(stage)
    job = _begin(folder)
    (job.path / "poster.png").unlink()
    (job.path / "poster.png").symlink_to(elsewhere / "result.json")
    staging.publish(job, folder)
    assert not (folder / "poster.png").exists()  # a result without one

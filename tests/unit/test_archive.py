"""What is known of the skies on the disk: found once, searched, ordered, pruned."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from .sessions import REQUEST, archive, jobs

words = importlib.import_module("skyloop.blender_addon.core.words")
Order = archive.Order


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "skies"


def make(root: Path, prompt: str, *, kilobytes: int = 1, day: int = 1, done: bool = True) -> Path:
    """A job of January 2026; the days are in its name, as the library has them."""
    request = replace(REQUEST, prompt=prompt, seed=day)
    folder = jobs.create(root, request)
    folder = folder.rename(root / f"202601{day:02d}-120000-{prompt.split()[0]}")
    (folder / "sky.mp4").write_bytes(bytes(kilobytes * 1000))
    if done:
        (folder / "poster.png").write_bytes(b"poster")
        result = {
            "request": request.to_json(),
            "seconds": {"load": 1.5, "layout": 20.0},
            "evaluations": 9,
            "device": "cpu",
            "peak_memory_mb": {"host": 900},
        }
        (folder / "result.json").write_text(json.dumps(result))
    return folder.resolve()


def look(root: Path, before=None):
    return archive.look([root], [root / jobs.CANDIDATES], before or archive.Archive())


def test_all_there_is_to_know_is_found_in_one_go(root: Path) -> None:
    folders = [make(root, "old one", day=1), make(root, "new one", day=2), make(root, "half", day=3, done=False)]
    quick = make(root / jobs.CANDIDATES, "quick", day=4)
    (root / "holiday").mkdir()
    found = look(root)
    assert [job.folder for job in found.finished] == [folders[1], folders[0]]
    assert [job.folder for job in found.unfinished] == [folders[2]]
    assert [job.folder for job in found.candidates] == [quick]
    new = found.finished[0]
    assert new.took_s == 21.5 and new.poster == new.folder / "poster.png" and new.bytes > 1000
    assert (
        found.past[0].seconds["layout"] == 20 and found.past[0].work == REQUEST.width * REQUEST.height * REQUEST.frames
    )
    assert found.free_mb and found.free_mb > 0
    assert replace(look(root, found), free_mb=None) == replace(found, free_mb=None), "nothing has changed"


def test_what_is_known_is_not_read_again_and_what_is_gone_goes(root: Path, monkeypatch) -> None:
    kept, gone = make(root, "kept", day=1), make(root, "gone", day=2)
    before = look(root)
    shutil.rmtree(gone)
    archive.pin(kept, True)
    monkeypatch.setattr(archive.folders, "usage_bytes", lambda folder: pytest.fail(f"{folder} was walked"))
    after = look(root, before)
    assert [job.folder for job in after.finished] == [kept] and after.finished[0].pinned
    assert before.without([kept]).finished == [job for job in before.finished if job.folder == gone]


def test_folders_that_are_missing_or_cannot_be_read_hide_no_others(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = make(root, "there")
    found = archive.look([tmp_path / "missing", tmp_path / "file", root], [], archive.Archive())
    assert [job.folder for job in found.finished] == [folder]
    assert archive.look([], [], archive.Archive()).free_mb is None


def test_searching_and_ordering(root: Path) -> None:
    make(root, "Northern lights", day=1, kilobytes=30)
    make(root, "dawn over hills", day=2, kilobytes=20)
    archive.pin(make(root, "a storm at dawn", day=3, kilobytes=10), True)
    listed = look(root).finished

    def titles(words: str = "", order: Order = Order.NEWEST, *, pinned_only: bool = False) -> list[str]:
        return [
            listed[n].card.prompt.split()[0] for n in archive.matching(listed, words, order, pinned_only=pinned_only)
        ]

    assert titles() == ["a", "dawn", "Northern"]
    assert titles(order=Order.OLDEST) == ["Northern", "dawn", "a"]
    assert titles(order=Order.LARGEST) == ["Northern", "dawn", "a"]
    assert titles(order=Order.PROMPT) == ["a", "dawn", "Northern"]
    assert titles("DAWN hills") == ["dawn"] and titles("dawn") == ["a", "dawn"] and titles("moon") == []
    assert titles(pinned_only=True) == ["a"] and titles("lights", pinned_only=True) == []


def test_space_is_freed_from_candidates_and_old_skies_but_never_from_what_is_wanted(root: Path) -> None:
    old, used, liked, new = (
        make(root, name, day=day, kilobytes=1000) for day, name in enumerate(("old", "used", "liked", "new"), 1)
    )
    half = make(root, "half", day=1, kilobytes=1000, done=False)
    quick = make(root / jobs.CANDIDATES, "quick", day=9, kilobytes=1000)
    archive.pin(liked, True)
    found = look(root)

    def goes(keep_mb: float) -> list[Path]:
        return [job.folder for job in archive.to_free(found, keep_mb * 1e6, {used})]

    assert goes(100) == [] and goes(5.5) == [quick] and goes(4.5) == [quick, old]
    assert goes(0) == [quick, old, new], "pinned, unfinished and used ones stay"
    refusals = archive.free(archive.to_free(found, 0, {used}), [root, root / jobs.CANDIDATES])
    assert refusals == [] and {path for path in root.iterdir() if path.name.startswith("2026")} == {used, liked, half}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_what_cannot_be_deleted_is_said(root: Path, tmp_path: Path) -> None:
    found = look(make(root, "there").parent)
    elsewhere = [tmp_path / "elsewhere"]
    assert "not a job" in archive.free(found.finished, elsewhere)[0] and found.finished[0].folder.is_dir()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0 MB"), (2.34e6, "2.3 MB"), (34e6, "34 MB"), (1.25e9, "1.2 GB"), (30e9, "30.0 GB")]
)
def test_sizes(size: float, text: str) -> None:
    assert words.size_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")])
def test_times(seconds: float, text: str) -> None:
    assert words.time_text(seconds) == text

"""An export is in its folder whole or not at all, and never over files that are not its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.exports.folder import MANIFEST, check_place, staged, written
from backend.protocol import SkyloopError


def put(out: Path, files: dict[str, str], *, force: bool = False) -> None:
    check_place(out, force=force)
    with staged(out) as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def content(out: Path) -> dict[str, str]:
    return {name: (out / name).read_text(encoding="utf-8") for name in written(out) if name != MANIFEST}


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_a_new_or_empty_folder_becomes_the_export(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "more" / "Größe 空"
    if there:
        out.mkdir(parents=True)
    put(out, {"sky.mp4": "film", "frames/1.png": "one"})
    assert content(out) == {"sky.mp4": "film", "frames/1.png": "one"}
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SkyloopError, match=r"other files in it, such as thesis\.txt") as refused:
        put(tmp_path, {"sky.mp4": "film"})
    assert "new or empty folder" in refused.value.hint
    assert content(tmp_path) == {"thesis.txt": "mine"}


def test_an_earlier_export_goes_only_by_force_and_only_its_own_files_do(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, {"sky.mp4": "old", "frames/1.png": "old", "frames/2.png": "old"})
    (out / "sky.mp4.import").write_text("the engine's", encoding="utf-8")
    (out / "frames" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SkyloopError, match="holds an earlier export") as refused:
        put(out, {"sky.mp4": "new"})
    assert "--force" in refused.value.hint
    put(out, {"sky.mp4": "new", "scripts/sky.gd": "new"}, force=True)
    mine = {"sky.mp4.import": "the engine's", "frames/notes.txt": "mine"}
    assert content(out) == {"sky.mp4": "new", "scripts/sky.gd": "new"} | mine
    put(out, {"sky.mp4": "newest"}, force=True)
    assert content(out) == {"sky.mp4": "newest"} | mine
    assert not (out / "scripts").exists()


def test_a_file_that_was_changed_since_is_the_users(tmp_path: Path) -> None:
    put(tmp_path, {"sky.gd": "ours"})
    (tmp_path / "sky.gd").write_text("mine", encoding="utf-8")
    with pytest.raises(SkyloopError, match=r"sky\.gd in .* was changed since it was exported"):
        put(tmp_path, {"sky.gd": "ours"}, force=True)
    assert content(tmp_path) == {"sky.gd": "mine"}


def test_a_file_in_the_way_is_not_replaced_even_by_force(tmp_path: Path) -> None:
    put(tmp_path, {"a": "1"})
    (tmp_path / "b").write_text("mine", encoding="utf-8")
    with pytest.raises(SkyloopError, match="b in .* is not from an export"):
        put(tmp_path, {"a": "2", "b": "2"}, force=True)
    assert content(tmp_path) == {"a": "1", "b": "mine"}


def test_force_alone_does_not_make_strange_files_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    put(tmp_path, {"sky.mp4": "film"}, force=True)
    assert content(tmp_path) == {"thesis.txt": "mine", "sky.mp4": "film"}


@pytest.mark.parametrize("name", ["../thesis.txt", "/etc/hostname", "a/../../b", "..", "", "c:\\x", "a\\..\\b"])
def test_a_strangers_list_reaches_nothing_outside(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    put(out, {"a": "1"})
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    (out / MANIFEST).write_text(json.dumps({"schema": 1, "files": {name: "0" * 64}}), encoding="utf-8")
    (out / "a").unlink()
    put(out, {"a": "2"}, force=True)
    assert content(out) == {"a": "2"} and (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 7}', '{"files": {"a": 7}}', "[" * 100_000])
def test_a_list_that_is_none_makes_all_files_strange(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    (tmp_path / "a").write_text("mine", encoding="utf-8")
    with pytest.raises(SkyloopError, match="a in .* is not from an export"):
        put(tmp_path, {"a": "2"}, force=True)


def test_one_that_fails_or_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), staged(out) as folder:
        (folder / "a").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_links_and_files_are_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link", "file/below"):
        with pytest.raises(SkyloopError):
            put(tmp_path / name, {"a": "1"})
    assert list((tmp_path / "real").iterdir()) == []

"""Presets as files: kept, read, overwritten, deleted, and named where they are broken."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.__main__ import load_package

load_package()
presets = importlib.import_module("skyloop.blender_addon.core.presets")
SkyloopError = importlib.import_module("skyloop.backend.protocol").SkyloopError
BUILT_IN, FIELDS = presets.BUILT_IN, presets.FIELDS

SETTINGS: dict[str, Any] = {"quality": "FINAL", "frames": 48, "fps": 24.0, "loop": True, "style": "MISTY"}
VALUES = {str: st.text(max_size=40), int: st.integers(0, 500), float: st.floats(0, 100), bool: st.booleans()}
ANY = st.fixed_dictionaries(
    {},
    optional={n: st.sampled_from(want) if isinstance(want, tuple) else VALUES[want] for n, want in FIELDS.items()},
)


def test_what_comes_with_skyloop_sets_what_there_is() -> None:
    for preset in BUILT_IN:
        assert presets.checked(preset.settings, preset.name) == preset.settings and preset.description


@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=presets.MAX_NAME_CHARS), settings=ANY)
def test_what_is_saved_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, settings: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("presets") / "new"
    if presets.name_problem(name.strip()):
        with pytest.raises(SkyloopError):
            presets.save(folder, name, settings)
        return
    file = presets.save(folder, name, settings)
    assert file.parent == folder and file.suffix == ".json"
    [found] = presets.load(folder).presets
    assert found.name == name.strip() and found.settings == settings and found.file == file
    presets.delete(folder, found.name)
    assert presets.load(folder).presets == ()


def test_a_name_is_taken_once_and_overwritten_only_when_asked(tmp_path: Path) -> None:
    presets.save(tmp_path, "Mine", SETTINGS)
    with pytest.raises(SkyloopError, match="already"):
        presets.save(tmp_path, " Mine ", {})
    presets.save(tmp_path, "Mine", {"frames": 1}, overwrite=True)
    assert [p.settings for p in presets.load(tmp_path).presets] == [{"frames": 1}]


def test_names_that_would_be_one_file_are_two(tmp_path: Path) -> None:
    for name in ("a/b", "a:b", "CON", "aux", "..", "."):
        presets.save(tmp_path, name, {"frames": len(name)})
    found = presets.load(tmp_path)
    assert sorted(p.name for p in found.presets) == sorted(["a/b", "a:b", "CON", "aux", "..", "."])
    assert not found.broken and all(p.file and p.file.parent == tmp_path for p in found.presets)


@pytest.mark.parametrize("name", ["Preview", "final"])
def test_what_comes_with_skyloop_is_neither_replaced_nor_deleted(tmp_path: Path, name: str) -> None:
    with pytest.raises(SkyloopError, match="comes with Skyloop"):
        presets.save(tmp_path, name, SETTINGS, overwrite=True)
    with pytest.raises(SkyloopError):
        presets.delete(tmp_path, name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "too large"),
        (b"[]", "no settings"),
        (b'{"settings": []}', "no settings"),
        (b'{"settings": {}}', "another version"),
        (b'{"skyloop_preset": 99, "name": "a", "settings": {}}', "another version"),
        (b'{"skyloop_preset": 1, "settings": {}}', "no name"),
        (b'{"skyloop_preset": 1, "name": "a\\nb", "settings": {}}', "no name"),
        (b'{"skyloop_preset": 1, "name": "a", "settings": {"colour": 1}}', "unknown setting 'colour'"),
        (b'{"skyloop_preset": 1, "name": "a", "settings": {"frames": "many"}}', "'many' for frames"),
        (b'{"skyloop_preset": 1, "name": "a", "settings": {"frames": true}}', "'True' for frames"),
        (b'{"skyloop_preset": 1, "name": "a", "settings": {"quality": "HUGE"}}', "'HUGE' for quality"),
        (b'{"skyloop_preset": 1, "name": "a", "settings": {"quality": []}}', "for quality"),
        (b" " * 100_000, "too large"),
    ],
)
def test_a_broken_file_is_named_and_the_others_are_there(tmp_path: Path, content: bytes, words: str) -> None:
    presets.save(tmp_path, "Good", SETTINGS)
    (tmp_path / "bad.json").write_bytes(content)
    found = presets.load(tmp_path)
    assert [p.name for p in found.presets] == ["Good"]
    [broken] = found.broken
    assert broken.file.name == "bad.json"
    with pytest.raises(SkyloopError, match=words):
        presets.read(broken.file)
    presets.delete(tmp_path, "bad.json")
    assert not presets.load(tmp_path).broken


def test_a_whole_number_is_a_rate_too(tmp_path: Path) -> None:
    document = {"skyloop_preset": 1, "name": "a", "settings": {"fps": 24}}
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8")
    assert presets.load(tmp_path).presets[0].settings == {"fps": 24.0}


def test_no_folder_is_no_presets_and_what_is_gone_is_said(tmp_path: Path) -> None:
    assert presets.load(tmp_path / "none") == presets.Shelf()
    with pytest.raises(SkyloopError, match="no preset"):
        presets.delete(tmp_path / "none", "x")


@pytest.mark.skipif(os.name == "nt", reason="links and pipes need rights there, or are none")
def test_a_link_or_pipe_in_the_folder_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    assert sorted(b.file.name for b in presets.load(tmp_path).broken) == ["link.json", "pipe.json"]

"""The headless main job's own half: what it refuses before anything is made, and which Blender it takes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def headless(skyloop: ModuleType) -> ModuleType:
    return importlib.import_module("skyloop.blender_addon.headless")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["", "--out", "OUT"], "prompt is empty"),
        (["sky"], "--out"),
        (["a" * 100_000, "--out", "OUT"], "100000 characters"),
        (["🌌" * 3000, "--out", "OUT"], "3000 characters"),
        (["sky", "--out", "OUT", "--size", "1024x1024"], "twice as wide"),
        (["sky", "--out", "OUT", "--size", "0x0"], "height 0"),
        (["sky", "--out", "OUT", "--size", "1000000x500000"], "width x height"),
        (["sky", "--out", "OUT", "--size", "big"], "1024x512"),
        (["sky", "--out", "OUT", "--frames", "0"], "frames 0"),
        (["sky", "--out", "OUT", "--frames", "many"], "many"),
        (["sky", "--out", "OUT", "--fps", "nan"], "fps nan"),
        (["sky", "--out", "OUT", "--seed", "-1"], "seed -1"),
        (["sky", "--out", "OUT", "--seed", str(2**40)], "seed"),
        (["sky", "--out", "OUT", "--front", "inf"], "front inf"),
        (["sky", "--out", "OUT", "--fov", "200"], "fov 200"),
        (["sky", "--out", "OUT", "--device", "abacus"], "abacus"),
        (["sky", "--out", "FILE"], "is not a folder"),
        (["sky", "--out", "FILE/inside"], "FILE"),
        (["sky", "--out", "OUT", "--blender", "/nowhere/blender"], "no Blender at /nowhere/blender"),
        (["sky", "--out", "OUT", "--blender", "FILE"], "no Blender at"),
    ],
)
def test_wrong_requests_are_one_line_and_leave_nothing(
    repository: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "FILE").write_text("")
    script = (
        "import importlib, sys; from blender_addon.__main__ import load_package; load_package();"
        "main = importlib.import_module('skyloop.blender_addon.headless').main;"
        "sys.exit(main(sys.argv[1:], backend_command=['false']))"
    )
    env = os.environ | {"PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and words in done.stderr
    assert done.stdout == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["FILE"]


def test_help_needs_neither_blender_nor_torch(repository: Path) -> None:
    code = (
        "import runpy, sys; sys.argv[1:] = ['--help']\n"
        "try: runpy.run_module('blender_addon', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'bpy', 'torch', 'numpy', 'urllib.request', 'ssl'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PROMPT" in done.stdout


def fake_program(folder: Path, name: str, says: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Blender is a shell script")
def test_the_right_blender_is_taken(headless: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = importlib.import_module("skyloop.backend.protocol")
    monkeypatch.delenv("BLENDER", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    blender = fake_program(tmp_path, "blender", "Blender 5.2.3 LTS")
    assert headless.find_blender(None)[0] == str(blender)
    fake_program(tmp_path, "blender", "Blender 3.4.1")
    assert headless.find_blender(None) is None
    with pytest.raises(protocol.SkyloopError, match="needs Blender 4.2"):
        headless.find_blender(str(blender))
    other = fake_program(tmp_path, "other", "Hello")
    with pytest.raises(protocol.SkyloopError, match="is not Blender"):
        headless.find_blender(str(other))
    monkeypatch.setenv("BLENDER", str(other))
    with pytest.raises(protocol.SkyloopError, match="is not Blender"):
        headless.find_blender(None)
    assert headless.find_blender(sys.executable) == [sys.executable]

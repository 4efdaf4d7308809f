"""The extension as users get it: built, validated, installed, switched on and off."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .conftest import Blender


def test_blenders_own_tool_accepts_the_zip(extension_cli: list[str], extension_zip: Path) -> None:
    done = subprocess.run([*extension_cli, "validate", str(extension_zip)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_zip_holds_both_halves_and_no_tests(extension_zip: Path, repository: Path) -> None:
    with zipfile.ZipFile(extension_zip) as archive:
        names = set(archive.namelist())
    shipped = {n for n in names if n.endswith(".py")}
    wanted = {
        f.relative_to(repository).as_posix()
        for half in ("backend", "blender_addon")
        for f in (repository / half).rglob("*.py")
        if "training" not in f.parts
    }
    assert wanted | {"__init__.py"} <= shipped
    assert {"blender_manifest.toml", "requirements.txt", "blender_addon/requirements-bpy.txt"} <= names
    weights = {f.relative_to(repository).as_posix() for f in (repository / "backend" / "models").rglob("*.safetensors")}
    assert weights <= names
    unwanted = [n for n in names if n.startswith(("tests/", "docs/", ".")) or "__pycache__" in n or "/training/" in n]
    assert unwanted == []


def test_the_engine_runs_from_what_the_zip_holds(extension_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(extension_zip) as archive:
        archive.extractall(tmp_path)
    code = "from backend.engine import Engine; print(Engine().model('builtin', 'cpu').spec.id)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "builtin", done.stderr


def test_installed_switched_off_and_on_again(bare_blender: Blender, extension_zip: Path) -> None:
    on = bare_blender.ask("install", zip=extension_zip)
    assert {"SKYLOOP_OT_generate", "SKYLOOP_PT_main", "Scene.skyloop"} <= set(on)
    for turn in bare_blender.ask("toggle"):
        assert turn == {"on": on, "off": []}
    later = bare_blender.ask("look")
    assert later is None or later == {"enabled": True, "registered": on}


def test_enabling_loads_nothing_heavy(blender: Blender) -> None:
    found = blender.ask("imports")
    heavy = {"torch", "diffusers", "cv2", "av", "ssl", "urllib.request", "socket", "zipfile", "argparse"}
    assert heavy.isdisjoint(found["modules"])


@pytest.mark.parametrize("name", ["blender_addon/core", "backend"])
def test_bpy_stays_in_the_add_on(repository: Path, name: str) -> None:
    users = [f for f in (repository / name).rglob("*.py") if "import bpy" in f.read_text(encoding="utf-8")]
    assert users == []

"""What all rings share."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from backend import runtime
from blender_addon.__main__ import load_package

from .sid import Sid, make, why_not

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def skyloop() -> ModuleType:
    """The repository as one package, as Blender loads it: ``skyloop.blender_addon`` reaches ``skyloop.backend``."""
    return load_package()


@pytest.fixture(scope="session")
def backend_python() -> Path:
    """The Python of the finished ``backend`` environment."""
    return Path(runtime.status("backend")["python"])


@pytest.fixture(scope="session")
def bpy_python() -> Path:
    """The Python that has Blender as a module; the test is left out, with the reason, where there is none."""
    about = runtime.status("bpy")
    if not about["ready"]:
        pytest.skip(os.environ.get("SKYLOOP_NO_BPY") or "no Blender as a module: python3 -m tests makes it")
    return Path(about["python"])


@pytest.fixture(scope="session")
def sid() -> Sid:
    """The Debian that has Blender with a window, Godot, a screen and a headset; made at first."""
    if reason := why_not():
        pytest.skip(reason)
    return Sid(make())

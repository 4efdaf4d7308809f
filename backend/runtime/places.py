"""Where the private runtime lives and what each environment is made of. Starts no process, reads small files only."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..media.files import atomic_write
from ..protocol import bad_request

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds ``backend`` and ``requirements.txt``: the repository, or the installed extension."""

PYTHONS = ((3, 11), (3, 12), (3, 13))
BPY_PYTHONS = ((3, 11), (3, 13))
READY = "ready.json"


@dataclass(frozen=True)
class Spec:
    """One environment: its requirements file, the Pythons that it can be made with, and the disk space it needs.

    ``on``: the environment whose packages it also sees. ``checks``: the modules that the self-test imports.
    ``torch``: it holds torch, whose build depends on the machine.
    ``need_gb`` covers the downloads and the installed files together, by accelerator.
    """

    name: str
    requirements: Path
    checks: tuple[str, ...]
    need_gb: dict[str, float]
    pythons: tuple[tuple[int, int], ...] = PYTHONS
    on: str = ""
    torch: bool = False


SPECS = {
    spec.name: spec
    for spec in (
        Spec(
            name="backend",
            requirements=ROOT / "requirements.txt",
            checks=("torch", "diffusers", "numpy", "cv2", "av", "safetensors", "tokenizers"),
            need_gb={"cpu": 2.0, "apple": 2.0, "cuda": 8.5},
            torch=True,
        ),
        Spec(
            name="bpy",
            requirements=ROOT / "blender_addon" / "requirements-bpy.txt",
            checks=("bpy",),
            need_gb={"": 1.5},
            pythons=BPY_PYTHONS,
        ),
        Spec(
            name="tests",
            requirements=ROOT / "tests" / "requirements.txt",
            checks=("pytest", "hypothesis"),
            need_gb={"": 0.5},
            on="backend",
        ),
    )
}


def spec_of(env: str) -> Spec:
    """The environment called ``env``; ``bad_request`` names the known ones."""
    if env not in SPECS:
        raise bad_request(f"There is no environment {env!r}.", f"Use one of {', '.join(SPECS)}.")
    return SPECS[env]


def home() -> Path:
    """The folder for runtimes: ``SKYLOOP_HOME``, else the user's data folder; the same for every Blender version."""
    if chosen := os.environ.get("SKYLOOP_HOME"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Skyloop"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Skyloop"
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "skyloop"


def key(spec: Spec, accelerator: str) -> str:
    """What an environment must be rebuilt for: its requirements, the accelerator, and what it lies on."""
    text = spec.requirements.read_text(encoding="utf-8")
    parts = [text, accelerator if spec.torch else ""]
    if "-c " in text:
        parts.append((Path(__file__).with_name("constraints.txt")).read_text(encoding="utf-8"))
    if spec.on:
        parts.append(key(SPECS[spec.on], accelerator))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]


def env_dir(at: Path, spec: Spec, accelerator: str, python: tuple[int, int]) -> Path:
    """The folder of one environment; the Python's version is last, so that any that fits can be found by its start."""
    return at / "envs" / f"{spec.name}-{key(spec, accelerator)}-py{python[0]}{python[1]}"


def python_in(env: Path) -> Path:
    """The interpreter of a virtual environment."""
    return env / "Scripts" / "python.exe" if sys.platform == "win32" else env / "bin" / "python"


def read_ready(env: Path) -> dict[str, Any] | None:
    """The content of ``ready.json``, or None when the environment is not finished or its Python is gone."""
    try:
        document = json.loads((env / READY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = isinstance(document, dict) and python_in(env).exists()  # a link into a removed Python does not exist
    return document if usable else None


def find_ready(at: Path, spec: Spec, accelerator: str) -> Path | None:
    """A finished environment for the present requirements, whichever suitable Python made it; the newest first."""
    if not spec.requirements.exists():  # the built extension has no tests
        return None
    for python in sorted(spec.pythons, reverse=True):
        env = env_dir(at, spec, accelerator, python)
        below = env_dir(at, SPECS[spec.on], accelerator, python) if spec.on else env
        if read_ready(env) is not None and read_ready(below) is not None:
            return env
    return None


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Put ``document`` under ``path``, whole or not at all."""
    atomic_write(path, json.dumps(document, indent=1, ensure_ascii=False).encode())

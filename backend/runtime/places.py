"""Where the private runtime lives and what each environment is made of. Starts no process, reads small files only."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..media.files import atomic_write
from ..protocol import bad_request

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds ``backend`` and ``requirements.txt``: the repository, or the installed extension."""

PYTHONS = ((3, 11), (3, 12), (3, 13))
BPY_PYTHONS = ((3, 11), (3, 13))
READY = "ready.json"
BROKEN = "broken.json"
"""What ``ready.json`` is called from when damage is found until it is mended."""
PLAN = "plan.json"
IN_USE = "in-use.lock"
MOVED = "moved.json"
MAX_MOVES = 8


@dataclass(frozen=True)
class Spec:
    """One environment: its requirements file, the Pythons that it can be made with, and the disk space it needs.

    ``on``: the environment whose packages it also sees. ``checks``: the modules that the self-test imports.
    ``torch``: it holds torch, whose build depends on the machine.
    ``need_gb`` covers the downloads and the installed files together, by accelerator; ``size_gb`` are the two apart.
    """

    name: str
    requirements: Path
    checks: tuple[str, ...]
    need_gb: dict[str, float]
    pythons: tuple[tuple[int, int], ...] = PYTHONS
    on: str = ""
    torch: bool = False
    size_gb: dict[str, tuple[float, float]] = field(default_factory=dict)


SPECS = {
    spec.name: spec
    for spec in (
        Spec(
            name="backend",
            requirements=ROOT / "requirements.txt",
            checks=("torch", "diffusers", "numpy", "cv2", "av", "safetensors", "tokenizers"),
            need_gb={"cpu": 2.0, "apple": 2.0, "cuda": 8.5},
            torch=True,
            size_gb={"cpu": (0.4, 1.3), "apple": (0.4, 1.3), "cuda": (2.9, 5.2)},
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
    """The folder for runtimes: ``SKYLOOP_HOME``, else the user's data folder; the same for every Blender version.

    Within one of its environments it is that one's: Blender's preferences may name a folder that nothing else does.
    """
    if chosen := os.environ.get("SKYLOOP_HOME"):
        return Path(chosen).expanduser().absolute()
    if env := own():
        return env.parents[1]
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Skyloop"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Skyloop"
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "skyloop"


def own() -> Path | None:
    """The environment that this process runs in; None in any other Python."""
    prefix = Path(sys.prefix)
    return prefix if prefix.parent.name == "envs" and (prefix / READY).exists() else None


def current(at: Path) -> Path:
    """Where the content of this home is now: another folder, if it was moved there.

    The old folder says so itself, because other Blenders, whose preferences still name it, must find their way.
    """
    for _ in range(MAX_MOVES):
        try:
            to = json.loads((at / MOVED).read_text(encoding="utf-8"))["to"]
        except (OSError, ValueError, KeyError, TypeError):
            return at
        if not isinstance(to, str) or not Path(to).is_absolute():
            return at
        at = Path(to)
    return at


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


def site_of(env: Path, python: str) -> Path:
    """The folder of the packages of a virtual environment made with that Python ("3.11")."""
    return (
        env / "Lib" / "site-packages" if sys.platform == "win32" else env / "lib" / f"python{python}" / "site-packages"
    )


def contents(site: Path) -> list[str]:
    """The names of what lies in a ``site-packages`` folder, but for what Python compiled."""
    return sorted(path.name for path in site.iterdir() if path.name != "__pycache__")


def read_document(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def read_ready(env: Path) -> dict[str, Any] | None:
    """The content of ``ready.json``, or None when the environment is not finished, or a look at it finds it broken:

    its Python is gone (a link into a removed Python does not exist), or a whole package is.
    """
    document = read_document(env / READY)
    if document is None or not python_in(env).exists():
        return None
    site = site_of(env, str(document.get("python", "")))
    names = document.get("contents", ())
    return document if all(os.path.lexists(os.path.join(site, name)) for name in names) else None  # noqa: PTH118


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


def mendable(at: Path, spec: Spec, accelerator: str) -> Path | None:
    """An environment for the present requirements that was finished once and is broken; the newest first."""
    for env in _candidates(at, spec, accelerator):
        whole = read_ready(env) is not None
        if not whole and (env / PLAN).exists() and ((env / READY).exists() or (env / BROKEN).exists()):
            return env
    return None


def condition(at: Path, spec: Spec, accelerator: str) -> str:
    """What is there: ``ready``, ``broken`` (to mend), ``half`` (to go on with), ``outdated``, ``none``, or ``gone``:

    the folder was moved to where nothing is now, such as a disk that is not connected.
    """
    now = current(at)
    if find_ready(now, spec, accelerator):
        return "ready"
    if now != at and not now.exists():
        return "gone"
    if mendable(now, spec, accelerator):
        return "broken"
    names = [env.name for env in _candidates(now, spec, accelerator)]
    if any((now / part / name).exists() for part in ("envs", "downloads") for name in names):
        return "half"
    return "outdated" if old_environments(now, spec, accelerator) else "none"


def old_environments(at: Path, spec: Spec, accelerator: str) -> list[Path]:
    """Finished environments for requirements, or an accelerator, that are not the present ones."""
    present = {env.name for env in _candidates(at, spec, accelerator)}
    return [path.parent for path in sorted(at.glob(f"envs/{spec.name}-*/{READY}")) if path.parent.name not in present]


def _candidates(at: Path, spec: Spec, accelerator: str) -> list[Path]:
    return [env_dir(at, spec, accelerator, python) for python in sorted(spec.pythons, reverse=True)]


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Put ``document`` under ``path``, whole or not at all."""
    atomic_write(path, json.dumps(document, indent=1, ensure_ascii=False).encode())

"""Which Python makes an environment: the running one if it is suitable, else one found on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..protocol import ErrorKind, SkyloopError
from .child import clean_environ

_PROBE = """
import sys
try:
    import venv, ensurepip
    has = 1
except ImportError:
    has = 0
print("%d %d %d %s" % (sys.version_info[0], sys.version_info[1], has, sys.executable))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine; ``has_venv`` is false where the system keeps ``venv`` in a package of its own."""

    path: Path
    version: tuple[int, int]
    has_venv: bool


def probe(path: Path) -> Interpreter | None:
    """Ask a Python what it is; None when it does not run."""
    flags = subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
    try:
        answer = subprocess.run(
            [path, "-I", "-X", "utf8", "-c", _PROBE], env=clean_environ(), timeout=20, creationflags=flags,
            capture_output=True, text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        major, minor, has, executable = answer.stdout.strip().split(" ", 3)
        return Interpreter(Path(executable), (int(major), int(minor)), has == "1")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _folders() -> Iterator[Path]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder)
    own = Path.home()
    yield from (own / ".local" / "bin", Path("/usr/local/bin"), Path("/opt/homebrew/bin"), Path("/usr/bin"))
    yield from sorted(own.glob(".pyenv/versions/3.1*/bin"), reverse=True)
    yield from sorted(own.glob(".local/share/uv/python/cpython-3.1*/bin"), reverse=True)
    yield from sorted((own / "AppData" / "Local" / "Programs" / "Python").glob("Python31*"), reverse=True)


def _elsewhere(versions: Sequence[tuple[int, int]]) -> Iterator[Path]:
    for major, minor in sorted(versions, reverse=True):
        for folder in _folders():
            names = (f"python{major}.{minor}",) if sys.platform != "win32" else ("python.exe",)
            yield from (path for name in names if (path := folder / name).is_file())


def _inside_blender() -> bool:
    """Blender's own Python goes away when Blender is updated, and the environment with it: any other is better."""
    return "bpy" in sys.modules and Path(sys.prefix).parent.name[:1].isdigit()


def find(versions: Sequence[tuple[int, int]], what: str) -> Interpreter:
    """A Python of one of ``versions`` that can make virtual environments.

    ``what`` names the purpose in the message. Raises ``SkyloopError(internal)`` that says what was found and what is
    right, or which package brings the missing ``venv``.
    """
    running = probe(Path(sys.executable)) if sys.executable else None
    fits = running is not None and running.version in versions
    if running and fits and running.has_venv and not _inside_blender():
        return running
    lacking = running if fits and running and not running.has_venv else None
    seen: set[Path] = set()
    for path in _elsewhere(versions):
        if (real := path.resolve()) in seen and "shims" not in path.parts:
            continue
        seen.add(real)
        if (found := probe(path)) and found.version in versions:
            if found.has_venv:
                return found
            lacking = lacking or found
    if running and fits and running.has_venv:
        return running
    if lacking:
        name = f"python{lacking.version[0]}.{lacking.version[1]}-venv"
        raise SkyloopError(
            ErrorKind.INTERNAL,
            f"{lacking.path} cannot make a private environment, because its venv module is missing.",
            f"Install it (Debian, Ubuntu: sudo apt install {name}), then start again.",
        )
    newest = f"{versions[-1][0]}.{versions[-1][1]}"
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    right = ", ".join(f"{a}.{b}" for a, b in versions[:-1]) + f" or {newest}"
    raise SkyloopError(
        ErrorKind.INTERNAL,
        f"{what} needs Python {right}; this is Python {here} and no other was found.",
        f"Install Python {newest} from python.org or your system's packages, then start again.",
    )

"""Models on the disk: downloaded and checked, verified, moved, removed, or the user's own. Importing this is cheap.

Nothing is loaded that is not whole: :func:`installed` names a folder only when every file that was recorded for it is
there in its size, and it is recorded only after its content was checked.
"""

from __future__ import annotations

from pathlib import Path

from ...protocol import ErrorKind, SkyloopError
from ..catalogue import entry as entry_of
from . import places, record
from .check import check_folder
from .getting import download
from .keeping import move, remove, verify
from .licences import accept, accepted, require
from .local import add
from .places import WEIGHTS, folder, root

__all__ = ["WEIGHTS", "accept", "accepted", "add", "check_folder", "condition", "download", "folder", "installed",
           "move", "remove", "require", "required", "root", "single_files", "verify"]  # fmt: skip


def installed(model_id: str, home: Path | None = None) -> Path | None:
    """The folder of a model in diffusers' layout, when all of it is there; None otherwise. Looks, but reads nothing.

    Weights that are in single files instead: :func:`single_files`.
    """
    at = folder(model_id, home)
    if model_id == "builtin":
        return at if (at / "training.json").is_file() and any(at.glob("*.safetensors")) else None
    found = record.read(at)
    if found is None or found.state != record.READY:
        return None
    return found.base(at) if all(record.whole(path, file) for path, file in found.all(at)) else None


def required(model_id: str, home: Path | None = None) -> Path:
    """The same, its headers read, for whoever loads it; or ``SkyloopError(missing_model)`` that says what to do."""
    entry = entry_of(model_id)
    if path := installed(model_id, home):
        if model_id != "builtin":
            check_folder(path, entry, without=single_files(model_id, home))
        return path
    state = condition(model_id, home)
    what = {"none": "is not on this computer", "partial": "is not all here", "damaged": "is damaged"}[state]
    hint = f"Get it with: models download {model_id} (about {entry.size_mb / 1000:.0f} GB)."
    raise SkyloopError(ErrorKind.MISSING_MODEL, f"{entry.name} {what}.", hint)


def condition(model_id: str, home: Path | None = None) -> str:
    """``ready``; ``partial``: begun; ``damaged``: some files are gone or changed; ``none``."""
    if installed(model_id, home):
        return record.READY
    found = record.read(places.folder(model_id, home))
    if found is None:
        return "none"
    return record.PARTIAL if found.state == record.PARTIAL else record.DAMAGED


def single_files(model_id: str, home: Path | None = None) -> dict[str, Path]:
    """The parts whose weights are one file for themselves (.safetensors or .gguf), each with that file.

    Their subfolders have ``config.json`` only.
    """
    at = folder(model_id, home)
    found = record.read(at)
    if found is None:
        return {}
    base = found.base(at)
    files = {part: base / single.file for single in entry_of(model_id).single for part in single.parts}
    files = {part: path for part, path in files.items() if path.is_file()}  # a folder of the user's may have it whole
    return files | {own.part: Path(own.file.path) for own in found.own}

"""Folders that come and go as a whole: made and taken apart under a hidden name, so that a crash leaves no half of one.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

from ..media.files import is_real_folder, writing

_SCRAP_PREFIX = ".skyloop.scrap-"
_ABANDONED_S = 60.0
_BELIEVABLE_S = 366 * 86_400.0


def scrap_name(root: Path) -> Path:
    """A new hidden name in ``root`` for a folder that is being made or removed; :func:`sweep_scraps` knows it."""
    return root / f"{_SCRAP_PREFIX}{secrets.token_hex(4)}"


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; from the first moment on, it is gone as a whole.

    Raises ``SkyloopError`` (bad_request, internal) when it has to stay.
    """
    scrap = scrap_name(folder.parent)
    with writing(folder):
        folder.rename(scrap)
    flush_names(folder.parent)
    shutil.rmtree(scrap, ignore_errors=True)


def sweep_scraps(root: Path) -> None:
    """Remove what a crash left in ``root`` while a folder was made or removed. Never raises."""
    for path in inside(root, _SCRAP_PREFIX):
        if age_s(path) > _ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)


def inside(root: Path, prefix: str = "") -> list[Path]:
    """The folders in ``root``, not links to some, whose names begin so; none where ``root`` cannot be read."""
    try:
        return [p for p in root.iterdir() if p.name.startswith(prefix) and is_real_folder(p)]
    except (OSError, ValueError):
        return []


def age_s(folder: Path) -> float:
    """Seconds since anything came into ``folder`` or its checkpoint, or left it.

    An age below zero or above a year comes from a clock that was set: it begins anew now, and so does the wait of
    whoever removes old things. Never raises; what has gone is of age 0.
    """
    places = [p for p in (folder, folder / "checkpoint") if is_real_folder(p)]
    try:
        age = time.time() - max(p.lstat().st_mtime for p in places)
    except (OSError, ValueError):
        return 0.0
    if 0 <= age <= _BELIEVABLE_S:
        return age
    for place in places:
        with contextlib.suppress(OSError):
            os.utime(place)
    return 0.0


def usage_bytes(folder: Path) -> int:
    """The sizes of all files below ``folder``, links not followed. Never raises: what cannot be read counts nothing."""
    total, todo = 0, [str(folder)]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def flush_names(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk, where it can do that. Never raises."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

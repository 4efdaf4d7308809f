"""What a person wants to know before and after setting up: sizes, free room, what will compute. Takes its time.

Walks folders and starts processes, and a disk that does not answer can hold it up for minutes: only for a thread.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import status, torch_build
from .disk import size_mb
from .lock import is_held
from .places import SPECS, env_dir, old_environments


@dataclass(frozen=True)
class Survey:
    """``home`` is where it is, or will be made; sizes in MB (10^6 bytes).

    ``condition`` as :func:`.places.condition` says; ``other`` is the folder where it is instead of this one;
    ``elsewhere``: another process is setting it up just now.
    ``download_mb`` and ``disk_mb`` are what the whole of it takes, ``have_mb`` what of it is downloaded already,
    ``free_mb`` what the disk has left (-1: it does not say). ``size_mb`` is what is installed, ``old_mb`` what earlier
    versions take, ``downloads_mb`` what lies half downloaded, ``skies_mb`` what the folders of skies hold
    (only looked at when it is ready).
    """

    home: Path
    condition: str
    accelerator: str
    kind: str
    other: Path | None
    elsewhere: bool
    download_mb: int
    disk_mb: int
    have_mb: int
    free_mb: int
    size_mb: int
    old_mb: int
    downloads_mb: int
    skies_mb: int
    writable: bool


def survey(home: Path | None = None, *, known: str = "", accelerator: str = "", skies: Sequence[Path] = ()) -> Survey:
    """Look at a home (None: the user's default one).

    ``known`` is a folder where it was set up once: when that is not there at all, it is gone, not yet to be made.
    ``accelerator`` is what an earlier survey found, as asking the graphics card takes its time.
    """
    about, kind, spec = status("backend", home), torch_build.accelerator(), SPECS["backend"]
    at = Path(about["home"])
    download_gb, disk_gb = spec.size_gb[kind]
    envs = [env_dir(at, spec, kind, python) for python in spec.pythons]
    ground = _ground(at)
    lost = about["condition"] == "none" and str(at) == known and not at.exists()
    return Survey(
        home=at,
        condition="gone" if lost else about["condition"],
        accelerator=accelerator or torch_build.describe(),
        kind=kind,
        other=_other(at, known) if about["condition"] == "none" else None,
        elsewhere=is_held(at / "install.lock"),
        download_mb=round(1000 * download_gb),
        disk_mb=round(1000 * disk_gb),
        have_mb=sum(_mb(at / "downloads" / env.name) for env in envs),
        free_mb=_free_mb(ground),
        size_mb=sum(_mb(env) for env in envs),
        old_mb=sum(_mb(env) for env in old_environments(at, spec, kind)),
        downloads_mb=_mb(at / "downloads"),
        skies_mb=sum(_mb(folder) for folder in {folder.absolute() for folder in skies}) if about["ready"] else 0,
        writable=os.access(ground, os.W_OK),
    )


def need_mb(found: Survey) -> int:
    """What setting it up, or going on with it, takes of the disk at most."""
    return max(0, round(1000 * SPECS["backend"].need_gb[found.kind]) - found.have_mb)


def _other(at: Path, known: str) -> Path | None:
    """The folder where it was set up, if it still works there and another one is chosen now."""
    there = Path(known)
    return there if known and there != at and status("backend", there)["ready"] else None


def _ground(at: Path) -> Path:
    """The nearest folder that exists: where ``at`` would be made."""
    return next(path for path in (at, *at.parents) if path.exists() or path == path.parent)


def _free_mb(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free // 10**6
    except OSError:
        return -1


def _mb(folder: Path) -> int:
    return round(size_mb(folder) * 1.048576)

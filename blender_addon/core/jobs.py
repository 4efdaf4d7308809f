"""Job folders: making one, reading it back, listing them. The folders are the history; nothing else is kept."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...backend.jobs import store
from ...backend.media.files import write_error
from ...backend.protocol import ErrorKind, GenerateRequest, SkyloopError

MAX_HISTORY = 100


@dataclass(frozen=True)
class Job:
    """One finished, running or failed generation, read from its folder."""

    folder: Path
    request: GenerateRequest
    finished: bool

    @property
    def movie(self) -> Path:
        return self.folder / "sky.mp4"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def title(self) -> str:
        return shorten(self.request.prompt)


def shorten(text: str, length: int = 48) -> str:
    """``text`` on one line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def create(root: Path, request: GenerateRequest) -> Path:
    """Make a new job folder in ``root`` with its ``request.json``. Raises ``SkyloopError`` when that fails."""
    slug = "-".join(re.findall(r"[a-z0-9]+", request.prompt.lower()))[:32].strip("-") or "sky"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}"
    folder, n = root / name, 1
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
                break
            except FileExistsError:
                n += 1
                folder = root / f"{name}-{n}"
    except OSError as error:
        raise write_error(error, folder) from error
    return store.create(folder.resolve(), request).path


def read(folder: Path) -> Job:
    """The job in ``folder``, or the results of the command line. Raises ``SkyloopError`` when there is neither."""
    try:
        request = GenerateRequest.from_json(_request_in(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SkyloopError(
            ErrorKind.BAD_REQUEST, f"There is no Skyloop job in {folder}.", "It may have been moved or deleted."
        ) from error
    return Job(folder, request, finished=(folder / "result.json").is_file() and (folder / "sky.mp4").is_file())


def _request_in(folder: Path) -> Any:
    """The request's document: ``request.json``, or the copy in ``result.json`` where only results were kept."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((folder / "request.json").read_text(encoding="utf-8"))
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))["request"]


def history(roots: Iterable[Path], limit: int = MAX_HISTORY) -> list[Job]:
    """Finished jobs in ``roots``, newest first. Folders that hold anything else are passed over."""
    folders = {entry.resolve() for root in roots if root.is_dir() for entry in root.iterdir() if entry.is_dir()}
    found = []
    for folder in sorted(folders, key=lambda f: f.name, reverse=True):
        try:
            job = read(folder)
        except SkyloopError:
            continue
        if job.finished:
            found.append(job)
        if len(found) == limit:
            break
    return found

"""One file from the hub: ``name.part`` grows, is checked against its digest, and only then gets its name.

huggingface_hub knows the addresses, mirrors, tokens and errors, and its session the proxies and certificates. Its own
``hf_hub_download`` is not used: since 2.x it throws an unfinished file away when it is cancelled, and compares sizes
only; its other way, Xet, begins anew too; and both are silent while the hub asks for a pause.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from ...media.files import commit, open_regular, writing
from ...protocol import ErrorKind, SkyloopError
from ..catalogue import Entry
from . import hub
from .meter import Tell, Wait
from .record import File, whole

_TRIES = 5
_PIECE = 1 << 20  # what is lost when a connection breaks, and how often progress is told


@dataclass(frozen=True)
class Told:
    """Who is told the bytes of a file that are there, and that are checked, so far, and to wait for some seconds. They
    may raise to stop."""

    got: Tell
    checked: Tell
    wait: Wait


def fetch(entry: Entry, file: File, target: Path, told: Told) -> str:
    """Bring a file to ``target``, going on with what an earlier run left; its sha256.

    Raises ``SkyloopError``: disk_full, bad_request (no access), internal (the network).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for _ in range(2):
        _complete(entry, file, part, told)
        if (sha256 := digest(part, file, told.checked)) is not None:
            commit(part, target)
            return sha256
        part.unlink()
    text = f"{file.name} of {file.repo} arrives damaged, twice."
    hint = "A proxy or mirror in between may change it: try without HF_ENDPOINT or from another network."
    raise SkyloopError(ErrorKind.INTERNAL, text, hint)


def digest(path: Path, file: File, on_checked: Tell) -> str | None:
    """The sha256 of a file that is what the hub says; None when it is not. Reads all of it."""
    sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    if not whole(path, file):
        return None
    done = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            sha256.update(piece)
            if file.git:
                git.update(piece)
            on_checked(done := done + len(piece))
    found = sha256.hexdigest()
    good = found == file.sha256 if file.sha256 else git.hexdigest() == file.git
    return found if good and done == file.size else None


def _complete(entry: Entry, file: File, part: Path, told: Told) -> None:
    """Let ``part`` grow to its full size. A try counts unless it got further than any before."""
    tries, furthest = _TRIES, _size(part)
    while (had := _size(part)) != file.size:
        if had > file.size:  # of another file, or of none
            part.unlink()
            had = 0
        told.got(had)
        if (trouble := _append(entry, file, part, had, told.got)) is None:
            trouble = _cut_short(file)
        if _size(part) == file.size:
            break
        tries = _TRIES if furthest < _size(part) < file.size else tries - 1
        furthest = max(furthest, _size(part))
        if tries <= 0:
            raise trouble
        if _size(part) == had:
            told.wait(hub.pause_s(trouble, 2.0 ** (_TRIES - tries - 1)))
    told.got(file.size)


def _append(entry: Entry, file: File, part: Path, had: int, got: Tell) -> SkyloopError | None:
    """One request, from byte ``had`` on; what went wrong, if another may do better. Raises ``SkyloopError``."""
    try:
        with writing(part), os.fdopen(open_regular(part, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as stream:
            stream.seek(had)
            with hub.plain_words(entry, file.repo):
                for begin, piece in hub.pieces(file, had, _PIECE):
                    if stream.tell() != begin:  # all of it comes, whatever was asked for
                        stream.seek(begin)
                        stream.truncate()
                    _write(stream, piece)
                    got(stream.tell())
                    if stream.tell() > file.size:
                        break
    except SkyloopError as error:
        if error.kind is ErrorKind.DISK_FULL:
            error.hint = "Free some space, or keep the models on another disk: models move FOLDER. Then start again."
        if hub.status_of(error) == 416:  # the hub has less than what is here: nothing of it can be right
            part.unlink()
        elif not hub.passing(error):
            raise
        return error
    return None


def _write(stream: FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[stream.write(left) :]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _cut_short(file: File) -> SkyloopError:
    text = f"{file.name} of {file.repo} does not come in its full size."
    return SkyloopError(
        ErrorKind.INTERNAL, text, "Start again later, or without HF_ENDPOINT: it goes on where it stopped."
    )

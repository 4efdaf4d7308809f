"""One file from the hub: ``name.part`` grows, is checked against its digest, and only then gets its name.

huggingface_hub knows the addresses, mirrors, tokens and errors, and its session the proxies and certificates. Its own
``hf_hub_download`` is not used: since 2.x it throws an unfinished file away when it is cancelled, and compares sizes
only; its other way, Xet, begins anew too; and both are silent while the hub asks for a pause.
"""

from __future__ import annotations

import hashlib
import os
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


class Sum:
    """The digests of a file's bytes so far: its sha256, and the sha1 that git names it by."""

    def __init__(self, size: int) -> None:
        """``size``: of the whole file, which git's begins with."""
        self.at = 0
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)

    def add(self, data: bytes) -> None:
        self._sha256.update(data)
        self._git.update(data)
        self.at += len(data)

    def sha256(self, file: File) -> str | None:
        """The sha256 of what was added, if that is ``file`` as the hub knows it; None otherwise."""
        found = self._sha256.hexdigest()
        good = found == file.sha256 if file.sha256 else self._git.hexdigest() == file.git
        return found if good and self.at == file.size else None


def fetch(entry: Entry, file: File, target: Path, got: Tell, wait: Wait) -> str:
    """Bring a file to ``target``, going on with what an earlier run left; its sha256.

    ``got`` is told the bytes that are there and right so far, ``wait`` to wait for some seconds; both may raise to
    stop. Raises ``SkyloopError``: disk_full, bad_request (no access), internal (the network).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for _ in range(2):
        if (sha256 := _complete(entry, file, part, got, wait).sha256(file)) is not None:
            commit(part, target)
            return sha256
        part.unlink()
    text = f"{file.name} of {file.repo} arrives damaged, twice."
    hint = "A proxy or mirror in between may change it: try without HF_ENDPOINT or from another network."
    raise SkyloopError(ErrorKind.INTERNAL, text, hint)


def digest(path: Path, file: File, on_checked: Tell) -> str | None:
    """The sha256 of a file that is what the hub says; None when it is not. Reads all of it."""
    return _read(path, file, on_checked).sha256(file) if whole(path, file) else None


def _read(path: Path, file: File, tell: Tell) -> Sum:
    """The digests of what is there of a file."""
    found = Sum(file.size)
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            found.add(piece)
            tell(found.at)
    return found


def _complete(entry: Entry, file: File, part: Path, got: Tell, wait: Wait) -> Sum:
    """Let ``part`` grow to its full size; its digests. A try counts unless it got further than any before."""
    tries, furthest, sums = _TRIES, _size(part), Sum(file.size)
    while (had := _size(part)) != file.size:
        if had > file.size:  # of another file, or of none
            part.unlink()
            had = 0
        if sums.at != had:
            sums = _read(part, file, got) if had else Sum(file.size)
        got(had)
        sums, trouble = _append(entry, file, part, sums, got)
        if (now := _size(part)) == file.size:
            break
        tries = _TRIES if furthest < now < file.size else tries - 1
        furthest = max(furthest, now)
        if tries <= 0:
            raise trouble
        if now == had:
            wait(hub.pause_s(trouble, 2.0 ** (_TRIES - tries - 1)))
    got(file.size)
    return sums if sums.at == file.size else _read(part, file, got)


def _append(entry: Entry, file: File, part: Path, sums: Sum, got: Tell) -> tuple[Sum, SkyloopError]:
    """One request, for what comes behind ``sums``: the digests then, and what went wrong should it not be all.

    Raises ``SkyloopError`` where another request would not do better.
    """
    text = f"{file.name} of {file.repo} does not come in its full size."
    trouble = SkyloopError(ErrorKind.INTERNAL, text, "Start again later, or without HF_ENDPOINT.")
    try:
        with writing(part), os.fdopen(open_regular(part, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as stream:
            stream.seek(sums.at)
            with hub.plain_words(entry, file.repo):
                for begin, piece in hub.pieces(file, sums.at, _PIECE):
                    got(sums.at)
                    if sums.at != begin:  # all of it comes, whatever was asked for
                        stream.seek(0)
                        stream.truncate()
                        sums = Sum(file.size)
                    _write(stream, piece)
                    sums.add(piece)
                    if sums.at > file.size:
                        break
    except SkyloopError as error:
        if error.kind is ErrorKind.DISK_FULL:
            error.hint = "Free some space, or keep the models on another disk: models move FOLDER. Then start again."
        if hub.status_of(error) == 416:  # the hub has less than what is here: nothing of it can be right
            part.unlink()
        elif not hub.passing(error):
            raise
        trouble = error
    return sums, trouble


def _write(stream: FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[stream.write(left) :]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

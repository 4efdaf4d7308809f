"""One file from the hub: ``name.part`` grows, is checked against its digest, and only then gets its name.

huggingface_hub does the requests: redirects, mirrors, proxies, tokens, pauses that the hub asks for, and it goes on
after a broken connection by itself. Its own ``hf_hub_download`` is not used, because since 2.x it throws an unfinished
file away when it is cancelled, and compares sizes only; and its other way, Xet, begins anew too.
"""

from __future__ import annotations

import hashlib
import os
import time
from io import FileIO
from pathlib import Path
from typing import Any

from ...media.files import commit, open_regular, write_error, writing
from ...protocol import ErrorKind, SkyloopError
from ..catalogue import Entry
from . import hub
from .meter import Tell
from .record import File, whole

_TRIES = 5
_PIECE = 1 << 20  # what is lost when a connection breaks, and how often progress is told


def fetch(entry: Entry, file: File, target: Path, on_bytes: Tell, on_checked: Tell) -> str:
    """Bring a file to ``target``, going on with what an earlier run left; its sha256.

    ``on_bytes(n)`` and ``on_checked(n)`` are told the bytes that are there, and checked, so far; they may raise to
    stop. Raises ``SkyloopError``: disk_full, bad_request (no access), internal (the network).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for _ in range(2):
        _complete(entry, file, part, on_bytes)
        if (sha256 := digest(part, file, on_checked)) is not None:
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


def _complete(entry: Entry, file: File, part: Path, on_bytes: Tell) -> None:
    """Let ``part`` grow to its full size. A try counts only when nothing came in it."""
    tries, pause_s = _TRIES, 1.0
    while True:
        with writing(part), os.fdopen(open_regular(part, os.O_RDWR | os.O_CREAT), "r+b") as stream:
            had = stream.seek(0, os.SEEK_END)
            if had > file.size:
                had = stream.truncate(0)
                stream.seek(0)
        on_bytes(had)
        if had == file.size:
            return
        again = _append(entry, file, part, had, on_bytes)
        if part.stat().st_size > had:
            tries, pause_s = _TRIES, 1.0
        elif again:
            tries -= 1
            if not tries:
                raise again
            time.sleep(pause_s)
            pause_s *= 2


def _append(entry: Entry, file: File, part: Path, had: int, on_bytes: Tell) -> SkyloopError | None:
    """One request, from byte ``had`` on; what went wrong, if another may do better. Raises ``SkyloopError``."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get

    constants.DOWNLOAD_CHUNK_SIZE = _PIECE
    with part.open("r+b", buffering=0) as stream:
        stream.seek(had)
        told: Any = _Told(stream, on_bytes)
        try:
            with hub.plain_words(entry, file.repo):
                http_get(hub.address(file), told, resume_size=had, headers=hub.headers(), expected_size=file.size)
        except SkyloopError as error:
            if getattr(getattr(error.__cause__, "response", None), "status_code", 0) == 416:
                stream.truncate(0)  # the hub has less than what is here: nothing of it can be right
            elif not hub.passing(error):
                raise
            return error
        except OSError as error:
            if error.errno is not None:
                raise _write_error(error, part) from error
            text = f"{file.name} of {file.repo} comes cut short."  # http_get's own complaint has no number
            return SkyloopError(ErrorKind.INTERNAL, text, "Start again later: it goes on where it stopped.")
    return None


def _write_error(error: OSError, part: Path) -> SkyloopError:
    found = write_error(error, part)
    if found.kind is ErrorKind.DISK_FULL:
        found.hint = "Free some space, or keep the models on another disk: models move FOLDER. Then start again."
    return found


class _Told:
    """A file that tells how large it is whenever that changes; what ``http_get`` asks of a file."""

    def __init__(self, stream: FileIO, tell: Tell) -> None:
        self._stream, self._tell = stream, tell

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[self._stream.write(left) :]
        self._tell(self._stream.tell())
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

"""The job folders of the HTTP server: which names there are, what may be put into one, what may be fetched from it.

A job is a name, never a path: the folder of that name in the root. Its ``inputs`` folder takes what is uploaded, so
nothing can pose as a result. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ..jobs import store
from ..jobs.migrations import migrate
from ..media.files import is_real_folder, open_read, private_folder, replacing
from ..paths import form_problem
from ..protocol import ErrorKind, GenerateRequest, SkyloopError, bad_request
from ..typed import parse_json

INPUTS = "inputs"
REQUEST = "request.json"
OUTPUTS = {
    "sky.mp4": "video/mp4",
    "poster.png": "image/png",
    "light.json": "application/json",
    "preview.png": "image/png",
    "result.json": "application/json",
    "log.txt": "text/plain; charset=utf-8",
}
_PICTURE_BYTES, _MOVIE_BYTES = 256 << 20, 4 << 30
LIMITS_BYTES = {
    ".png": _PICTURE_BYTES,
    ".jpg": _PICTURE_BYTES,
    ".jpeg": _PICTURE_BYTES,
    ".webp": _PICTURE_BYTES,
    ".tif": _PICTURE_BYTES,
    ".tiff": _PICTURE_BYTES,
    ".hdr": _PICTURE_BYTES,
    ".mp4": _MOVIE_BYTES,
}
"""What an input may be, by the end of its name, and how large."""
REQUEST_BYTES = 4 << 20
MAX_INPUTS, MAX_JOBS = 16, 10_000
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_CHUNK_BYTES = 1 << 16
_SPARE_BYTES = 1 << 30


class Jobs:
    """The folder ``root`` with a folder for each job."""

    def __init__(self, root: Path) -> None:
        self.root = private_folder(root).resolve()

    def locate(self, name: str) -> store.Job:
        """The job called ``name``. Raises ``SkyloopError(bad_request)`` when there is none."""
        folder = self._folder(name)
        if not is_real_folder(folder):
            raise bad_request(f"There is no job {name!r}.", "Upload its request.json first.")
        return store.Job(folder, name)

    def list(self) -> Iterator[dict[str, str]]:
        """``{job, status}`` of each, by name."""
        for folder in sorted(self.root.iterdir()):
            if _NAME.fullmatch(folder.name) and is_real_folder(folder):
                yield {"job": folder.name, "status": store.status(folder).value}

    def limit_bytes(self, file: str) -> int:
        """How large an upload may be. Raises ``SkyloopError(bad_request)`` when no file of that name is taken."""
        if file == REQUEST:
            return REQUEST_BYTES
        _check_name("file", file)
        limit = LIMITS_BYTES.get(Path(file).suffix.lower())
        if limit is None:
            kinds = ", ".join(sorted(LIMITS_BYTES))
            raise bad_request(f"file {file!r} is of no kind that is taken.", f"Upload {REQUEST}, or one of {kinds}.")
        return limit

    def put(self, name: str, file: str, body: BinaryIO, size_bytes: int) -> None:
        """Store an upload whole or not at all; ``body`` gives exactly ``size_bytes`` or raises.

        The caller has asked for :meth:`limit_bytes`. Raises ``SkyloopError`` (bad_request, disk_full, internal), and
        :class:`InUseError`.
        """
        folder = self._folder(name)
        if not os.path.lexists(folder):
            if sum(1 for _ in self.root.iterdir()) >= MAX_JOBS:
                raise SkyloopError(ErrorKind.DISK_FULL, f"There are {MAX_JOBS} jobs already.", "Remove some there.")
        elif not is_real_folder(folder) or os.path.lexists(folder / INPUTS) and not is_real_folder(folder / INPUTS):
            raise bad_request(f"The folder of job {name!r} is not one of ours.", "Use another name.")
        elif store.status(folder) in (store.Status.RUNNING, store.Status.DONE):
            raise InUseError(name)
        if shutil.disk_usage(self.root).free < size_bytes + _SPARE_BYTES:
            raise SkyloopError(ErrorKind.DISK_FULL, "The server's disk is full.", "Free some space there.")
        if file == REQUEST:
            self._put_request(folder, b"".join(_chunks(body, size_bytes)))
        else:
            self._put_input(folder, file, body, size_bytes)

    def open(self, name: str, file: str) -> BinaryIO:
        """One of the :data:`OUTPUTS` of a job. Raises ``FileNotFoundError``, ``SkyloopError(bad_request)``."""
        if file not in OUTPUTS:
            raise bad_request(f"file {file[:80]!r} cannot be fetched.", f"Fetch one of {', '.join(OUTPUTS)}.")
        return open_read(self.locate(name).path / file, 1 << 40)

    def _put_request(self, folder: Path, text: bytes) -> None:
        try:
            document = parse_json(text)
        except ValueError as error:
            raise bad_request(f"{REQUEST} is not JSON ({error}).") from error
        request = _with_paths(GenerateRequest.from_json(migrate(document)), folder / INPUTS)
        store.create(folder, request.validated())

    def _put_input(self, folder: Path, file: str, body: BinaryIO, size_bytes: int) -> None:
        inputs = private_folder(private_folder(folder) / INPUTS)
        if sum(1 for path in inputs.iterdir() if path.name != file) >= MAX_INPUTS:
            raise bad_request(f"Job {folder.name!r} has {MAX_INPUTS} inputs already.", "Use another name.")
        with replacing(inputs / file) as beside, beside.open("wb") as out:
            for chunk in _chunks(body, size_bytes):
                out.write(chunk)

    def _folder(self, name: str) -> Path:
        _check_name("job", name)
        return self.root / name


def _with_paths(request: GenerateRequest, inputs: Path) -> GenerateRequest:
    """The request with the names of uploaded files as paths on this machine."""
    loras = {f"lora {number}": file for number, (file, _) in enumerate(request.loras, 1)}
    for field, file in (request.files | loras).items():
        if not (_NAME.fullmatch(file) and is_real_folder(inputs) and store.is_file(inputs / file)):
            text = f"{field} {file[:80]!r} is not the name of an uploaded file of this job."
            raise bad_request(text, "Upload it first, then name it without a folder.")
    given = tuple((str(inputs / file), strength) for file, strength in request.loras)
    return replace(request, loras=given, **{field: str(inputs / file) for field, file in request.files.items()})


class InUseError(Exception):
    """The job runs or is finished: its files stay as they are."""


def _check_name(what: str, name: str) -> None:
    """Only plain names: nothing that is a path, hidden, or a device on any system."""
    if not _NAME.fullmatch(name) or form_problem(f"/{name}", windows=False):
        hint = "Use up to 64 letters, digits, points, dashes and underscores."
        raise bad_request(f"{what} {name[:80]!r} is not a name that is taken.", hint)


def _chunks(body: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left:
        chunk = body.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise EOFError("the upload was cut short")
        left -= len(chunk)
        yield chunk

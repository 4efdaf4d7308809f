"""The job folder: the record of one generation on the disk. Standard library only.

``request.json`` goes in; ``events.jsonl``, ``log.txt``, ``preview.png``, ``sky.mp4``, ``poster.png``, ``light.json``
and ``result.json`` come out. A folder with a ``result.json`` holds a finished result, and all its files belong to it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..media.files import (
    atomic_write,
    is_real_folder,
    open_append,
    private_folder,
    read_bytes,
    read_tail,
    write_error,
    writing,
)
from ..protocol import LAST_EVENTS, ErrorKind, Event, GenerateRequest, SkyloopError, bad_request
from ..runtime.lock import is_held, locked
from ..typed import parse_json
from .folders import flush_names, usage_bytes
from .migrations import migrate

OUTPUTS = (
    "sky.mp4",
    "poster.png",
    "light.json",
    "preview.png",
    "events.jsonl",
    "log.txt",
    "request.json",
    "result.json",
)
QUEUED = ".queued"  # locked by the Blender that has the job in its queue
_MAX_REQUEST_BYTES = 4 << 20  # the longest camera path and 64 long regions fit
_MAX_RESULT_BYTES = 2 * _MAX_REQUEST_BYTES  # a request and the figures
_BUSY_S = 0.5  # who only asks for a job's status holds its lock for a moment
_NO_LOCKS = {getattr(errno, name, errno.ENOLCK) for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL")}
_BYTES_PER_PIXEL = 0.5  # of the video, generously: four bits per pixel is visually lossless H.264
_CHECKPOINT_BYTES_PER_PIXEL = 3.0  # of every frame: three files of two canvases of float32, 8 channels at an 8th
_CANVAS_BYTES_PER_PIXEL = 5.0  # of every frame while it is made: up to 3.6 measured, more with a picture to start from
CANVAS_IN_MEMORY_BYTES = 1 << 30  # the rest of it is in files (:mod:`..fields`)
_SPARE_BYTES = 64 << 20  # log, stills, and room for the rest of the system to live
_TAIL_BYTES = 256 << 10  # of the events: the last one is in there
_MAX_EVENTS_BYTES = 64 << 20  # more are of no use to anyone


class Status(StrEnum):
    """How far a job is, as its folder tells."""

    WAITING = "waiting"  # never begun
    RUNNING = "running"  # its lock is held
    INTERRUPTED = "interrupted"  # begun, and ended without a last event
    CANCELLED = "cancelled"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Job:
    """A job folder (an absolute path), and the name that events carry: the path as the sender spelt it."""

    path: Path
    id: str

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from running this job. Raises ``SkyloopError(bad_request)`` when one does already, or
        when the folder cannot be locked."""

        def busy(waited_s: float) -> None:
            if waited_s > _BUSY_S:
                raise bad_request(f"Another Skyloop is at work in {self.path}.", "Wait or choose another folder.")

        with contextlib.ExitStack() as stack:
            if not self.path.is_dir():
                raise bad_request(f"{self.path} is no folder.", "It may have been moved or deleted.")
            try:
                stack.enter_context(locked(self.path / ".lock", waiting=busy, poll_s=0.05))
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    text = f"The disk of {self.path} cannot lock files, so two Skyloops could spoil each other's work."
                    raise bad_request(text, "Choose a folder on another disk.") from error
                raise write_error(error, self.path) from error
            yield

    def request(self) -> GenerateRequest:
        """The validated request. Raises ``SkyloopError(bad_request)`` when it is missing, unreadable or wrong."""
        try:
            document = _read_json(self.path / "request.json", _MAX_REQUEST_BYTES)
        except FileNotFoundError as error:
            raise bad_request(f"{self.path} has no request.json.", "Write the request first.") from error
        return GenerateRequest.from_json(migrate(document)).validated()

    def record(self, event: Event) -> None:
        """Append to ``events.jsonl``. Raises ``SkyloopError`` (disk_full, bad_request, internal)."""
        path = self.path / "events.jsonl"
        torn = _tail(path, 1) not in (b"", b"\n")  # whoever wrote the last line did not come to its end
        with writing(path), open_append(path) as file:
            file.write(b"\n" * torn + encode_line(event.to_line()))

    def events(self) -> list[Event]:
        """What ``events.jsonl`` holds, the last 64 MB of it; a line cut short by a crash is left out."""
        found = []
        # Not splitlines(): it also cuts at separators that JSON leaves inside a prompt.
        for line in _tail(self.path / "events.jsonl", _MAX_EVENTS_BYTES).split(b"\n"):
            with contextlib.suppress(ValueError):
                found.append(Event.from_line(line.decode("utf-8")))
        return found


def encode_line(text: str) -> bytes:
    """One line of JSON as bytes. Lone surrogates, as in odd file names, become the JSON escapes for themselves."""
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def create(folder: Path, request: GenerateRequest) -> Job:
    """Make the job folder, private to the user if it is new, with its ``request.json``, safe from a loss of power.

    Raises ``SkyloopError`` (bad_request, disk_full, internal).
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()] or [folder]
    private_folder(folder)
    text = json.dumps(request.to_json(), ensure_ascii=False, indent=1)
    atomic_write(folder / "request.json", text.encode())
    for path in new:
        flush_names(path.parent)
    return Job(folder.absolute(), str(folder.absolute()))


def status(folder: Path) -> Status:
    """How far the job in ``folder`` is. Never raises, whatever is in there; a folder without a run is WAITING."""
    if is_held(folder / ".lock"):
        return Status.RUNNING
    if is_file(folder / "result.json") and is_file(folder / "sky.mp4"):
        return Status.DONE
    for line in reversed(_tail(folder / "events.jsonl", _TAIL_BYTES).split(b"\n")):
        with contextlib.suppress(ValueError):
            last = Event.from_line(line.decode("utf-8")).type
            return Status(last) if last in LAST_EVENTS - {"done"} else Status.INTERRUPTED
    begun = is_file(folder / "events.jsonl") or is_file(folder / "log.txt") or has_checkpoint(folder)
    return Status.INTERRUPTED if begun else Status.WAITING


def has_checkpoint(folder: Path) -> bool:
    """Whether there is something to go on from in ``folder``. Never raises."""
    with contextlib.suppress(OSError, ValueError):
        if is_real_folder(folder / "checkpoint"):
            found = (folder / "checkpoint").glob("[!.]*.safetensors")  # hidden while they are written
            return any(is_file(path) for path in found)
    return False


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file itself, not a link to one. Never raises."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _tail(path: Path, limit_bytes: int) -> bytes:
    """The end of a file; nothing where it cannot be read or is no regular file."""
    with contextlib.suppress(OSError, SkyloopError):
        return read_tail(path, limit_bytes)
    return b""


def _read_json(path: Path, limit_bytes: int) -> Any:
    """Raises ``FileNotFoundError``, or ``SkyloopError(bad_request)`` when there is no such JSON."""
    try:
        return parse_json(read_bytes(path, limit_bytes))
    except ValueError as error:
        raise bad_request(f"{path} is not JSON ({error}).", "Write the request anew.") from error


def load(name: str) -> Job:
    """The job in the folder of that absolute path. Raises ``SkyloopError(bad_request)`` when there is none."""
    path = Path(name)
    try:
        usable = path.is_absolute() and path.is_dir()
    except OSError:  # no permission, or a name that is too long
        usable = False
    if not usable:
        raise bad_request(f"{name[:200]!r} is not the absolute path of a job folder.", "Make the folder first.")
    return Job(path, name)


def recorded(folder: Path) -> GenerateRequest | None:
    """The request that made the result in ``folder``; None where no record of it can be read."""
    with contextlib.suppress(KeyError, SkyloopError):
        if result := result_in(folder):
            return GenerateRequest.from_json(migrate(result["request"]))
    with contextlib.suppress(OSError, SkyloopError):
        return GenerateRequest.from_json(migrate(_read_json(folder / "request.json", _MAX_REQUEST_BYTES)))
    return None


def result_in(folder: Path) -> dict[str, Any] | None:
    """The content of ``result.json``; None where there is none that can be read."""
    with contextlib.suppress(OSError, SkyloopError):
        document = _read_json(folder / "result.json", _MAX_RESULT_BYTES)
        return document if isinstance(document, dict) else None
    return None


def needed_bytes(request: GenerateRequest) -> int:
    """An upper estimate of the disk space that the files of a job take, with those it needs only while it runs:
    its checkpoints, the movie in segments and then joined, and what of the canvas does not fit into memory."""
    pixels = request.width * request.height
    canvas = max(0, int(pixels * request.frames * _CANVAS_BYTES_PER_PIXEL) - CANVAS_IN_MEMORY_BYTES)
    per_frame = 2 * _BYTES_PER_PIXEL + _CHECKPOINT_BYTES_PER_PIXEL
    return int(pixels * (request.frames * per_frame + 6)) + canvas + _SPARE_BYTES


def check_space(folder: Path, request: GenerateRequest) -> None:
    """Raises ``SkyloopError(disk_full)`` when the disk of ``folder``, which need not exist yet, is too full.

    What an interrupted run left in the job folder ``folder`` is not needed once more.
    """
    existing = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), None)
    if existing is None:
        return
    free, needed = shutil.disk_usage(existing).free, needed_bytes(request) - usage_bytes(folder / "checkpoint")
    if free < needed:
        raise SkyloopError(
            ErrorKind.DISK_FULL,
            f"{folder} has {free / 1e6:.0f} MB of free space and the sky may take {needed / 1e6:.0f} MB.",
            "Free some space or choose a folder on another disk.",
        )

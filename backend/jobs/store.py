"""The job folder: the record of one generation on the disk. Standard library only.

``request.json`` goes in; ``events.jsonl``, ``log.txt``, ``preview.png``, ``sky.mp4``, ``poster.png`` and
``result.json`` come out. A folder with a ``result.json`` holds a finished result, and all its files belong to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..media.files import atomic_write, commit, writing
from ..protocol import LAST_EVENTS, ErrorKind, Event, GenerateRequest, SkyloopError, bad_request
from ..runtime.lock import is_held, locked

OUTPUTS = ("sky.mp4", "poster.png", "preview.png", "events.jsonl", "log.txt", "request.json", "result.json")
_MAX_REQUEST_BYTES = 4 << 20  # the longest camera path and 64 long regions fit
_STAGE_PREFIX = ".skyloop-"
_FAILED_LOG = "failed.log.txt"
_ABANDONED_S = 60.0
_BYTES_PER_PIXEL = 0.5  # of the video, generously: four bits per pixel is visually lossless H.264
_CANVAS_BYTES_PER_PIXEL = 5.0  # of every frame while it is made: up to 3.6 measured, more with a picture to start from
CANVAS_IN_MEMORY_BYTES = 1 << 30  # the rest of it is in files (:mod:`..fields`)
_SPARE_BYTES = 64 << 20  # log, stills, and room for the rest of the system to live
_TAIL_BYTES = 256 << 10  # of the events: the last one is in there


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
        """Keep other processes from running this job. Raises ``SkyloopError(bad_request)`` when one does already."""

        def busy(_waited_s: float) -> None:
            raise bad_request(f"Another Skyloop is at work in {self.path}.", "Wait for it or choose another folder.")

        with locked(self.path / ".lock", waiting=busy):
            yield

    def request(self) -> GenerateRequest:
        """The validated request. Raises ``SkyloopError(bad_request)`` when it is missing, unreadable or wrong."""
        path = self.path / "request.json"
        if path.is_symlink() or not path.is_file():
            raise bad_request(f"{self.path} has no request.json.", "Write the request first.")
        try:
            if path.stat().st_size > _MAX_REQUEST_BYTES:
                raise bad_request(f"{path} is too large for a request.", "Write the request anew.")
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise bad_request(f"{path} cannot be read ({error}).", "Write the request anew.") from error
        return GenerateRequest.from_json(document).validated()

    def record(self, event: Event) -> None:
        """Append to ``events.jsonl``. Raises ``SkyloopError`` (disk_full, bad_request, internal)."""
        path = self.path / "events.jsonl"
        with writing(path), path.open("ab") as file:
            file.write(encode_line(event.to_line()))

    def events(self) -> list[Event]:
        """What ``events.jsonl`` holds; a last line cut short by a crash is left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            # Not splitlines(): it also cuts at separators that JSON leaves inside a prompt.
            for line in (self.path / "events.jsonl").read_text(encoding="utf-8").split("\n"):
                with contextlib.suppress(ValueError):
                    found.append(Event.from_line(line))
        return found


def encode_line(text: str) -> bytes:
    """One line of JSON as bytes. Lone surrogates, as in odd file names, become the JSON escapes for themselves."""
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def create(folder: Path, request: GenerateRequest) -> Job:
    """Make the job folder with its ``request.json``. Raises ``SkyloopError`` (bad_request, disk_full, internal)."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(request.to_json(), ensure_ascii=False, indent=1)
    atomic_write(folder / "request.json", text.encode())
    return Job(folder.absolute(), str(folder.absolute()))


def status(folder: Path) -> Status:
    """How far the job in ``folder`` is. Never raises, whatever is in there; a folder without a run is WAITING."""
    if is_held(folder / ".lock"):
        return Status.RUNNING
    if _is_file(folder / "result.json") and _is_file(folder / "sky.mp4"):
        return Status.DONE
    for line in reversed(_tail(folder / "events.jsonl").split(b"\n")):
        with contextlib.suppress(ValueError):
            last = Event.from_line(line.decode("utf-8")).type
            return Status(last) if last in LAST_EVENTS - {"done"} else Status.INTERRUPTED
    begun = _is_file(folder / "events.jsonl") or _is_file(folder / "log.txt") or has_checkpoint(folder)
    return Status.INTERRUPTED if begun else Status.WAITING


def has_checkpoint(folder: Path) -> bool:
    """Whether there is something to go on from in ``folder``. Never raises."""
    with contextlib.suppress(OSError, ValueError):
        if not (folder / "checkpoint").is_symlink():
            return any(_is_file(path) for path in (folder / "checkpoint").iterdir() if path.suffix == ".safetensors")
    return False


def _is_file(path: Path) -> bool:
    """Whether ``path`` is a file itself, not a link to one. Never raises."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _tail(path: Path) -> bytes:
    """The end of a file; nothing where it cannot be read or is no file."""
    with contextlib.suppress(OSError, ValueError):
        if _is_file(path):
            with path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                return file.read(_TAIL_BYTES)
    return b""


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
    for name in ("result.json", "request.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError, SkyloopError):
            document = json.loads((folder / name).read_text(encoding="utf-8"))
            return GenerateRequest.from_json(document["request"] if name == "result.json" else document)
    return None


def needed_bytes(request: GenerateRequest) -> int:
    """An upper estimate of the disk space that the files of a job take, with those it needs only while it runs."""
    pixels = request.width * request.height
    canvas = max(0, int(pixels * request.frames * _CANVAS_BYTES_PER_PIXEL) - CANVAS_IN_MEMORY_BYTES)
    return int(pixels * (request.frames * _BYTES_PER_PIXEL + 6)) + canvas + _SPARE_BYTES


def check_space(folder: Path, request: GenerateRequest) -> None:
    """Raises ``SkyloopError(disk_full)`` when the disk of ``folder``, which need not exist yet, is too full."""
    existing = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), None)
    if existing is None:
        return
    free, needed = shutil.disk_usage(existing).free, needed_bytes(request)
    if free < needed:
        raise SkyloopError(
            ErrorKind.DISK_FULL,
            f"{folder} has {free / 1e6:.0f} MB of free space and the sky may take {needed / 1e6:.0f} MB.",
            "Free some space or choose a folder on another disk.",
        )


@contextlib.contextmanager
def staged(folder: Path, request: GenerateRequest) -> Iterator[Job]:
    """A new job beside the files already in ``folder``; :func:`publish` moves its files there.

    Whatever is not published is removed on the way out, so that a failed or cancelled run leaves an earlier result as
    it was; see :func:`keep_log`.
    """
    _remove_abandoned(folder)
    job = create(folder / f"{_STAGE_PREFIX}{secrets.token_hex(4)}", request)
    try:
        yield Job(job.path, str(folder.absolute()))
    finally:
        shutil.rmtree(job.path, ignore_errors=True)


def publish(job: Job, folder: Path, outputs: Sequence[str] = OUTPUTS) -> None:
    """Move a finished staged job's files into ``folder``, in place of an earlier result's; video first, index last.

    ``result.json`` goes first and comes last, so whoever finds one finds the files that belong to it. Raises
    ``SkyloopError`` when a file cannot be replaced, as on Windows while a player shows it; the new files are then kept
    in a folder of their own, which the error names, and the earlier result stays if its video did.
    """
    try:
        _replace_outputs(job.path, folder, outputs)
    except SkyloopError as error:
        kept = folder / job.path.name.removeprefix(".")
        with writing(kept):
            job.path.rename(kept)
        hint = f"Close what shows the old one; the new files are in {kept}."
        raise SkyloopError(ErrorKind.INTERNAL, error.message, hint) from error


def _replace_outputs(source: Path, target: Path, outputs: Sequence[str]) -> None:
    video, *others, index = outputs
    earlier = source / "earlier-result.json"
    if (target / index).is_file():
        commit(target / index, earlier)
    try:
        commit(source / video, target / video)
    except SkyloopError:
        if earlier.is_file():
            commit(earlier, target / index)
        raise
    for name in (*others, index):
        if (source / name).is_file():
            commit(source / name, target / name)
        else:
            with writing(target / name):
                (target / name).unlink(missing_ok=True)
    (target / _FAILED_LOG).unlink(missing_ok=True)


def keep_log(job: Job, folder: Path) -> Path:
    """Move the log of a staged job that failed into ``folder``, beside an earlier result's, and say where it is."""
    target = folder / _FAILED_LOG
    with contextlib.suppress(OSError):
        job.log.replace(target)
    return target


def _remove_abandoned(folder: Path) -> None:
    """Remove what runs that were killed left in ``folder``. Those still running hold their lock, or are seconds old."""
    for path in folder.glob(f"{_STAGE_PREFIX}*"):
        with contextlib.suppress(SkyloopError, OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                with load(str(path.absolute())).locked():
                    pass
                shutil.rmtree(path, ignore_errors=True)

"""Writing files so that nothing half-written ever carries a final name: write beside, flush to the disk, rename.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from ..protocol import ErrorKind, SkyloopError, bad_request

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REPLACE_TRIES = 20


def write_error(error: OSError, path: Path) -> SkyloopError:
    """The error a user can read for an ``OSError`` met while writing ``path``: disk_full, bad_request or internal."""
    if error.errno in _FULL:
        message = f"There is no space left to write {path.name} in {path.parent}."
        return SkyloopError(ErrorKind.DISK_FULL, message, "Free some space or choose a folder on another disk.")
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | PermissionError):
        return bad_request(f"{path} cannot be written ({reason}).", "Choose a folder that exists and you may write to.")
    return SkyloopError(
        ErrorKind.INTERNAL, f"Writing {path} failed ({reason}).", "Check the disk, then try another folder."
    )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside into the :class:`SkyloopError` of :func:`write_error`."""
    try:
        yield
    except OSError as error:
        raise write_error(error, path) from error


def begin(path: Path) -> Path:
    """An empty file of a new name beside ``path``, with its suffix; made at once, so that a bad place fails early.

    Write to it, then :func:`commit` or :func:`discard` it. Raises ``SkyloopError`` (disk_full, bad_request, internal).
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem[:80]}.{secrets.token_hex(4)}.part{path.suffix}")
    with writing(path):
        beside.touch(exist_ok=False)
    return beside


def commit(beside: Path, path: Path) -> None:
    """Give ``beside`` the name ``path`` once its content is safely on the disk. Raises like :func:`begin`."""
    with writing(path):
        _flush(beside)
        _rename(beside, path)


def discard(beside: Path) -> None:
    """Remove ``beside`` if it is still there."""
    with contextlib.suppress(OSError):
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside ``path`` to write to; it becomes ``path`` on a normal end, and goes after an exception.

    Raises ``SkyloopError`` (disk_full, bad_request, internal) for any ``OSError``, those of the body included.
    """
    path = Path(path)
    beside = begin(path)
    try:
        with writing(path):
            yield beside
        commit(beside, path)
    finally:
        discard(beside)


def atomic_write(path: Path, data: bytes) -> None:
    """Put ``data`` under ``path`` whole or not at all. Raises ``SkyloopError`` like :func:`replacing`."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def _flush(path: Path) -> None:
    """Wait until the file's content is on the disk, not only in the cache."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _rename(source: Path, target: Path) -> None:
    for attempt in range(_REPLACE_TRIES):
        try:
            source.replace(target)
            break
        except PermissionError:
            # Windows refuses while a reader, such as Blender loading the preview, has the old file open for a moment.
            if os.name != "nt" or attempt == _REPLACE_TRIES - 1:
                raise
            time.sleep(0.05)
    if os.name != "nt":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

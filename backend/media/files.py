"""Files, written so that nothing half-written ever carries a final name, and opened so that none can be a trap.

To write: beside, flush to the disk, rename. A job folder may come from a stranger's archive or a shared disk, so what
has a name in it is opened only if it is a regular file itself: no link, which would lead out of the folder, no pipe or
device, whose reading never ends. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from io import BufferedReader, BufferedWriter
from pathlib import Path

from ..paths import is_system
from ..protocol import ErrorKind, SkyloopError, bad_request

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REPLACE_TRIES = 20
_PART = re.compile(r"\..{0,80}\.[0-9a-f]{8}\.part(\.[^.]*)?", re.DOTALL)  # the names that begin() makes
# NONBLOCK: opening a pipe that nobody writes to must not wait. O_BINARY: Windows would change line ends.
_GUARDED = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_REMOVE_IT = "Remove it, then try again."


def write_error(error: OSError, path: Path) -> SkyloopError:
    """The error a user can read for an ``OSError`` met while writing ``path``: disk_full, bad_request or internal."""
    if error.errno in _FULL:
        message = f"There is no space left to write {path.name} in {path.parent}."
        return SkyloopError(ErrorKind.DISK_FULL, message, "Free some space or choose a folder on another disk.")
    reason = error.strerror or str(error)
    if isinstance(
        error, FileNotFoundError | FileExistsError | NotADirectoryError | IsADirectoryError | PermissionError
    ):
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
    with replacing(path) as beside, os.fdopen(open_regular(beside, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(data)


def sweep_parts(folder: Path) -> int:
    """Remove the unfinished files that killed writers left in ``folder``, and say how many there were.

    Only for whoever holds the folder's lock: a writer at work has such a file too. What cannot be removed stays.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for part in [p for p in folder.iterdir() if _PART.fullmatch(p.name)]:
            with contextlib.suppress(OSError):  # a folder of such a name is not ours
                part.unlink()
                removed += 1
    return removed


def private_folder(path: Path) -> Path:
    """Make a folder that only this user can look into; one that is there already is left as it is.

    Raises ``SkyloopError`` (bad_request, disk_full, internal), also where ``path`` is no folder.
    """
    with writing(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def own_folder(path: Path) -> Path:
    """Make a private folder inside a folder of ours; a link or file in its place is removed, so that what is written
    into it lands nowhere else. Raises ``SkyloopError`` like :func:`private_folder`."""
    with writing(path):
        if not is_real_folder(path):
            path.unlink(missing_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def is_real_folder(path: Path) -> bool:
    """Whether ``path`` is a folder itself, and not a link to one (nor a junction, which Windows has besides)."""
    try:
        about = os.lstat(path)
    except (OSError, ValueError):
        return False
    junction = getattr(about, "st_reparse_tag", 0) == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
    return stat.S_ISDIR(about.st_mode) and not junction


def open_regular(path: Path, flags: int) -> int:
    """A descriptor, for the caller to close, of a regular file; with ``os.O_CREAT`` in ``flags`` it may be a new one.

    Raises ``SkyloopError(bad_request)`` for a link, pipe, device or folder, and ``OSError`` as ``os.open`` does.
    """
    with contextlib.suppress(FileNotFoundError):
        _check_regular(path, os.lstat(path))  # before opening, which is enough to make some devices act
    try:
        descriptor = os.open(path, flags | _GUARDED, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_regular(path, "link or pipe") from error
        raise
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        _check_regular(path, os.fstat(descriptor))
        undo.pop_all()
    return descriptor


def open_append(path: Path) -> BufferedWriter:
    """Open a log to add to, made if missing. Raises ``SkyloopError``: bad_request, disk_full, internal.

    One with a second name (a hard link) is refused too: what is added would appear in a file elsewhere.
    """
    with writing(path):
        descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        if os.fstat(descriptor).st_nlink > 1:
            os.close(descriptor)
            raise _not_regular(path, "hard link")
        return os.fdopen(descriptor, "ab")


def open_read(path: Path, limit_bytes: int) -> BufferedReader:
    """Open a file of at most ``limit_bytes`` to read. Its size is checked now: read no more than that from one that
    may grow meanwhile.

    Raises ``FileNotFoundError`` when nothing is there, ``SkyloopError(bad_request)`` when it is something else than a
    regular file, too large, or may not be read.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise bad_request(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    if (size := os.fstat(descriptor).st_size) > limit_bytes:
        os.close(descriptor)
        raise bad_request(f"{path} is too large: {_megabytes(size)}, where at most {_megabytes(limit_bytes)} are read.")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, limit_bytes: int) -> bytes:
    """The whole content of a file of at most ``limit_bytes``. Raises like :func:`open_read`."""
    with open_read(path, limit_bytes) as file:
        return _read(file, path, limit_bytes)


def read_tail(path: Path, limit_bytes: int) -> bytes:
    """The last ``limit_bytes`` of a file, however large it is. Raises like :func:`open_read`."""
    with open_read(path, sys.maxsize) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - limit_bytes))
        return _read(file, path, limit_bytes)


def open_input(path: Path, limit_bytes: int) -> BufferedReader:
    """Open a file that the user named, of at most ``limit_bytes``: as :func:`open_read`, but links are followed.

    Raises ``SkyloopError(bad_request)``, also when nothing is there.
    """
    try:
        real = Path(path).resolve(strict=True)
        if is_system(str(real)):
            raise bad_request(f"{path} is a part of the system, not a file of yours.", "Give another file.")
        if not real.is_file():
            raise bad_request(f"{path} is no file.", "Give the path of a file.")
        return open_read(real, limit_bytes)
    except FileNotFoundError as error:
        raise bad_request(f"{path} is not there.", "Check its name and folder.") from error
    except RuntimeError as error:  # before Python 3.13
        raise bad_request(f"{path} is a link in a circle.", "Give another file.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise bad_request(f"{str(path)[:200]} cannot be read ({reason}).", "Give another file.") from error


def read_input(path: Path, limit_bytes: int) -> bytes:
    """The whole content of a file that the user named. Raises like :func:`open_input`."""
    with open_input(path, limit_bytes) as file:
        return _read(file, path, limit_bytes)


def _read(file: BufferedReader, path: Path, limit_bytes: int) -> bytes:
    try:
        return file.read(limit_bytes)
    except OSError as error:
        raise bad_request(f"{path} cannot be read ({error.strerror or error}).") from error


def _check_regular(path: Path, about: os.stat_result) -> None:
    kinds = {stat.S_IFLNK: "link", stat.S_IFIFO: "pipe", stat.S_IFDIR: "folder", stat.S_IFSOCK: "socket"}
    if not stat.S_ISREG(about.st_mode):
        raise _not_regular(path, kinds.get(stat.S_IFMT(about.st_mode), "device"))


def _not_regular(path: Path, what: str) -> SkyloopError:
    return bad_request(f"{path} is a {what}, not a regular file.", _REMOVE_IT)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.3g} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:.3g} GB"


def _flush(path: Path) -> None:
    """Wait until the file's content is on the disk, not only in the cache."""
    descriptor = open_regular(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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

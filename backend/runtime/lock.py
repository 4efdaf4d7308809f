"""A file lock of the operating system: it ends with its holder, however that ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..media.files import open_regular
from ..protocol import SkyloopError


def _try_lock(fd: int, *, shared: bool = False) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # held by another; anything else, such as no locks on this disk, is news
        return False
    return True


@contextmanager
def locked(path: Path, *, waiting: Callable[[float], None], poll_s: float = 0.25) -> Iterator[int]:
    """Hold the lock file ``path``; yields its descriptor.

    ``waiting(seconds)`` is called while another holds it and may raise to give up. Child processes that inherit the
    descriptor keep the lock until they end too (not on Windows), so an orphaned pip cannot write into an environment
    that the next run is making anew. Raises ``SkyloopError(bad_request)`` when that name is no file's, and ``OSError``,
    as on a disk that has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    while True:
        fd = open_regular(path, os.O_RDWR | os.O_CREAT)
        try:
            while not _try_lock(fd):
                waiting(time.monotonic() - start)
                time.sleep(poll_s)
            if _is_at(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    """Whether the file still has that name: who held the lock before may have removed it, with all that it guards."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Whether someone, this process included, holds the lock file ``path``. Makes no file and follows no link.

    It asks by taking the lock for a moment, so whoever wants it has to try for longer than that. False where that
    cannot be told.
    """
    try:
        fd = open_regular(path, os.O_RDONLY)
    except (OSError, ValueError, SkyloopError):
        return False
    try:
        return not _try_lock(fd, shared=True)
    except OSError:  # no locks on this disk, or no file: nobody can hold it
        return False
    finally:
        os.close(fd)


def hold(path: Path) -> None:
    """Say until this process ends that it uses what ``path`` stands for; many can at once. See :func:`is_used`."""
    try:
        _try_lock(open_regular(path, os.O_RDWR | os.O_CREAT), shared=True)  # never closed: it ends with the process
    except (OSError, SkyloopError):  # a disk that is read-only or has no locks: then nobody is told
        return


def is_used(path: Path) -> bool:
    """Whether any process holds ``path`` by :func:`hold`. False where that cannot be told."""
    try:
        fd = open_regular(path, os.O_RDWR)
    except (OSError, SkyloopError):
        return False
    try:
        return not _try_lock(fd)
    except OSError:
        return False
    finally:
        os.close(fd)

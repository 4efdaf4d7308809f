"""Whatever an engine, a library or the system raises, as one of the errors a user can read. Standard library only."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..protocol import ErrorKind, SkyloopError

_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# By name and text, because importing torch to compare classes would take seconds and may itself be what failed.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
)
_DEVICE_TEXTS = (
    "cuda error",
    "device-side assert",
    "device lost",
    "cudnn_status",
    "cublas_status",
    "cudnn error",
    "hip error",
    "driver shutting down",
    "gpu has fallen off",
)


def as_skyloop_error(error: BaseException) -> SkyloopError:
    """The readable form of any exception; its causes are looked at too, as libraries like to wrap them."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, SkyloopError):
            return cause
    for cause in chain:
        if kind := _kind(cause):
            return SkyloopError(kind, *_TEXTS[kind])
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
    return SkyloopError(
        ErrorKind.INTERNAL,
        f"Something went wrong that Skyloop did not expect ({reason}).",
        "Try again, and send the log with a report if it stays.",
    )


_TEXTS = {
    ErrorKind.OUT_OF_MEMORY: (
        "The device ran out of memory.",
        "Choose a smaller size or fewer frames, or close other programs that use it.",
    ),
    ErrorKind.DISK_FULL: (
        "The disk is full.",
        "Free some space or choose a folder on another disk.",
    ),
    ErrorKind.DEVICE_LOST: (
        "The graphics card stopped answering.",
        "Start again; if it stays, update its driver or use the CPU.",
    ),
    ErrorKind.CANCELLED: ("Cancelled.", ""),
}


def _kind(error: BaseException) -> ErrorKind | None:
    text = str(error).lower()
    if isinstance(error, KeyboardInterrupt):
        return ErrorKind.CANCELLED
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return ErrorKind.DISK_FULL
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ErrorKind.OUT_OF_MEMORY
    if isinstance(error, RuntimeError | OSError) and any(t in text for t in _MEMORY_TEXTS):
        return ErrorKind.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and any(t in text for t in _DEVICE_TEXTS):
        return ErrorKind.DEVICE_LOST
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)

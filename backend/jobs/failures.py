"""Whatever an engine, a library or the system raises, as one of the errors a user can read. Standard library only."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..protocol import ErrorKind, SkyloopError
from .redacting import redacted

_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FULL_TEXTS = ("no space left on device", "disk quota exceeded", "not enough space on the disk")
# By name and text, because importing torch to compare classes would take seconds and may itself be what failed.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
    "insufficient memory",
    "bad_alloc",
)
_DEVICE_TEXTS = (
    "cuda error",
    "cuda driver error",
    "cudart error",
    "device-side assert",
    "device lost",
    "cudnn_status",
    "cublas_status",
    "cudnn error",
    "hip error",
    "driver shutting down",
    "gpu has fallen off",
    "nccl error",
    "mps backend failed",
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
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno is not None:
            return _system_error(cause)
    text = redacted(" ".join(str(error).split()))
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


_GONE = ("{name} is not there any more.", "Bring its folder or disk back, or make the sky anew.")
_PLACE = "Choose a folder that exists and you may write to."
# What the system refuses, by its number: what happened to {name}, and what to do.
_SYSTEM_TEXTS = {
    errno.EIO: ("The disk failed at {name}.", "Check the disk and its cable, then try another folder."),
    errno.EROFS: ("{name} is on a disk that can only be read.", "Choose a folder on another disk."),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV), _GONE),
    errno.ENAMETOOLONG: ("The path of {name} is too long for this system.", "Choose a folder with a shorter path."),
    errno.EMFILE: ("Too many files are open to open {name}.", "Start Skyloop again; close other programs if it stays."),
    errno.ENFILE: ("Too many files are open to open {name}.", "Close other programs, then try again."),
    **dict.fromkeys((errno.EACCES, errno.EPERM), ("You may not read or write {name}.", _PLACE)),
    errno.EISDIR: ("{name} is a folder where a file should be.", _PLACE),
    errno.EEXIST: ("{name} is in the way.", "Move it away or choose another folder."),
    errno.EFBIG: ("{name} is too large for that disk.", "Choose a folder on another disk or a smaller size."),
    errno.EBUSY: ("{name} is in use by another program.", "Close what shows it, then try again."),
    errno.ENOTCONN: ("The network disk of {name} does not answer.", "Connect it again or choose another folder."),
    errno.ETIMEDOUT: ("{name} did not answer in time.", "Check the disk or the network, then try again."),
    errno.ELOOP: ("{name} is a link that leads nowhere.", "Choose another folder."),
}


def _system_error(error: OSError) -> SkyloopError:
    """What the system refused, in words; never as something unexpected, as disks and folders do such things."""
    name = redacted(str(error.filename)[:300]) if error.filename else "a file of the job"
    message, hint = _SYSTEM_TEXTS.get(
        error.errno or 0,
        (f"The system refused to read or write {{name}} ({error.strerror}).", "Check the disk, then try another one."),
    )
    message = message.replace("{name}", name)
    return SkyloopError(ErrorKind.INTERNAL, message[0].upper() + message[1:], hint)


def _kind(error: BaseException) -> ErrorKind | None:
    text = str(error).lower()
    if isinstance(error, KeyboardInterrupt):
        return ErrorKind.CANCELLED
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return ErrorKind.DISK_FULL
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ErrorKind.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return ErrorKind.OUT_OF_MEMORY
    library = isinstance(error, RuntimeError | OSError) or type(error).__name__ in ("error", "SafetensorError")
    if library and any(t in text for t in _FULL_TEXTS):
        return ErrorKind.DISK_FULL
    if library and any(t in text for t in _MEMORY_TEXTS):
        return ErrorKind.OUT_OF_MEMORY
    accelerator = type(error).__name__ == "AcceleratorError"
    if accelerator or (isinstance(error, RuntimeError) and any(t in text for t in _DEVICE_TEXTS)):
        return ErrorKind.DEVICE_LOST
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)

"""Python's own file layer with one call that fails, as SQLite's tests have it: counted, named by who called, broken.

Only calls on files inside one folder count. A call's *site* is the kind of call with the innermost line of the backend
and the one that asked it, so that a helper that writes every file is one site for each file. Never installed in a
process that goes on: a forked child gets it and ends.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

FAULTS = {
    "open": (errno.EIO, errno.EACCES),
    "create": (errno.ENOSPC, errno.EIO, errno.EACCES),
    "write": (errno.ENOSPC, errno.EIO, "short"),
    "read": (errno.EIO,),
    "fsync": (errno.ENOSPC, errno.EIO),
    "rename": (errno.ENOSPC, errno.EIO, errno.EACCES),
    "mkdir": (errno.ENOSPC, errno.EACCES),
    "unlink": (errno.EIO, errno.EACCES),
    "allocate": (errno.ENOSPC, errno.EIO),
    "truncate": (errno.ENOSPC, errno.EIO),
    "list": (errno.EIO,),
}
"""What can go wrong with each kind of call: an error number, or a write that takes only a part. ``kill`` fits all."""

_HELPERS = ("backend/media/files.py", "backend/jobs/store.py", "backend/runtime/lock.py", "backend/paths.py")
_DESCRIPTORS: dict[str, str] = {"fsync": "fsync", "fdatasync": "fsync", "posix_fallocate": "allocate", "write": "write"}
_DESCRIPTORS |= {"ftruncate": "truncate", "pwrite": "write"}
_PATHS = {"mkdir": "mkdir", "unlink": "unlink", "remove": "unlink", "rmdir": "unlink"}
_PATHS |= {"listdir": "list", "scandir": "list", "truncate": "truncate"}
_PAIRS = {"replace": "rename", "rename": "rename", "link": "rename"}


@dataclass
class Shim:
    """Counts the calls inside ``folder`` and breaks one of them, or with ``lasting`` all from it on.

    ``at``: the kind, the site and which of its calls (from 0); ``fault``: an error number, ``short`` or ``kill``.
    """

    folder: Path
    backend: Path
    at: tuple[str, str, int] | None = None
    fault: int | str = 0
    lasting: bool = False
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    struck: bool = False
    _opened: dict[int, str] = field(default_factory=dict)
    _real: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def install(self) -> None:
        """Put it in place of Python's calls, for good."""
        for name in ("open", *_DESCRIPTORS, *_PATHS, *_PAIRS):
            self._real[name] = getattr(os, name)
        os.open = self._os_open
        for names, wrap in ((_DESCRIPTORS, self._on_descriptor), (_PATHS, self._on_path), (_PAIRS, self._on_pair)):
            for name, kind in names.items():
                setattr(os, name, wrap(name, kind))
        self._real["io.open"] = io.open
        builtins.open = io.open = self._io_open

    def call(self, kind: str) -> int:
        """Count a call and raise its error if it is the one to fail. A positive number: take only that part, in %."""
        site = self._site()
        this = (kind, site, self.counts[kind, site])
        self.counts[kind, site] += 1
        if this != self.at and not (self.lasting and self.struck):
            return 100
        self.struck = True
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "short":
            return 50
        if self.lasting and kind in ("read", "open", "list", "unlink"):
            return 100  # a full disk can be read, and files on it removed
        assert isinstance(self.fault, int)
        raise OSError(self.fault, os.strerror(self.fault))

    def mine(self, path: Any) -> bool:
        """Whether a path or descriptor belongs to the folder."""
        if isinstance(path, int):
            path = self._opened.get(path, "")
        try:
            text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 (a link stays what it is)
        except (TypeError, ValueError):
            return False
        return text == str(self.folder) or text.startswith(f"{self.folder}{os.sep}")

    # what takes the place of Python's calls

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        whole = path if dir_fd is None else Path(self._opened.get(dir_fd, "/")) / os.fsdecode(path)
        if self.mine(whole):
            self.call("create" if flags & os.O_CREAT else "open")
        made = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        self._opened[made] = os.fspath(whole)
        return made

    def _on_descriptor(self, name: str, kind: str) -> Callable[..., Any]:
        def call(fd: int, *more: Any) -> Any:
            if self.mine(fd):
                part = self.call(kind)
                if kind == "write" and part < 100:
                    more = (bytes(more[0])[: max(1, len(more[0]) * part // 100)], *more[1:])
            return self._real[name](fd, *more)

        return call

    def _on_path(self, name: str, kind: str) -> Callable[..., Any]:
        def call(path: Any = ".", *more: Any, dir_fd: int | None = None, **named: Any) -> Any:
            whole = path if dir_fd is None else Path(self._opened.get(dir_fd, "/")) / os.fsdecode(path)
            if self.mine(whole):
                self.call(kind)
            return self._real[name](path, *more, **named, **({} if dir_fd is None else {"dir_fd": dir_fd}))

        return call

    def _on_pair(self, name: str, kind: str) -> Callable[..., Any]:
        def call(source: Any, target: Any, **named: Any) -> Any:
            if self.mine(source) or self.mine(target):
                self.call(kind)
            return self._real[name](source, target, **named)

        return call

    def _io_open(
        self, file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None,
        newline: str | None = None, closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        if not self.mine(file):
            other = self._real["io.open"](file, mode, buffering, encoding, errors, newline, closefd, opener)
            self._opened.pop(other.fileno(), None)
            return other
        if not isinstance(file, int) and opener is None:
            self.call("open" if set(mode) <= set("rbt") else "create")
        raw = _Raw(self, file, "".join(c for c in mode if c not in "bt"), closefd, opener)
        self._opened[raw.fileno()] = os.fspath(file) if not isinstance(file, int) else self._opened[file]
        if buffering == 0:
            return raw
        kinds = {"r": io.BufferedReader, "w": io.BufferedWriter, "a": io.BufferedWriter, "x": io.BufferedWriter}
        kind = io.BufferedRandom if "+" in mode else next(kinds[c] for c in mode if c in kinds)
        buffered = kind(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)

    def _site(self) -> str:
        """The innermost line of the backend, and the one outside its file helpers."""
        frame: FrameType | None = sys._getframe(2)
        inner = outer = ""
        while frame is not None and not outer:
            name = frame.f_code.co_filename
            if name.startswith(str(self.backend)):
                short = f"backend{name.removeprefix(str(self.backend))}"
                line = f"{short.removeprefix('backend/')}:{frame.f_code.co_name}:{frame.f_lineno}"
                inner = inner or line
                outer = "" if short in _HELPERS else line
            frame = frame.f_back
        return inner if inner == outer else f"{inner} < {outer}"


class _Raw(io.FileIO):
    """A file whose reads and writes are counted."""

    def __init__(self, shim: Shim, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        super().__init__(file, mode, closefd, opener)
        self._shim = shim

    def write(self, data: Any) -> int:
        part = self._shim.call("write")
        if part < 100:
            data = memoryview(data).cast("B")[: max(1, memoryview(data).nbytes * part // 100)]
        return super().write(data)

    def readinto(self, buffer: Any) -> int:
        self._shim.call("read")
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self._shim.call("read")
        return super().readall()

    def read(self, size: int | None = -1) -> bytes:
        self._shim.call("read")
        return super().read(size)

    def truncate(self, size: int | None = None) -> int:
        self._shim.call("truncate")
        return super().truncate(size)

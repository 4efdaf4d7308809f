"""A child's pipes read and written without threads: every call returns at once, with what could be done by then.

No thread, because Blender 5.0 was seen to crash when another Python thread worked while an operator ran. A child that
writes faster than its pipe is read waits; nothing is thrown away, and nothing here grows without bound.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from typing import IO

READ_BYTES = 64 << 10  # in one call; what a pipe of Linux holds
MAX_LINE_BYTES = 1 << 20
MAX_UNSENT_BYTES = 256 << 10
_ROOM_BYTES = 1 << 20  # the child goes on for minutes while Blender stands still


class LineReader:
    """The lines of a pipe's reading end, as they come in."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: deque[str] = deque()
        self._rest = b""
        self._skipping = False  # the rest of a line that was too long
        self._at_end = False
        _unblock(pipe.fileno(), writing=False)

    @property
    def waiting(self) -> bool:
        """Whether :meth:`next` has a line to give."""
        return bool(self._lines)

    def next(self) -> str | None:
        """The next line that was taken in and is not empty, without its end; None when there is none.

        A line of more than ``MAX_LINE_BYTES`` is cut there; bytes that are not UTF-8 become question marks.
        """
        return self._lines.popleft() if self._lines else None

    def fill(self) -> bool:
        """Take in what the pipe holds, ``READ_BYTES`` at most; whether anything came. Call it when no line waits."""
        if self._at_end:
            return False
        data = b""
        with contextlib.suppress(OSError, ValueError):  # gone, or closed by us: the end as well
            found = _read(self._pipe.fileno())
            if found is None:
                return False
            data = found
        self._at_end = not data
        self._split(data or b"\n")
        return bool(data)

    def close(self) -> None:
        self._at_end = True
        with contextlib.suppress(OSError):
            self._pipe.close()

    def _split(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if not self._skipping:
                self._add(line)
            self._skipping = False
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > MAX_LINE_BYTES:
            self._add(self._rest)
            self._rest, self._skipping = b"", True

    def _add(self, line: bytes) -> None:
        if text := line[:MAX_LINE_BYTES].decode("utf-8", errors="replace").strip():
            self._lines.append(text)


class LineWriter:
    """The writing end of a pipe. What the pipe has no room for waits here for the next :meth:`flush`."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._unsent = b""
        _unblock(pipe.fileno(), writing=True)

    def write(self, line: str) -> bool:
        """Send a line, now or with a later flush; False when so much is unsent that nobody can be reading any more."""
        self._unsent += line.encode("utf-8", errors="backslashreplace") + b"\n"
        self.flush()
        return len(self._unsent) <= MAX_UNSENT_BYTES

    def flush(self) -> None:
        """Send what the pipe takes at once. A reader that is gone is for others to notice."""
        try:
            while self._unsent and (sent := _write(self._pipe.fileno(), self._unsent)):
                self._unsent = self._unsent[sent:]
        except (OSError, ValueError):
            self._unsent = b""

    def close(self) -> None:
        """Close the pipe, which tells the reader to end."""
        self._unsent = b""
        with contextlib.suppress(OSError):
            self._pipe.close()


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _PIPE_NOWAIT = 1
    _ERROR_BROKEN_PIPE = 109

    def _kernel() -> ctypes.WinDLL:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle, dword, pointer = wintypes.HANDLE, wintypes.DWORD, ctypes.c_void_p
        kernel.PeekNamedPipe.argtypes = (handle, pointer, dword, pointer, ctypes.POINTER(dword), pointer)
        kernel.SetNamedPipeHandleState.argtypes = (handle, ctypes.POINTER(dword), pointer, pointer)
        kernel.WriteFile.argtypes = (handle, ctypes.c_char_p, dword, ctypes.POINTER(dword), pointer)
        return kernel

    _KERNEL = _kernel()

    def _unblock(fd: int, *, writing: bool) -> None:
        """A reading end is peeked at instead, as it cannot tell an empty pipe from a broken one in this mode."""
        mode = wintypes.DWORD(_PIPE_NOWAIT)
        if writing and not _KERNEL.SetNamedPipeHandleState(msvcrt.get_osfhandle(fd), ctypes.byref(mode), None, None):
            raise ctypes.WinError(ctypes.get_last_error())

    def _read(fd: int) -> bytes | None:
        available = wintypes.DWORD()
        if not _KERNEL.PeekNamedPipe(msvcrt.get_osfhandle(fd), None, 0, None, ctypes.byref(available), None):
            if (code := ctypes.get_last_error()) == _ERROR_BROKEN_PIPE:
                return b""
            raise ctypes.WinError(code)
        return os.read(fd, min(available.value, READ_BYTES)) if available.value else None

    def _write(fd: int, data: bytes) -> int:
        """In this mode as many bytes are written as there is room for."""
        sent = wintypes.DWORD()
        if not _KERNEL.WriteFile(msvcrt.get_osfhandle(fd), data, len(data), ctypes.byref(sent), None):
            raise ctypes.WinError(ctypes.get_last_error())
        return sent.value

else:
    import fcntl

    def _unblock(fd: int, *, writing: bool) -> None:
        os.set_blocking(fd, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # a user's limit: less room, and all else as it is
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _ROOM_BYTES)

    def _read(fd: int) -> bytes | None:
        """What is there; None when nothing is yet, nothing at the end of the pipe. Raises ``OSError``."""
        try:
            return os.read(fd, READ_BYTES)
        except BlockingIOError:
            return None

    def _write(fd: int, data: bytes) -> int:
        """How many bytes the pipe took. Raises ``OSError``."""
        try:
            return os.write(fd, data)
        except BlockingIOError:
            return 0

r"""Paths that come from outside, in a request: absolute, of this machine, of a plain file or folder.

Only the form is judged here, without touching the disk: on Windows the mere opening of ``\\server\share`` sends the
user's credentials to that server, and opening ``COM1`` waits for it. What is there is for :mod:`.media.files` to judge.
Standard library only, part of :mod:`.protocol`.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import PurePosixPath, PureWindowsPath

MAX_PATH_CHARS = 4096
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and halves of surrogate pairs
_SYSTEM = re.compile(r"/(dev|proc|sys)(/|$)")
_SHARED_MEMORY = "/dev/shm/"  # noqa: S108  # the one part of /dev where files are files
_DEVICE = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*([.:].*)?", re.I | re.DOTALL)
_STREAM = re.compile(r":\$[a-z_]+$", re.I)  # name::$DATA is NTFS's way to say which part of a file is meant


def form_problem(path: str, *, windows: bool = os.name == "nt") -> str:
    """Why ``path`` must not be opened, as the rest of a sentence that begins with the field's name; empty when it may.

    What only the other systems take for a device or a network share is refused too: requests travel with their folders.
    """
    shown = repr(path[:80])
    if _ODD.search(path):
        return "is a file name that is not valid Unicode or has control characters: rename the file."
    if len(path) > MAX_PATH_CHARS:
        return f"has {len(path)} characters: a path has at most {MAX_PATH_CHARS}."
    if re.match(r"[\\/]{2}", path):
        return f"{shown} is on another machine or a device: copy the file here, or give it a drive letter."
    flavour = PureWindowsPath(path) if windows else PurePosixPath(path)
    if not flavour.is_absolute():
        return f"{shown}: use an absolute path."
    parts = flavour.parts[1:]
    if is_system(path) or any(_DEVICE.fullmatch(part) for part in (parts if windows else parts[-1:])):
        return f"{shown} is a device or a part of the system, not a file of yours."
    if _STREAM.search(path) or (windows and any(":" in part for part in parts)):
        return f"{shown} has a colon in its name: rename the file."
    return ""


def is_system(path: str) -> bool:
    """Whether an absolute path is of the system's own places, where a file may be a device or another's memory."""
    plain = posixpath.normpath(path)
    return bool(_SYSTEM.match(plain)) and not plain.startswith(_SHARED_MEMORY)

"""What an mp4 says of itself: Blender opens a film to know that, which may hold it up for a fifth of a second."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_INDEX_BYTES = 8 << 20  # of a film of MAX_FRAMES it is a tenth of this


@dataclass(frozen=True)
class Facts:
    width: int  # in pixels
    frames: int


def facts(path: Path) -> Facts | None:
    """The size of the film in ``path``, from its index; None where it is no mp4, has no picture, or is not whole."""
    try:
        index = _index(path)
        for kind, track in _boxes(index):
            if kind == b"trak" and (found := _of_track(track)):
                return found
    except (OSError, struct.error):
        pass
    return None


def _index(path: Path) -> bytes:
    """The content of ``moov``; empty unless the file begins as an mp4 and its boxes end where it ends."""
    index, at = b"", 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        while at < size:
            file.seek(at)
            kind, length, start = _head(file.read(16), size - at)
            if length < start or (at == 0 and kind != b"ftyp"):
                return b""
            if kind == b"moov" and length <= MAX_INDEX_BYTES:
                file.seek(at + start)
                index = file.read(length - start)
            at += length
    return index if at == size else b""


def _head(data: bytes, rest: int) -> tuple[bytes, int, int]:
    """Kind and length of a box, and where its content begins; ``rest`` is the length of one that goes to the end."""
    length, kind = struct.unpack_from(">I4s", data)
    if length == 1:
        return kind, struct.unpack_from(">Q", data, 8)[0], 16
    return kind, length or rest, 8


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box in ``data``."""
    at = 0
    while at + 8 <= len(data):
        kind, length, start = _head(data[at : at + 16], len(data) - at)
        if length < start:
            return
        yield kind, data[at + start : at + length]
        at += length


def _inside(data: bytes, *path: bytes) -> bytes:
    """The content of the first box of each kind in that of the one before; empty where there is none."""
    for wanted in path:
        data = next((content for kind, content in _boxes(data) if kind == wanted), b"")
    return data


def _of_track(track: bytes) -> Facts | None:
    if _inside(track, b"mdia", b"hdlr")[8:12] != b"vide":
        return None
    header, sizes = _inside(track, b"tkhd"), _inside(track, b"mdia", b"minf", b"stbl", b"stsz")
    if len(header) < 8:
        return None
    found = Facts(struct.unpack_from(">I", header, len(header) - 8)[0] >> 16, struct.unpack_from(">I", sizes, 8)[0])
    return found if found.width and found.frames else None

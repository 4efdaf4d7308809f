"""A reader of the boxes of an mp4 that shares nothing with the writer."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

TABLE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_BEFORE = {b"stsd": 8} | dict.fromkeys((b"avc1", b"hvc1", b"av01"), 78)  # the bytes before the boxes inside


def find(data: bytes, path: Sequence[bytes]) -> Iterator[bytes]:
    """The contents of the boxes at a path, in order."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= length <= len(data) - at
        body = data[at + 8 : at + length]
        if kind == path[0]:
            yield from find(body[_BEFORE.get(kind, 0) :], path[1:]) if len(path) > 1 else [body]
        at += length

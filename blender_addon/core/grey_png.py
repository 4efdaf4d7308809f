"""Masks as PNG files: 8 bits of grey. Standard library only, as the add-on brings no picture library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_8_BIT = (8, 0, 0, 0, 0)


def encode(width: int, height: int, rows: Sequence[bytes]) -> bytes:
    """A PNG file of ``height`` rows of ``width`` bytes, the topmost first; 0 is black, 255 white.

    Raises ``ValueError`` where the rows do not fit the size.
    """
    if len(rows) != height or any(len(row) != width for row in rows):
        raise ValueError(f"{len(rows)} rows are not {width}x{height}")
    header = struct.pack(">II5B", width, height, *_GREY_8_BIT)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

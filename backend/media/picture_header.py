"""What a picture's header says, read without decoding it: a small file may claim to be huge.

The decoders must see no other size than is seen here, so each format is read where they read it, and nothing is
searched for where a comment could pose as a header. Standard library only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_MAX_RADIANCE_HEADER_BYTES = 1 << 16
_MAX_CHUNKS = 500_000
_TIFF_PACKINGS = {0, 1, 2, 3, 4, 5, 7, 8, 32773, 32946}  # none told, none, fax, LZW, JPEG, Deflate, PackBits
_BOX_FORMATS = {b"\xff\x4f\xff\x51": 8, b"ispe": 8}  # JPEG 2000's code stream and AVIF: marker, and where the size is


def size_in_header(data: bytes) -> tuple[int, int] | None:
    """Width and height that a file of a known format tells of itself; None when it does not, or in another format."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        return _png_size(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data.startswith(b"#?"):
        return _radiance_size(data)
    for start, layout, offset in (
        (b"GIF8", "<HH", 6),
        (b"BM", "<ii", 18),
    ):
        if data.startswith(start) and len(data) >= offset + struct.calcsize(layout):
            width, height = struct.unpack_from(layout, data, offset)
            return abs(width), abs(height)
    if data.startswith(b"\xff\x4f\xff\x51") or data[4:12] in (b"jP  \r\n\x87\n", b"ftypavif", b"ftypavis", b"ftypmif1"):
        return _largest_in_boxes(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The size in the first frame header. Odd bytes between markers are passed over, as libjpeg does."""
    at = data.find(b"\xff", 2)
    while 0 <= at <= len(data) - 9:
        marker = data[at + 1]
        if marker in (0xD8, 0xD9, 0xDA):
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # fill
            at += 1
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD7:  # none, and those that stand alone
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        at = data.find(b"\xff", at)
    return None


def ifd(data: bytes) -> dict[int, int]:
    """The single numbers in the first directory of a TIFF file, which is also what EXIF is, by tag."""
    return {tag: value for tag, value in _ifd_entries(data.removeprefix(b"Exif\0\0")) if value is not None}


def _ifd_entries(data: bytes) -> Iterator[tuple[int, int | None]]:
    """Each entry's tag, and its value if that is a single number."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
        single = number == 1 and kind in (3, 4)
        yield tag, struct.unpack_from(order + {3: "H", 4: "I"}[kind], data, entry + 8)[0] if single else None


def _png_size(data: bytes) -> tuple[int, int] | None:
    """None where a chunk claims to be longer than the file: the decoder makes room for it before it looks."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IEND":
            return struct.unpack_from(">II", data, 16)
        at += 12 + length
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """None also where a size is given twice, or not as a plain number, or the pixels are packed in a way that OpenCV
    does not know, which it shows as black. Tiles are unpacked whole, so they count too."""
    sizes: dict[int, list[int | None]] = {256: [], 257: [], 322: [], 323: [], 259: []}
    for tag, value in _ifd_entries(data):
        if tag in sizes:
            sizes[tag].append(value)
    if any(len(given) > 1 or None in given for given in sizes.values()) or not (sizes[256] and sizes[257]):
        return None
    width, height, tile_width, tile_height, packing = (given[0] or 0 if given else 0 for given in sizes.values())
    if packing not in _TIFF_PACKINGS:
        return None
    return (tile_width, tile_height) if tile_width * tile_height > 16 * width * height + 2**20 else (width, height)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a" and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _radiance_size(data: bytes) -> tuple[int, int] | None:
    """The size after the first empty line, and none before it: the decoder cuts long lines, and may see an empty one
    where there is none."""
    head, _, rest = data[:_MAX_RADIANCE_HEADER_BYTES].partition(b"\n\n")
    found = re.match(rb"-Y (\d{1,9}) \+X (\d{1,9})\n", rest)
    return (int(found[2]), int(found[1])) if found and b"-Y" not in head and b"\0" not in head else None


def _largest_in_boxes(data: bytes) -> tuple[int, int] | None:
    """The largest size that is told anywhere in the file: boxes nest, and any may hold what looks like another."""
    found = []
    for marker, offset in _BOX_FORMATS.items():
        at = data.find(marker)
        while 0 <= at <= len(data) - offset - 8:
            found.append(struct.unpack_from(">II", data, at + offset))
            at = data.find(marker, at + 1)
    return max(found, key=lambda size: size[0] * size[1], default=None)

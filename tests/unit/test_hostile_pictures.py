"""Pictures made to crash, to hang, to fill the memory or to pose as another: each refused in one line."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import hostile

MOST_MB = 300.0
NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, NOISE, options)[1].tobytes()


def chunk(kind: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data) if length is None else length) + kind + data + crc


def png(width: int, height: int, *between: bytes, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rest = [*between, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(rest)


def zeros(megabytes: int) -> bytes:
    """That many megabytes of zeros, as zlib packs them: a thousandth of it."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def tiff(*entries: tuple[int, int, int, int], at: int = 8, magic: int = 42) -> bytes:
    """A little-endian TIFF of these entries (tag, type, count, value) and 64 bytes of content."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHI", b"II", magic, at) + body + bytes(68)


def plain_tiff(width: int = 4, height: int = 4, *more: tuple[int, int, int, int]) -> bytes:
    usual = {256: (256, 4, 1, width), 257: (257, 4, 1, height), 258: (258, 3, 1, 8), 259: (259, 3, 1, 1),
             262: (262, 3, 1, 1), 273: (273, 4, 1, 150), 277: (277, 3, 1, 1), 279: (279, 4, 1, 16)}  # fmt: skip
    changed = {entry[0]: entry for entry in more}
    return tiff(*(usual | changed).values())


def jpeg(width: int, height: int, *, progressive: bool = False, before: bytes = b"") -> bytes:
    """A JPEG whose frame header says another size than its content has."""
    data = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return data[:2] + before + data[2 : at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def jpeg_of_scans(count: int) -> bytes:
    data = jpeg(8000, 8000, progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at : at + 40] * count + b"\xff\xd9"


def hiding_marker() -> bytes:
    """A marker without a length, which a careless reader takes for one with: it then finds the small size behind."""
    small = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 16, 16)
    return jpeg(60_000, 60_000, before=b"\xff\x01\xff\xfe\xff\xfd" + bytes(1000) + small)


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def jp2(width: int, height: int, components: int = 3) -> bytes:
    data = encoded(".jp2")
    at = data.index(b"\xff\x4f\xff\x51")
    head = bytearray(data[at : at + 60])
    struct.pack_into(">II", head, 8, width, height)
    struct.pack_into(">II", head, 24, width, height)
    struct.pack_into(">H", head, 40, components)
    return data[:at] + bytes(head) + data[at + 60 :]


def jp2_with_a_decoy() -> bytes:
    data = jp2(60_000, 60_000)
    decoy = b"\xff\x4f\xff\x51" + struct.pack(">HHII", 47, 0, 16, 16)
    return data[:12] + box(b"free", decoy) + data[12:]


def avif(width: int, height: int) -> bytes:
    data = encoded(".avif")
    at = data.index(b"ispe")
    return data[: at + 8] + struct.pack(">II", width, height) + data[at + 16 :]


def gif(width: int, height: int, frame: tuple[int, int] = (4, 4)) -> bytes:
    image = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + image + b";"


def bmp(width: int, height: int, bits: int = 24, packing: int = 0) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 118, 0, 0, 54, 40, width, height, 1, bits, packing, 0, 0, 0, 0, 0)


def webp(kind: bytes, body: bytes) -> bytes:
    part = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(part)) + b"WEBP" + part


def radiance(head: bytes, size: bytes) -> bytes:
    return b"#?RADIANCE\n" + head + b"FORMAT=32-bit_rle_rgbe\n\n" + size + bytes(64)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", encoded(".png"))
    return file.getvalue()


ANIMATION = chunk(b"acTL", struct.pack(">II", 0x7FFFFFFF, 0))
WIDE_FRAME = ANIMATION + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 60_000, 60_000, 0, 0, 1, 1, 0, 0))
VP8X = struct.pack("<I", 0)

MADE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "zeros": lambda: bytes(4096),
    "text named .png": lambda: b"hello world " * 50,
    "html": lambda: b"<!DOCTYPE html><script>alert(1)</script>",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "svg of a billion laughs": lambda: b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
    "pdf": lambda: b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n",
    "zip with a picture in it": zipped,
    "pickle": lambda: pickle.dumps({"a": 1}),
    "program": lambda: b"\x7fELF" + bytes(200),
    "exr": lambda: b"\x76\x2f\x31\x01" + bytes(200),
    "psd": lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3),
    "pnm bomb": lambda: b"P6 100000 100000 255\n" + bytes(100),
    "pfm bomb": lambda: b"PF\n30000 30000\n-1.0\n" + bytes(100),
    "sun raster bomb": lambda: struct.pack(">8I", 0x59A66A95, 30_000, 30_000, 24, 0, 1, 0, 0),
    "png bomb": lambda: png(100_000, 100_000),
    "png valid and just too large": lambda: png(12_000, 12_000, depth=1, colour=0, data=bytes(12_000 * 1501)),
    "png of no width": lambda: png(0, 16),
    "png size over 31 bits": lambda: png(0xFFFFFFFF, 0xFFFFFFFF),
    "png header not first": lambda: png(8, 8)[:8] + chunk(b"tEXt", b"IHDR\0\0\0\x08\0\0\0\x08") + png(9, 9)[8:],
    "png chunk longer than the file": lambda: png(16, 16, chunk(b"tEXt", b"x", 0x7FFFFFFF)),
    "png without its pixels": lambda: png(4000, 4000),
    "png palette missing": lambda: png(16, 16, colour=3, data=bytes(17 * 16)),
    "png wrong checksum": lambda: png(16, 16, data=bytes(49 * 16)).replace(b"IDAT", b"IDAU"),
    "png profile bomb": lambda: png(16, 16, chunk(b"iCCP", b"a\0\0" + zeros(400))),
    "png text bomb": lambda: png(16, 16, chunk(b"zTXt", b"a\0\0" + zeros(400))),
    "png frame larger than the canvas": lambda: png(16, 16, WIDE_FRAME),
    "jpeg bomb": lambda: jpeg(65_500, 65_500),
    "jpeg progressive bomb": lambda: jpeg(65_500, 65_500, progressive=True),
    "jpeg of a thousand scans": lambda: jpeg_of_scans(1000),
    "jpeg size hidden by a marker": hiding_marker,
    "jpeg of no height": lambda: jpeg(64, 0),
    "jpeg without a frame": lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(9) + b"\xff\xd9",
    "gif bomb": lambda: gif(65_535, 65_535),
    "gif frame larger than the screen": lambda: gif(4, 4, (65_535, 65_535)),
    "gif without a frame": lambda: gif(64, 64)[:19] + b";",
    "bmp bomb": lambda: bmp(60_000, 60_000),
    "bmp negative bomb": lambda: bmp(-60_000, -60_000),
    "bmp lowest integer": lambda: bmp(-(2**31), -(2**31)),
    "bmp packed and cut short": lambda: bmp(8000, 8000, 8, 1),
    "tiff bomb": lambda: plain_tiff(100_000, 100_000),
    "tiff directory outside the file": lambda: tiff((256, 4, 1, 4), at=0x7FFFFFFF),
    "tiff directory in itself": lambda: tiff((256, 4, 1, 4), (257, 4, 1, 4), at=0),
    "tiff size given twice": lambda: tiff((256, 4, 1, 90_000), (257, 4, 1, 90_000), (256, 4, 1, 4), (257, 4, 1, 4)),
    "tiff size in other numbers": lambda: tiff((256, 16, 1, 90_000), (257, 16, 1, 90_000)),
    "tiff strips outside the file": lambda: plain_tiff(4, 4, (273, 4, 1, 0x7FFFFFFF)),
    "tiff tiles larger than the picture": lambda: plain_tiff(4, 4, (322, 4, 1, 1 << 15), (323, 4, 1, 1 << 15)),
    "tiff of 65535 channels": lambda: plain_tiff(4, 4, (277, 3, 1, 65_535)),
    "tiff of 8 million strips": lambda: plain_tiff(4, 4, (273, 4, 8_000_000, 8), (278, 4, 1, 1)),
    "tiff of unknown packing": lambda: plain_tiff(4, 4, (259, 3, 1, 34_712)),
    "tiff with 64-bit offsets": lambda: struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + bytes(200),
    "webp bomb": lambda: webp(b"VP8X", VP8X + b"\xff" * 6),
    "webp lossless bomb": lambda: webp(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(50)),
    "webp whose frame is larger": lambda: webp(b"VP8X", VP8X + b"\x0f\0\0\x0f\0\0") + encoded(".webp")[12:],
    "webp of nothing": lambda: webp(b"VP8 ", b"\x9d\x01\x2a"),
    "jpeg 2000 bomb": lambda: jp2(100_000, 100_000),
    "jpeg 2000 with a decoy": jp2_with_a_decoy,
    "jpeg 2000 of 16384 components": lambda: jp2(11_000, 11_000, 16_384),
    "jpeg 2000 larger than its content": lambda: jp2(3000, 3000),
    "avif bomb": lambda: avif(65_000, 65_000),
    "radiance bomb": lambda: radiance(b"", b"-Y 60000 +X 60000\n"),
    "radiance with a decoy": lambda: radiance(b"# -Y 8 +X 8\n", b"-Y 60000 +X 60000\n"),
    "radiance with a line for two": lambda: radiance(b"#" * 127 + b"\n-Y 60000 +X 60000\n", b"-Y 8 +X 8\n"),
    "radiance without its pixels": lambda: radiance(b"", b"-Y 2000 +X 2000\n"),
}  # fmt: skip
for name in (".png", ".jpg", ".webp", ".tiff", ".gif", ".bmp", ".jp2", ".avif"):
    MADE[f"{name[1:]} cut in its header"] = lambda name=name: encoded(name)[:24]
for name in (".png", ".webp", ".avif", ".gif", ".jp2"):
    MADE[f"{name[1:]} cut in its middle"] = lambda name=name: encoded(name)[: len(encoded(name)) // 2]

PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a link in a circle": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a process": lambda path: path.symlink_to("/proc/self/environ"),
    "a pipe": lambda path: os.mkfifo(path),
    "a file of 2 TB": lambda path: sparse(path, 2 << 40),
}


def sparse(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(size_bytes)


@cache
def answers(folder: Path) -> dict[str, hostile.Answer]:
    for name, make in MADE.items():
        (folder / name).write_bytes(make())
    for name, make in PLACES.items() if os.name == "posix" else ():
        make(folder / name)
    return hostile.read_all("picture", sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, hostile.Answer]:
    return answers(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("name", [*MADE, *(PLACES if os.name == "posix" else ())])
def test_a_hostile_picture_is_refused(read: dict[str, hostile.Answer], name: str) -> None:
    answer = read[name]
    assert answer.kind == "bad_request", answer
    assert name in answer.line and "\n" not in answer.line
    assert answer.megabytes < MOST_MB


def test_a_damaged_picture_is_refused_or_read_and_harms_nobody(tmp_path: Path) -> None:
    rng = random.Random(5)
    formats = {
        suffix: encoded(suffix) for suffix in (".png", ".jpg", ".webp", ".tiff", ".gif", ".bmp", ".jp2", ".avif")
    }
    formats[".hdr"] = cv2.imencode(".hdr", NOISE.astype(np.float32) / 255)[1].tobytes()
    formats["-progressive.jpg"] = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    formats["-lossless.webp"] = encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    for suffix, data in formats.items():
        for number in range(40):
            (tmp_path / f"{number}{suffix}").write_bytes(hostile.damaged(data, rng))
    found = hostile.read_all("picture", sorted(tmp_path.iterdir()))
    assert len(found) == 40 * len(formats)
    for name, answer in found.items():
        assert answer.kind in ("bad_request", "read"), (name, answer)
        assert "\n" not in answer.line and answer.megabytes < MOST_MB
    assert sum(answer.kind == "bad_request" for answer in found.values()) > 100

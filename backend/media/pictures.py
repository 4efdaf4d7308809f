"""Pictures that users bring: any common format, the right way up, with what is transparent in them.

The size is read from the header first, so that a small file which claims to be huge costs nothing.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import cv2
import numpy as np

from ..protocol import bad_request

MAX_PIXELS = 128_000_000
MAX_BYTES = 1 << 30
_HINT = "Give the path of a PNG, JPEG, WebP or TIFF."
_ORIENTATION = 0x0112
_EXIF = 0  # what OpenCV calls that kind of metadata


def read_picture(path: Path | str) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture as (rgb (H, W, 3) uint8, alpha (H, W) float32 in [0, 1], or None where nothing is transparent).

    Grey becomes colour, 16 bits become 8, linear light (Radiance) becomes sRGB, and EXIF orientation is applied. Raises
    ``SkyloopError(bad_request)`` naming the file: it is missing, no picture, cut short, or over 128 megapixels.
    """
    path = Path(path)
    data = _content(path)
    _check_size(path, size_in_header(data))
    pixels, exif = _decode(path, data)
    _check_size(path, (pixels.shape[1], pixels.shape[0]))
    pixels = _upright(_to_bytes(pixels), ifd(exif).get(_ORIENTATION, 1))
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), None
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), None
    alpha = pixels[..., 3]
    clear = (alpha.astype(np.float32) / 255) if alpha.min() < 255 else None
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), clear


def size_in_header(data: bytes) -> tuple[int, int] | None:
    """Width and height that a file of a common format tells of itself; None when it does not, or in another format."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        tags = ifd(data)
        return (tags[256], tags[257]) if {256, 257} <= set(tags) else None
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if data.startswith(b"#?") and (found := re.search(rb"-Y (\d{1,9}) \+X (\d{1,9})", data[:4096])):
        return int(found[2]), int(found[1])
    for start, marker, layout, offset in (
        (b"\x89PNG", b"IHDR", ">II", 4),
        (b"RIFF", b"\x9d\x01\x2a", "<HH", 3),  # lossy WebP, the key frame's start code
        (b"GIF8", b"GIF8", "<HH", 6),
        (b"BM", b"BM", "<ii", 18),
        (b"", b"\xff\x4f\xff\x51", ">II", 8),  # JPEG 2000
        (b"\0\0\0", b"ispe", ">II", 8),  # AVIF
    ):
        at = data.find(marker, 0, 4096)
        if data.startswith(start) and at >= 0 and len(data) >= at + offset + struct.calcsize(layout):
            width, height = struct.unpack_from(layout, data, at + offset)
            return abs(width), abs(height)
    return None


def ifd(data: bytes) -> dict[int, int]:
    """The single numbers in the first directory of a TIFF file, which is also what EXIF is, by tag."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return {}
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    found: dict[int, int] = {}
    if at + 2 <= len(data):
        (count,) = struct.unpack_from(f"{order}H", data, at)
        for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 11), 12):
            tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
            if number == 1 and kind in (3, 4):
                (found[tag],) = struct.unpack_from(order + {3: "H", 4: "I"}[kind], data, entry + 8)
    return found


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise bad_request(f"{path} is not there." if not path.exists() else f"{path} is no file.", _HINT)
        if path.stat().st_size > MAX_BYTES:
            raise bad_request(f"{path} is too large for a picture ({path.stat().st_size >> 20} MB).", _HINT)
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise bad_request(f"{path} cannot be read ({reason}).", _HINT) from error


def _check_size(path: Path, size: tuple[int, int] | None) -> None:
    if size is None:
        return
    width, height = size
    if width * height > MAX_PIXELS:
        text = f"{path} has {width}x{height} pixels, more than {MAX_PIXELS // 10**6} megapixels."
        raise bad_request(text, "Give a smaller copy of it.")
    if width < 2 or height < 2:
        raise bad_request(f"{path} has only {width}x{height} pixels.", "Give a larger picture.")


def _decode(path: Path, data: bytes) -> tuple[np.ndarray, bytes]:
    """Pixels as they are stored, and the EXIF block (empty when there is none)."""
    whole = not data.startswith(b"\x89PNG") or b"IEND" in data[-4096:]  # libpng would print its complaint
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        encoded = np.frombuffer(data, np.uint8)
        pixels, kinds, blocks = (
            cv2.imdecodeWithMetadata(encoded, flags=cv2.IMREAD_UNCHANGED) if data and whole else (None, (), ())
        )
    except cv2.error:
        pixels, kinds, blocks = None, (), ()
    finally:
        logging.setLogLevel(level)
    if pixels is None or pixels.size == 0:
        raise bad_request(f"{path} is not a picture that can be read, or only a part of one.", _HINT)
    exif = [block for kind, block in zip(kinds, blocks, strict=False) if kind == _EXIF]
    return pixels, np.asarray(exif[0], np.uint8).tobytes() if exif else b""


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if np.issubdtype(pixels.dtype, np.floating):
        linear = np.nan_to_num(pixels.astype(np.float32), posinf=1.0).clip(0, 1)
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
        return (srgb * 255).round().astype(np.uint8)
    return cv2.convertScaleAbs(pixels, alpha=255 / np.iinfo(pixels.dtype).max)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo how the camera was held: ``orientation`` is EXIF's number, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None

"""Pictures that users bring: any common format, the right way up, with what is transparent in them.

The size is read from the header first, so that a small file which claims to be huge costs nothing. What is decoded
takes at most 32 bytes a pixel for a moment (a TIFF of 64-bit numbers), and 4 once it is read.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..protocol import SkyloopError, bad_request
from .files import read_input
from .picture_header import ifd
from .picture_header import size_in_header as size_in_header

MAX_PIXELS = 128_000_000
MAX_SCANNED_PIXELS = 4_000_000_000
MAX_BYTES = 1 << 30
_HINT = "Give the path of a PNG, JPEG, WebP or TIFF."
_ORIENTATION = 0x0112
_ROWS = 64  # at a time, as floats take many times the memory
_EXIF = 0  # what OpenCV calls that kind of metadata


def read_picture(path: Path | str) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture as (rgb (H, W, 3) uint8, alpha (H, W) float32 in [0, 1], or None where nothing is transparent).

    Grey becomes colour, 16 bits become 8, linear light (Radiance) becomes sRGB, and EXIF orientation is applied. Raises
    ``SkyloopError(bad_request)`` naming the file: it is missing, no picture, cut short, or over 128 megapixels.
    """
    path = Path(path)
    data = read_input(path, MAX_BYTES)
    size = size_in_header(data)
    if size is None:
        raise _unreadable(path)
    _check_size(path, size)
    _check_scans(path, data, size)
    pixels, exif = _decode(path, data)
    del data
    _check_size(path, (pixels.shape[1], pixels.shape[0]))
    pixels = _upright(_to_bytes(pixels), ifd(exif).get(_ORIENTATION, 1))
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), None
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), None
    alpha = pixels[..., 3]
    clear = (alpha.astype(np.float32) / 255) if alpha.min() < 255 else None
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), clear


def _unreadable(path: Path) -> SkyloopError:
    return bad_request(f"{path} is not a picture that can be read, or only a part of one.", _HINT)


def _check_scans(path: Path, data: bytes, size: tuple[int, int]) -> None:
    """Each scan of a progressive JPEG passes over all pixels, and may itself take a few bytes."""
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") * size[0] * size[1] > MAX_SCANNED_PIXELS:
        raise bad_request(f"{path} would take too long to decode.", "Save it anew as a PNG or a plain JPEG.")


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        text = f"{path} has {width}x{height} pixels, more than {MAX_PIXELS // 10**6} megapixels."
        raise bad_request(text, "Give a smaller copy of it.")
    if width < 2 or height < 2:
        raise bad_request(f"{path} has only {width}x{height} pixels.", "Give a larger picture.")


def _decode(path: Path, data: bytes) -> tuple[np.ndarray, bytes]:
    """Pixels as they are stored, and the EXIF block (empty when there is none)."""
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        encoded = np.frombuffer(data, np.uint8)
        pixels, kinds, blocks = cv2.imdecodeWithMetadata(encoded, flags=cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):
        pixels, kinds, blocks = None, (), ()
    finally:
        logging.setLogLevel(level)
    if pixels is None or pixels.size == 0:
        raise _unreadable(path)
    exif = [block for kind, block in zip(kinds, blocks, strict=False) if kind == _EXIF]
    return pixels, np.asarray(exif[0], np.uint8).tobytes() if exif else b""


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if np.issubdtype(pixels.dtype, np.floating):
        return np.concatenate([_linear_to_bytes(pixels[at : at + _ROWS]) for at in range(0, len(pixels), _ROWS)])
    return cv2.convertScaleAbs(pixels, alpha=255 / np.iinfo(pixels.dtype).max)


def _linear_to_bytes(pixels: np.ndarray) -> np.ndarray:
    linear = np.nan_to_num(pixels.astype(np.float32), posinf=1.0).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return (srgb * 255).round().astype(np.uint8)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo how the camera was held: ``orientation`` is EXIF's number, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)

"""Linear light as bytes of the two formats that renderers read, with a remark in the header of what it is.

OpenEXR holds half floats; Radiance holds three mantissas of 8 bits with one exponent, so about 1 % of the brightest
channel. Both are linear Rec.709, radiance 1 being the white of the display.
"""

from __future__ import annotations

import struct
import threading

import cv2
import numpy as np

from ..sequence import ExrEncoder

_EXR_START = 8  # magic number and version
_LATLONG = b"\0"  # of OpenEXR's attribute "envmap"


class LightFiles:
    """Encodes frames (height, width, 3) float32 of one size as ``kind``: ``exr`` or ``hdr``."""

    def __init__(self, kind: str, width: int, height: int, remark: str) -> None:
        self.kind, self.remark = kind, remark
        self._size, self._threads = (width, height), threading.local()

    def __call__(self, light: np.ndarray) -> bytes:
        """One file; threads may call it at once."""
        if self.kind != "exr":
            return radiance(light, self.remark)
        about = {"comments": ("string", self.remark.encode()), "envmap": ("envmap", _LATLONG)}
        return with_attributes(self._encoder()(light), about)

    def _encoder(self) -> ExrEncoder:
        """This thread's own: it holds a frame while it works."""
        if not hasattr(self._threads, "encoder"):
            self._threads.encoder = ExrEncoder(*self._size)
        return self._threads.encoder


def with_attributes(exr: bytes, attributes: dict[str, tuple[str, bytes]]) -> bytes:
    """An OpenEXR file of one part in lines (not tiles) with attributes more, each a type and its bytes.

    The header is a list of name, type, size and bytes that an empty name ends; after it comes a table of where in the
    file each block of lines is, which moves (OpenEXR, "File Layout").
    """
    end, first = _header_end(exr)
    added = b"".join(
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, (kind, value) in attributes.items()
    )
    blocks = (first - end - 1) // 8
    places = struct.unpack_from(f"<{blocks}Q", exr, end + 1)
    table = struct.pack(f"<{blocks}Q", *(place + len(added) for place in places))
    return exr[:end] + added + exr[end : end + 1] + table + exr[first:]


def _header_end(exr: bytes) -> tuple[int, int]:
    """Where the empty name is that ends the header, and where the first block is."""
    at = _EXR_START
    while exr[at]:
        kind = exr.index(b"\0", at) + 1
        size = exr.index(b"\0", kind) + 1
        at = size + 4 + struct.unpack_from("<i", exr, size)[0]
    return at, struct.unpack_from("<Q", exr, at + 1)[0]


def radiance(light: np.ndarray, remark: str) -> bytes:
    """A Radiance picture of linear light (h, w, 3) float32, not negative, with a remark in its header."""
    # OpenCV cuts mantissas off, and most readers put nothing back: half a step more rounds them.
    brightest = light.max(axis=2)
    half_step = _half_step(brightest + _half_step(brightest))  # as rounding may reach the next exponent
    rounded = light + half_step[..., None] * (light > 0)
    _, data = cv2.imencode(".hdr", cv2.cvtColor(rounded, cv2.COLOR_RGB2BGR))
    magic, _, rest = data.tobytes().partition(b"\n")
    return b"\n".join([magic, b"# " + remark.encode("ascii"), rest])


def _half_step(brightest: np.ndarray) -> np.ndarray:
    """Half of what the mantissas count, of 8 bits, where the brightest channel sets the exponent."""
    return np.ldexp(np.float32(0.5), np.frexp(brightest)[1] - 8).astype(np.float32)

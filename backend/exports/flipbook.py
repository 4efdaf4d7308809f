"""A film as one texture of layers that stays on the graphics card: BC7 blocks in a DirectDraw Surface (.dds).

BC7 takes a byte a pixel and is read by every desktop card since Direct3D 11; phones have no decoder for it. No frame is
decoded while it plays, so that any frame can be next: the loop is exact.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import etcpak
import numpy as np

from ..media.files import replacing
from ..protocol import Event, bad_request, phase
from .film import Film

MOST_BYTES = 1 << 30  # of graphics memory: a sky may not take more than a quarter of a card of 4 GB
MOST_LAYERS = 2048  # what every card with BC7 takes (Direct3D 11)
_BC7_UNORM = 98  # of DXGI_FORMAT


def check(film: Film, instead: str) -> None:
    """Raises ``SkyloopError(bad_request)``, with what fits or ``instead``, for a film that is too much for graphics
    cards."""
    if film.frames > MOST_LAYERS:
        raise bad_request(f"It has {film.frames} frames: a flipbook holds {MOST_LAYERS}.", f"Use {instead}.")
    taken = film.width * film.height * film.frames
    if taken > MOST_BYTES:
        height = int(math.sqrt(MOST_BYTES / film.frames / 2)) // 16 * 16
        raise bad_request(
            f"{film.frames} frames of {film.width}x{film.height} take {_gib(taken)} of graphics memory: at most "
            f"{_gib(MOST_BYTES)} is sensible.",
            f"Use {2 * height}x{height} or smaller, or {instead}.",
        )


def write(film: Film, path: Path) -> Generator[Event, None, None]:
    """Write the film, whose sides are multiples of 4, as a texture array of a layer a frame; yields phases. Close the
    iterator to cancel: nothing is left. Raises ``SkyloopError``: bad_request, disk_full, internal."""
    if film.frames == 1:
        film = replace(film, picks=film.picks * 2)  # Godot takes one layer for a plain picture
    yield phase("compressing", 0, film.frames, "frame")
    with replacing(path) as beside, beside.open("wb") as file, contextlib.closing(film.read()) as frames:
        file.write(header(film.width, film.height, film.frames))
        settings = _settings()
        opaque = np.full((film.height, film.width, 4), 255, np.uint8)
        for done, frame in enumerate(frames, 1):
            opaque[..., :3] = frame
            file.write(etcpak.compress_bc7(opaque.tobytes(), film.width, film.height, settings))
            yield phase("compressing", done, film.frames, "frame")


def _settings() -> etcpak.BC7CompressBlockParams:
    """Half the time of etcpak's own settings and 1.5 dB closer (on a sky of 2048x1024, with and without grain)."""
    settings = etcpak.BC7CompressBlockParams()
    settings.init_linear_weights()
    settings.m_max_partitions = 16
    return settings


def header(width: int, height: int, layers: int) -> bytes:
    """The 148 bytes before the blocks: DDS_HEADER and DDS_HEADER_DXT10 of Microsoft's "DDS" programming guide."""
    caps, tall, wide, pixel_format, linear_size, is_texture = 0x1, 0x2, 0x4, 0x1000, 0x80000, 0x1000
    flags = caps | tall | wide | pixel_format | linear_size
    surface = struct.pack("<7I44x", 124, flags, height, width, width * height, 0, 1)
    four_cc = struct.pack("<2I4s20x", 32, 0x4, b"DX10")
    texture_2d = 3
    return b"DDS " + surface + four_cc + struct.pack("<I16x5I", is_texture, _BC7_UNORM, texture_2d, 0, layers, 0)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.3g} GiB"

"""Reading videos: ours back with the colours that went in, and those of others without trusting what they claim.

A video file is a program for its reader: it says how much memory to take, and some say which other files and addresses
to open. So FFmpeg gets bytes and no names, knows only the containers and codecs listed here, and every frame has the
size of the first.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from ..protocol import bad_request
from .files import open_input

FULL_CHROMA = Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | FULL_CHROMA
MAX_BYTES = 1 << 40
MAX_PIXELS = 16384 * 8192  # of a frame
MAX_SAMPLES = 10_000_000  # of all tracks: FFmpeg keeps 24 bytes of each
MAX_INDEX_BYTES = 256 << 20
_CONTAINERS = "mov,matroska,webm,avi,mpegts"
_CODECS = "h264,hevc,av1,libdav1d,libaom-av1,vp8,vp9,mpeg4,mpeg2video,mjpeg,prores,dnxhd,ffv1"
"""No PNG: its colour profile may unpack to gigabytes."""
_OPTIONS = {"format_whitelist": _CONTAINERS, "codec_whitelist": _CODECS, "max_pixels": str(MAX_PIXELS)}
_MOST_THREADS = 8  # each holds a frame
_HD_HEIGHT = 720  # untagged video of this height or more is BT.709 by convention, smaller is BT.601
_HINT = "Give an mp4, mov, webm, mkv, avi or ts file."


def read_frames(path: Path, limit: int | None = None) -> Iterator[np.ndarray]:
    """The frames of a video, (H, W, 3) uint8 RGB, all of one size, at most ``limit``.

    Raises ``SkyloopError(bad_request)``.
    """
    with reading(Path(path)) as (container, stream):
        stream.thread_type = "AUTO"
        size = None
        for number, frame in enumerate(container.decode(stream)):
            if limit is not None and number >= limit:
                return
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                text = f"{path} is {size[0]}x{size[1]} at first and {frame.width}x{frame.height} at frame {number}."
                raise bad_request(text, "Give a video of one size.")
            yield to_rgb(frame)


def probe(path: Path) -> dict[str, Any]:
    """What a video says of itself: width, height, frames, fps, codec, pixel_format, audio, and the colour tags.

    color_primaries, color_trc and color_matrix are H.273 numbers (1 is BT.709, 2 is untold), color_range is "limited",
    "full" or "untold". Raises ``SkyloopError(bad_request)``.
    """
    with reading(Path(path)) as (container, stream):
        context = stream.codec_context
        frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        return {
            "width": context.width,
            "height": context.height,
            "frames": frames,
            "fps": float(stream.average_rate or stream.guessed_rate or 0),
            "codec": context.name,
            "pixel_format": context.pix_fmt,
            "audio": bool(container.streams.audio),
            "color_primaries": int(context.color_primaries),
            "color_trc": int(context.color_trc),
            "color_matrix": int(context.colorspace),
            "color_range": {1: "limited", 2: "full"}.get(int(context.color_range), "untold"),
        }


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[Any, Any]]:
    """An open container and its video stream. Raises ``SkyloopError(bad_request)`` where there is none to be read."""
    with open_input(path, MAX_BYTES) as file:
        if _samples_claimed(file) > MAX_SAMPLES:
            raise bad_request(f"{path} claims to have more frames than can be read.", _HINT)
        try:
            with av.open(file, options=_OPTIONS, metadata_errors="replace", io_open=_no_other_file) as container:
                if not container.streams.video:
                    raise bad_request(f"{path} has no video in it.", "Give the path of a video, such as sky.mp4.")
                stream = container.streams.video[0]
                context = stream.codec_context
                if context is None or context.name not in _CODECS.split(","):
                    name = "an unknown codec" if context is None else context.name
                    raise bad_request(f"{path} is coded with {name}.", "Convert it to H.264, H.265, AV1 or VP9.")
                context.options = {"max_pixels": str(MAX_PIXELS)}
                context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
                yield container, stream
        except (av.error.FFmpegError, OSError, OverflowError, ZeroDivisionError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise bad_request(f"{path} cannot be read as a video ({reason}).", _HINT) from error


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a decoded frame, by its own colour tags or what its size implies."""
    untold = Colorspace.ITU709 if frame.height >= _HD_HEIGHT else Colorspace.ITU601
    matrix = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: Colorspace.BT2020}
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith(("rgb", "bgr", "gbr", "yuvj"))
    return frame.reformat(
        format="rgb24",
        src_colorspace=matrix.get(int(frame.colorspace), untold),
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=EXACT,
    ).to_ndarray()


def _no_other_file(_url: str, _flags: int, _options: Any) -> NoReturn:
    raise OSError("a video must not name other files")


def _samples_claimed(file: BufferedReader) -> float:
    """How many samples the index of an mp4 claims, which FFmpeg makes room for before it reads one; else 0."""
    claimed, at, size = 0.0, 0, file.seek(0, os.SEEK_END)
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        length = length or size - at
        if kind in (b"moov", b"moof"):
            if length > MAX_INDEX_BYTES:
                return math.inf
            claimed += _samples_in(file.read(min(length, size - at)))
        elif length < 8 or (at == 0 and not kind.isalnum()):
            break
        at += length
    file.seek(0)
    return claimed


def _samples_in(index: bytes) -> float:
    """The counts of the tables of samples, wherever they are; those of a packed index (cmov) cannot be known."""
    if b"cmov" in index:
        return math.inf
    claimed = 0
    for kind, offset in ((b"stsz", 12), (b"stz2", 12), (b"trun", 8)):
        at = index.find(kind)
        while 0 <= at <= len(index) - offset - 4:
            claimed += int.from_bytes(index[at + offset : at + offset + 4], "big")
            at = index.find(kind, at + 4)
    return claimed

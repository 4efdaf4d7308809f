"""Looping sky videos: H.264 in mp4, written as a stream and read back, with the colours that went in.

RGB is converted with the BT.709 matrix to limited range and tagged so, because players that trust the tags and players
that guess by size then agree. No B frames and closed GOPs of at most a second keep the first frame at time zero, so the
file loops without a gap; there is no audio for the same reason.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from ..protocol import ErrorKind, SkyloopError, bad_request
from .files import begin, commit, discard, write_error

BT709 = 1  # the number of BT.709 in ITU-T H.273, for primaries, transfer and matrix alike
CRF = 12
_MOST_THREADS = 8  # each holds a frame, which at 8192x4096 is 200 MB with all that the encoder keeps of it
_FULL_CHROMA = Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | _FULL_CHROMA
_HD_HEIGHT = 720  # untagged video of this height or more is BT.709 by convention, smaller is BT.601


class VideoWriter:
    """Writes frames to an mp4 that appears under ``path`` when the ``with`` block ends well, and not at all otherwise.

    ``width`` and ``height`` are even pixels, ``fps`` is in Hz. Give ``frames`` to have their number checked at the end.
    Memory does not depend on the number of frames. Raises ``SkyloopError``: bad_request for a size or frame that cannot
    be encoded or a place that cannot be written, disk_full, internal.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float, frames: int | None = None) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise bad_request(f"A video of {width}x{height} cannot be encoded.", "Use even numbers of pixels.")
        if not 0 < fps <= 1000:
            raise bad_request(f"A video of {fps:g} frames a second cannot be encoded.", "Use 1 to 120.")
        self.path = Path(path)
        self.width, self.height, self.frames = width, height, frames
        self.rate = Fraction(fps).limit_denominator(1001)
        self.written = 0

    def __enter__(self) -> VideoWriter:
        self._beside = begin(self.path)
        try:
            with self._errors():
                place = str(self._beside.absolute())
                self._container = av.open(place, "w", format="mp4", options={"movflags": "+faststart"})
                self._stream = _add_stream(self._container, self.width, self.height, self.rate)
        except BaseException:
            discard(self._beside)
            raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame: (height, width, 3) uint8 RGB."""
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise bad_request(
                f"A frame of {frame.shape} {frame.dtype} does not fit a video of {self.width}x{self.height}.",
                "Frames are (height, width, 3) uint8.",
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_color_trc=BT709,
            dst_color_primaries=BT709,
            interpolation=_EXACT,
        )
        picture.pts, picture.time_base = self.written, 1 / self.rate
        with self._errors():
            self._container.mux(self._stream.encode(picture))
        self.written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            # Closing can fail once more on a full disk; the first error is the one to tell.
            with contextlib.suppress(av.error.FFmpegError):
                self._container.close()
            discard(self._beside)

    def _finish(self) -> None:
        if not self.written or self.frames not in (None, self.written):
            raise SkyloopError(ErrorKind.INTERNAL, f"The video has {self.written} of {self.frames or 1} frames.")
        with self._errors():
            self._container.mux(self._stream.encode(None))
            self._container.close()
        commit(self._beside, self.path)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as error:
            raise write_error(OSError(error.errno, error.strerror), self.path) from error


def _add_stream(container: Any, width: int, height: int, rate: Fraction) -> Any:
    gop = max(1, round(rate))
    options = {
        "crf": str(CRF),
        # Key frames as fine as the others, and dark skies not coarser than bright ones: else each second pops.
        "x264-params": "ipratio=1.0:aq-mode=3",
        "preset": "medium",
        "bf": "0",
        "g": str(gop),
        "keyint_min": str(gop),
        "sc_threshold": "0",
        "flags": "+cgop",
        "rc-lookahead": str(min(gop, 10)),  # the encoder holds this many frames: at 8192x4096 they are 50 MB each
    }
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = 1 / rate
    context = stream.codec_context
    context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = ColorRange.MPEG
    return stream


def read_frames(path: Path, limit: int | None = None) -> Iterator[np.ndarray]:
    """The frames of a video, (H, W, 3) uint8 RGB, at most ``limit``. Raises ``SkyloopError(bad_request)``."""
    with _reading(Path(path)) as (container, stream):
        stream.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(stream)):
            if limit is not None and number >= limit:
                return
            yield _to_rgb(frame)


def probe(path: Path) -> dict[str, Any]:
    """What a video says of itself: width, height, frames, fps, codec, pixel_format, audio, and the colour tags.

    color_primaries, color_trc and color_matrix are H.273 numbers (1 is BT.709, 2 is untold), color_range is "limited",
    "full" or "untold". Raises ``SkyloopError(bad_request)``.
    """
    with _reading(Path(path)) as (container, stream):
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
def _reading(path: Path) -> Iterator[tuple[Any, Any]]:
    if not path.is_file():
        raise bad_request(f"{path} is not a file.", "Give the path of a video, such as sky.mp4.")
    try:
        with av.open(str(path.absolute())) as container:
            if not container.streams.video:
                raise bad_request(f"{path} has no video in it.", "Give the path of a video, such as sky.mp4.")
            yield container, container.streams.video[0]
    except (av.error.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise bad_request(f"{path} cannot be read as a video ({reason}).", "Give a video file such as mp4.") from error


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
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
        interpolation=_EXACT,
    ).to_ndarray()

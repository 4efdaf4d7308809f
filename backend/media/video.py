"""Looping sky videos: H.264 in mp4 at first, written as a stream (:mod:`.reading` reads them back), colours as given.

RGB is converted with the BT.709 matrix to limited range and tagged so, because players that trust the tags and players
that guess by size then agree. No B frames and closed GOPs of at most a second keep the first frame at time zero, so the
file loops without a gap; there is no audio for the same reason.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from ..protocol import ErrorKind, SkyloopError, bad_request
from .files import begin, commit, discard, write_error
from .reading import EXACT, reading
from .reading import probe as probe
from .reading import read_frames as read_frames

_KINDS = {  # by suffix, FFmpeg's name and how the index gets to the front, for players that stream
    ".mp4": ("mp4", {"movflags": "+faststart"}),
    ".webm": ("webm", {"cues_to_front": "1", "fflags": "+bitexact"}),  # else it has random numbers in it
}
BT709 = 1  # the number of BT.709 in ITU-T H.273, for primaries, transfer and matrix alike
CRF = 12
_MOST_THREADS = 8  # each holds a frame, which at 8192x4096 is 200 MB with all that the encoder keeps of it


@dataclass(frozen=True)
class Codec:
    """How frames are packed: FFmpeg's encoder, its options for groups of so many frames, the tag in an mp4, and the
    matrix of its colours."""

    encoder: str
    options: Callable[[int], dict[str, str]]
    tag: str = ""
    matrix: Colorspace = Colorspace.ITU709


def _h264(gop: int) -> dict[str, str]:
    return {
        "crf": str(CRF),
        # Key frames as fine as the others, and dark skies not coarser than bright ones: else each second pops.
        "x264-params": "ipratio=1.0:aq-mode=3",
        "preset": "medium",
        "bf": "0",
        "keyint_min": str(gop),
        "sc_threshold": "0",
        "flags": "+cgop",
        "rc-lookahead": str(min(gop, 10)),  # the encoder holds this many frames: at 8192x4096 they are 50 MB each
    }


H264 = Codec("libx264", _h264)


class VideoWriter:
    """Writes frames to a video that appears under ``path`` when the ``with`` block ends well, and not at all otherwise.

    The suffix of ``path`` says whether it is an mp4 or a webm. ``width`` and ``height`` are even pixels, ``fps`` is in
    Hz. Give ``frames`` to have their number checked at the end. Memory does not depend on the number of frames. Raises
    ``SkyloopError``: bad_request for a size or frame that cannot be encoded or a place that cannot be written,
    disk_full, internal.
    """

    def __init__(
        self, path: Path, width: int, height: int, fps: float | Fraction, frames: int | None = None, codec: Codec = H264
    ) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise bad_request(f"A video of {width}x{height} cannot be encoded.", "Use even numbers of pixels.")
        if not 0 < fps <= 1000:
            raise bad_request(f"A video of {fps:g} frames a second cannot be encoded.", "Use 1 to 120.")
        self.path = Path(path)
        self.width, self.height, self.frames, self.codec = width, height, frames, codec
        self.rate = Fraction(fps).limit_denominator(1001)
        self.written = self.coded = 0  # frames that came, and those that the encoder has let go of
        self._flushed = False

    def __enter__(self) -> VideoWriter:
        self._file = _File(self.path)
        with contextlib.ExitStack() as undo:
            undo.callback(self._file.close)
            with self._file.errors():
                self._stream = _add_stream(self._file.container, self.codec, self.width, self.height, self.rate)
            undo.pop_all()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame: (height, width, 3) uint8 RGB."""
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise bad_request(
                f"A frame of {frame.shape} {frame.dtype} does not fit a video of {self.width}x{self.height}.",
                "Frames are (height, width, 3) uint8.",
            )
        picture = to_yuv(frame, self.codec.matrix)
        picture.pts, picture.time_base = self.written, 1 / self.rate
        self.written += 1
        for _ in self._coded(picture):
            pass

    def flush(self) -> Iterator[int]:
        """Finish what the encoder still holds, after the last frame, and yield how many are done after each: some hold
        dozens. Done at the end of the block where it was not before."""
        self._flushed = True
        yield from self._coded(None)

    def _coded(self, picture: av.VideoFrame | None) -> Iterator[int]:
        with self._file.errors():
            for packet in self._stream.codec_context.encode_lazy(picture):
                packet.stream = self._stream
                self._file.container.mux(packet)
                self.coded += 1
                yield self.coded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.closing(self._file):
            if error is None:
                self._finish()

    def _finish(self) -> None:
        if not self.written or self.frames not in (None, self.written):
            raise SkyloopError(ErrorKind.INTERNAL, f"The video has {self.written} of {self.frames or 1} frames.")
        if not self._flushed:
            for _ in self.flush():
                pass
        self._file.commit()


def to_yuv(frame: np.ndarray, matrix: Colorspace = Colorspace.ITU709) -> av.VideoFrame:
    """A (height, width, 3) uint8 RGB frame as players expect it: 4:2:0, limited range, by that matrix."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
        format="yuv420p",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_trc=BT709,
        dst_color_primaries=BT709,
        interpolation=EXACT,
    )


class _File:
    """A video in the making, beside its place. Python writes it, so that a failing disk raises its own error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = begin(path)
        with contextlib.ExitStack() as undo:
            undo.callback(discard, self._beside)
            with self.errors():
                self._file = undo.enter_context(self._beside.open("wb"))
                kind, options = _KINDS[path.suffix]
                self.container = av.open(self._file, "w", format=kind, options=options, io_open=self._again)
            undo.pop_all()

    def _again(self, _url: str, _flags: int, _options: Any) -> Any:
        """For the index to be moved to the front, the file is read while it is written."""
        self._file.flush()
        return self._beside.open("rb")

    def commit(self) -> None:
        """Finish the file and give it its name."""
        with self.errors():
            self.container.close()
            self._file.close()
        commit(self._beside, self.path)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(OSError(error.errno, error.strerror), self.path) from error

    def close(self) -> None:
        """Let go of everything; what was not committed is gone."""
        # Closing can fail once more on a full disk; the first error is the one to tell.
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self.container.close()
        with contextlib.suppress(OSError):
            self._file.close()
        discard(self._beside)


def segment_frames(fps: float) -> int:
    """The frames of a segment of :func:`join`: whole groups of pictures, of eight frames at least."""
    gop = max(1, round(fps))
    return gop * -(-8 // gop)


def join(parts: Iterable[Path], path: Path) -> None:
    """Put videos of the same make, by :class:`VideoWriter`, one after the other under ``path``, pictures untouched.

    Raises ``SkyloopError`` like it, and ``bad_request`` where a part cannot be read.
    """
    for _ in joining(parts, path):
        pass


def joining(parts: Iterable[Path], path: Path) -> Generator[int, None, None]:
    """:func:`join` that yields how many frames are there after each. Closed early, it leaves nothing."""
    file, stream, tick, at = _File(path), None, Fraction(1), 0
    with contextlib.closing(file):
        for part in parts:
            with reading(part) as (container, source):
                if stream is None:
                    stream = file.container.add_stream_from_template(source)
                    if source.codec_context.codec_tag == "hvc1":  # as Apple's players want HEVC; left out, it is hev1
                        stream.codec_context.codec_tag = "hvc1"
                    tick = stream.time_base = 1 / source.average_rate
                for packet in container.demux(source):
                    if packet.size:
                        packet.stream, packet.time_base = stream, tick  # the muxer changes the stream's
                        packet.pts = packet.dts = at
                        packet.duration, at = 1, at + 1
                        with file.errors():
                            file.container.mux(packet)
                        yield at
        file.commit()


def _add_stream(container: Any, codec: Codec, width: int, height: int, rate: Fraction) -> Any:
    gop = max(1, round(rate))
    stream = container.add_stream(codec.encoder, rate=rate, options={"g": str(gop)} | codec.options(gop))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = 1 / rate
    context = stream.codec_context
    if codec.tag:
        context.codec_tag = codec.tag
    context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
    context.color_primaries = context.color_trc = BT709
    context.colorspace = int(codec.matrix)
    context.color_range = ColorRange.MPEG
    return stream

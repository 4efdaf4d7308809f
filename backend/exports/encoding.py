"""A film's frames as a video file, in any of the codecs that the targets need; which there are is found out here.

PyAV has all but Theora, which comes from imageio-ffmpeg's FFmpeg. All keep the rules of loops of
:mod:`backend.media.video`: no reordered frames, a key frame a second at least, even times from zero, no sound.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO

import imageio_ffmpeg
from av.codec import Codec as AvCodec
from av.codec.codec import UnknownCodecError
from av.video.reformatter import Colorspace

from ..media.files import replacing, write_error
from ..media.video import H264, Codec, VideoWriter, joining, to_yuv
from ..protocol import ErrorKind, Event, SkyloopError, bad_request, phase
from .film import Film

_FULL = "No space left on device"  # what FFmpeg says
_THEORA_QUALITY = 10  # of 10
_NO_THEORA = "Theora cannot be written:"
_BROKEN_BEFORE = 8  # FFmpeg 7 and older write Theora that Godot shows wrongly (godot#101958)


def _hevc(gop: int) -> dict[str, str]:
    params = f"bframes=0:keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:rc-lookahead={min(gop, 10)}"
    return {"preset": "medium", "crf": "16", "x265-params": f"{params}:ipratio=1.0:aq-mode=3:log-level=error"}


def _av1(_gop: int) -> dict[str, str]:
    # pred-struct=1 is no frame coded out of its order. Besides, only so does the encoder write the same file each time.
    return {"preset": "8", "crf": "10", "svtav1-params": "pred-struct=1"}


def _vp9(gop: int) -> dict[str, str]:
    settings = {"crf": "12", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "tile-columns": "2"}
    return settings | {"keyint_min": str(gop), "lag-in-frames": str(min(gop, 12))}


def _vp8(gop: int) -> dict[str, str]:
    # VP8 knows no quality without a rate: this one is never reached.
    settings = {"crf": "5", "b": "400000000", "deadline": "good", "cpu-used": "4"}
    return settings | {"keyint_min": str(gop), "lag-in-frames": "0", "auto-alt-ref": "0"}


_CODECS = {
    "h264": H264,
    "hevc": Codec("libx265", _hevc, tag="hvc1"),
    "av1": Codec("libsvtav1", _av1),
    "vp9": Codec("libvpx-vp9", _vp9),
    "vp8": Codec("libvpx", _vp8, matrix=Colorspace.ITU601),  # the only one that its streams can tell
}
TITLES = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1", "vp9": "VP9", "vp8": "VP8", "theora": "Theora"}
_INSTEAD = {
    "h264": "Install Skyloop's packages again: Repair in its preferences.",
    "theora": "Export for Godot with --playback flipbook.",
}


def encode(film: Film, path: Path, codec: str) -> Generator[Event, None, None]:
    """Write the film to ``path``, whose suffix (.mp4, .webm, .ogv) says the container; yields phases.

    A clean film's own pictures are taken over where the codec is H.264. Close the iterator to cancel: nothing is left.
    Raises ``SkyloopError``: bad_request, disk_full, internal.
    """
    if codec == "theora":
        steps = _theora(film, path)
    elif codec == "h264" and film.clean:
        steps = joining([film.path], path)
    else:
        steps = _encoded(film, path, _CODECS[codec])
    yield phase("encoding", 0, film.frames, "frame")
    with contextlib.closing(steps):
        for done in steps:
            yield phase("encoding", min(done, film.frames - 1), film.frames, "frame")
    yield phase("encoding", film.frames, film.frames, "frame")


def check_codec(codec: str, instead: str = "") -> None:
    """Raises ``SkyloopError(bad_request)``, with what to choose ``instead``, where that codec cannot be written."""
    if missing := why_not(codec):
        raise bad_request(missing, instead or _INSTEAD.get(codec, "Use H.264."))


def why_not(codec: str) -> str:
    """Why this machine cannot write that codec; empty where it can. What it takes is asked at run time, because builds
    of FFmpeg differ."""
    if codec == "theora":
        return _why_no_theora()
    if not _has(_CODECS[codec].encoder):
        return f"{TITLES[codec]} cannot be written: the PyAV installed here has no {_CODECS[codec].encoder}."
    return ""


def _has(encoder: str) -> bool:
    try:
        AvCodec(encoder, "w")
    except UnknownCodecError:
        return False
    return True


def _why_no_theora() -> str:
    try:
        return _theora_in(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return f"{_NO_THEORA} imageio-ffmpeg has no FFmpeg here."


@functools.cache
def _theora_in(binary: str) -> str:
    try:
        said = subprocess.run(
            [binary, "-encoders"], capture_output=True, timeout=60, creationflags=_flags(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"{_NO_THEORA} the FFmpeg of imageio-ffmpeg does not start."
    if b"libtheora" not in said.stdout:
        return f"{_NO_THEORA} the FFmpeg of imageio-ffmpeg has no libtheora."
    version = re.match(rb"ffmpeg version n?(\d+)\.", said.stderr)
    if version and int(version[1]) < _BROKEN_BEFORE:
        return f"{_NO_THEORA} FFmpeg {int(version[1])} writes it wrongly, and {_BROKEN_BEFORE} or newer is not here."
    return ""


def _encoded(film: Film, path: Path, codec: Codec) -> Generator[int, None, None]:
    """Half of a frame's work is done when it was given, half when it came out: some encoders hold dozens."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only: it would print what it does
    with (
        VideoWriter(path, film.width, film.height, film.rate, film.frames, codec) as writer,
        contextlib.closing(film.read()) as frames,
    ):
        for frame in frames:
            writer.write(frame)
            yield (writer.written + writer.coded) // 2
        for coded in writer.flush():
            yield (film.frames + coded) // 2


def _theora(film: Film, path: Path) -> Generator[int, None, None]:
    """As Godot shows it right: by the matrix of BT.601, whatever the tags say."""
    with (
        replacing(path) as beside,
        beside.open("wb") as out,
        tempfile.TemporaryFile() as errors,
        contextlib.closing(film.read()) as frames,
    ):
        process = subprocess.Popen(
            _theora_command(film), stdin=subprocess.PIPE, stdout=out, stderr=errors, creationflags=_flags()
        )
        assert process.stdin
        done = 0
        try:
            with contextlib.suppress(OSError):  # it ended early, and has said why
                for done, frame in enumerate(frames, 1):
                    process.stdin.write(to_yuv(frame, Colorspace.ITU601).to_ndarray().tobytes())
                    yield done
                process.stdin.close()
            if process.wait() or done < film.frames:
                raise _failed(errors, path)
        finally:
            process.kill()
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait()


def _theora_command(film: Film) -> list[str]:
    """Raw frames in, Ogg out; bit-exact is without the random numbers that would make every export another."""
    raw = f"-f rawvideo -pix_fmt yuv420p -s {film.width}x{film.height} -r {film.rate} -i pipe:0"
    coded = f"-c:v libtheora -q:v {_THEORA_QUALITY} -g {max(1, round(film.rate))} -fflags +bitexact -f ogg pipe:1"
    return [imageio_ffmpeg.get_ffmpeg_exe(), *f"-hide_banner -nostats -loglevel error {raw} {coded}".split()]


def _failed(errors: IO[bytes], path: Path) -> SkyloopError:
    errors.seek(0)
    said = errors.read(4000).decode(errors="replace").strip()
    if _FULL in said:
        return write_error(OSError(errno.ENOSPC, _FULL), path)
    last = said.splitlines()[-1][:200] if said else "no reason given"
    return SkyloopError(ErrorKind.INTERNAL, f"FFmpeg could not write {path.name} ({last}).", "Try another format.")


def _flags() -> int:
    return subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0

"""Videos made to crash, to fill the memory, or to have other files opened: refused in one line, whoever reads them."""

from __future__ import annotations

import os
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from backend.media.video import VideoWriter
from tests import hostile
from tests.unit.test_hostile_pictures import PLACES, chunk, png, zeros

MOST_MB = 400.0
WIDTH, HEIGHT, FRAMES = 64, 32, 12


@cache
def clip() -> bytes:
    """A small movie as the backend writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        with VideoWriter(path, WIDTH, HEIGHT, 8) as video:
            for i in range(FRAMES):
                video.write(np.full((HEIGHT, WIDTH, 3), 20 * i, np.uint8))
        return path.read_bytes()


def movie(suffix: str, codec: str, *sizes: tuple[int, int], pixels: str = "yuv420p") -> bytes:
    """Four frames of each size, one after the other in one stream."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=8)
            stream.width, stream.height, stream.pix_fmt = *sizes[0], pixels
            count = 0
            for size in sizes:
                encoder: Any = av.CodecContext.create(codec, "w")
                encoder.width, encoder.height, encoder.pix_fmt = *size, pixels
                encoder.time_base, encoder.framerate = Fraction(1, 8), 8
                pictures = [av.VideoFrame(*size, pixels) for _ in range(4)]
                for packet in [p for picture in [*pictures, None] for p in encoder.encode(picture)]:
                    packet.stream, packet.time_base = stream, 1 / stream.average_rate
                    packet.pts = packet.dts = count
                    count += 1
                    container.mux(packet)
        return path.read_bytes()


def sound() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mkv"
        with av.open(str(path), "w") as container:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(container.add_stream("pcm_s16le", rate=8000).encode(frame))
        return path.read_bytes()


def box(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def changed(kind: bytes, offset: int, value: bytes) -> bytes:
    """The movie with some bytes of a box overwritten, counted from its content."""
    data = bytearray(clip())
    at = data.rindex(kind, 0, data.index(b"mdat")) + 4 + offset
    data[at : at + len(value)] = value
    return bytes(data)


def many_samples() -> bytes:
    """A thousand bytes that claim 170 million samples of one byte, all in one chunk."""
    data = bytearray(changed(b"stsz", 4, struct.pack(">II", 1, 170_000_000)))
    at = data.index(b"stsc") + 12
    struct.pack_into(">II", data, at, 1, 170_000_000)
    at = data.index(b"stts") + 12
    struct.pack_into(">I", data, at, 170_000_000)
    return bytes(data)


def many_samples_in_fragments() -> bytes:
    run = box(b"trun", struct.pack(">II", 0, 170_000_000))
    head = box(b"tfhd", struct.pack(">III", 0x20020, 1, 0))
    fragment = box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", head + run))
    return clip() + fragment * 2 + box(b"mdat", bytes(64))


def boxes(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Where each box begins, and its name, inside out."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        length, kind = struct.unpack_from(">I4s", data, start)
        yield start, kind
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            yield from boxes(data, start + 8, start + length)
        start += length


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n"

MADE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "zeros": lambda: bytes(100_000),
    "text": lambda: b"hello world " * 50,
    "playlist of an address": lambda: PLAYLIST % b"http://127.0.0.1:9/a.ts",
    "playlist of a file": lambda: PLAYLIST % b"file:///etc/passwd",
    "playlist of a pipe": lambda: PLAYLIST % b"pipe:0",
    "list of files": lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "dash manifest": lambda: b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period></Period></MPD>',
    "session description": lambda: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
    "smooth streaming manifest": lambda: b'<?xml version="1.0"?><SmoothStreamingMedia></SmoothStreamingMedia>',
    "picture": lambda: png(64, 32, data=bytes(193 * 32)),
    "picture with a profile bomb": lambda: png(64, 32, chunk(b"iCCP", b"a\0\0" + zeros(400)), data=bytes(193 * 32)),
    "animated picture": lambda: movie(".gif", "gif", (WIDTH, HEIGHT), pixels="rgb8"),
    "raw stream": lambda: b"\0\0\0\1\x67\x42\0\x0a" + bytes(500),
    "flash": lambda: movie(".flv", "flv1", (WIDTH, HEIGHT)),
    "picture as a frame": lambda: movie(".mov", "png", (WIDTH, HEIGHT), pixels="rgb24"),
    "codec that is not listed": lambda: movie(".mov", "qtrle", (WIDTH, HEIGHT), pixels="rgb24"),
    "uncompressed": lambda: movie(".avi", "rawvideo", (WIDTH, HEIGHT)),
    "sound alone": sound,
    "size changes": lambda: movie(".ts", "libx264", (64, 32), (128, 64)),
    "size changes to huge": lambda: movie(".ts", "libx264", (64, 32), (4096, 2048)),
    "too small": lambda: movie(".mkv", "mpeg4", (16, 16)),
    "codec unknown": lambda: changed(b"avc1", -4, b"\0zz\0"),
    "decoder's data wrong": lambda: changed(b"avcC", 0, b"\xff" * 40),
    "no samples": lambda: changed(b"stsz", 8, bytes(4)),
    "many samples": many_samples,
    "many samples in fragments": many_samples_in_fragments,
    "sample of 2 GB": lambda: changed(b"stsz", 12, b"\x7f\xff\xff\xff"),
    "samples outside the file": lambda: changed(b"stco", 8, b"\xff\xff\xff\xff"),
    "table of 4 billion times": lambda: changed(b"stts", 4, b"\xff\xff\xff\xff"),
    "table of 4 billion descriptions": lambda: changed(b"stsd", 4, b"\xff\xff\xff\xff"),
    "index packed": lambda: box(b"ftyp", b"qt  ") + box(b"moov", box(b"cmov", box(b"cmvd", b"\x7f\xff\xff\xff"))),
    "index of 4 GB": lambda: clip()[:32] + b"\xff\xff\xff\xffmoov" + clip()[40:],
    "box of 2^63 bytes": lambda: clip()[:32] + struct.pack(">I4sQ", 1, b"moov", 2**63) + bytes(500),
    "box of one byte": lambda: clip()[:32] + struct.pack(">I4s", 1, b"free") + bytes(500),
    "boxes in boxes": lambda: clip()[:32] + struct.pack(">I4s", 0x7FFF, b"moov") + b"\0\0\x7f\xfftrak" * 4000,
    "content gone": lambda: clip()[: clip().index(b"mdat") + 4],
    "content of noise": lambda: clip()[: clip().index(b"mdat") + 4] + random.Random(1).randbytes(4000),
    "matroska of 2^56 bytes": lambda: b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 7 + bytes(400),
    "avi of nothing": lambda: b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrlavih\xff\xff\xff\xff" + b"\xff" * 400,
}  # fmt: skip


def variants() -> dict[str, bytes]:
    """Movies with random bytes changed, and cut at and within every box; some of them can still be played."""
    data, rng = clip(), random.Random(7)
    found = {
        f"cut at {at} {kind.decode()} {part}": data[: at + part] for at, kind in boxes(data) for part in (0, 7, 13)
    }
    movies = {
        "mp4": data,
        "mkv": movie(".mkv", "libx264", (64, 32)),
        "avi": movie(".avi", "mpeg4", (64, 32)),
        "ts": movie(".ts", "libx264", (64, 32)),
        "webm": movie(".webm", "libvpx-vp9", (64, 32)),
        "mov": movie(".mov", "mjpeg", (64, 32), pixels="yuvj420p"),
    }
    return found | {
        f"{number}.{kind}": hostile.damaged(whole, rng) for kind, whole in movies.items() for number in range(40)
    }


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, hostile.Answer]:
    folder = tmp_path_factory.mktemp("videos")
    for name, make in MADE.items():
        (folder / name).write_bytes(make())
    for name, place in PLACES.items() if os.name == "posix" else ():
        place(folder / name)
    return hostile.read_all("film", sorted(folder.iterdir()))


@pytest.mark.parametrize("name", [*MADE, *(PLACES if os.name == "posix" else ())])
def test_a_hostile_video_is_refused(read: dict[str, hostile.Answer], name: str) -> None:
    answer = read[name]
    assert answer.kind == "bad_request", answer
    assert name in answer.line and "\n" not in answer.line
    assert answer.megabytes < MOST_MB


def test_a_damaged_video_is_refused_or_read_and_harms_nobody(tmp_path: Path) -> None:
    for name, data in variants().items():
        (tmp_path / name).write_bytes(data)
    answers = hostile.read_all("film", sorted(tmp_path.iterdir()))
    assert len(answers) == len(variants())
    for name, answer in answers.items():
        assert answer.kind in ("bad_request", "read"), (name, answer)
        assert "\n" not in answer.line and answer.megabytes < MOST_MB
    assert sum(answer.kind == "bad_request" for answer in answers.values()) > 50

"""Every codec keeps the colours, the order and the rules of loops, and says what is missing before work starts."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace

from backend.exports import encoding
from backend.exports.encoding import check_codec, encode, why_not
from backend.exports.film import Film, fitted, open_film
from backend.media import files, video
from backend.media.reading import EXACT
from backend.protocol import ErrorKind, Event, SkyloopError
from tests import calibration

FRAMES, WIDTH = 30, 1024
FILES = {
    "h264": "a.mp4",
    "hevc": "b.mp4",
    "av1": "c.mp4",
    "av1 in webm": "d.webm",
    "vp9": "e.webm",
    "vp8": "f.webm",
    "theora": "g.ogv",
}
BT601 = {"vp8", "theora"}  # the matrix of what has no other


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=WIDTH)


@pytest.fixture(scope="module")
def film(source: Path) -> Film:
    """One that has to be encoded."""
    return replace(open_film(source), clean=False)


@pytest.fixture(scope="module")
def made(film: Film, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    for name, file in FILES.items():
        check_codec(name.split()[0])
        events = list(encode(film, folder / file, name.split()[0]))
        done = [event.data["done"] for event in events]
        assert done == sorted(done) and (done[0], done[-1]) == (0, FRAMES)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES.values())
    return {name: folder / file for name, file in FILES.items()}


def pictures(path: Path, matrix: Colorspace) -> Iterator[np.ndarray]:
    """The frames in RGB, by a matrix that the test knows: what the tags say is tested apart."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.reformat(
                format="rgb24",
                src_colorspace=matrix,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=EXACT,
            ).to_ndarray()


@pytest.mark.parametrize("name", FILES)
def test_colours_and_order_are_those_of_the_film(made: dict[str, Path], name: str) -> None:
    matrix = Colorspace.ITU601 if name in BT601 else Colorspace.ITU709
    numbers = []
    for picture in pictures(made[name], matrix):
        sample = calibration.on_frame(picture)
        numbers.append(calibration.number_in(sample))
        assert max(calibration.color_errors(sample).values()) <= 3
    assert numbers == list(range(FRAMES))


@pytest.mark.parametrize("name", FILES)
def test_it_loops_without_a_gap(made: dict[str, Path], name: str) -> None:
    """One track, even steps from zero on, no frame before an earlier one, a key frame a second, the end after the
    last frame's time."""
    with av.open(str(made[name])) as container:
        assert len(container.streams) == 1
        stream = container.streams.video[0]
        assert not stream.codec_context.has_b_frames
        tick = Fraction(stream.time_base or 0)
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (container.duration or 0) == pytest.approx(FRAMES / 24 * 1e6, abs=1000)
    rounded = Fraction(1, 2000) if made[name].suffix == ".webm" else 0  # its clock counts whole milliseconds
    times = [(packet.pts or 0) * tick for packet in packets]
    assert max(abs(time - Fraction(n, 24)) for n, time in enumerate(times)) <= rounded
    assert [packet.dts for packet in packets] == [packet.pts for packet in packets]
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 24]
    with av.open(str(made[name])) as container:
        assert PictureType.B not in [frame.pict_type for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", FILES)
def test_groups_are_closed(made: dict[str, Path], name: str) -> None:
    """From its key frame alone, the second group decodes to the same pictures."""
    whole = list(pictures(made[name], Colorspace.ITU709))
    with av.open(str(made[name])) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size][24:]
        context = av.VideoCodecContext.create(stream.codec_context.codec.name, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.extradata = stream.codec_context.extradata
        alone = [frame for packet in packets for frame in context.decode(packet)] + context.decode(None)
    assert len(alone) == FRAMES - 24
    for frame, wanted in zip(alone, whole[24:], strict=True):
        again = frame.reformat(
            format="rgb24",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT,
        )
        np.testing.assert_array_equal(again.to_ndarray(), wanted)


def test_key_frames_of_hevc_begin_anew(made: dict[str, Path]) -> None:
    """They are IDR: some players go on from no other."""
    with av.open(str(made["hevc"])) as container:
        for packet in container.demux(video=0):
            if packet.is_keyframe and packet.size:
                assert {19, 20} & set(nal_types(bytes(packet)))


def nal_types(data: bytes) -> Iterator[int]:
    while data:
        length = int.from_bytes(data[:4], "big")
        yield data[4] >> 1 & 63
        data = data[4 + length :]


@pytest.mark.parametrize("name", [name for name in FILES if name != "theora"])  # which has no tags
def test_tags_are_true(made: dict[str, Path], name: str) -> None:
    with av.open(str(made[name])) as container:
        context = container.streams.video[0].codec_context
        tags = [int(context.color_primaries), int(context.color_trc), int(context.color_range)]
        assert tags == [1, 1, ColorRange.MPEG]
        assert int(context.colorspace) in ((5, 6) if name in BT601 else (1,))
        assert context.codec_tag == {"h264": "avc1", "hevc": "hvc1", "av1": "av01"}.get(name, "\0\0\0\0")
        assert container.streams.video[0].average_rate == 24


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if not file.endswith(".ogv")])
def test_a_player_finds_the_index_first(made: dict[str, Path], name: str) -> None:
    data = made[name].read_bytes()
    if made[name].suffix == ".mp4":
        assert data.index(b"moov") < data.index(b"mdat")
    else:
        cues, first_cluster = b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75"
        assert data.index(cues, 200) < data.index(first_cluster, 200)


@pytest.mark.parametrize("name", FILES)
def test_the_same_film_is_the_same_file(film: Film, made: dict[str, Path], name: str, tmp_path: Path) -> None:
    again = tmp_path / FILES[name]
    run(encode(film, again, name.split()[0]))
    assert again.read_bytes() == made[name].read_bytes()


def run(steps: Iterator[Event]) -> list[dict[str, Any]]:
    return [event.data for event in steps]


def test_a_clean_film_is_taken_over_as_it_is(source: Path, tmp_path: Path) -> None:
    film = open_film(source)
    assert film.clean
    done = [data["done"] for data in run(encode(film, tmp_path / "a.mp4", "h264"))]
    assert done == sorted(done) and done[-1] == FRAMES
    assert packets(tmp_path / "a.mp4") == packets(source)
    run(encode(fitted(film, WIDTH // 4, 0), tmp_path / "b.mp4", "h264"))
    assert video.probe(tmp_path / "b.mp4")["width"] == WIDTH // 2
    run(encode(fitted(film, WIDTH // 2, 90), tmp_path / "c.mp4", "h264"))
    turned = calibration.on_frame(next(video.read_frames(tmp_path / "c.mp4")))
    assert max(calibration.color_errors(turned, turned_deg=90).values()) <= 3


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize(("codec", "file"), [("av1", "a.mp4"), ("theora", "a.ogv")])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(15, 2), Fraction(60)])
def test_other_rates_are_exact(film: Film, tmp_path: Path, codec: str, file: str, rate: Fraction) -> None:
    small = fitted(replace(film, rate=rate, picks=film.picks[:9]), 128, 0)
    run(encode(small, tmp_path / file, codec))
    with av.open(str(tmp_path / file)) as container:
        stream = container.streams.video[0]
        tick = Fraction(stream.time_base or 0)
        times = [(packet.pts or 0) * tick for packet in container.demux(stream) if packet.size]
    assert times == [n / rate for n in range(9)]


@pytest.mark.parametrize("after", [1, 2, 12])
@pytest.mark.parametrize("name", ["h264", "av1", "theora"])
def test_a_cancel_leaves_no_file_and_no_process(film: Film, tmp_path: Path, name: str, after: int) -> None:
    before = children()
    steps = encode(film, tmp_path / FILES[name], name)
    list(itertools.islice(steps, after))
    assert (children() > before) == (name == "theora" and after > 1 and Path("/proc").is_dir())
    steps.close()
    assert list(tmp_path.iterdir()) == []
    assert children() == before


def children() -> set[str]:
    """Processes of this one, as Linux tells them; elsewhere none can be named."""
    told = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(told.read_text().split()) if told.exists() else set()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("name", ["hevc", "vp9", "theora"])
def test_a_full_disk_is_told_and_leaves_nothing(
    film: Film, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = files.begin

    def on_a_full_disk(path: Path) -> Path:
        beside = begin(path)
        beside.unlink()
        beside.symlink_to("/dev/full")
        return beside

    monkeypatch.setattr(video, "begin", on_a_full_disk)
    monkeypatch.setattr(files, "begin", on_a_full_disk)
    with pytest.raises(SkyloopError) as told:
        run(encode(film, tmp_path / FILES[name], name))
    assert told.value.kind is ErrorKind.DISK_FULL and FILES[name] in told.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_codec_that_is_missing_is_named_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for codec in ("h264", "hevc", "av1", "vp9", "vp8", "theora"):
        assert why_not(codec) == ""
        check_codec(codec)

    def none(name: str, mode: str) -> None:
        raise UnknownCodecError(1, name)

    monkeypatch.setattr(encoding, "AvCodec", none)
    for codec in ("h264", "hevc", "av1", "vp9", "vp8"):
        with pytest.raises(SkyloopError, match=f"{encoding.TITLES[codec]} cannot be written: .* has no lib") as refused:
            check_codec(codec)
        assert refused.value.kind is ErrorKind.BAD_REQUEST and refused.value.hint
    with pytest.raises(SkyloopError) as refused:
        check_codec("hevc", "Use --codec av1.")
    assert refused.value.hint == "Use --codec av1."


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for FFmpeg is a shell script")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo ' V..... libx264'; echo 'ffmpeg version 9.0.2' >&2", "has no libtheora"),
        ("echo ' V..... libtheora'; echo 'ffmpeg version 5.1.9-0+deb12u1' >&2", "FFmpeg 5 writes it wrongly"),
        ("echo ' V..... libtheora'; echo 'ffmpeg version n8.0 Copyright' >&2", ""),
        ("echo ' V..... libtheora'; echo 'ffmpeg version N-12345-g0 Copyright' >&2", ""),
        ("exit 1", "has no libtheora"),
        (None, "does not start"),
        ("none", "has no FFmpeg"),
    ],
)
def test_theora_depends_on_the_ffmpeg_that_is_there(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "ffmpeg"
    if script:
        binary.write_text(f"#!/bin/sh\n{script}\n")
        binary.chmod(0o700)

    def found() -> str:
        if script == "none":
            raise RuntimeError("No ffmpeg exe could be found.")
        return str(binary)

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", found)
    assert (said in why_not("theora")) if said else why_not("theora") == ""
    with pytest.raises(SkyloopError, match="Theora.*flipbook") if said else contextlib.nullcontext():
        try:
            check_codec("theora")
        except SkyloopError as error:
            raise SkyloopError(error.kind, error.line) from error


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for FFmpeg is a shell script")
@pytest.mark.parametrize(
    "script", ["echo 'it went wrong' >&2; exit 1", "head -c 1000 > /dev/null; echo 'it went wrong' >&2"]
)
def test_an_ffmpeg_that_ends_early_is_told_in_its_words(
    film: Film, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o700)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(binary))
    (tmp_path / "out").mkdir()
    with pytest.raises(SkyloopError, match=r"a\.ogv \(it went wrong\)"):
        run(encode(film, tmp_path / "out" / "a.ogv", "theora"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_film_cut_short_while_it_is_read_leaves_nothing(film: Film, tmp_path: Path) -> None:
    longer = replace(film, picks=(*film.picks, FRAMES))
    for name in ("h264", "theora"):
        with pytest.raises(SkyloopError, match="damaged"):
            run(encode(longer, tmp_path / FILES[name], name))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no module resource")
def test_memory_does_not_grow_with_the_film(source: Path, tmp_path: Path) -> None:
    """Ten times the frames take less than a few frames more."""
    peaks = []
    for loops in (1, 10):
        code = (
            "import resource, sys; from dataclasses import replace; from pathlib import Path\n"
            "from backend.exports.encoding import encode; from backend.exports.film import open_film\n"
            f"film = open_film(Path({str(source)!r}))\n"
            f"film = replace(film, clean=False, picks=tuple(n for n in film.picks for _ in range({loops})))\n"
            f"for codec, name in (('av1', 'a.mp4'), ('theora', 'a.ogv')):\n"
            f"    for _ in encode(film, Path({str(tmp_path)!r}) / name, codec): pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    assert peaks[1] - peaks[0] < 20 * WIDTH * WIDTH // 2 * 3

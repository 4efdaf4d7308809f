"""What is written is what is read, and what is interrupted is not there."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.media import files, stills, video
from backend.media.reading import to_rgb
from backend.protocol import ErrorKind, SkyloopError

COLOURS = [
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (200, 20, 20),
    (20, 160, 20),
    (20, 20, 200),
    (255, 255, 0),
    (10, 20, 40),
    (250, 200, 120),
]


def plain(colour: tuple[int, int, int], height: int = 64, width: int = 128) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def noise(seed: int, height: int = 64, width: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, frames: list[np.ndarray], fps: float = 8.0) -> Path:
    with video.VideoWriter(path, frames[0].shape[1], frames[0].shape[0], fps, len(frames)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All colours twice: 18 frames at 8 a second, under a name that file interfaces stumble over."""
    return write(tmp_path_factory.mktemp("ñ 空") / "ské%d:ö.mp4", [plain(c) for c in COLOURS * 2])


def test_a_video_says_what_it_is(clip: Path) -> None:
    about = video.probe(clip)
    assert (about["width"], about["height"], about["frames"], about["fps"]) == (128, 64, 18, 8.0)
    assert (about["codec"], about["pixel_format"], about["audio"]) == ("h264", "yuv420p", False)
    tags = [about[f"color_{name}"] for name in ("primaries", "trc", "matrix", "range")]
    assert tags == [1, 1, 1, "limited"]


@pytest.mark.parametrize("height", [64, 720], ids=["small", "HD"])
def test_colours_come_back(tmp_path: Path, height: int) -> None:
    """At both sizes: a decoder that guesses the matrix by size would be wrong at one of them."""
    write(tmp_path / "a.mp4", [plain(c, height) for c in COLOURS])
    for colour, frame in zip(COLOURS, video.read_frames(tmp_path / "a.mp4"), strict=True):
        assert np.abs(frame.astype(int) - colour).max() <= 2


def test_the_luma_in_the_file_is_bt709_limited(clip: Path) -> None:
    """Measured on the coded values, so that a matching mistake in reading cannot hide one in writing."""
    with av.open(str(clip)) as container:
        for (r, g, b), frame in zip(COLOURS, container.decode(video=0), strict=False):
            luma = 16 + 219 * (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255
            coded = frame.to_ndarray(format="yuv420p")[: frame.height]
            assert np.abs(coded - luma).max() <= 1.5


def test_the_file_loops_without_a_gap(clip: Path) -> None:
    """Starts at zero, one even step a frame, no reordering, a key frame a second, index before data."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert not stream.codec_context.has_b_frames
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (stream.duration or 0) * (stream.time_base or 0) == 18 / 8
    step = packets[1].pts or 0
    assert [packet.pts for packet in packets] == [i * step for i in range(18)]
    assert [packet.dts for packet in packets] == [packet.pts for packet in packets]
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0, 8, 16]
    with av.open(str(clip)) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert PictureType.B not in kinds
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"elst" not in data or packets[0].pts == 0


def test_groups_of_pictures_are_closed(clip: Path) -> None:
    """Every key frame is an IDR (NAL type 5): decoding from it alone gives the same picture."""
    whole = list(video.read_frames(clip))
    with av.open(str(clip)) as container:
        base = float(container.streams.video[0].time_base or 0)
        container.seek(int(1.5 / base), stream=container.streams.video[0])
        later = next(container.decode(video=0))
        number = round((later.pts or 0) * base * 8)
        packets = [p for p in _packets(clip) if p.is_keyframe]
    assert number == 8
    np.testing.assert_array_equal(to_rgb(later), whole[8])
    assert all(5 in _nal_types(bytes(packet)) for packet in packets)


def _packets(path: Path) -> list[av.Packet]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def _nal_types(data: bytes) -> list[int]:
    types, stream = [], io.BytesIO(data)
    while head := stream.read(4):
        body = stream.read(int.from_bytes(head, "big"))
        types.append(body[0] & 31)
    return types


@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 30), fps=st.sampled_from([1.0, 8.0, 12.5, 23.976, 29.97, 30.0, 60.0]))
def test_any_number_of_frames_at_any_rate(tmp_path_factory: pytest.TempPathFactory, count: int, fps: float) -> None:
    path = tmp_path_factory.mktemp("any") / "a.mp4"
    grey = [plain((40 + 6 * i,) * 3, 16, 32) for i in range(count)]  # type: ignore[arg-type]
    write(path, grey, fps)
    about = video.probe(path)
    assert about["frames"] == count
    assert about["fps"] == pytest.approx(fps, rel=1e-4)
    back = [frame.mean() for frame in video.read_frames(path)]
    assert np.abs(np.array(back) - [frame.mean() for frame in grey]).max() < 2, "in order"


def test_a_limit_stops_reading(clip: Path) -> None:
    assert len(list(video.read_frames(clip, limit=5))) == 5
    assert list(video.read_frames(clip, limit=0)) == []


def test_texture_survives_coding(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :128]
    frame = np.stack([128 + 60 * np.sin(x / 5 + k) * np.cos(y / 7) for k in range(3)], -1).astype(np.uint8)
    write(tmp_path / "a.mp4", [frame] * 3)
    error = np.stack(list(video.read_frames(tmp_path / "a.mp4"))).astype(float) - frame
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 38


@pytest.mark.parametrize("size", [(127, 64), (128, 63), (0, 0), (-2, 2)])
def test_sizes_that_cannot_be_coded_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(SkyloopError) as caught:
        video.VideoWriter(tmp_path / "a.mp4", *size, fps=8)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_frame_of_another_size_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SkyloopError), video.VideoWriter(tmp_path / "a.mp4", 128, 64, 8) as writer:
        writer.write(plain((0, 0, 0)))
        writer.write(plain((0, 0, 0), 32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("written", [0, 2, 4])
def test_a_wrong_number_of_frames_leaves_nothing(tmp_path: Path, written: int) -> None:
    with pytest.raises(SkyloopError), video.VideoWriter(tmp_path / "a.mp4", 128, 64, 8, frames=3) as writer:
        for _ in range(written):
            writer.write(plain((0, 0, 0)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, FileNotFoundError])
def test_an_interruption_keeps_the_old_video_and_its_own_name(tmp_path: Path, error: type[BaseException]) -> None:
    old = write(tmp_path / "a.mp4", [plain((9, 9, 9))]).read_bytes()
    with pytest.raises(error), video.VideoWriter(tmp_path / "a.mp4", 128, 64, 8) as writer:
        writer.write(noise(0))
        assert (tmp_path / "a.mp4").read_bytes() == old, "the old one stands while the new one grows"
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == old


def test_a_folder_that_is_not_there_fails_before_any_frame(tmp_path: Path) -> None:
    with pytest.raises(SkyloopError) as caught, video.VideoWriter(tmp_path / "no" / "a.mp4", 128, 64, 8):
        pytest.fail("the block must not be entered")
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "\n" not in caught.value.line


def _write_for_ever(path: Path) -> None:
    with video.VideoWriter(path, 128, 64, 8) as writer:
        for seed in range(10**6):
            writer.write(noise(seed))


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_a_killed_process_leaves_no_final_name(tmp_path: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(tmp_path / "a.mp4",))
    child.start()
    until = time.monotonic() + 60
    while not any(path.stat().st_size > 100_000 for path in tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 1 and names[0] != "a.mp4" and ".part" in names[0], "it was writing, under another name"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder writes through a link to the device that is always full."""
    begin = files.begin

    def on_a_full_disk(path: Path) -> Path:
        beside = begin(path)
        beside.unlink()
        beside.symlink_to("/dev/full")
        return beside

    monkeypatch.setattr(video, "begin", on_a_full_disk)
    with pytest.raises(SkyloopError) as caught, video.VideoWriter(tmp_path / "a.mp4", 128, 64, 8) as writer:
        for seed in range(200):
            writer.write(noise(seed))
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert "a.mp4" in caught.value.message and caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"not a video", b"\x00\x00\x00\x18ftypmp42" + bytes(64)])
def test_what_is_not_a_video_is_told_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    for read in (video.probe, lambda p: list(video.read_frames(p))):
        with pytest.raises(SkyloopError) as caught:
            read(path)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        assert str(path) in caught.value.message and "\n" not in caught.value.line


def test_sound_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        container.mux(stream.encode(_silence()))
    with pytest.raises(SkyloopError, match="no video"):
        video.probe(tmp_path / "a.mkv")


def _silence() -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
    frame.sample_rate = 8000
    return frame


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**31))
def test_png_is_exact(tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("png") / "空 – ñ.png"
    stills.write_png(path, noise(seed, height, width))
    assert np.array_equal(stills.read_image(path), noise(seed, height, width))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_not_a_picture_is_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(SkyloopError):
        stills.write_png(tmp_path / "a.png", wrong)
    (tmp_path / "b.png").write_bytes(b"no picture")
    for path in (tmp_path / "b.png", tmp_path / "none.png", tmp_path):
        with pytest.raises(SkyloopError) as caught:
            stills.read_image(path)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


@given(st.binary(max_size=1000), st.binary(max_size=1000))
@settings(max_examples=20, deadline=None)
def test_replacing_is_all_or_nothing(tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes) -> None:
    path = tmp_path_factory.mktemp("files") / "a.json"
    files.atomic_write(path, old)
    with pytest.raises(ZeroDivisionError), files.replacing(path) as beside:
        beside.write_bytes(new)
        raise ZeroDivisionError
    assert path.read_bytes() == old
    with files.replacing(path) as beside:
        assert beside.parent == path.parent and beside.suffix == path.suffix and beside != path
        beside.write_bytes(new)
    assert path.read_bytes() == new
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, ErrorKind.DISK_FULL),
        (errno.EACCES, ErrorKind.BAD_REQUEST),
        (errno.ENOENT, ErrorKind.BAD_REQUEST),
        (errno.EIO, ErrorKind.INTERNAL),
    ],
)
def test_errors_of_writing_are_told_apart(tmp_path: Path, number: int, kind: ErrorKind) -> None:
    with pytest.raises(SkyloopError) as caught, files.replacing(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert caught.value.kind is kind
    assert list(tmp_path.iterdir()) == []

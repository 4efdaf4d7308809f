"""The boxes of a panorama: where they belong, nothing else touched, and no file harmed by a damaged index."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.media import files
from backend.media.spherical import INSIDE, Box, panorama_index, parse, serialise, write_panorama
from backend.media.video import VideoWriter, read_frames
from backend.protocol import ErrorKind, SkyloopError
from tests.boxes import TABLE, find

FRAMES = 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    with VideoWriter(path, 128, 64, 8, FRAMES) as writer:
        for n in range(FRAMES):
            writer.write(np.random.default_rng(n).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    return path


@pytest.fixture(scope="module")
def index_last(clip: Path) -> Path:
    """The same with sound, and its index at the end, as cameras write them."""
    path = clip.with_name("last.mp4")
    with av.open(str(clip)) as source, av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("aac", rate=8000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 8000
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
        out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    return path


def as_panorama(source: Path, target: Path) -> Path:
    for _ in write_panorama(source, target):
        pass
    return target


ENTRY = (*TABLE, b"stsd", b"avc1")


@pytest.mark.parametrize("which", ["clip", "index_last"])
def test_the_boxes_say_a_whole_mono_sphere(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    made = as_panorama(request.getfixturevalue(which), tmp_path / "b.mp4").read_bytes()
    (stereo,) = find(made, (*ENTRY, b"st3d"))
    assert stereo == bytes(5)
    (name,) = find(made, (*ENTRY, b"sv3d", b"svhd"))
    assert name == bytes(4) + b"Skyloop\0"
    assert list(find(made, (*ENTRY, b"sv3d", b"proj", b"prhd"))) == [bytes(16)]
    assert list(find(made, (*ENTRY, b"sv3d", b"proj", b"equi"))) == [bytes(20)]
    (first,) = find(made, (b"moov", b"trak", b"uuid"))
    assert first.startswith(bytes.fromhex("ffcc8263f8554a938814587a02521fdd"))
    for said in (b"Spherical>true<", b"Stitched>true<", b"ProjectionType>equirectangular<"):
        assert said in first
    kinds = [box.kind for box in parse(next(find(made, ENTRY))[78:])]
    assert kinds[kinds.index(b"avcC") + 1 :][:2] == [b"st3d", b"sv3d"]
    assert [box.kind for box in parse(next(find(made, (b"moov", b"trak"))))][-1] == b"uuid"


@pytest.mark.parametrize("which", ["clip", "index_last"])
def test_pictures_and_sound_stay_bit_for_bit(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = request.getfixturevalue(which)
    made = as_panorama(source, tmp_path / "b.mp4")
    for a, b in zip(packets(source), packets(made), strict=True):
        assert a == b
    for a, b in zip(read_frames(source), read_frames(made), strict=True):
        np.testing.assert_array_equal(a, b)


def packets(path: Path) -> list[tuple[int, int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(p.stream_index, p.pts, bytes(p)) for p in container.demux() if p.size]


@pytest.mark.parametrize("which", ["clip", "index_last"])
def test_twice_is_once(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    once = as_panorama(request.getfixturevalue(which), tmp_path / "once.mp4")
    twice = as_panorama(once, tmp_path / "twice.mp4")
    assert once.read_bytes() == twice.read_bytes()


def test_boxes_in_other_places_are_replaced(clip: Path, tmp_path: Path) -> None:
    """As other tools leave them: after the other boxes, and V1 in front."""
    plain, once = clip.read_bytes(), as_panorama(clip, tmp_path / "once.mp4").read_bytes()
    moved = rewritten(once, lambda boxes: sorted(boxes, key=lambda box: box.kind in (b"st3d", b"sv3d")))
    assert moved != once and len(moved) == len(once) > len(plain)
    (tmp_path / "moved.mp4").write_bytes(moved)
    assert as_panorama(tmp_path / "moved.mp4", tmp_path / "again.mp4").read_bytes() == once


def rewritten(data: bytes, change: Callable[[list[Box]], list[Box]]) -> bytes:
    """A file with the boxes of its sample entries changed in order."""

    def walk(box: Box) -> Box:
        inner = [walk(b) for b in box.boxes]
        return Box(box.kind, box.head, tuple(change(inner) if box.kind == b"avc1" else inner), box.tail)

    return serialise([walk(box) for box in parse(data)])


@pytest.mark.parametrize("first", [0, 40, 9_000, (1 << 32) - 900, 1 << 33])
def test_what_lies_after_the_index_moves_with_it(clip: Path, first: int) -> None:
    """Also where that takes 64 bits; what lies before it stays."""
    data = clip.read_bytes()
    start = data.index(b"moov") - 4
    index = data[start : start + struct.unpack_from(">I", data, start)[0]]
    (old,) = find(index, (*TABLE, b"stco"))
    count = struct.unpack_from(">I", old, 4)[0]
    wanted = [first + 10 * n for n in range(count)]
    wide = wanted[-1] >> 32 > 0
    if wide and first >> 32:  # was 64 bits before
        index = grown(index, lambda b: Box(b"co64", old[:8] + struct.pack(f">{count}Q", *wanted)))
    else:
        index = grown(index, lambda b: Box(b"stco", old[:8] + struct.pack(f">{count}I", *wanted)))
    made = panorama_index(index, 100, wanted[-1] + 10_000)
    kind, letter = (b"co64", "Q") if wanted[-1] + 10_000 + len(made) >> 32 else (b"stco", "I")
    (new,) = find(made, (*TABLE, kind))
    assert not list(find(made, (*TABLE, b"stco" if kind == b"co64" else b"co64")))
    by = len(made) - len(index)
    assert by > 400
    after = 100 + len(index)
    assert list(struct.unpack_from(f">{count}{letter}", new, 8)) == [at + by if at >= after else at for at in wanted]


def grown(index: bytes, change: Callable[[Box], Box]) -> bytes:
    """An index with its table of offsets changed."""

    def walk(box: Box) -> Box:
        if box.kind in (b"stco", b"co64"):
            return change(box)
        return Box(box.kind, box.head, tuple(walk(b) for b in box.boxes), box.tail)

    return serialise([walk(box) for box in parse(index)])


def trees(inside: bytes = b"") -> st.SearchStrategy[Box]:
    """Boxes as they may lie in a box of that kind: those that are looked into, and any others."""
    heads = INSIDE.get(inside, {})
    plain = st.builds(
        Box, st.binary(min_size=4, max_size=4).filter(lambda kind: kind not in heads), st.binary(max_size=40)
    )
    deep = [
        st.builds(
            Box,
            st.just(kind),
            st.binary(min_size=size, max_size=size),
            st.lists(st.deferred(lambda kind=kind: trees(kind)), max_size=3).map(tuple),
            st.binary(max_size=7) if inside == b"stsd" else st.just(b""),
        )
        for kind, size in heads.items()
    ]
    return st.one_of(*deep, plain)


@settings(max_examples=200, deadline=None)
@given(st.lists(trees(), max_size=4).map(tuple))
def test_what_is_written_is_what_is_read(boxes: tuple[Box, ...]) -> None:
    assert parse(serialise(boxes)) == boxes


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.lists(trees(), max_size=3).map(serialise).flatmap(
    lambda data: st.tuples(st.just(data), st.integers(0, max(0, len(data) - 1)), st.integers(0, 255)).map(
        lambda parts: parts[0][: parts[1]] + bytes([parts[2]]) + parts[0][parts[1] + 1 :])))  # fmt: skip
def test_a_damaged_index_is_read_or_refused(data: bytes) -> None:
    try:
        boxes = parse(data)
    except ValueError:
        return
    assert parse(serialise(boxes)) == boxes


def without(kind: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(kind, b"skip")


def fragments(data: bytes) -> bytes:
    return data + serialise([Box(b"moof", bytes(16))])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-50], "cut short"),
        (lambda data: data[:600], "cut short"),
        (lambda data: data[:20], "cut short"),
        (lambda data: data + b"\0\0\0", "within a box"),
        (lambda data: b"", "no mp4"),
        (lambda data: data + data, "no mp4"),
        (without(b"moov"), "no mp4"),
        (without(b"mdat"), "no mp4"),
        (without(b"vide"), "no video"),
        (without(b"avcC"), "not H.264"),
        (without(b"avc1"), "no mp4|no video|not H.264"),
        (fragments, "fragments"),
    ],
)
def test_a_file_that_cannot_be_one_is_refused_and_nothing_is_left(
    clip: Path, tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    (tmp_path / "a.mp4").write_bytes(damage(clip.read_bytes()))
    with pytest.raises(SkyloopError, match=reason) as refused:
        as_panorama(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert refused.value.kind is ErrorKind.BAD_REQUEST and refused.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1500), value=st.binary(min_size=1, max_size=4))
def test_any_damage_is_copied_or_refused(
    clip: Path, tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes
) -> None:
    data = clip.read_bytes()
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.mp4").write_bytes(data[:at] + value + data[at + len(value) :])
    try:
        as_panorama(folder / "a.mp4", folder / "b.mp4")
    except SkyloopError as error:
        assert error.kind is ErrorKind.BAD_REQUEST
        assert not (folder / "b.mp4").exists()


def test_a_cancel_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    steps = write_panorama(clip, tmp_path / "b.mp4")
    next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_is_told_and_leaves_nothing(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = files.begin

    def on_a_full_disk(path: Path) -> Path:
        beside = begin(path)
        beside.unlink()
        beside.symlink_to("/dev/full")
        return beside

    monkeypatch.setattr(files, "begin", on_a_full_disk)
    with pytest.raises(SkyloopError) as told:
        as_panorama(clip, tmp_path / "b.mp4")
    assert told.value.kind is ErrorKind.DISK_FULL and "b.mp4" in told.value.message
    assert list(tmp_path.iterdir()) == []

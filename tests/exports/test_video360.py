"""A 360° video: known as one by the tools that players are made of, level-checked, repeated without a change."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError
from hypothesis import given
from hypothesis import strategies as st

from backend.exports import encoding, limits, video360
from backend.exports.film import Film, open_film
from backend.exports.limits import LEVELS, fitting_height, level, plays
from backend.exports.request import ExportRequest
from backend.exports.run import README, export
from backend.exports.video360 import NAME
from backend.media.spherical import write_panorama
from backend.media.video import VideoWriter, read_frames
from backend.protocol import ErrorKind, SkyloopError
from tests import calibration
from tests.boxes import TABLE, find
from tests.sid import Sid

FRAMES = 20
ENTRY = {"h264": (b"avc1", b"avcC"), "hevc": (b"hvc1", b"hvcC"), "av1": (b"av01", b"av1C")}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=512, fps=12)


def asked(film: Path, out: Path, height: int = 0, **options: Any) -> ExportRequest:
    return ExportRequest(source=str(film), target="video360", out=str(out), height=height, options=options)


def run(request: ExportRequest) -> dict[str, Any]:
    steps = export(request)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Made(NamedTuple):
    folder: Path
    document: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.folder / NAME


@pytest.fixture(scope="module")
def made(film: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """An export in each codec, and one that is repeated."""
    folder, done = tmp_path_factory.mktemp("made"), {}
    for name, options in {
        "h264": {"codec": "h264"},
        "hevc": {"codec": "hevc", "preset": "youtube"},
        "av1": {"codec": "av1", "preset": "quest"},
        "repeated": {"repeat": 3, "preset": "youtube", "codec": "hevc"},
    }.items():
        done[name] = Made(folder / name, run(asked(film, folder / name, **options)))
    return done


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def numbers(path: Path) -> list[int]:
    return [calibration.number_in(calibration.on_frame(frame)) for frame in read_frames(path)]


@pytest.mark.parametrize("codec", ENTRY)
def test_the_export_is_one_file_with_a_readme(made: dict[str, Made], codec: str) -> None:
    folder, document = made[codec]
    assert document["open"] == NAME and {NAME, README} <= set(document["files"])
    assert len(document["files"]) == 3 and document["frames"] == FRAMES
    assert any(note.startswith(f"It is {encoding.TITLES[codec]}, level 4") for note in document["notes"])
    assert ("Quest 3" in " ".join(document["notes"])) == (codec == "av1")
    assert "360" in (folder / README).read_text(encoding="utf-8")


@pytest.mark.parametrize("codec", ENTRY)
def test_both_versions_of_the_metadata_are_where_they_belong(made: dict[str, Made], codec: str) -> None:
    data = made[codec].path.read_bytes()
    entry = (*TABLE, b"stsd", ENTRY[codec][0])
    assert list(find(data, (*entry, b"st3d"))) == [bytes(5)]
    assert list(find(data, (*entry, b"sv3d", b"svhd"))) == [bytes(4) + b"Skyloop\0"]
    assert list(find(data, (*entry, b"sv3d", b"proj", b"equi"))) == [bytes(20)]
    (first,) = find(data, (b"moov", b"trak", b"uuid"))
    assert b"<GSpherical:ProjectionType>equirectangular<" in first
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("codec", ENTRY)
def test_its_pictures_are_those_of_the_film(made: dict[str, Made], codec: str) -> None:
    for number, frame in enumerate(read_frames(made[codec].path)):
        sample = calibration.on_frame(frame)
        assert calibration.number_in(sample) == number
        assert max(calibration.color_errors(sample).values()) <= 3


def test_a_film_of_ours_keeps_its_pictures_bit_for_bit(made: dict[str, Made], film: Path) -> None:
    assert packets(made["h264"].path) == packets(film)


@pytest.mark.parametrize("codec", ENTRY)
def test_the_metadata_changes_no_picture_and_twice_is_once(
    made: dict[str, Made], film: Path, codec: str, tmp_path: Path
) -> None:
    for _ in encoding.encode(open_film(film), tmp_path / "plain.mp4", codec):
        pass
    for before, after in zip(read_frames(tmp_path / "plain.mp4"), read_frames(made[codec].path), strict=True):
        np.testing.assert_array_equal(before, after)
    for _ in write_panorama(made[codec].path, tmp_path / "twice.mp4"):
        pass
    assert (tmp_path / "twice.mp4").read_bytes() == made[codec].path.read_bytes()


@pytest.mark.parametrize("name", [*ENTRY, "repeated"])
def test_ffprobe_and_exiftool_know_it_as_a_panorama(made: dict[str, Made], name: str, sid: Sid) -> None:
    folder = made[name].folder
    script = f"""cd '{folder}'
        ffprobe -v error -show_entries stream=codec_name,codec_tag_string,has_b_frames,pix_fmt,color_space,\
color_primaries,color_transfer,color_range,nb_frames:stream_side_data -of json {NAME}
        echo ====; exiftool -json -G1 {NAME}"""
    done = sid.run(script, shares=[folder], timeout_s=120)
    assert done.returncode == 0, done.stderr
    probed, exif = (json.loads(part) for part in done.stdout.split("===="))
    (stream,) = probed["streams"]
    repeats = 3 if name == "repeated" else 1
    assert stream["nb_frames"] == str(FRAMES * repeats)
    assert stream["codec_tag_string"] == {"h264": "avc1", "av1": "av01"}.get(name, "hvc1")
    assert stream["has_b_frames"] == 0 and stream["pix_fmt"] == "yuv420p"
    colours = [stream[f"color_{key}"] for key in ("space", "primaries", "transfer", "range")]
    assert colours == ["bt709", "bt709", "bt709", "tv"]
    sides = {side["side_data_type"]: side for side in stream["side_data_list"]}
    sphere = sides["Spherical Mapping"]
    assert sphere["projection"] == "equirectangular"
    assert (sphere["yaw"], sphere["pitch"], sphere["roll"]) == (0, 0, 0)
    assert sides["Stereo 3D"]["type"] == "2D"
    (tags,) = exif
    assert tags["Track1:MetadataSource"] == "Skyloop" and tags["Track1:PoseYawDegrees"] == 0
    assert tags["XMP-GSpherical:ProjectionType"] == "equirectangular"
    assert tags["XMP-GSpherical:Spherical"] is True


def test_repeated_is_the_same_frames_again_and_again(made: dict[str, Made]) -> None:
    once, thrice = made["hevc"].path, made["repeated"].path
    assert packets(thrice) == packets(once) * 3
    assert numbers(thrice) == [*range(FRAMES)] * 3
    with av.open(str(thrice)) as container:
        stream = container.streams.video[0]
        tick = Fraction(stream.time_base or 0)
        times = [(packet.pts or 0) * tick for packet in container.demux(stream) if packet.size]
        assert stream.duration and stream.duration * tick == Fraction(3 * FRAMES, 12)
    assert times == [Fraction(n, 12) for n in range(3 * FRAMES)]
    assert "3 times" in (made["repeated"].folder / README).read_text(encoding="utf-8")


def test_repeating_what_does_not_fit_on_the_disk_is_told(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * film.stat().st_size)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SkyloopError, match="no space") as told:
        run(asked(film, tmp_path / "out", repeat=100))
    assert told.value.kind is ErrorKind.DISK_FULL and "--repeat" in told.value.hint
    assert list(tmp_path.iterdir()) == []
    run(asked(film, tmp_path / "out", repeat=2))


@pytest.mark.parametrize("name", ["encoding", "repeating", "copy"])
def test_a_cancel_leaves_nothing_wherever_it_comes(film: Path, tmp_path: Path, name: str) -> None:
    steps = export(asked(film, tmp_path / "out", repeat=3))
    while next(steps).data["name"] != name:
        pass
    next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_the_film_is_turned_as_in_blender(film: Path, tmp_path: Path) -> None:
    request = ExportRequest(
        source=str(film), target="video360", out=str(tmp_path / "out"), facing="blender", front_deg=90.0
    )
    run(request)
    sample = calibration.on_frame(next(read_frames(tmp_path / "out" / NAME)))
    assert max(calibration.color_errors(sample, turned_deg=90).values()) <= 3


@pytest.mark.parametrize(
    ("height", "options", "what", "instead"),
    [
        (4096, {"preset": "quest"}, "8192x4096 is too large", "5760x2880"),
        (4096, {"codec": "h264"}, "8192x4096 is too large .*--codec hevc", "4096x2048"),
        (2880, {"codec": "h264", "preset": "quest"}, "too large", "4096x2048"),
    ],
)
def test_a_size_that_does_not_play_there_is_refused(
    film: Path, tmp_path: Path, height: int, options: dict[str, str], what: str, instead: str
) -> None:
    with pytest.raises(SkyloopError, match=what) as refused:
        run(asked(film, tmp_path / "out", height, **options))
    assert refused.value.kind is ErrorKind.BAD_REQUEST and instead in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def at(height: int, fps: float) -> Film:
    return Film(Path("a.mp4"), 2 * height, height, Fraction(fps), (0,))


@pytest.mark.parametrize(
    ("height", "fps", "options", "instead"),
    [
        (2048, 120, {"codec": "h264"}, "--codec hevc, or --size 2"),
        (2880, 60, {"preset": "quest", "codec": "hevc"}, "--size 4"),
        (2880, 31, {"preset": "quest"}, "--size 56"),
        (2048, 120, {"preset": "quest"}, "--size 28"),
    ],
)
def test_a_rate_that_does_not_play_there_is_refused_with_a_size_that_does(
    height: int, fps: float, options: dict[str, str], instead: str
) -> None:
    request = asked(Path("a.mp4"), Path("out"), 0, **options)
    with pytest.raises(SkyloopError, match="are sure to decode") as refused:
        video360.check(at(height, fps), request)
    assert instead in refused.value.hint
    fits = int(refused.value.hint.rpartition("x")[2].rstrip("."))
    video360.check(at(fits, fps), request)
    with pytest.raises(SkyloopError):
        video360.check(at(fits + 16, fps), request)


@pytest.mark.parametrize(
    ("height", "fps", "preset", "codec"),
    [
        (1024, 24, "desktop", "h264"),
        (2048, 60, "desktop", "h264"),
        (2048, 60, "quest", "h264"),
        (2880, 30, "quest", "hevc"),
        (4096, 60, "desktop", "hevc"),
        (4096, 60, "youtube", "hevc"),
    ],
)
def test_auto_is_the_first_codec_that_plays(height: int, fps: float, preset: str, codec: str) -> None:
    request = asked(Path("a.mp4"), Path("out"), preset=preset)
    video360.check(at(height, fps), request)
    assert video360._codec(at(height, fps), request) == codec


def test_a_missing_encoder_is_named_before_work_with_one_that_is_there(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = encoding.AvCodec
    missing = {"libx265"}

    def some(name: str, mode: Any) -> Any:
        if name in missing:
            raise UnknownCodecError(1, name)
        return real(name, mode)

    monkeypatch.setattr(encoding, "AvCodec", some)
    with pytest.raises(SkyloopError, match="HEVC cannot be written") as refused:
        run(asked(film, tmp_path / "out", codec="hevc"))
    assert refused.value.kind is ErrorKind.BAD_REQUEST and refused.value.hint == "Use --codec h264."
    assert video360._codec(at(4096, 24), asked(film, tmp_path)) == "av1", "auto takes what is there"
    missing.add("libsvtav1")
    with pytest.raises(SkyloopError, match="HEVC cannot be written") as refused:
        video360.check(at(4096, 24), asked(film, tmp_path))
    assert "4096x2048" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def claimed(path: Path, codec: str) -> str:
    """The level that the stream itself claims, from its decoder configuration."""
    entry, config = ENTRY[codec]
    (found,) = find(path.read_bytes(), (*TABLE, b"stsd", entry, config))
    if codec == "av1":
        number = found[1] & 31
        major, minor = 2 + number // 4, number % 4
    else:
        number = round(found[3] if codec == "h264" else found[12] / 3)
        major, minor = number // 10, number % 10
    return f"{major}.{minor}".removesuffix(".0")


@pytest.mark.parametrize("codec", ENTRY)
@pytest.mark.parametrize(("height", "fps"), [(1024, 24), (1024, 60), (2048, 24)])
def test_the_stream_claims_the_level_that_is_said(tmp_path: Path, codec: str, height: int, fps: float) -> None:
    path = tmp_path / "a.mp4"
    picture = np.random.default_rng(0).integers(0, 256, (height // 64, height // 32, 3), dtype=np.uint8)
    frame = np.kron(picture, np.ones((64, 64, 1), np.uint8))
    with VideoWriter(path, 2 * height, height, fps, 2, encoding._CODECS[codec]) as writer:
        writer.write(frame)
        writer.write(frame)
    assert claimed(path, codec) == level(codec, height, fps)


@given(st.sampled_from(list(LEVELS)), st.integers(8, 256).map(lambda n: 16 * n), st.floats(1, 120))
def test_more_pixels_never_take_a_lower_level(codec: str, height: int, fps: float) -> None:
    order = [*LEVELS[codec], ""]
    here = order.index(level(codec, height, fps))
    assert here <= order.index(level(codec, height + 16, fps))
    assert here <= order.index(level(codec, height, fps + 1))
    for preset in ("desktop", "youtube", "quest"):
        if plays(codec, preset, height + 16, fps):
            assert plays(codec, preset, height, fps)


def test_levels_are_those_of_the_study() -> None:
    """Read from streams that were encoded elsewhere."""
    assert [level("h264", 2048, fps) for fps in (30, 60)] == ["5.1", "5.2"]
    assert level("h264", 4096, 30) == "6"
    assert [level("hevc", height, 30) for height in (2048, 4096)] == ["5", "6"]
    assert [level("av1", height, 30) for height in (2048, 4096)] == ["5", "6"]


def test_a_large_film_is_made_what_plays_when_no_size_is_asked_for() -> None:
    film, out = Path("a.mp4"), Path("out")
    assert fitting_height(asked(film, out, preset="quest"), 4096) == 2048
    assert fitting_height(asked(film, out, codec="h264"), 4096) == 2048
    assert fitting_height(asked(film, out), 4096) == 4096
    for target, options, height in (
        ("web", {}, 2048),
        ("unity", {}, 2048),
        ("unreal", {}, 2048),
        ("godot", {}, 1024),
        ("godot", {"playback": "flipbook"}, 2048),
        ("hdr", {}, 4096),
    ):
        request = ExportRequest(source="a.mp4", target=target, out="out", options=options)
        assert fitting_height(request, 4096) == height
        assert limits.limit(request).why or height == 4096

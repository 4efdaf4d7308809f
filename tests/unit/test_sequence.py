"""A film as numbered pictures."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from backend import commands, sequence
from backend.lighting import LINEAR, Sun
from backend.media.stills import read_image
from backend.media.video import VideoWriter, read_frames
from backend.protocol import ErrorKind, SkyloopError
from backend.sequence import ExrEncoder, Wanted, expanded, write_sequence

SUN = Sun(yaw_deg=-90.0, pitch_deg=30.0, size_deg=5.0, color=(1.0, 1.0, 1.0), irradiance=0.01, strength=0.1)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Five frames of a blue sky with a white sun at yaw -90, pitch 30."""
    job = tmp_path / "job"
    job.mkdir()
    frame = np.full((128, 256, 3), (60, 110, 190), np.uint8)
    cv2.circle(frame, (64, 42), 4, (255, 255, 255), -1)
    with VideoWriter(job / "sky.mp4", 256, 128, 8.0) as video:
        for n in range(5):
            frame[100:] = 10 * n
            video.write(frame)
    return job / "sky.mp4"


def read_exr(path: Path) -> np.ndarray:
    """Half floats (h, w, 3), by FFmpeg's own reader."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "gbrpf16le"
        planes = [np.frombuffer(bytes(p), np.float16).reshape(frame.height, -1)[:, : frame.width] for p in frame.planes]
        return np.stack([planes[2], planes[0], planes[1]], axis=-1)


@pytest.mark.parametrize("size", [(64, 128), (90, 174), (37, 51)])
def test_an_exr_holds_the_light_that_went_in(tmp_path: Path, size: tuple[int, int]) -> None:
    light = np.random.default_rng(0).random((*size, 3)).astype(np.float32) * 50
    encode = ExrEncoder(size[1], size[0])
    for number in range(3):  # one encoder, a file a frame
        path = tmp_path / f"{number}.exr"
        path.write_bytes(encode(light + number))
        assert np.array_equal(read_exr(path), (light + number).astype(np.float16))


def test_expansion_leaves_what_is_dark_and_makes_the_sun_bright() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(128, 0).repeat(3, 2)
    assert np.array_equal(expanded(ramp, 0.0, SUN), LINEAR[ramp])
    for sun, stops in ((None, 4 * sequence.ELSEWHERE), (SUN, None)):
        light = expanded(ramp, 4.0, sun)
        assert np.array_equal(light[:, :205], LINEAR[ramp][:, :205]), "below .8 of white nothing changes"
        if stops:
            assert (np.diff(light[0, :, 0]) > 0).all(), "brighter stays brighter"
            assert light.max() == pytest.approx(2**stops)
            assert np.abs(np.diff(np.log2(light[0, 150:, 0]))).max() < 0.15, "no step"
    white = expanded(np.full((180, 360, 3), 255, np.uint8), 4.0, SUN)
    assert np.unravel_index(int(white[..., 0].argmax()), (180, 360)) == pytest.approx((60, 90), abs=1)
    assert white.max() == pytest.approx(2**4, rel=0.03)
    assert white[60, 270, 0] == pytest.approx(2 ** (4 * sequence.ELSEWHERE), rel=0.01)
    tinted = expanded(np.full((180, 360, 3), (255, 230, 204), np.uint8), 4.0, SUN)
    assert tinted[60, 90] / tinted[60, 90, 0] == pytest.approx(LINEAR[[255, 230, 204]], rel=1e-3), "its hue stays"


def test_a_sequence_of_png_is_the_film(tmp_path: Path, film: Path) -> None:
    out = tmp_path / "new" / "frames"
    steps = list(write_sequence(film, out, Wanted()))
    assert steps == [(n, 5) for n in range(1, 6)]
    assert sorted(p.name for p in out.iterdir()) == ["README.txt", *(f"sky_{n:04d}.png" for n in range(1, 6))]
    for number, frame in enumerate(read_frames(film), 1):
        assert np.array_equal(read_image(out / f"sky_{number:04d}.png"), frame)
    assert [p.name for p in out.parent.iterdir()] == ["frames"], "nothing is left beside it"


def test_a_sequence_of_exr_says_that_it_is_estimated(tmp_path: Path, film: Path) -> None:
    out = tmp_path / "frames"
    list(write_sequence(film, out, Wanted("exr", 3.0, [SUN] * 5)))
    for number, frame in enumerate(read_frames(film), 1):
        assert np.array_equal(read_exr(out / f"sky_{number:04d}.exr"), expanded(frame, 3.0, SUN).astype(np.float16))
    assert "ESTIMATED" in (out / "README.txt").read_text()
    assert read_exr(out / "sky_0001.exr").max() > 6
    list(write_sequence(film, out, Wanted("exr")))  # over the earlier one
    assert "ESTIMATED" not in (out / "README.txt").read_text()


def test_cancelling_leaves_nothing_and_keeps_an_earlier_sequence(tmp_path: Path, film: Path) -> None:
    for out in (tmp_path / "frames", tmp_path / "old"):
        if out.name == "old":
            list(write_sequence(film, out, Wanted()))
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
        writing = write_sequence(film, out, Wanted("exr"))
        next(writing)
        next(writing)
        writing.close()
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
        assert not list(tmp_path.glob(".*"))


def refused(film: Path, out: Path, kind: str = "png") -> SkyloopError:
    with pytest.raises(SkyloopError) as caught:
        next(write_sequence(film, out, Wanted(kind)))
    return caught.value


def test_what_is_in_the_way_is_named(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert "has other files in it, such as thesis.txt" in refused(film, tmp_path / "mine").message
    (tmp_path / "file").write_text("x")
    assert "is no folder" in refused(film, tmp_path / "file").message
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert "is no folder" in refused(film, tmp_path / "link").message
    assert refused(tmp_path / "nowhere.mp4", tmp_path / "out").kind is ErrorKind.BAD_REQUEST
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    assert refused(film, tmp_path / "out", "exr").kind is ErrorKind.DISK_FULL
    assert not (tmp_path / "out").exists()


def run(*arguments: object) -> int:
    return commands.main(["frames", *map(str, arguments)])


def test_the_command(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("backend.commands.frames.enter_runtime", lambda argv: None)
    assert run(film.parent, "--out", tmp_path / "a", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 5
    assert run(film, "--out", tmp_path / "b", "--format", "exr", "--boost", 5) == 0  # looks for the sun itself
    brightest = read_exr(tmp_path / "b" / "sky_0001.exr").astype(float)
    assert brightest.max() > 20
    assert np.unravel_index(int(brightest[..., 0].argmax()), (128, 256)) == pytest.approx((42, 64), abs=5)
    document = {"frames": [{"sun": None}] * 5}  # what the job's own record says goes first
    (film.parent / "light.json").write_text(json.dumps(document))
    assert run(film, "--out", tmp_path / "c", "--format", "exr", "--boost", 5) == 0
    assert read_exr(tmp_path / "c" / "sky_0001.exr").max() < 4
    (film.parent / "light.json").write_text('{"frames": [{"sun": {"yaw_deg": "east"}}]}')
    assert run(film, "--out", tmp_path / "d", "--format", "exr", "--boost", 5) == 0
    assert read_exr(tmp_path / "d" / "sky_0001.exr").max() > 20
    capsys.readouterr()
    for options, named in (
        (("--boost", 3), "boost needs EXR"), (("--format", "exr", "--boost", 11), "boost 11: use 0 to 10"),
        (("--format", "exr", "--boost", "nan"), "boost nan"), (("--format", "gif"), "gif"),
    ):  # fmt: skip
        assert run(film, "--out", tmp_path / "e", *options) == 2
        assert named in capsys.readouterr().err
    assert not (tmp_path / "e").exists()

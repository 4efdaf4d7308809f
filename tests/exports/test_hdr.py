"""Linear light: what is written is the film's light, it stands the right way round, and lights a scene as it should."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from backend import lighting
from backend.exports.film import open_film
from backend.exports.light_files import radiance
from backend.exports.request import ExportRequest
from backend.exports.run import README, export
from backend.lighting import LINEAR, Moment, Sphere, Sun
from backend.media.video import VideoWriter
from backend.protocol import ErrorKind, SkyloopError
from backend.sequence import ELSEWHERE, KNEE
from tests import calibration
from tests.exports.light_scene import rendered, towards
from tests.sid import Sid

FRAMES, WIDTH, FPS = 6, 512, 12.0
SUN, OTHER = (-60.0, 35.0), (90.0, -35.0)
MOVED_PX = (0, 4, 8, 12, 8, 4)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=WIDTH, fps=FPS)


@pytest.fixture(scope="module")
def sunny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blue sky over brown ground, with a white sun at :data:`SUN`, which moves to and fro; on the ground a white disc
    as large at :data:`OTHER`, and a grey ramp. A frame a second, so that no frame's sun is one of its neighbours."""
    path = tmp_path_factory.mktemp("sunny") / "sky.mp4"
    with VideoWriter(path, WIDTH, WIDTH // 2, 1.0, FRAMES) as video:
        for number in range(FRAMES):
            video.write(sunny_frame(number))
    return path


def sunny_frame(number: int) -> np.ndarray:
    frame = np.full((WIDTH // 2, WIDTH, 3), (60, 110, 190), np.uint8)
    frame[WIDTH // 4 :] = (60, 50, 40)
    for (yaw, pitch), shift in ((SUN, MOVED_PX[number]), (OTHER, 0)):
        column, row = round((yaw / 360 + 0.5) * WIDTH) + shift, round((0.5 - pitch / 180) * WIDTH / 2)
        cv2.circle(frame, (column, row), 8, (255, 255, 255), -1)
    frame[150:170, :256] = np.arange(256, dtype=np.uint8)[None, :, None]
    return frame


def exported(film: Path, out: Path, target: str = "hdr", **wanted: Any) -> dict[str, Any]:
    """The document of the export; options go in as ``options``."""
    steps = export(ExportRequest(source=str(film), target=target, out=str(out), **wanted))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def read_exr(path: Path) -> np.ndarray:
    """Half floats (h, w, 3), by FFmpeg's own reader."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "gbrpf16le"
        planes = [np.frombuffer(bytes(p), np.float16).reshape(frame.height, -1)[:, : frame.width] for p in frame.planes]
        return np.stack([planes[2], planes[0], planes[1]], axis=-1)


def read_radiance(path: Path) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None and found.dtype == np.float32
    return np.ascontiguousarray(found[..., ::-1])


def as_display(light: np.ndarray) -> np.ndarray:
    """sRGB in steps of 255 (IEC 61966-2-1)."""
    light = light.astype(np.float64)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(0.0031308) ** (1 / 2.4) - 0.055)


def yaw_of_peak(light: np.ndarray) -> float:
    """Where the brightest pixels are, in degrees."""
    luminance = light.astype(np.float64).sum(axis=2)
    rows, columns = np.nonzero(luminance >= 0.98 * luminance.max())
    return float((columns.mean() + 0.5) / light.shape[1] * 360 - 180)


def test_exr_holds_the_films_light_to_the_last_half(film: Path, tmp_path: Path) -> None:
    document = exported(film, tmp_path / "Ü out", options={"frame": -1, "boost": 0.0})
    assert document["open"] == "sky_linear_0000.exr"
    for number, frame in enumerate(open_film(film).read()):
        light = read_exr(tmp_path / "Ü out" / f"sky_linear_{number:04d}.exr")
        assert np.array_equal(light, LINEAR[frame].astype(np.float16))
        sample = calibration.on_frame(as_display(light))
        assert calibration.number_in(sample) == number
        assert max(calibration.color_errors(sample).values()) <= 3
    readme = (tmp_path / "Ü out" / README).read_text(encoding="utf-8")
    assert "not captured HDR" in readme and "ESTIMATED" not in readme


def test_radiance_holds_it_to_half_a_step_of_its_mantissa(film: Path, tmp_path: Path) -> None:
    exported(film, tmp_path / "out", options={"format": "hdr", "frame": 3, "boost": 0.0})
    light = read_radiance(tmp_path / "out" / "sky_linear_0003.hdr").astype(np.float64)
    wanted = LINEAR[open_film(film).one(3)].astype(np.float64)
    rounded_up = wanted.max(axis=2).clip(1e-9) * (1 + 1 / 510)  # its exponent may be the next
    step = 2.0 ** (np.floor(np.log2(rounded_up)) - 7)
    assert (np.abs(light - wanted) / step[..., None]).max() <= 0.51
    assert max(calibration.color_errors(calibration.on_frame(as_display(light))).values()) <= 3
    assert b"# Linear Rec.709 of an 8-bit film" in (tmp_path / "out" / "sky_linear_0003.hdr").read_bytes()[:200]


def test_radiance_rounds_and_does_not_darken(tmp_path: Path) -> None:
    light = np.random.default_rng(0).random((64, 128, 3)).astype(np.float32) ** 4 * 20
    light[:8] = 0
    light[8, :4] = [[1, 1, 1], [0.9999, 0.5, 0], [15.9999, 3, 0.001], [255.9, 0, 1]]
    (tmp_path / "a.hdr").write_bytes(radiance(light, "a remark"))
    found = read_radiance(tmp_path / "a.hdr")
    brightest = light.max(axis=2, keepdims=True).clip(1e-9)
    assert np.abs((found - light) / brightest).max() <= 1 / 255
    assert abs(((found - light) / brightest)[8:].mean()) < 1e-4
    assert (found[:8] == 0).all()


@pytest.mark.parametrize("kind", ["exr", "hdr"])
def test_only_what_is_bright_is_expanded_and_the_sun_most(sunny: Path, tmp_path: Path, kind: str) -> None:
    boost = 4.0
    document = exported(sunny, tmp_path / "out", options={"format": kind, "frame": -1, "boost": boost})
    assert document["open"] == f"sky_estimated_0000.{kind}"
    read = read_exr if kind == "exr" else read_radiance
    for number, frame in enumerate(open_film(sunny).read()):
        light, plain = read(tmp_path / "out" / f"sky_estimated_{number:04d}.{kind}").astype(np.float32), LINEAR[frame]
        dark = frame.max(axis=2) < KNEE * 255
        step = plain.max(axis=2)[dark].max() / 128
        most = 1e-3 if kind == "exr" else step
        assert np.abs(light - plain)[dark].max() <= most, "below the knee it is the film"
        assert (light >= plain - step / 2 - 1e-3).all(), "nothing becomes darker"
        assert light.max() == pytest.approx(2**boost, rel=0.05), "the sun goes all the way"
        assert yaw_of_peak(light) == pytest.approx(SUN[0] + MOVED_PX[number] / WIDTH * 360, abs=1.5), (
            "where it is in each frame"
        )
        other = calibration.on_frame(light)(*OTHER)
        assert other == pytest.approx(2 ** (boost * ELSEWHERE), rel=0.1), "a white place that is no sun: a part of it"
    told = (tmp_path / "out" / README).read_text(encoding="utf-8")
    assert "ESTIMATED" in told and "not captured HDR" in told
    peak, mean = brightness_in(told)
    frames = [read(path).astype(np.float64) for path in sorted((tmp_path / "out").glob(f"*.{kind}"))]
    assert peak == pytest.approx(max((light @ lighting.LUMINANCE).max() for light in frames), rel=0.01)
    weights = Sphere(WIDTH // 2, WIDTH).solid_angle / (4 * np.pi)
    assert mean == pytest.approx(
        np.mean([((light @ lighting.LUMINANCE) * weights).sum() for light in frames]), rel=0.01
    )


def brightness_in(readme: str) -> tuple[float, float]:
    line = next(line for line in readme.splitlines() if "Light: brightest" in line)
    return float(line.split("brightest ")[1].split(",")[0]), float(line.split("mean ")[1].split(",")[0])


def test_a_jobs_own_record_of_its_sun_goes_first_and_turns_with_the_pixels(sunny: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    shutil.copy(sunny, job / "sky.mp4")
    none = np.zeros(3)
    sun = Sun(*OTHER, 5.0, (1.0, 1.0, 1.0), 0.02, 0.1)
    lighting.write(job / lighting.FILE, [Moment(none, none, none, sun)] * FRAMES, FPS, loop=True)
    for front in (0.0, 30.0, 120.0):
        out = tmp_path / f"out{front:g}"
        exported(job, out, facing="blender", front_deg=front, options={"frame": 2})
        wanted = (OTHER[0] + front + 180) % 360 - 180
        assert yaw_of_peak(read_exr(out / "sky_estimated_0002.exr")) == pytest.approx(wanted, abs=1.5)
        sunny_at = tmp_path / f"looked{front:g}"
        exported(sunny, sunny_at, facing="blender", front_deg=front, options={"frame": 0})
        assert yaw_of_peak(read_exr(sunny_at / "sky_estimated_0000.exr")) == pytest.approx(SUN[0] + front, abs=1.5)
    (job / lighting.FILE).write_text('{"frames": [{"sun": {"yaw_deg": "east"}}]}')
    exported(job, tmp_path / "broken", options={"frame": 0})
    assert yaw_of_peak(read_exr(tmp_path / "broken" / "sky_estimated_0000.exr")) == pytest.approx(SUN[0], abs=1.5)


def test_it_says_whether_there_is_a_sun_and_what_to_do(film: Path, sunny: Path, tmp_path: Path) -> None:
    found = {
        name: " ".join(exported(path, tmp_path / name, options={"boost": boost})["notes"])
        for name, path, boost in (("none", film, 4.0), ("low", sunny, 4.0), ("high", sunny, 9.0), ("plain", sunny, 0.0))
    }
    assert [name for name, notes in found.items() if "No sun was found" in notes] == ["none"]
    assert [name for name, notes in found.items() if "try a boost" in notes] == ["low"]
    assert [name for name, notes in found.items() if "ESTIMATED" not in notes] == ["plain"]


def test_what_cannot_be_written_is_refused_before_work(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SkyloopError) as caught:
        exported(film, tmp_path / "out", options={"frame": FRAMES})
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert caught.value.hint == f"Use 0 to {FRAMES - 1}, or -1 for all."
    usage = namedtuple("usage", "total used free")
    room = (64 << 20) + WIDTH * WIDTH // 2 * 7
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, room))
    with pytest.raises(SkyloopError) as caught:
        exported(film, tmp_path / "out", options={"frame": -1})
    assert caught.value.kind is ErrorKind.DISK_FULL and "MB" in caught.value.message
    assert list(tmp_path.iterdir()) == []
    exported(film, tmp_path / "out", options={"frame": 0})  # one frame fits


def test_a_frame_far_in_the_film_shows_progress(film: Path, tmp_path: Path) -> None:
    request = ExportRequest(
        source=str(film), target="hdr", out=str(tmp_path / "out"), options={"frame": 4, "boost": 0.0}
    )
    told = [(event.data["name"], event.data["done"], event.data["total"]) for event in export(request)]
    assert told == [("frames", done, 5) for done in range(1, 6)]


def test_the_files_say_what_they_are(sunny: Path, tmp_path: Path, sid: Sid) -> None:
    exported(sunny, tmp_path / "out")
    done = sid.run(f"exiftool -json {tmp_path}/out/*.exr", shares=[tmp_path], timeout_s=60)
    assert done.returncode == 0, done.stderr
    (about,) = json.loads(done.stdout)
    assert about["Comments"].startswith("ESTIMATED: ") and "not captured HDR" in about["Comments"]
    assert about["EnvironmentMap"] == "Latitude/Longitude" and "Warning" not in about


def seen(light: np.ndarray, directions: list[tuple[float, float]], turned_deg: float = 0.0) -> np.ndarray:
    """What a frame of linear light shows there when its centre is turned to the right: (directions, 3)."""
    return np.array([calibration.on_frame(light)(yaw - turned_deg, pitch) for yaw, pitch in directions])


def test_sky_and_mirror_ball_show_each_direction_where_it_is(film: Path, tmp_path: Path, bpy_python: Path) -> None:
    for kind in ("exr", "hdr"):
        exported(film, tmp_path / kind, options={"format": kind, "frame": 1, "boost": 0.0})
    exported(film, tmp_path / "exr-turned", facing="blender", front_deg=90.0, options={"frame": 1, "boost": 0.0})
    corners: list[tuple[float, float]] = list(calibration.COLORS)
    patches = [(float(beside), float(calibration.PATCH_PITCH)) for beside in calibration.PATCHES]
    level = corners[:4]
    wanted = {"exr": corners + patches, "hdr": level, "exr-turned": level}
    shots: list[dict[str, Any]] = [
        {"light": str(tmp_path / name / f"sky_linear_0001.{name[:3]}"), "look_at": [towards(*at) for at in directions]}
        for name, directions in wanted.items()
    ]
    shots.append({"light": shots[0]["light"], "look_at": [towards(*at) for at in corners], "ball": "mirror"})
    exr, hdr, turned, mirror = rendered(bpy_python, tmp_path, shots)
    light = LINEAR[open_film(film).one(1)]
    assert np.allclose(exr, seen(light, corners + patches), rtol=0.01, atol=0.002)
    assert np.allclose(hdr, seen(light, level), rtol=0.01, atol=0.004)
    assert np.allclose(turned, seen(light, level, 90.0), rtol=0.01, atol=0.002), "the front is 90° to the right of +Y"
    assert np.allclose(mirror, seen(light, corners), rtol=0.01, atol=0.002)


def irradiance(light: np.ndarray, normal: list[float]) -> np.ndarray:
    """Of a surface with that normal in Blender's axes, by summing over the pixels of a sky: (3,)."""
    sphere = Sphere(*light.shape[:2])
    facing = (sphere.directions @ np.array(normal)).clip(0) * sphere.solid_angle
    return np.einsum("hwc,hw->c", light.astype(np.float64), facing)


def test_a_white_ball_gets_the_light_that_the_film_has(sunny: Path, tmp_path: Path, bpy_python: Path) -> None:
    for boost in (0.0, 5.0):
        exported(sunny, tmp_path / f"{boost:g}", options={"boost": boost})
    faces = [SUN, (SUN[0] + 180, 10), (0, 90), (180, -50)]
    normals = [towards(*face) for face in faces]
    name = {0.0: "sky_linear_0000.exr", 5.0: "sky_estimated_0000.exr"}
    shots = [
        {"light": str(tmp_path / f"{boost:g}" / name[boost]), "ball": "white", "look_at": normals, "samples": 128}
        for boost in (0.0, 5.0)
    ]
    plain, bright = rendered(bpy_python, tmp_path, shots)
    frame = open_film(sunny).one(0)
    wanted = np.array([irradiance(LINEAR[frame], normal) for normal in normals]) / np.pi  # what a white surface shows
    assert np.allclose(plain, wanted, rtol=0.03)
    estimated = read_exr(tmp_path / "5" / name[5.0]).astype(np.float32)
    wanted = np.array([irradiance(estimated, normal) for normal in normals]) / np.pi
    assert np.allclose(bright, wanted, rtol=0.03)
    gain = (bright / plain).mean(axis=1)
    assert gain[0] > 1.25 * gain[1] > 1, "the side of the sun"

"""A stage that USD's own library reads, finds nothing wrong with, and that stands the right way round."""

from __future__ import annotations

import importlib
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.exports.film import open_film
from backend.exports.request import ExportRequest
from backend.exports.run import README, export
from backend.lighting import LINEAR
from backend.media.stills import read_image
from backend.protocol import ErrorKind, SkyloopError
from tests import calibration
from tests.exports.light_scene import rendered, towards
from tests.exports.test_hdr import as_display, read_exr

# They come without types.
Gf, Usd, UsdGeom, UsdLux, UsdValidation = (
    importlib.import_module(f"pxr.{name}") for name in ("Gf", "Usd", "UsdGeom", "UsdLux", "UsdValidation")
)
FRAMES, WIDTH, FPS = 6, 512, 12.0
# How an export may be turned, and where the film's centre then is, to the right of -Z.
TURNS: dict[str, tuple[dict[str, Any], float]] = {
    "forward": ({}, 0.0),
    "blender": ({"facing": "blender", "front_deg": 0.0}, 0.0),
    "blender front": ({"facing": "blender", "front_deg": 90.0}, 90.0),
    "prerotated": ({"prerotate": True}, 0.0),
    "prerotated front": ({"facing": "blender", "front_deg": -30.0, "prerotate": True}, -30.0),
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=WIDTH, fps=FPS)


def exported(film: Path, out: Path, **wanted: Any) -> dict[str, Any]:
    """The document of the export; the target's options go in as ``options``."""
    steps = export(ExportRequest(source=str(film), target="usd", out=str(out), **wanted))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def opened(out: Path) -> tuple[Any, Any]:
    stage = Usd.Stage.Open(str(out / "sky.usda"))
    lights = [prim for prim in stage.Traverse() if prim.IsA(UsdLux.DomeLight)]
    assert len(lights) == 1
    return stage, UsdLux.DomeLight(lights[0])


@pytest.mark.parametrize("kind", ["exr", "png"])
def test_each_time_has_its_picture(film: Path, tmp_path: Path, kind: str) -> None:
    exported(film, tmp_path / "out", options={"format": kind, "boost": 0.0})
    moved = shutil.move(tmp_path / "out", tmp_path / "Ünders moved")  # its paths are relative
    stage, light = opened(Path(moved))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, FRAMES - 1)
    assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == FPS
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetDefaultPrim().GetPath() == "/World"
    assert light.GetTextureFormatAttr().Get() == "latlong" and light.GetIntensityAttr().Get() == 1
    assert light.GetPrim().GetCustomDataByKey("skyloop:frames") == FRAMES
    assert light.GetPrim().GetCustomDataByKey("skyloop:loops") is True
    picture = light.GetTextureFileAttr()
    assert picture.GetTimeSamples() == list(range(FRAMES))
    for number, frame in enumerate(open_film(film).read()):
        path = Path(picture.Get(number).resolvedPath)
        assert path.is_file() and not Path(picture.Get(number).path).is_absolute()
        shown = as_display(read_exr(path)) if kind == "exr" else read_image(path)
        assert calibration.number_in(calibration.on_frame(shown)) == number
        assert np.abs(shown - frame).max() < 0.6
    assert picture.Get(2.7) == picture.Get(2), "a picture holds until the next"
    assert picture.Get() == picture.Get(0), "for those who do not look at time"


@pytest.mark.parametrize("kind", ["exr", "png"])
def test_the_checker_finds_nothing(film: Path, tmp_path: Path, kind: str) -> None:
    exported(film, tmp_path / "out", options={"format": kind})
    stage, _ = opened(tmp_path / "out")
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) >= 20
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [error.GetMessage() for error in found] == []
    broken = tmp_path / "out" / "sky.usda"  # and it would find something
    broken.write_text(broken.read_text().replace('upAxis = "Y"', "").replace("metersPerUnit = 1", ""))
    other = Usd.Stage.Open(str(shutil.copy(broken, tmp_path / "out" / "other.usda")))
    assert UsdValidation.ValidationContext(validators).Validate(other)


def around(light: Any, number: int) -> np.ndarray:
    """What is seen around one who looks along -Z with +Y up, as an equirectangular frame. By the documentation of
    ``DomeLight``: in its own space latitude 0, longitude 0 is +Z, longitude pi/2 is +X; the picture's left edge has
    longitude +pi, its right -pi, its top latitude +pi/2."""
    picture = read_exr(Path(light.GetTextureFileAttr().Get(number).resolvedPath)).astype(np.float32)
    height, width = picture.shape[:2]
    to_local = UsdGeom.Xformable(light).ComputeLocalToWorldTransform(number).GetInverse()
    turn = np.array([list(row)[:3] for row in list(to_local)[:3]])  # USD has rows as vectors
    yaw = (np.arange(width) + 0.5) / width * 2 * np.pi - np.pi
    pitch = (np.pi / 2 - (np.arange(height) + 0.5) / height * np.pi)[:, None]
    ones = np.ones_like(yaw)
    world = np.stack([np.cos(pitch) * np.sin(yaw), np.sin(pitch) * ones, -np.cos(pitch) * np.cos(yaw)], axis=-1)
    x, y, z = np.moveaxis(world @ turn, -1, 0)
    column = (np.pi - np.arctan2(x, z)) / (2 * np.pi) * width
    row = (np.pi / 2 - np.arcsin(y.clip(-1, 1))) / np.pi * height
    return picture[row.astype(int).clip(0, height - 1), column.astype(int) % width]


@pytest.mark.parametrize("name", TURNS)
def test_it_stands_the_right_way_round(film: Path, tmp_path: Path, name: str) -> None:
    wanted, turned_deg = TURNS[name]
    exported(film, tmp_path / "out", options={"boost": 0.0}, **wanted)
    _, light = opened(tmp_path / "out")
    sample = calibration.on_frame(as_display(around(light, 3)))
    errors = calibration.color_errors(sample, turned_deg=turned_deg)
    assert len(errors) > 20 and max(errors.values()) <= 3, errors
    assert calibration.number_in(sample, yaw=turned_deg) == 3
    if wanted.get("prerotate"):
        assert UsdGeom.Xformable(light).GetLocalTransformation() == Gf.Matrix4d(1), "nothing turns it"


def test_blender_imports_it_as_its_world(film: Path, tmp_path: Path, bpy_python: Path) -> None:
    """Another program's reading of the same conventions: its importer turns Y up to Z up, and -Z to its +Y."""
    seen = [*calibration.COLORS, (15, calibration.PATCH_PITCH)]
    shots: list[dict[str, Any]] = []
    for name in ("forward", "blender front"):
        exported(film, tmp_path / name, options={"boost": 0.0}, **TURNS[name][0])
        shots.append({"usd": str(tmp_path / name / "sky.usda"), "look_at": [towards(*at) for at in seen]})
    light = LINEAR[open_film(film).one(0)]
    for name, found in zip(("forward", "blender front"), rendered(bpy_python, tmp_path, shots), strict=True):
        wanted = [calibration.on_frame(light)(yaw - TURNS[name][1], pitch) for yaw, pitch in seen]
        assert np.allclose(found, wanted, rtol=0.01, atol=0.002), name


def test_what_it_says(film: Path, tmp_path: Path) -> None:
    notes = exported(film, tmp_path / "exr")["notes"]
    assert any("OpenUSD issue 3094" in note for note in notes) and any("ESTIMATED" in note for note in notes)
    stage, light = opened(tmp_path / "exr")
    assert "ESTIMATED" in light.GetPrim().GetCustomDataByKey("skyloop:light")
    assert "comes the first one again" in stage.GetMetadata("documentation")
    notes = exported(film, tmp_path / "png", options={"format": "png"})["notes"]
    assert not any("ESTIMATED" in note for note in notes) and any("no boost" in note for note in notes)
    assert "relative" in (tmp_path / "png" / README).read_text(encoding="utf-8")


def test_a_film_that_is_no_loop_is_not_called_one(film: Path, tmp_path: Path) -> None:
    shutil.copy(film, tmp_path / "sky.mp4")
    (tmp_path / "request.json").write_text('{"prompt": "x", "loop": false}', encoding="utf-8")
    exported(tmp_path, tmp_path / "out")
    stage, light = opened(tmp_path / "out")
    assert light.GetPrim().GetCustomDataByKey("skyloop:loops") is False
    assert "not made as a loop" in stage.GetMetadata("documentation")
    assert "repeat" not in (tmp_path / "out" / README).read_text(encoding="utf-8")


def test_a_full_disk_is_told_before_work(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, (64 << 20) + WIDTH * WIDTH // 2 * FRAMES * 4))
    with pytest.raises(SkyloopError) as caught:
        exported(film, tmp_path / "out")
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert list(tmp_path.iterdir()) == []
    exported(film, tmp_path / "out", options={"format": "png"})  # which is smaller

"""The Blender scene beside a sky: what is in the folder and its archive, and which way round the sky is there."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import av
import pytest

from backend.exports.orientation import ENGINES
from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.protocol import SkyloopError
from tests import calibration


def run(request: ExportRequest) -> tuple[list[Any], dict[str, Any]]:
    """The events and the document of an export."""
    steps, seen = export(request), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def glb(path: Path) -> Path:
    """An empty glTF scene."""
    text = json.dumps({"asset": {"version": "2.0"}}).encode()
    text += b" " * (-len(text) % 4)
    path.write_bytes(struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=3, width=256, fps=12)


def asked(film: Path, out: Path, **others: Any) -> ExportRequest:
    given = {"gltf": str(glb(film.with_name("scene in.glb"))), "options": {"beside": "hdr"}} | others
    return ExportRequest(source=str(film), target="scene", out=str(out), **given)


def test_scene_and_sky_are_in_one_folder_and_one_archive(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "both"
    events, document = run(asked(film, out))
    assert (out / "scene.glb").read_bytes() == film.with_name("scene in.glb").read_bytes()
    assert document["open"] == "scene.glb" and "Note" not in (out / "sky" / "README.txt").read_text(encoding="utf-8")
    inside = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert any(name.startswith("sky/") and name.endswith(".exr") for name in inside)
    with zipfile.ZipFile(out / "scene-and-sky.zip") as archive:
        assert archive.testzip() is None
        packed = {name.removeprefix("scene-and-sky/"): archive.read(name) for name in archive.namelist()}
    apart = {"scene-and-sky.zip", "skyloop-export.json"}
    assert packed == {name: path.read_bytes() for name, path in inside.items() if name not in apart}
    phases = {event.data["name"]: event.data for event in events}
    assert phases["archive"]["done"] == phases["archive"]["total"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["both"]


def test_the_same_twice_is_the_same_archive(film: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(asked(film, tmp_path / name))
    first, second = (tmp_path / name / "scene-and-sky.zip" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("front_deg", [0.0, 40.0])
@pytest.mark.parametrize("beside", ["web", "godot", "unity", "unreal", "usd"])
def test_the_sky_is_turned_for_its_engine_as_the_scene_lies_there(
    film: Path, tmp_path: Path, beside: str, front_deg: float
) -> None:
    engine = {"web": "three"}.get(beside, beside)
    try:
        _, document = run(asked(film, tmp_path / "out", options={"beside": beside}, front_deg=front_deg))
    except ModuleNotFoundError:
        pytest.skip(f"target {beside} is not there")
    inside = beside in ("web", "godot")  # the scene is in those, and only there
    assert document["open"].startswith("sky/") == inside and (tmp_path / "out" / document["open"]).is_file()
    scene = "sky/scene.glb" if inside else "scene.glb"
    assert [name for name in document["files"] if name.endswith(".glb")] == [scene]
    assert f"{scene} is the Blender scene" in (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")
    assert (document["yaw_deg"] - ENGINES[engine].ahead_deg - front_deg) % 360 == 0


def test_where_pictures_cannot_say_it_the_pixels_are_turned(film: Path, tmp_path: Path) -> None:
    """What is ahead in Blender (+Y, with the front to the right of it) is in the middle of the pictures."""
    run(asked(film, tmp_path / "out", front_deg=90.0))
    with av.open(str(next((tmp_path / "out" / "sky").glob("*.exr")))) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="gbrpf32le")
    height, width = picture.shape[:2]
    red, green, blue = picture[round(height * (0.5 - 10 / 180)), width // 2]
    assert blue > 4 * red and blue > 4 * green  # the film's centre, red, is to the right, so its left is ahead


def test_limits_are_those_of_the_sky_beside(film: Path, tmp_path: Path) -> None:
    request = asked(film, tmp_path / "out", options={"beside": "web"}, height=4096)
    with pytest.raises(SkyloopError, match="too large") as refused:
        run(request)
    assert refused.value.exit_code == 2 and "4096x2048" in refused.value.hint


def test_without_a_scene_it_is_said_what_would_be_right(film: Path, tmp_path: Path) -> None:
    with pytest.raises(SkyloopError, match="A scene is missing") as refused:
        run(asked(film, tmp_path / "out", gltf=""))
    assert "--gltf" in refused.value.hint and not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "folder"])
def test_a_scene_that_is_none_is_refused(film: Path, tmp_path: Path, damage: str) -> None:
    scene = tmp_path / "scene.glb"
    if damage == "text":
        scene.write_text('{"asset": {"version": "2.0"}}', encoding="utf-8")
    elif damage == "cut":
        scene.write_bytes(glb(scene).read_bytes()[:-8])
    elif damage == "folder":
        scene.mkdir()
    with pytest.raises(SkyloopError) as refused:
        run(asked(film, tmp_path / "out", gltf=str(scene)))
    assert refused.value.exit_code == 2 and "scene" in refused.value.message
    assert not (tmp_path / "out").exists()


def test_cancelled_in_the_archive_nothing_is_left(film: Path, tmp_path: Path) -> None:
    steps = export(asked(film, tmp_path / "out"))
    while next(steps).data["name"] != "archive":
        pass
    steps.close()
    assert list(tmp_path.iterdir()) == []

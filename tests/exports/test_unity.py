"""Unity, without Unity: the package is read as Unity reads it, its scripts compile and run against stubs, and the
shader's formula agrees."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
import tarfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from backend.exports import unity
from backend.exports.film import Film
from backend.exports.orientation import wrapped
from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.media.reading import read_frames
from tests import calibration
from tests.sid import Sid

STUBS = Path(__file__).with_name("unity_stubs")
PROJECT = Path(__file__).with_name("unity_project.cs")
HOME = "Assets/Skyloop/night_sky"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unity") / "Night Sky!"
    folder.mkdir()
    return calibration.write(folder / "sky.mp4", frames=6, width=512)


def exported(film: Path, out: Path, facing: str = "forward", front_deg: float = 0, *, prerotate: bool = False) -> Path:
    request = ExportRequest(
        source=str(film), target="unity", out=str(out), facing=facing, front_deg=front_deg, prerotate=prerotate
    )
    steps = export(request)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return out / end.value["open"]


def content(package: Path) -> dict[str, tuple[str, bytes]]:
    """The assets of a package by their place in the project, each with its GUID."""
    found = dict[str, dict[str, bytes]]()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(package.read_bytes()))) as archive:
        for member in archive:
            guid, part = member.name.split("/")
            file = archive.extractfile(member)
            assert file
            found.setdefault(guid, {})[part] = file.read()
    assets = {}
    for guid, parts in found.items():
        assert parts.keys() == {"asset", "asset.meta", "pathname"}
        assert parts["asset.meta"].decode() == f"fileFormatVersion: 2\nguid: {guid}\n"
        assets[parts["pathname"].decode()] = guid, parts["asset"]
    return assets


def test_a_package_holds_films_scripts_and_facts(film: Path, tmp_path: Path) -> None:
    package = exported(film, tmp_path / "out")
    assert package.name == "skyloop_night_sky.unitypackage"
    assert {path.name for path in package.parent.iterdir()} == {package.name, "README.txt", "skyloop-export.json"}
    assets = content(package)
    assert assets.keys() == {
        "Assets/Skyloop/SkyloopSky.cs",
        "Assets/Skyloop/Editor/SkyloopBuild.cs",
        f"{HOME}/skyloop.json",
        f"{HOME}/sky.mp4",
        f"{HOME}/sky.webm",
    }
    assert json.loads(assets[f"{HOME}/skyloop.json"][1]) == {"width": 512, "height": 256, "rotation": 90}
    for guid, _ in assets.values():
        assert re.fullmatch("[0-9a-f]{32}", guid)


def test_its_films_have_every_frame_and_its_colours(film: Path, tmp_path: Path) -> None:
    assets = content(exported(film, tmp_path / "out"))
    for name, codec in {"sky.mp4": "h264", "sky.webm": "vp8"}.items():
        path = tmp_path / name
        path.write_bytes(assets[f"{HOME}/{name}"][1])
        with av.open(str(path)) as container:
            assert [stream.codec_context.name for stream in container.streams] == [codec]
        frames = list(read_frames(path))
        assert [calibration.number_in(calibration.on_frame(frame)) for frame in frames] == list(range(6))
        assert max(calibration.color_errors(calibration.on_frame(frames[0])).values()) <= 3, name


def test_importing_again_updates_in_place(film: Path, tmp_path: Path) -> None:
    """The same place has the same GUID, whatever is in it; another sky has others but for the scripts."""
    one, again = exported(film, tmp_path / "one"), exported(film, tmp_path / "two")
    assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(again.read_bytes()).digest()
    turned = content(exported(film, tmp_path / "turned", "blender"))
    assert {place: guid for place, (guid, _) in turned.items()} == {
        place: guid for place, (guid, _) in content(one).items()
    }
    other = Path(shutil.copy(film, tmp_path / "morning.mp4"))
    others = content(exported(other, tmp_path / "other"))
    shared = {guid for guid, _ in others.values()} & {guid for guid, _ in turned.values()}
    assert shared == {others[place][0] for place in others if place.endswith(".cs")}


@pytest.mark.parametrize(
    ("wanted", "front_deg", "prerotate"),
    [("forward", 0.0, False), ("forward", 0.0, True), ("blender", 30.0, False), ("blender", -100.0, True)],
)
def test_the_shader_shows_it_the_right_way_round(
    film: Path, tmp_path: Path, wanted: str, front_deg: float, prerotate: bool
) -> None:
    """By what Skybox/Panoramic does (ToRadialCoords, RotateAroundYInDegrees), with the rotation that is in the package.
    Unity looks along +Z, has +X at its right, and glTF's -Z, which is Blender's +Y, behind."""
    assets = content(exported(film, tmp_path / "out", wanted, front_deg, prerotate=prerotate))
    rotation = json.loads(assets[f"{HOME}/skyloop.json"][1])["rotation"]
    assert 0 <= rotation < 360 and (rotation == 0 or not prerotate)
    (tmp_path / "sky.mp4").write_bytes(assets[f"{HOME}/sky.mp4"][1])
    sample = calibration.on_frame(next(iter(read_frames(tmp_path / "sky.mp4"))))

    def seen(yaw: float, pitch: float) -> np.ndarray:
        x = math.cos(math.radians(pitch)) * math.sin(math.radians(yaw))
        y, z = math.sin(math.radians(pitch)), math.cos(math.radians(pitch)) * math.cos(math.radians(yaw))
        # The shader turns the vertex that carries a direction; what is seen along (x, z) comes from before that turn.
        a = math.radians(-rotation)
        x, z = math.cos(a) * x - math.sin(a) * z, math.sin(a) * x + math.cos(a) * z
        u, v = 0.5 - math.atan2(z, x) / math.tau, 1 - math.acos(max(-1, min(1, y))) / math.pi
        return sample(u % 1 * 360 - 180, v * 180 - 90)

    turned = wrapped(180 + front_deg) if wanted == "blender" else 0.0
    assert max(calibration.color_errors(seen, turned_deg=turned).values()) <= 4


@pytest.mark.parametrize("symbols", ["", "-define:UNITY_EDITOR"])
def test_the_scripts_compile(sid: Sid, tmp_path: Path, symbols: str) -> None:
    done = compiled(sid, tmp_path, unity.FILES, symbols)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr


def test_a_wrong_name_would_not_compile(sid: Sid, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    shutil.copytree(unity.FILES, wrong)
    script = wrong / "SkyloopBuild.cs"
    script.write_text(script.read_text(encoding="utf-8").replace("isLooping", "isLoopingg"), encoding="utf-8")
    done = compiled(sid, tmp_path, wrong, "-define:UNITY_EDITOR")
    assert done.returncode != 0 and "isLoopingg" in done.stdout + done.stderr


def test_the_menu_item_builds_a_sky(sid: Sid, tmp_path: Path) -> None:
    """The scripts run, against stubs that remember: in an empty project, again, on Linux, with a larger film, with two
    skies, in play, in HDRP."""
    done = compiled(sid, tmp_path, unity.FILES, f"-define:UNITY_EDITOR {PROJECT}", run="-target:exe", then="mono made")
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict[str, dict[str, str]]()
    for line in done.stdout.splitlines():
        when, what, *rest = line.split(" ", 2)
        said.setdefault(when, {})[what] = "".join(rest)
    assert "Import the .unitypackage again" in said["empty"]["said"]
    first = {
        "said": "",
        "objects": "Skyloop Sky",
        "parts": "VideoPlayer,ReflectionProbe,SkyloopSky",
        "clip": "Assets/Skyloop/a/sky.mp4",
        "plays": "True True RenderTexture None",
        "screen": "Assets/Skyloop/a/Sky.renderTexture 512x256 sRGB",
        "wraps": "Repeat Clamp",
        "sky": "Assets/Skyloop/a/Sky.mat Skybox/Panoramic _MAPPING_LATITUDE_LONGITUDE_LAYOUT",
        "shows": "screen",
        "rotation": "90",
        "light": "Skybox Skybox Skybox",
    }
    assert said["first"] == said["again"] == first
    assert said["linux"] == first | {"clip": "Assets/Skyloop/a/sky.webm"}
    assert said["larger"]["screen"] == "Assets/Skyloop/a/Sky.renderTexture 1024x512 sRGB"
    assert (said["larger"]["rotation"], said["larger"]["shows"]) == ("0.5", "screen")
    assert said["two"]["said"].startswith("There are 2 skies.") and said["two"]["rotation"] == "0.5"
    assert said["chosen"]["said"] == "" and said["chosen"]["rotation"] == "270"
    assert said["chosen"]["sky"].startswith("Assets/Moved/b/Sky.mat") and said["chosen"]["objects"] == "Skyloop Sky"
    lit = [said["frame"][str(frame)] for frame in range(1, 9)]
    lights, reflections = (0, 0, 1, 0, 1, 0, 1, 0), (0, 0, 1, 1, 2, 2, 3, 3)  # every other frame, once there is a film
    assert lit == [f"light {n} reflections {m}" for n, m in zip(lights, reflections, strict=True)]
    assert "HDRP" in said["hdrp"]["said"]


def compiled(
    sid: Sid, folder: Path, scripts: Path, symbols: str, *, run: str = "-target:library", then: str = ":"
) -> subprocess.CompletedProcess[str]:
    script = f"cd {folder}\nmcs {run} -langversion:7 {symbols} -out:made {scripts}/*.cs {STUBS}/*.cs\n{then}"
    return sid.run(script, shares=[folder, scripts, STUBS.parent], timeout_s=120)


@pytest.mark.parametrize(
    ("path", "name"),
    [("Morgen röte 2/sky.mp4", "morgen_r_te_2"), ("…/sky.mp4", "sky"), ("x/My Film.webm", "my_film")],
)
def test_names_of_skies_are_plain(path: str, name: str) -> None:
    assert Film(Path(path), 512, 256, Fraction(24), (0,)).name == name

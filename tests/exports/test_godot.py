"""A sky in Godot 4, seen in the engine itself on a virtual screen: with OpenGL, and with Vulkan, both in software."""

from __future__ import annotations

import colorsys
import itertools
import json
import math
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from backend.exports import encoding, flipbook, godot
from backend.exports.film import Film, open_film
from backend.exports.godot_scene import viewpoint
from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.media.video import VideoWriter
from backend.protocol import ErrorKind, SkyloopError
from tests import calibration
from tests.calibration import in_view
from tests.desktop.screen import START_SCREEN
from tests.sid import Sid

HERE = Path(__file__).parent
FRAMES, FPS, STEPS_A_FRAME = 12, 24, 3
FOV = 90.0
SIX = [[0, 0], [90, 0], [180, 0], [-90, 0], [0, 75], [0, -75]]
RENDERERS = {
    "opengl": "--rendering-driver opengl3 --rendering-method gl_compatibility",
    "vulkan": "--rendering-driver vulkan --rendering-method forward_plus",
    "mobile": "--rendering-driver vulkan --rendering-method mobile",
}
# What an 8 bit screen may round, and what Theora's halved colours blur at the borders of patches 16 pixels wide.
CLOSE = {"flipbook": 2, "video": 4}
LIGHT_CLOSE = 8
SIZE = 240  # pixels, of all pictures
BALLS = {"white": 80, "mirror": 160}  # columns of their middles, in the middle row


def exported(film: Path, out: Path, **others: Any) -> Path:
    for _ in export(ExportRequest(source=str(film), target="godot", out=str(out), **others)):
        pass
    return out


def hues(path: Path) -> Path:
    """A film that is one colour all over, another one each frame."""
    with VideoWriter(path, 128, 64, FPS, FRAMES) as writer:
        for number in range(FRAMES):
            writer.write(np.full((64, 128, 3), hue(number), np.uint8))
    return path


def hue(number: int) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(number / FRAMES, 0.7, 0.9))


@pytest.fixture(scope="module")
def blender_view(bpy_python: Path, tmp_path_factory: pytest.TempPathFactory, repository: Path, film: Path) -> Path:
    """What Blender made: for fronts 0 and 40 a picture and a glTF scene."""
    folder = tmp_path_factory.mktemp("blender")
    done = subprocess.run(
        [str(bpy_python), str(HERE / "inside_overlay.py"), str(film), str(folder), str(SIZE), "0", "40"],
        env=os.environ | {"PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=1024, fps=FPS)


@dataclass
class Project:
    """A Godot project with exports in several places of it."""

    folder: Path
    sid: Sid

    def godot(self, arguments: str, *, screen: str = "", timeout_s: float = 280) -> str:
        done = self.sid.run(
            f"{screen}\ncd {self.folder}\ntimeout {timeout_s:.0f} godot --path . --audio-driver Dummy {arguments}",
            shares=[self.folder],
            timeout_s=timeout_s + 20,
            HOME=str(self.folder / ".home"),
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-4000:]
        assert "ERROR" not in said.replace("SHADER ERROR", "ERROR"), said[-4000:]
        return said

    def show(self, renderer: str, plan: list[dict[str, Any]]) -> Seen:
        out = self.folder / f"seen-{renderer}"
        out.mkdir()
        (out / ".gdignore").touch()
        (out / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        rate = FPS * STEPS_A_FRAME
        self.godot(f"--fixed-fps {rate} {RENDERERS[renderer]} -- {out}", screen=START_SCREEN.format(size="640x640x24"))
        return Seen(out, json.loads((out / "notes.json").read_text(encoding="utf-8")))


def read(picture: Path) -> np.ndarray:
    found = cv2.imread(str(picture))
    assert found is not None, picture
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


@dataclass
class Seen:
    folder: Path
    notes: dict[str, Any]

    def picture(self, name: str) -> np.ndarray:
        """(SIZE, SIZE, 3) RGB."""
        return read(self.folder / f"{name}.png")

    def steps(self, name: str) -> list[np.ndarray]:
        return [self.picture(path.stem) for path in sorted(self.folder.glob(f"{name}_[0-9][0-9][0-9].png"))]


@pytest.fixture(scope="module")
def project(sid: Sid, film: Path, blender_view: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project as a user has one, with several skies in it, imported."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(HERE / "godot", folder, dirs_exist_ok=True)
    flipbook, blender = {"options": {"playback": "flipbook"}}, {"facing": "blender"}
    hue_film = hues(film.with_name("hues.mp4"))
    exported(film, folder / "assets" / "deep" / "my_sky", height=512)
    exported(film, folder / "flipbook", **flipbook)
    exported(film, folder / "turned", prerotate=True, **blender, front_deg=40.0)
    exported(calibration.write(film.with_name("one.mp4"), frames=1, width=256), folder / "one", **flipbook)
    exported(hue_film, folder / "hues" / "video")
    exported(hue_film, folder / "hues" / "flipbook", **flipbook)
    for front in (0, 40):
        scene = {"gltf": str(blender_view / f"{front}.glb"), "front_deg": float(front)}
        exported(film, folder / f"world{front}", height=256, **blender, **scene)
    exported(film, folder / "lone", height=256, gltf=str(without_camera(blender_view / "0.glb")))
    made = Project(folder, sid)
    made.godot("--headless --import")
    return made


def without_camera(glb: Path) -> Path:
    told, rest = parts(glb)
    for node in told["nodes"]:
        node.pop("camera", None)
    return joined(glb.with_name("lone.glb"), told, rest)


def parts(glb: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON of a glTF scene, and the bytes behind it."""
    data = glb.read_bytes()
    end = 20 + int.from_bytes(data[12:16], "little")
    return json.loads(data[20:end]), data[end:]


def joined(path: Path, told: dict[str, Any], rest: bytes = b"") -> Path:
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
    path.write_bytes(head + text + rest)
    return path


def scene(place: str, name: str = "sky.tscn") -> str:
    return f"res://{place}/{name}"


@pytest.fixture(scope="module", params=["opengl", "vulkan"])
def seen(project: Project, request: pytest.FixtureRequest) -> Seen:
    video, flipbook = scene("assets/deep/my_sky"), scene("flipbook")
    still = {"playing": False, "smooth_frames": False}
    loop = (FRAMES + 1) * STEPS_A_FRAME
    plan = [
        {"name": "video", "scene": video, "set": still | {"start_frame": 5}, "views": SIX},
        {"name": "flipbook", "scene": flipbook, "set": still | {"start_frame": 5}, "views": SIX},
        {"name": "yaw", "scene": flipbook, "set": still | {"yaw": 70.0}, "views": [[70, 0]]},
        {"name": "dim", "scene": flipbook, "set": still | {"energy": 0.25}, "views": [[0, 0]], "balls": True},
        {"name": "dusk", "scene": flipbook, "set": still | {"light_energy": 0.25}, "views": [[0, 0]], "balls": True},
        {"name": "full", "scene": flipbook, "set": still, "views": [[0, 0]], "balls": True},
        {"name": "one", "scene": scene("one"), "set": {}, "views": [[90, 0]]},
        {"name": "turned", "scene": scene("turned"), "set": still, "views": [[40, 0]]},
        {"name": "panorama", "scene": scene("turned"), "set": still, "views": [[40, 0]], "panorama": True},
        {"name": "own", "scene": flipbook, "set": still, "views": [[90, 0]], "own_environment": True},
        {"name": "video_loop", "scene": video, "set": {"light_every": 2, "start_frame": 7}, "steps": loop},
        {
            "name": "flipbook_loop",
            "scene": flipbook,
            "set": {"smooth_frames": False, "light_every": 2, "start_frame": 7},
            "steps": loop,
        },
        {"name": "blend", "scene": scene("hues/flipbook"), "set": {"speed": 0.25, "light_every": 2}, "steps": 13},
        {"name": "away", "scene": video, "set": {"start_frame": 7, "light_every": 2}, "steps": 7, "away": True},
        {"name": "world0", "scene": scene("world0", "world.tscn"), "set": still, "own_camera": True},
        {"name": "world40", "scene": scene("world40", "world.tscn"), "set": still, "own_camera": True},
    ]
    for kind in ("video", "flipbook"):
        quick = {"light_every": 0, "light_energy": 0.5, "smooth_frames": False, "speed": float(STEPS_A_FRAME)}
        hued = {"name": f"{kind}_hues", "scene": scene(f"hues/{kind}"), "steps": FRAMES, "balls": True}
        plan.append(hued | {"set": quick})
    plan.append({"name": "lone", "scene": scene("lone", "world.tscn"), "set": still, "own_camera": True})
    return project.show(request.param, plan)


@pytest.mark.parametrize("playback", ["video", "flipbook"])
def test_every_direction_and_colour_is_where_it_should_be(seen: Seen, playback: str) -> None:
    checked = set()
    for yaw, pitch in SIX:
        sample = in_view(seen.picture(f"{playback}_{yaw}_{pitch}"), yaw, pitch, FOV)
        errors = calibration.color_errors(sample)
        assert errors and max(errors.values()) <= CLOSE[playback], errors
        checked |= set(errors)
        if pitch == 0:
            assert calibration.number_in(sample, yaw) == 5
    assert checked >= set(calibration.COLORS)


def test_yaw_and_prerotation_turn_it_to_the_right(seen: Seen) -> None:
    """A prerotated film is right in this sky, and in Godot's own panorama material that nothing turns."""
    for name, yaw, close in (("yaw", 70, 3), ("turned", 40, 6), ("panorama", 40, 8)):
        sample = in_view(seen.picture(f"{name}_{yaw}_0"), yaw, 0, FOV)
        errors = calibration.color_errors(sample, turned_deg=yaw)
        assert errors and max(errors.values()) <= close, (name, errors)
    assert seen.notes["turned"]["yaw"] == pytest.approx(-180)


@pytest.mark.parametrize("playback", ["video", "flipbook"])
def test_each_frame_is_shown_for_its_time_also_where_the_loop_closes(seen: Seen, playback: str) -> None:
    numbers = [calibration.number_in(in_view(step, 0, 0, FOV)) for step in seen.steps(f"{playback}_loop")]
    runs = [(number, len(list(same))) for number, same in itertools.groupby(numbers)][1:-1]
    assert len(runs) >= FRAMES - 1 and (FRAMES - 1, STEPS_A_FRAME) in runs, numbers
    assert runs == [((runs[0][0] + i) % FRAMES, STEPS_A_FRAME) for i in range(len(runs))], numbers


def test_a_sky_that_was_away_goes_on_where_it_was(seen: Seen) -> None:
    """Scenes are taken out and put back by games, and by the editor for each of its tabs."""
    numbers = [calibration.number_in(in_view(step, 0, 0, FOV)) for step in seen.steps("away")]
    assert 7 <= numbers[0] <= 8 and numbers[-1] == numbers[0] + 2, numbers


def test_frames_fade_into_each_other_when_it_moves_slowly(seen: Seen) -> None:
    colours = [patch(step, 12, 12) for step in seen.steps("blend")]
    moves = [np.abs(after - before).max() for before, after in zip(colours, colours[1:], strict=False)]
    step = max(np.abs(np.subtract(hue(n), hue(n - 1))).max() for n in range(FRAMES))
    assert len(colours) == 13 and 0 < max(moves) < step / 6, moves


@pytest.mark.parametrize("playback", ["video", "flipbook"])
def test_light_and_reflections_follow_the_sky(seen: Seen, playback: str) -> None:
    """The sky is one colour, and lights with half its brightness: that is what a white and a mirror ball have."""
    steps = seen.steps(f"{playback}_hues")
    skies = [patch(step, 12, 12) for step in steps]
    assert np.ptp(skies, axis=0).max() > 100, "the sky did not change"
    for name, column in BALLS.items():
        balls = [patch(step, SIZE // 2, column) for step in steps]
        off = [np.abs(ball - halved(sky)).max() for ball, sky in zip(balls, skies, strict=True)]
        assert max(off) <= LIGHT_CLOSE, (name, off)


def patch(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """The colour there, (3,)."""
    return picture[row - 4 : row + 4, column - 4 : column + 4].reshape(-1, 3).mean(axis=0)


def halved(color: np.ndarray) -> np.ndarray:
    """Half as much light, in sRGB."""
    part = color / 255
    light = 0.5 * np.where(part > 0.04045, ((part + 0.055) / 1.055) ** 2.4, part / 12.92)
    return 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, light * 12.92)


def test_energy_is_what_is_seen_and_light_energy_what_it_casts(seen: Seen) -> None:
    def at(name: str) -> tuple[float, float]:
        picture = seen.picture(f"{name}_0_0")
        return patch(picture, 20, SIZE // 2).mean(), patch(picture, SIZE // 2, BALLS["white"]).mean()

    (sky, ball), (dim_sky, dim_ball), (dusk_sky, dusk_ball) = at("full"), at("dim"), at("dusk")
    assert dim_sky < 0.65 * sky and dim_ball == pytest.approx(ball, abs=3)
    assert dusk_ball < 0.65 * ball and dusk_sky == pytest.approx(sky, abs=1)


@pytest.mark.parametrize("name", ["own", "one"])
def test_an_environment_of_ones_own_gets_the_sky_and_a_still_is_one_too(seen: Seen, name: str) -> None:
    errors = calibration.color_errors(in_view(seen.picture(f"{name}_90_0"), 90, 0, FOV))
    assert errors and max(errors.values()) <= 3, errors


@pytest.mark.parametrize("front", [0, 40])
def test_the_scene_stands_under_the_sky_as_in_blender(seen: Seen, blender_view: Path, front: int) -> None:
    wanted = read(blender_view / f"{front}.png")
    found = seen.picture(f"world{front}")
    assert differing(found, wanted) < 0.03
    assert differing(found[:, ::-1], wanted) > 0.3, "a mirrored one would not be seen"
    assert differing(seen.picture(f"world{40 - front}"), wanted) > 0.3, "a turned one would not be seen"


def differing(a: np.ndarray, b: np.ndarray) -> float:
    """The share of pixels that look different: more than antialiasing and the film's blur do."""
    return float((np.abs(a.astype(int) - b).max(axis=2) > 48).mean())


def test_a_scene_without_a_camera_is_seen_whole(seen: Seen) -> None:
    upper = seen.picture("lone")[: round(SIZE * 0.52)]  # the word is below
    white = np.all(upper > 250, axis=2)
    rows, columns = np.nonzero(white)
    assert white.sum() > 200 and rows.min() > 3 and columns.min() > 3 and columns.max() < SIZE - 4


def test_alone_it_can_be_looked_at_all_around(project: Project) -> None:
    """As by F6 in the editor: the scene is all there is. The engine itself writes what it shows."""
    out = project.folder / "alone"
    out.mkdir()
    (out / ".gdignore").touch()
    project.godot(
        f"{RENDERERS['opengl']} --write-movie {out}/alone.png --fixed-fps 24 --quit-after 6 {scene('flipbook')}",
        screen=START_SCREEN.format(size="640x640x24"),
    )
    samples = [in_view(read(path), 0, 0, 75) for path in sorted(out.glob("*.png"))[2:]]
    for sample in samples:
        errors = calibration.color_errors(sample)
        assert errors and max(errors.values()) <= CLOSE["flipbook"], errors
    numbers = [calibration.number_in(sample) for sample in samples]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) >= 3


def test_the_editor_opens_it_and_changes_nothing(project: Project) -> None:
    before = {path: path.read_bytes() for path in project.folder.glob("*/**/*.tscn")}
    said = project.godot(f"--headless --editor --quit-after 30 {scene('world40', 'world.tscn')}")
    assert "Parse" not in said and "Failed" not in said, said
    assert before == {path: path.read_bytes() for path in before} and len(before) >= 8


def test_it_moves_and_is_the_right_way_round_with_the_mobile_renderer(project: Project) -> None:
    plan = [
        {"name": playback, "scene": scene(place), "set": {"smooth_frames": False}, "views": SIX[:2], "steps": 8}
        for playback, place in (("video", "assets/deep/my_sky"), ("flipbook", "flipbook"))
    ]
    seen = project.show("mobile", plan)
    for playback in ("video", "flipbook"):
        for yaw, pitch in SIX[:2]:
            errors = calibration.color_errors(in_view(seen.picture(f"{playback}_{yaw}_{pitch}"), yaw, pitch, FOV))
            assert errors and max(errors.values()) <= CLOSE[playback], errors
        numbers = [calibration.number_in(in_view(step, 90, 0, FOV), 90) for step in seen.steps(playback)]
        assert len(set(numbers)) >= 2, numbers


def refusal(film: Path, out: Path, **others: Any) -> str:
    with pytest.raises(SkyloopError) as refused:
        exported(film, out, **others)
    assert refused.value.kind == ErrorKind.BAD_REQUEST and not out.exists()
    return refused.value.line


def test_a_flipbook_that_is_too_much_for_graphics_cards_is_refused_with_what_fits(film: Path) -> None:
    large = replace(open_film(film), width=8192, height=4096, picks=tuple(range(96)))
    with pytest.raises(SkyloopError) as refused:
        flipbook.check(large, "the playback video")
    assert "take 3 GiB of graphics memory" in refused.value.line
    assert "Use 4704x2352 or smaller, or the playback video" in refused.value.line
    flipbook.check(replace(large, width=4704, height=2352), "")
    with pytest.raises(SkyloopError, match="2048"):
        flipbook.check(replace(large, width=32, height=16, picks=tuple(range(2049))), "the playback video")
    flipbook.check(replace(large, width=32, height=16, picks=tuple(range(2048))), "")


def test_a_flipbook_is_read_by_others_too_and_a_cancel_leaves_nothing(film: Path, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"options": {"playback": "flipbook"}}
    path = exported(film, tmp_path / "whole", height=256, **wanted) / "sky.dds"
    with Image.open(path) as layer:
        first = np.asarray(layer.convert("RGB"))
    errors = calibration.color_errors(calibration.on_frame(first))
    assert first.shape == (256, 512, 3) and max(errors.values()) <= 3, errors
    assert path.stat().st_size == 148 + FRAMES * first.shape[0] * first.shape[1]
    steps = export(ExportRequest(source=str(film), target="godot", out=str(tmp_path / "cut"), **wanted))
    for _ in range(4):
        assert next(steps).data["total"] == FRAMES
    steps.close()
    assert [place.name for place in tmp_path.iterdir()] == ["whole"]


def test_a_film_that_may_stutter_is_told_so() -> None:
    about = Film(Path(), 2048, 1024, Fraction(24), tuple(range(96)))
    assert godot._notes(about, True) == ()
    assert "192 MiB" in godot._notes(about, False)[0]
    assert "flipbook" in godot._notes(replace(about, width=4096, height=2048), True)[0]


def test_where_theora_cannot_be_written_the_flipbook_is_named(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_why_no_theora", lambda: "Theora cannot be written: no FFmpeg.")
    assert "flipbook" in refusal(film, tmp_path / "out")
    exported(film, tmp_path / "flipbook", height=128, options={"playback": "flipbook"})


def test_scenes_that_godot_cannot_read_are_refused(film: Path, tmp_path: Path) -> None:
    asset = {"asset": {"version": "2.0"}}
    draco = joined(tmp_path / "draco.glb", asset | {"extensionsRequired": ["KHR_draco_mesh_compression"]})
    assert "Draco" in refusal(film, tmp_path / "a", gltf=str(draco))
    loop = joined(tmp_path / "loop.glb", asset | {"nodes": [{"children": [0]}]})
    assert "damaged" in refusal(film, tmp_path / "b", gltf=str(loop))
    odd = joined(tmp_path / "odd.glb", asset | {"extensionsRequired": 7})
    assert "damaged" in refusal(film, tmp_path / "c", gltf=str(odd))


def test_a_camera_is_put_before_all_of_the_scene(tmp_path: Path) -> None:
    box = {"min": [-1, 0, -1], "max": [1, 2, 1]}
    mesh = {"primitives": [{"attributes": {"POSITION": 0}}]}
    told = {"accessors": [box], "meshes": [mesh], "scenes": [{"nodes": [0]}]}
    half = math.sqrt(0.5)
    nodes = [
        {"children": [1], "translation": [10, 0, 0], "scale": [2, 2, 2]},
        {"mesh": 0, "rotation": [0, half, 0, half], "translation": [0, 0, -5]},
    ]
    x, y, z = viewpoint(joined(tmp_path / "a.glb", told | {"nodes": nodes})) or (0, 0, 0)
    assert (x, y) == pytest.approx((10, 2)) and z == pytest.approx(-8 + 0.8 * 4)
    placed = {"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 7, 0, 0, 1], "mesh": 0}
    assert viewpoint(joined(tmp_path / "b.glb", told | {"nodes": [placed]})) == pytest.approx((7, 1, 1 + 0.8 * 2))
    assert viewpoint(joined(tmp_path / "c.glb", told | {"nodes": [placed | {"camera": 0}]})) is None

"""Godot 4: a folder with a scene whose sky is the film, as Theora or as a flipbook on the graphics card."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from ..media.files import writing
from . import flipbook, godot_scene
from .encoding import check_codec, encode
from .film import Film
from .numbered import put
from .request import ExportRequest
from .run import Steps, Written

_FILES = Path(__file__).with_name("godot_files")
_INSTEAD = {"video": "the playback flipbook", "flipbook": "the playback video"}
_SMOOTH_HEIGHT = 1024  # of films; at twice that Godot fell to 21 steps a second on two cores


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(bad_request)`` where Theora cannot be written here, where a flipbook would be too much for
    graphics cards, and for a glTF scene that Godot cannot read."""
    if request.text("playback") == "video":
        check_codec("theora", f"Use {_INSTEAD['video']}.")
    else:
        flipbook.check(film, _INSTEAD["flipbook"])
    if request.gltf:
        godot_scene.check(Path(request.gltf))


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``sky.tscn`` with its script, shader and film; with a glTF scene also ``world.tscn``, which has both."""
    as_video = request.text("playback") == "video"
    if as_video:
        name, kind = "sky.ogv", "VideoStreamTheora"
        # The script goes back to the first frame before the player comes to the end: there it would be late.
        longer = replace(film, picks=(*film.picks, film.picks[-1]))
        steps = encode(longer, folder / name, "theora")
    else:
        name, kind = "sky.dds", "Texture2DArray"
        steps = flipbook.write(film, folder / name)
    with contextlib.closing(steps):
        yield from steps
    rate = {"FRAMES": str(film.frames), "FPS": repr(film.fps)}
    _fill(folder, "sky.tscn", FILM=name, FILM_TYPE=kind, YAW=f"{yaw_deg:g}", **rate)
    _fill(folder, "sky.gdshader", PLAYBACK="VIDEO" if as_video else "FLIPBOOK")
    _fill(folder, "sky.gd")
    _fill(folder, "look_around.gd")
    if request.gltf:
        _add_world(Path(request.gltf), folder)
    first = "world.tscn" if request.gltf else "sky.tscn"
    return Written(_use(first), first, _notes(film, as_video))


def _add_world(scene: Path, folder: Path) -> None:
    with writing(folder / "scene.glb"):
        shutil.copyfile(scene, folder / "scene.glb")
    script, camera = "", ""
    if viewpoint := godot_scene.viewpoint(scene):
        x, y, z = viewpoint
        script = '[ext_resource type="Script" path="look_around.gd" id="look_around"]\n'
        camera = (
            '\n[node name="Camera" type="Camera3D" parent="."]\n'
            f"transform = Transform3D(1, 0, 0, 0, 1, 0, 0, 0, 1, {x:.4g}, {y:.4g}, {z:.4g})\n"
            'script = ExtResource("look_around")\n'
        )
    _fill(folder, "world.tscn", CAMERA_SCRIPT=script, CAMERA=camera)


def _use(first: str) -> tuple[str, ...]:
    place = "Drag sky.tscn from the FileSystem dock into your scene, or open it, press F6 and drag to look around."
    if first == "world.tscn":
        place = "Open world.tscn and press F6: your scene stands under the sky. For scenes of your own, use sky.tscn."
    return (
        "Copy this folder into a Godot 4 project (4.5 or newer), anywhere in it, and let Godot import.",
        place,
        "Select Sky: Yaw turns it, Energy and Light Energy make it brighter, Playback has its speed. Hover over a name "
        "to read more. In the editor it stands still (Playback, Play In Editor).",
        "A scene has one WorldEnvironment. If yours has one already, drag its Environment onto Sky's, then delete it.",
        "Ambient light and reflections follow the sky by themselves; a sun is yours to add (DirectionalLight3D).",
    )


def _notes(film: Film, as_video: bool) -> tuple[str, ...]:
    if not as_video:
        taken = film.width * film.height * film.frames / (1 << 20)
        return (f"It takes {taken:.0f} MiB of graphics memory. It is for desktop machines: phones cannot read BC7.",)
    if film.height > _SMOOTH_HEIGHT:
        return ("Godot unpacks films on one core: of this size they may stutter. The playback flipbook does not.",)
    return ()


def _fill(folder: Path, name: str, **values: str) -> None:
    text = (_FILES / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@@{key}@@", value)
    put(folder / name, text.encode())

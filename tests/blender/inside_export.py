"""Scenarios of taking a sky elsewhere: see :mod:`inside`."""

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import FAKE, MODULE, make_job, part, turn_until, use_fake

FAKE_EXPORT = FAKE.with_name("fake_export.py")


class Bench:
    """The extension with fake generators, all in ``root``, and a scene with a sky."""

    def __init__(self, args: dict[str, Any], mode: str = "ok", *, real: bool = False) -> None:
        addon_utils.enable(MODULE, default_set=True)
        self.root, self.mode = Path(args["root"]), mode
        bpy.context.preferences.addons[MODULE].preferences.output_folder = str(self.root / "skies")
        self.session = use_fake(args["film"], "ok")
        self.work, self.scene = part("blender_addon.export.work"), bpy.context.scene
        self.ran: list[list[str]] = []
        if not real:
            self.work.backend_command = self.command
        self.job = make_job(args["film"], self.root / "skies", "Storm over the sea")
        bpy.ops.skyloop.apply_world(job=str(self.job))

    @property
    def settings(self) -> Any:
        return bpy.context.scene.skyloop.export

    def command(self, *words: str, home: Path | None = None) -> list[str]:
        self.ran.append(list(words))
        return [sys.executable, str(FAKE_EXPORT), self.mode, *words]

    def request(self) -> Any:
        """What the settings ask for."""
        request = part("blender_addon.export.request")
        place = request.place_of(self.scene)
        return request.request_of(self.scene, part("blender_addon.export.look").now(place), place)

    def in_window(self) -> None:
        """As where there is a window: nobody waits for an export."""
        self.work.works._wait = lambda: None

    def until(self, condition: Callable[[], Any]) -> None:
        turn_until(self.session, condition)

    def words(self, panel: str = "export") -> str:
        from layout import drawn

        return drawn(getattr(bpy.types, f"SKYLOOP_PT_{panel}"), bpy.context)

    def files(self) -> list[str]:
        """What is in the root beside the folder of skies."""
        return sorted(path.name for path in self.root.iterdir() if path.name != "skies")


def said(call: Callable[[], Any]) -> str:
    """What an operator refuses with; empty when it does not."""
    try:
        call()
    except RuntimeError as error:
        return str(error).strip()
    return ""


def run(args: dict[str, Any]) -> Any:
    """The sky that is shown, exported from a script; again; to a folder of one's own; and what the panel says."""
    bench = Bench(args)
    bpy.ops.wm.save_as_mainfile(filepath=str(bench.root / "shot.blend"))
    settings, found = bench.settings, {}
    settings.target, settings.cubemap_frame, settings.height = "cubemap", 3, 144
    bench.scene.skyloop.front_deg, settings.facing = 400.0, "blender"
    before = bench.words()
    for _ in range(2):
        assert bpy.ops.skyloop.export_sky() == {"FINISHED"}
    found["words"] = [before, bench.words()]
    settings.target, settings.facing = "web", "forward"
    assert bpy.ops.skyloop.export_sky(job=str(bench.job), folder=str(bench.root / "page")) == {"FINISHED"}
    settings.folder = "//inside"
    bpy.ops.skyloop.export_sky()
    found["ran"] = bench.ran
    bpy.ops.skyloop.dismiss_export()
    found["dismissed"] = bench.words()
    return found | {"files": bench.files(), "can_open": bpy.ops.skyloop.open_export.poll()}


def unsaved(args: dict[str, Any]) -> Any:
    """Without a place of the file, an export goes beside the sky; nothing is beside the file."""
    bench = Bench(args)
    bench.settings.target = "stills"
    bpy.ops.skyloop.export_sky()
    beside = sorted(path.name for path in bench.job.parent.iterdir() if path != bench.job)
    bench.settings.folder = "//here"
    return {"beside": beside, "words": bench.words(), "refused": said(bpy.ops.skyloop.export_sky)}


def sources(args: dict[str, Any]) -> Any:
    """Which sky is exported: of the World, of the history, a film by its path; and where there is none."""
    bench = Bench(args)
    settings, found = bench.settings, {}
    bench.session.scan_history()
    bench.until(lambda: bench.session._scan is None)
    film = bench.root / "my film.mp4"
    film.write_bytes((Path(args["film"]) / "sky.mp4").read_bytes())
    for source in ("SHOWN", "HISTORY", "FILE"):
        settings.source, settings.film = source, str(film)
        bpy.ops.skyloop.export_sky()
        found[source] = bench.ran[-1][1:6]
    settings.film = str(bench.root / "gone.mp4")
    found["gone"] = [bench.words(), said(bpy.ops.skyloop.export_sky)]
    settings.film = ""
    found["none"] = said(bpy.ops.skyloop.export_sky)
    settings.source = "SHOWN"
    (bench.job / "sky.mp4").unlink()
    found["lost"] = said(bpy.ops.skyloop.export_sky)
    bpy.ops.skyloop.restore_world()
    found["no sky"] = [bench.words(), said(bpy.ops.skyloop.export_sky)]
    found["history"] = bench.words("history")
    return found


def problems(args: dict[str, Any]) -> Any:
    """What cannot be exported is said before, with what would be right."""
    bench = Bench(args)
    settings, found = bench.settings, {}
    taken = bench.root / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine", encoding="utf-8")
    settings.folder = str(taken)
    found["taken"] = [bench.words(), said(bpy.ops.skyloop.export_sky)]
    (taken / "thesis.txt").rename(taken / "skyloop-export.json")
    found["earlier"] = [bench.words(), said(bpy.ops.skyloop.export_sky)]
    settings.replace = True
    found["replaced"] = bench.words()
    (taken / "skyloop-export.json").unlink()
    settings.height = 100
    found["height"] = bench.words()
    settings.height = 4096
    found["large"] = bench.words()
    settings.height, settings.target, settings.stills_frame = 0, "stills", 16
    found["frame"] = [bench.words(), said(bpy.ops.skyloop.export_sky)]
    settings.stills_frame = -1
    found["fine"] = bench.words()
    found["ran"] = len(bench.ran)
    return found


def options(args: dict[str, Any]) -> Any:
    """What each target shows of its options."""
    bench = Bench(args)
    found = {}
    for target in part("backend.exports.targets").TARGETS:
        bench.settings.target = target
        found[target] = bench.words()
    return found


def under_way(args: dict[str, Any]) -> Any:
    """While an export goes on: how far it is, another, another file; then it is cancelled."""
    bench = Bench(args, args["mode"])
    part("blender_addon.core.tool").KILL_AFTER_S = 0.3
    bench.in_window()
    bench.settings.target, bench.settings.folder = "stills", str(bench.root / "out")
    bpy.ops.skyloop.export_sky()
    bench.until(lambda: bench.work.step() and bench.work.current().progress.done > 40)
    found = {
        "words": bench.words(),
        "main": bench.words("main"),
        "another": said(bpy.ops.skyloop.export_sky),
        "part": bench.files(),
    }
    bpy.ops.wm.save_as_mainfile(filepath=str(bench.root / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(bench.root / "shot.blend"))
    found["other file"] = bench.work.step()
    if args["end"] == "cancel":
        bpy.ops.skyloop.cancel_export()
        bench.until(lambda: not bench.work.step())
        found["after"] = bench.words()
    else:
        process = bench.work.current().tool._process
        addon_utils.disable(MODULE, default_set=True)
        found["after"] = process.poll() is not None
    return found | {"left": bench.files()}


def failures(args: dict[str, Any]) -> Any:
    """What a script and the panel get to see when an export fails; nothing of it stays."""
    found: dict[str, Any] = {}
    for mode in ("crash", "full", "garbage"):
        bench = Bench(args, mode)
        bench.settings.target, bench.settings.folder = "stills", str(bench.root / mode)
        found[mode] = [said(bpy.ops.skyloop.export_sky)]
    bench = Bench(args, "full")
    bench.in_window()
    bench.settings.folder = str(bench.root / "out")
    bpy.ops.skyloop.export_sky()
    bench.until(lambda: not bench.work.step())
    found["panel"] = bench.words()
    bpy.ops.skyloop.export_log()
    found["log"] = bpy.data.texts["Skyloop Log"].as_string()
    bpy.ops.skyloop.dismiss_export()
    found["dismissed"] = bench.words()
    return found | {"left": bench.files()}


def interrupted(args: dict[str, Any]) -> Any:
    """Ctrl-C while a script waits."""
    bench = Bench(args, "slow")
    bench.settings.target, bench.settings.folder = "stills", str(bench.root / "out")
    works, said_at = part("blender_addon.work"), []

    def sleep(_: float) -> None:
        if (bench.root / ".out.0123abcd.part").exists():
            said_at.append(bench.work.current().tool._process)
            raise KeyboardInterrupt

    works.time = SimpleNamespace(sleep=sleep, monotonic=works.time.monotonic)
    raised = False
    try:
        bench.work.start(bench.request(), None, wait=True)
    except KeyboardInterrupt:
        raised = True
    return {"raised": raised, "ended": said_at[0].poll() is not None, "left": bench.files()}


def looking(args: dict[str, Any]) -> Any:
    """With a window the disk is looked at in a thread: the panel says so, then what was found, also when it changed."""
    bench = Bench(args)
    look = part("blender_addon.export.look")
    look.bpy = SimpleNamespace(app=SimpleNamespace(background=False))
    look.FRESH_S = 0.0
    found = {"first": bench.words()}
    bench.until(lambda: look._asked is None)
    found["then"] = bench.words()
    bench.until(lambda: look._asked is None)
    (bench.job / "sky.mp4").unlink()
    bench.words()
    bench.until(lambda: look._asked is None)
    found["gone"] = bench.words()
    bench.session.errands.finish()
    look.bpy = bpy
    return found


def glb_names(path: Path) -> dict[str, Any]:
    """The document of a glTF scene in one file."""
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def with_scene(args: dict[str, Any]) -> Any:
    """The scene goes along: what is visible, with nothing of it changed; then without Blender's glTF add-on."""
    bench = Bench(args)
    scene, settings = bench.scene, bench.settings
    bpy.ops.mesh.primitive_uv_sphere_add(location=(0.0, 5.0, 1.0))
    ball = bpy.context.object
    ball.name = "Ball"
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.name = "Boxed"
    cube.modifiers.new("More", "ARRAY")
    cube.keyframe_insert("location", frame=1)
    hidden = bpy.data.objects.new("Hidden", ball.data)
    scene.collection.objects.link(hidden)
    hidden.hide_set(True)
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(bpy.data.objects.new("Elsewhere", ball.data))
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "SUN"))
    lamp.data.energy = 3.0
    for thing in (camera, lamp):
        scene.collection.objects.link(thing)
    ball.select_set(True)
    scene.frame_set(7)
    bpy.ops.object.mode_set(mode="EDIT")

    def now() -> list[Any]:
        chosen = sorted(o.name for o in bpy.context.selected_objects)
        active, world = bpy.context.view_layer.objects.active, bpy.context.scene.world
        images = sorted(image.name for image in bpy.data.images)
        names = sorted(o.name for o in bpy.data.objects)
        return [chosen, active and [active.name, active.mode], world.name, scene.frame_current, images, names]

    before = now()
    settings.target, settings.with_scene, settings.folder = "web", True, str(bench.root / "page")
    found: dict[str, Any] = {"words": bench.words()}
    bpy.ops.skyloop.export_sky()
    found["same"] = before == now()
    found["asked"] = [word for word in bench.ran[-1] if word.startswith("--f")]
    gltf = Path(bench.ran[-1][bench.ran[-1].index("--gltf") + 1])
    found["temporary"] = gltf.exists() or gltf.parent.exists()
    document = glb_names(bench.root / "page" / "scene.glb")
    found["nodes"] = sorted(node["name"] for node in document["nodes"])
    found["animated"] = len(document.get("animations", ()))
    found["cameras"] = len(document.get("cameras", ()))
    lights = document["extensions"]["KHR_lights_punctual"]["lights"]
    found["lights"] = {light["type"]: light["intensity"] for light in lights}
    boxed = document["meshes"][next(n for n in document["nodes"] if n["name"] == "Boxed")["mesh"]]
    found["applied"] = document["accessors"][boxed["primitives"][0]["attributes"]["POSITION"]]["count"]
    ball_node = next(n for n in document["nodes"] if n["name"] == "Ball")
    found["ball"] = [round(value, 3) for value in ball_node["translation"]]
    addon_utils.disable("io_scene_gltf2", default_set=False)
    settings.folder = str(bench.root / "another")
    found["off"] = [bench.words(), said(bpy.ops.skyloop.export_sky)]
    addon_utils.enable("io_scene_gltf2", default_set=False)
    return found


def really(args: dict[str, Any]) -> Any:
    """The real generator's pictures, in their folder and as the panel tells it; and what it refuses."""
    bench = Bench(args, real=True)
    settings, found = bench.settings, {}
    settings.target, settings.stills_format, settings.stills_frame = "stills", "png", -1
    settings.folder = str(bench.root / "pictures")
    bpy.ops.skyloop.export_sky()
    found["words"] = bench.words()
    found["document"] = bench.work.last().tool.document
    settings.replace = True
    found["again"] = bpy.ops.skyloop.export_sky() == {"FINISHED"}
    (bench.root / "pictures" / "README.txt").write_text("my own words", encoding="utf-8")
    found["changed"] = said(bpy.ops.skyloop.export_sky)
    settings.target, settings.folder = "scene", str(bench.root / "both")
    settings.scene_beside = "hdr"
    bpy.ops.skyloop.export_sky()
    found["both"] = sorted(bench.work.last().tool.document["files"])
    (bench.root / "no film.mp4").write_bytes(b"no film")
    settings.folder = str(bench.root / "never")
    found["no film"] = said(lambda: bpy.ops.skyloop.export_sky(job=str(bench.root / "no film.mp4")))
    return found | {"left": bench.files()}

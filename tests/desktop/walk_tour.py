"""From the first look to a sky in the World and in the history, with the real generator, as a new user goes."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import mathutils
import walking as w
from headset import eyes, start_monado
from ticks import Stopwatch

PROMPT = "northern lights over a frozen lake"


def generator() -> Any:
    """The real backend as it runs on the host, but its set-up only shows what a set-up shows."""
    installed, state = w.part("blender_addon.core.installed"), w.part("blender_addon.core.state")
    client = w.part("blender_addon.core.client")

    class Generator(installed.InstalledRuntime):
        made = False

        def ready(self) -> bool:
            return self.made

        def install(self, report: Callable[[Any], None], cancelled: Callable[[], bool]) -> None:
            for done in range(0, 1800, 30):
                report(state.Progress("download", done, 1800, "MB"))
                time.sleep(0.15)
                if cancelled():
                    return
            self.made = True

        def client(self) -> Any:
            return client.BackendClient(w.ARGS["backend"], cwd=Path("/"))

    return Generator(w.OUT / "runtime")


def walk() -> w.Walk:
    session = w.part("blender_addon.session").current()
    session.runtime = generator()
    session.refresh()
    yield from w.open_tab("Skyloop")
    yield from set_up(session)
    yield from create(session)
    yield from models(session)
    yield from region()
    yield from generate(session)
    yield from looked_at()
    yield from history()
    yield from headset()


def set_up(session: Any) -> w.Walk:
    yield from w.until(lambda: session.setup.facts, 30.0, "no survey")
    yield 1.0
    yield from w.show("setup")
    yield from w.click("Allow Online Access")
    yield from w.click("Set Up Skyloop")
    yield 2.0
    yield from w.show("installing")
    yield from w.until(lambda: session.state == "ready", 60.0, "not installed")


def create(session: Any) -> w.Walk:
    yield from w.seen("Use an Example")
    yield from w.show("empty")
    yield from w.click("Use an Example", above_px=23)  # the empty field, whose words are too pale to be read
    w.xdotool("type", "--delay", 20, PROMPT)
    w.xdotool("key", "Return")
    yield from w.until(lambda: bpy.context.scene.skyloop.prompt == PROMPT, 10.0, "the prompt was not typed")
    yield from w.click("Preview")
    w.note(quality=bpy.context.scene.skyloop.quality)
    yield from w.show("create")
    settings = bpy.context.scene.skyloop
    settings.random_seed, settings.seed = False, 1
    yield from w.click("Settings")
    yield 0.5
    yield from w.show("settings")
    yield from w.click("Settings")


def models(session: Any) -> w.Walk:
    """A large model as it stands before it is got, and as if it were here, with two files that change it."""
    shelf, stock = w.part("blender_addon.models.shelf"), w.part("blender_addon.core.stock")
    settings = bpy.context.scene.skyloop
    yield from w.until(lambda: shelf.stock(), 30.0, "nobody has looked for models")
    yield from w.click("Model")
    preferences = w.part("blender_addon.places").preferences()
    preferences.device = "cuda"  # what it takes with a graphics card, which this machine may not have
    choose(settings, "wan21-1.3b")
    yield from w.show("models")
    here = shelf.stock()
    shelf._stock = replace(here, held={**here.held, "wan21-1.3b": stock.Held("ready", 17600.0, (), True)})
    files = [{"name": "mist.safetensors"}, {"name": "panorama.safetensors"}]
    for file in files:
        (w.OUT / file["name"]).write_bytes(b"")
    bpy.ops.skyloop.add_lora(directory=str(w.OUT), files=files)
    settings.models.loras[0].strength = 0.6
    w.view3d().tag_redraw()
    yield from w.show("loras")
    shelf._stock, preferences.device = here, "auto"
    choose(settings, "builtin")
    settings.quality, settings.frames, settings.fps = "PREVIEW", w.ARGS["frames"], 8.0
    settings.steps = w.ARGS["steps"]
    yield 1.0
    yield from w.click("Model")


def choose(settings: Any, model: str) -> None:
    bpy.ops.skyloop.choose_model(model=model)
    settings.quality = "FINAL"
    w.view3d().tag_redraw()


def region() -> w.Walk:
    w.view3d().spaces.active.region_3d.view_rotation = mathutils.Euler((1.75, 0.0, -0.35)).to_quaternion()
    yield from w.click("Directions")
    yield from w.click("Add Region Where I Look")
    yield from w.until(lambda: w.part("blender_addon.direct.regions").of_scene(bpy.context.scene), 10.0, "no region")
    w.part("blender_addon.direct.regions").of_scene(bpy.context.scene)[0].skyloop.prompt = "full moon"
    w.view3d().tag_redraw()  # a change by script is not drawn by itself
    yield from w.show("directions")
    yield from w.show("directions_view", "")
    yield from w.click("Directions")


def generate(session: Any) -> w.Walk:
    watch = Stopwatch()
    yield from w.click("Generate Sky")
    yield from w.until(lambda: session.preview, 300.0, "no preview")
    yield 0.5
    yield from w.show("running")
    yield from w.until(lambda: not session.busy and not session.finished, 500.0, "not made")
    yield 1.0
    w.note(problem=session.problem and session.problem.line, times=watch.stop())
    yield from w.show("result")
    world = bpy.context.scene.world
    w.note(applied=world.name, seed=world.skyloop.seed)


def looked_at() -> w.Walk:
    space = w.view3d().spaces.active
    space.shading.type = "RENDERED"
    space.overlay.show_overlays = False
    yield 10.0
    yield from w.show("world")
    yield from w.show("window", "")
    space.shading.type = "SOLID"


def history() -> w.Walk:
    yield from w.click("History")
    yield 1.0
    yield from w.show("history")
    yield from w.click("History")


def headset() -> w.Walk:
    preview = w.part("blender_addon.vr.preview")
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()  # the wearer would stand in the cube
    bpy.context.scene.eevee.taa_samples = 1
    monado = yield from start_monado()
    yield from w.click("VR")
    yield from w.click("Preview in VR")
    yield from w.until(preview.is_running, 60.0, "no session")
    yield from w.until(lambda: not any(is_grey(eye["all"]) for eye in eyes().values()), 120.0, "no sky in the eyes")
    yield 2.0
    w.grab("eyes", 0, 0, *w.ARGS["headset"])
    yield from w.show("vr")
    yield from w.click("Stop VR")
    yield 1.5
    monado.kill()


def is_grey(colour: list[int]) -> bool:
    """As a 3D View without its World is."""
    return max(colour) - min(colour) < 6


w.start(walk())

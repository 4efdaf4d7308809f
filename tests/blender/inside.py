"""Scenarios that run inside Blender: ``python inside.py FUNCTION ARGUMENTS``, both given by ``conftest.Blender.ask``.
``FEATURE:FUNCTION`` is one of ``inside_FEATURE.py``.

Each function takes the arguments as a dict and returns something that JSON can hold; the tests outside judge it.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils

MODULE = "bl_ext.user_default.skyloop"
FAKE = Path(__file__).with_name("fake_backend.py")


def part(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def use_fake(film: str, mode: str, **timeouts: float) -> Any:
    """The extension's session, with the fake backend for the real one."""
    session = part("blender_addon.session").current()
    client, cwd = part("blender_addon.core.client"), Path(film)

    class Fake:
        def __init__(self) -> None:
            self.mode = mode

        def ready(self) -> bool:
            return True

        def install(self, report: Any, cancelled: Any) -> None: ...

        def client(self) -> Any:
            command = [sys.executable, str(FAKE), self.mode, film]
            return client.BackendClient(command, cwd=cwd, **timeouts)

    session.runtime = Fake()
    session.refresh()
    return session


def press_generate(prompt: str = "northern lights") -> None:
    bpy.context.scene.skyloop.prompt = prompt
    assert bpy.ops.skyloop.generate() == {"FINISHED"}


def turn_until(session: Any, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"still {session.state} {session.progress}"
        session.step()
        time.sleep(0.01)


def finish(session: Any) -> None:
    turn_until(session, lambda: not session.busy and not session.finished)


def make_job(film: str, root: Path, prompt: str = "aurora", seed: int = 7) -> Path:
    """A finished job folder, as the backend leaves it."""
    jobs, protocol = part("blender_addon.core.jobs"), part("backend.protocol")
    request = protocol.GenerateRequest(prompt=prompt, width=256, height=128, frames=16, seed=seed)
    folder = jobs.create(root, request)
    for name in ("sky.mp4", "poster.png"):
        (folder / name).write_bytes((Path(film) / name).read_bytes())
    (folder / "result.json").write_text("{}", encoding="utf-8")
    return folder


def registered() -> list[str]:
    """Everything of Skyloop's that Blender knows at the moment."""
    names = [name for name in dir(bpy.types) if name.startswith("SKYLOOP")]
    owners = [bpy.types.Scene, bpy.types.World, bpy.types.Object, bpy.types.WindowManager]
    names += [f"{owner.__name__}.skyloop" for owner in owners if hasattr(owner, "skyloop")]
    handlers = [*bpy.app.handlers.load_pre, *bpy.app.handlers.load_post]
    return sorted(names + [f.__name__ for f in handlers if f.__module__.startswith("bl_ext")])


def install(args: dict[str, Any]) -> Any:
    bpy.ops.extensions.package_install_files(filepath=args["zip"], repo="user_default", enable_on_install=True)
    bpy.ops.wm.save_userpref()
    return registered()


def look(args: dict[str, Any]) -> Any:
    """What a later Blender finds enabled by its preferences alone; None where Blender 4.2's module cannot tell."""
    if bpy.app.version < (4, 3):  # it begins without the user's preferences, and crashes when it reads them
        return None
    if MODULE in bpy.context.preferences.addons:
        addon_utils.reset_all()
    else:  # bpy 5.2 begins without the user's preferences
        bpy.ops.wm.read_userpref()
    return {"enabled": MODULE in bpy.context.preferences.addons, "registered": registered()}


def toggle(args: dict[str, Any]) -> Any:
    """Enabled, disabled, enabled, three times over."""
    addon_utils.enable(MODULE, default_set=True)
    found = []
    for _ in range(3):
        on = registered()
        addon_utils.disable(MODULE, default_set=True)
        off = registered()
        addon_utils.enable(MODULE, default_set=True)
        found.append({"on": on, "off": off})
    return found


def imports(args: dict[str, Any]) -> Any:
    """What enabling the extension costs, and which heavy modules it pulls in."""
    before, start = set(sys.modules), time.perf_counter()
    addon_utils.enable(MODULE, default_set=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "modules": sorted(set(sys.modules) - before)}


def apply_and_save(args: dict[str, Any]) -> Any:
    """A scene with a World of its own gets a sky; saved beside the job."""
    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    before = bpy.data.worlds.new("Mine")
    scene.world = before
    root = Path(args["root"])
    job = make_job(args["film"], root)
    scene.skyloop.front_deg = args["front_deg"]
    bpy.ops.skyloop.apply_world(job=str(job))
    bpy.ops.wm.save_as_mainfile(filepath=str(root / "scene.blend"))
    image = part("blender_addon.sky.world").sky_image(scene.world)
    return {"world": scene.world.name, "path": image.filepath, "fps": scene.render.fps, "frames": scene.frame_end}


def render_saved(args: dict[str, Any]) -> Any:
    """Open a file afresh and render tiny pictures: ``shots`` are [frame, yaw in degrees, pitch in degrees]."""
    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.wm.open_mainfile(filepath=args["blend"])
    scene = bpy.context.scene
    import math

    import mathutils

    data = bpy.data.cameras.new("Test")
    data.angle = math.radians(10.0)
    scene.camera = bpy.data.objects.new("Test", data)
    scene.collection.objects.link(scene.camera)
    for thing in [t for t in scene.objects if t.type != "CAMERA"]:
        bpy.data.objects.remove(thing)
    scene.world.cycles.sampling_method = "NONE"  # there is nothing to light
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.dither_intensity = 0.0
    scene.view_settings.view_transform = "Standard"
    colours = []
    for number, (frame, yaw_deg, pitch_deg) in enumerate(args["shots"]):
        yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
        ahead = (math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch))
        scene.camera.rotation_euler = mathutils.Vector(ahead).to_track_quat("-Z", "Y").to_euler()
        scene.frame_set(frame)
        scene.render.filepath = str(Path(args["answer"]).with_name(f"shot{number}.png"))
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        image.colorspace_settings.name = "Non-Color"
        pixel = (4 * 8 + 4) * 4
        colours.append([round(255 * c) for c in image.pixels[pixel : pixel + 3]])
    return colours


def restore_after_reload(args: dict[str, Any]) -> Any:
    """The replaced World comes back in a file that was saved and opened again."""
    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.wm.open_mainfile(filepath=args["blend"])
    sky = bpy.context.scene.world
    record = {"prompt": sky.skyloop.prompt, "seed": sky.skyloop.seed, "job": sky.skyloop.job}
    bpy.ops.skyloop.restore_world()
    world = bpy.context.scene.world
    again = bpy.ops.skyloop.restore_world.poll()
    return {"record": record, "world": world.name, "fake_user": world.use_fake_user, "again": again}


def replaced_by_hand(args: dict[str, Any]) -> Any:
    """The user gives the scene yet another World, so that nobody uses the sky: what does the saved file keep?"""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    bpy.context.scene.world = bpy.data.worlds.new("Mine")
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], root)))
    bpy.context.scene.world = bpy.data.worlds.new("Third")
    for _ in range(2):  # the first time drops the sky, the second what only the sky used
        bpy.ops.wm.save_as_mainfile(filepath=str(root / "scene.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(root / "scene.blend"))
    return [world.name for world in bpy.data.worlds]


def undo_apply(args: dict[str, Any]) -> Any:
    """One undo takes the whole application back, one redo brings it again."""
    addon_utils.enable(MODULE, default_set=True)
    job = make_job(args["film"], Path(args["root"]))
    bpy.context.scene.world = bpy.data.worlds.new("Mine")
    bpy.ops.ed.undo_push(message="start")

    def now() -> dict[str, Any]:
        images = [i.name for i in bpy.data.images if i.source == "MOVIE"]
        worlds = sorted(w.name for w in bpy.data.worlds)
        return {"world": bpy.context.scene.world.name, "worlds": worlds, "movies": images}

    states = [now()]
    bpy.ops.skyloop.apply_world("EXEC_DEFAULT", True, job=str(job))
    states.append(now())
    bpy.ops.ed.undo()
    states.append(now())
    bpy.ops.ed.redo()
    states.append(now())
    return states


def refuse(args: dict[str, Any]) -> Any:
    """Applying what is missing or broken changes nothing and says so."""
    addon_utils.enable(MODULE, default_set=True)
    scene, root = bpy.context.scene, Path(args["root"])
    scene.world = bpy.data.worlds.new("Mine")
    missing, broken = make_job(args["film"], root), make_job(args["film"], root)
    (missing / "sky.mp4").unlink()
    (broken / "sky.mp4").write_bytes(b"not a movie")
    said = []
    for job in (missing, broken, root / "nothing"):
        before = (scene.world.name, len(bpy.data.worlds), len(bpy.data.images), scene.world.use_fake_user)
        try:
            bpy.ops.skyloop.apply_world(job=str(job))
            said.append("nothing")
        except RuntimeError as error:
            said.append(str(error))
        assert before == (scene.world.name, len(bpy.data.worlds), len(bpy.data.images), scene.world.use_fake_user)
    return said


def front(args: dict[str, Any]) -> Any:
    """Front from a camera, and turning a sky that is already the World."""
    import math

    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], Path(args["root"]))))
    data = bpy.data.cameras.new("C")
    scene.camera = bpy.data.objects.new("C", data)
    scene.collection.objects.link(scene.camera)
    found = []
    for rotation in ((90, 0, 0), (90, 0, -90), (75, 0, 135), (0, 0, 0)):
        scene.camera.rotation_euler = [math.radians(a) for a in rotation]
        bpy.context.view_layer.update()
        try:
            bpy.ops.skyloop.front_from_camera()
            said = ""
        except RuntimeError as error:
            said = str(error)
        turned = part("blender_addon.sky.nodes").slider(scene.world, "Front").default_value
        found.append([round(scene.skyloop.front_deg, 2), round(math.degrees(turned), 2), said])
    return found


def generate(args: dict[str, Any]) -> Any:
    """Press Generate with a backend in some mode and see it through; then once more with a good one."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], args["mode"], **args.get("timeouts", {}))
    mine = bpy.context.scene.world = bpy.data.worlds.new("Mine")
    press_generate()
    states, ticks = {str(session.state)}, []
    end = time.monotonic() + 30.0
    while session.busy or session.finished:
        assert time.monotonic() < end, session.state
        start = time.perf_counter()
        session.tick()
        ticks.append(time.perf_counter() - start)
        session.step()
        states.add(str(session.state))
        time.sleep(0.005)
    problem = session.problem
    first = {
        "state": str(session.state),
        "states": sorted(states),
        "problem": [str(problem.kind), problem.message, problem.hint] if problem else None,
        "log": problem.log.read_text(encoding="utf-8") if problem and problem.log else "",
        "world": bpy.context.scene.world.name,
        "slowest_tick_s": max(ticks),
        "can_show_log": bpy.ops.skyloop.open_log.poll(),
    }
    bpy.context.scene.world = mine
    session.runtime.mode = "ok"
    press_generate("a second sky")
    finish(session)
    return {**first, "second": bpy.context.scene.world.name, "second_problem": session.problem and session.problem.line}


def open_other_file(args: dict[str, Any]) -> Any:
    """Another file is opened while a job runs: the job ends well, but that file's World is not touched."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "slow")
    press_generate()
    turn_until(session, lambda: session.state == "running")
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.world = bpy.data.worlds.new("Other")
    still = str(session.state)
    bpy.ops.skyloop.cancel()
    finish(session)
    session.release()
    session.runtime.mode = "ok"
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.output_folder = str(Path(args["answer"]).with_name("chosen once"))
    press_generate()
    preferences.output_folder = ""
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.world = bpy.data.worlds.new("Other")
    finish(session)
    turn_until(session, lambda: session._scan is None)
    made = part("blender_addon.core.jobs").known(session.just_done, session.roots())
    return {
        "can_be_opened": made == session.just_done,
        "state_after_load": still,
        "world": bpy.context.scene.world.name,
        "offered": session.just_done.name,
    }


def queue_of_two_scenes(args: dict[str, Any]) -> Any:
    """Each scene gets the sky that was asked for in it, in the order that the user chose, whatever it is called now."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "ok")
    first = bpy.context.scene
    first.skyloop.prompt = "of the first"
    assert bpy.ops.skyloop.generate() == {"FINISHED"} and bpy.ops.skyloop.pause() == {"FINISHED"}
    second = bpy.data.scenes.new("Second")
    with bpy.context.temp_override(scene=second):
        for prompt in ("not wanted", "of the second"):
            second.skyloop.prompt = prompt
            assert bpy.ops.skyloop.generate() == {"FINISHED"}
    doomed = bpy.data.scenes.new("Doomed")
    with bpy.context.temp_override(scene=doomed):
        doomed.skyloop.prompt = "of nobody"
        assert bpy.ops.skyloop.generate() == {"FINISHED"}
    turn_until(session, lambda: len(session.queue.waiting) >= 3)
    titles = {task.title: str(task.folder) for task in session.queue.tasks}
    bpy.ops.skyloop.queue_move(job=titles["of nobody"], direction="UP")
    bpy.ops.skyloop.queue_remove(job=titles["not wanted"])
    order = [task.title for task in session.queue.waiting]
    bpy.data.scenes.remove(doomed)
    bpy.data.scenes.new("Doomed")
    second.name = "Renamed"
    can = {"pause": bpy.ops.skyloop.pause.poll(), "go_on": bpy.ops.skyloop.resume_queue.poll()}
    bpy.ops.skyloop.resume_queue()
    finish(session)
    worlds = {scene.name: scene.world.name if scene.world else "" for scene in bpy.data.scenes}
    return {
        "order": order,
        "can": can,
        "worlds": worlds,
        "made": {title: (Path(folder) / "result.json").is_file() for title, folder in titles.items()},
        "kept": Path(titles["not wanted"]).exists(),
    }


def unfinished(args: dict[str, Any]) -> Any:
    """A job that failed is offered again, in the panel too, and goes on; one that is not wanted is deleted."""
    from layout import drawn

    addon_utils.enable(MODULE, default_set=True)
    bpy.context.preferences.addons[MODULE].preferences.output_folder = args["root"]
    session = use_fake(args["film"], "full")
    for prompt in ("goes on", "is deleted"):
        press_generate(prompt)
        finish(session)
        turn_until(session, lambda: session._scan is None)
    line = session.problem.line
    found = {job.title: job for job in session.unfinished}
    history = drawn(bpy.types.SKYLOOP_PT_history, bpy.context)
    main = drawn(bpy.types.SKYLOOP_PT_main, bpy.context)
    session.release()
    session.runtime.mode = "ok+keep"
    bpy.ops.skyloop.resume_job(job=str(found["goes on"].folder))
    bpy.ops.skyloop.delete_job(job=str(found["is deleted"].folder))
    finish(session)
    turn_until(session, lambda: session._scan is None)
    foreign = (args["film"], args["root"], "//", "", str(Path(args["root"]) / ".." / "elsewhere"), "C:/")
    presses = [(name, "job", path) for name in ("delete_job", "resume_job") for path in foreign]
    presses += [("open_folder", "path", path) for path in foreign]
    presses += [("delete_job", "job", str(found["goes on"].folder))]  # the World shows it
    refusals = []
    for name, key, path in presses:
        try:
            getattr(bpy.ops.skyloop, name)(**{key: path})
            refusals.append(f"{name} took {path}")
        except RuntimeError as error:
            refusals.append(str(error))
    return {
        "line": line,
        "offered": sorted(found),
        "history": history,
        "main": main,
        "world": bpy.context.scene.world.name,
        "left": [job.title for job in session.unfinished],
        "folders": sorted(f.name for f in Path(args["root"]).iterdir() if not f.name.startswith(".")),
        "refusals": refusals,
    }


def hostile_file(args: dict[str, Any]) -> Any:
    """A file that names somebody's folders wherever it can, made and then opened."""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    victim = make_job(args["film"], root / "victim")
    preferences = bpy.context.preferences.addons[MODULE].preferences
    scene, shown = bpy.context.scene, bpy.context.window_manager.skyloop
    scene.world = bpy.data.worlds.new("Bad")
    scene.world.skyloop.is_sky, scene.world.skyloop.job = True, str(victim)
    item = shown.history.add()
    item.name = item["folder"] = item["prompt"] = str(victim)
    (root / "skyloop").mkdir()
    (root / "skyloop" / "link").symlink_to(victim, target_is_directory=True)
    blend = str(root / "bad.blend")
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=blend)
    session = use_fake(args["film"], "ok")
    turn_until(session, lambda: session._scan is None)
    for _ in range(20):
        session.step()
    preferences.runtime_folder = "//runtime"
    return {
        "victim_listed": str(victim) in [item.name for item in bpy.context.window_manager.skyloop.history],
        "busy": session.busy or session.client is not None,
        "victim": sorted(file.name for file in victim.iterdir()),
        "known": [str(job.folder) for job in (*session.unfinished, *session.history)],
        "runtime": preferences.runtime_folder,
    }


def unregister_stops(args: dict[str, Any]) -> Any:
    """Disabling the extension in mid-job ends the process."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "slow")
    press_generate()
    turn_until(session, lambda: session.state == "running")
    client = session.client
    addon_utils.disable(MODULE)
    return {"alive": client.alive, "pid": client.pid}


def describe(args: dict[str, Any]) -> Any:
    """What a file of the headless main job holds, and the middle pixel of its picture."""
    import math

    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.wm.open_mainfile(filepath=args["blend"])
    scene = bpy.context.scene
    ahead = -scene.camera.matrix_world.col[2].xyz
    picture = bpy.data.images.load(args["picture"])
    picture.colorspace_settings.name = "Non-Color"
    width, height = picture.size
    middle = (height // 2 * width + width // 2) * 4
    return {
        "range": [scene.frame_start, scene.frame_end],
        "fps": scene.render.fps / scene.render.fps_base,
        "world": scene.world.name,
        "job": scene.world.skyloop.job,
        "looks_at_deg": round(math.degrees(math.atan2(ahead.x, ahead.y)), 3),
        "eye_height": scene.camera.location.z,
        "size": [width, height],
        "centre": [round(255 * c) for c in picture.pixels[middle : middle + 3]],
    }


def greyed_out(args: dict[str, Any]) -> Any:
    """Why Generate cannot be pressed, in each situation."""
    addon_utils.enable(MODULE, default_set=True)
    bpy.context.preferences.addons[MODULE].preferences.runtime_folder = str(Path(args["answer"]).with_name("empty"))
    why = part("blender_addon.create.request").why_not_generate
    found = {"installed": bpy.ops.skyloop.generate.poll(), "not_installed": why(bpy.context)}
    session = use_fake(args["film"], "slow")
    settings = bpy.context.scene.skyloop
    found["empty"] = why(bpy.context)
    settings.prompt, settings.quality, settings.custom_width = "sky", "CUSTOM", 1000
    found["odd"] = why(bpy.context)
    settings.custom_width = 512
    found["fine"] = why(bpy.context)
    press_generate()
    found["busy"] = why(bpy.context)
    session.state = part("blender_addon.core.state").State.INSTALLING
    found["installing"] = why(bpy.context)
    found["online"], found["can_install"] = bpy.app.online_access, bpy.ops.skyloop.install.poll()
    session.close()
    return found


def draw_all(args: dict[str, Any]) -> Any:
    """What the panels and the preferences say in each situation."""
    from layout import Layout, drawn

    os.environ["HOME"] = args["root"]  # other tests left skies in the one they share
    addon_utils.enable(MODULE, default_set=True)
    settings = bpy.context.scene.skyloop
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.runtime_folder = str(Path(args["answer"]).with_name("empty"))
    preferences.output_folder = args["root"]
    fresh = part("blender_addon.session").current()
    turn_until(fresh, lambda: fresh.setup.facts is not None)

    def now() -> dict[str, str]:
        found = {}
        for name in ("main", "settings", "world", "history"):
            found[name] = drawn(getattr(bpy.types, f"SKYLOOP_PT_{name}"), bpy.context)
        said: list[str] = []
        stand_in = type("StandIn", (), {"layout": Layout(said), "bl_rna": preferences.bl_rna})()
        type(preferences).draw(stand_in, bpy.context)
        found["preferences"] = " ".join(said)
        return found

    found = {"not_installed": now()}
    session = use_fake(args["film"], "slow")
    found["idle"] = now()
    press_generate()
    turn_until(session, lambda: session.preview is not None)
    found["running"] = now()
    press_generate("another sky")
    found["waiting"] = now()
    bpy.ops.skyloop.pause()
    found["paused"] = now()
    bpy.ops.skyloop.queue_remove(job=str(session.queue.waiting[0].folder))
    bpy.ops.skyloop.resume_queue()
    bpy.ops.skyloop.cancel()
    found["cancelling"] = now()
    finish(session)
    session.release()
    session.runtime.mode = "ok"
    press_generate()
    finish(session)
    turn_until(session, lambda: session._scan is None)
    found["done"] = now()
    session.release()
    session.runtime.mode = "crash"
    settings.quality = "CUSTOM"
    press_generate()
    finish(session)
    found["failed"] = now()
    return found


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    feature, _, scenario = sys.argv[1].rpartition(":")
    found = vars(importlib.import_module(f"inside_{feature}")) if feature else globals()
    result = found[scenario](arguments)
    Path(arguments["answer"]).write_text(json.dumps(result), encoding="utf-8")
    if bpy.app.version < (4, 3):  # its Python module crashes at its end when any Python callback is registered
        sys.stdout.flush()
        os._exit(0)

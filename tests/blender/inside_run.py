"""Scenarios of work under way and of what was made: see :mod:`inside`."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import MODULE, finish, make_job, part, press_generate, turn_until, use_fake
from layout import Layout, drawn


def settle(session: Any) -> None:
    """Until all is made, handed over and listed."""
    finish(session)
    turn_until(session, lambda: session._scan is None)


def candidates(args: dict[str, Any]) -> Any:
    """A candidate and a sky are made; then what another session finds on the disk."""
    addon_utils.enable(MODULE, default_set=True)
    bpy.context.preferences.addons[MODULE].preferences.output_folder = args["root"]
    session = use_fake(args["film"], "ok")
    jobs, request_of = part("blender_addon.core.jobs"), part("blender_addon.create.request").request_of
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("Mine")
    scene.skyloop.prompt = "quick"
    made = session.generate_for(scene, request_of(scene, device="cpu"), jobs.Purpose.CANDIDATE)
    settle(session)
    after_candidate = {"world": scene.world.name, "offered": session.just_done}
    press_generate("whole")
    settle(session)
    part("blender_addon.session").unregister()
    part("blender_addon.session").register()
    again = part("blender_addon.session").current()
    turn_until(again, lambda: again._scan is None)
    listed = {
        "candidates": [str(job.folder) for job in again.candidates],
        "history": [job.title for job in again.history],
        "unfinished": [job.title for job in again.unfinished],
    }
    bpy.ops.skyloop.delete_job(job=str(made))
    return {
        **listed,
        "made": str(made),
        "root": str(Path(args["root"]) / "candidates"),
        **after_candidate,
        "world_after_sky": scene.world.name,
        "left": [job.title for job in again.candidates],
        "there": made.exists(),
    }


def waiting(args: dict[str, Any]) -> Any:
    """A sky is ready while the user is in the middle of something: when does it become the World?"""
    addon_utils.enable(MODULE, default_set=True)
    session, delivery = use_fake(args["film"], "ok"), part("blender_addon.delivery")
    scene = bpy.context.scene
    found = []
    for by_hand in (False, True):
        scene.world = bpy.data.worlds.new("Mine")
        delivery.obstacle = lambda: "once the render has ended"
        press_generate()
        turn_until(session, lambda: bool(session.finished) and bool(session.waits_for))
        for _ in range(20):
            session.step()
        found.append({"world": scene.world.name, "offered": session.just_done is not None})
        found.append({"status": _status(), "panel": _drawn("SKYLOOP_PT_main")})
        worlds = len(bpy.data.worlds)
        if by_hand:
            bpy.ops.skyloop.apply_world(job=str(session.just_done))
        delivery.obstacle = lambda: ""
        settle(session)
        found.append({"world": scene.world.name, "made": len(bpy.data.worlds) - worlds, "waits": session.waits_for})
        found.append({"status": _status()})
    return found


def obstacles(args: dict[str, Any]) -> Any:
    """What is in the way of a change of the World, in one situation after the other."""
    addon_utils.enable(MODULE, default_set=True)
    delivery = part("blender_addon.delivery")

    def said(mode: str = "OBJECT", *, playing: bool = False, job: str = "", tool: str = "", undo: bool = False) -> str:
        operators = [SimpleNamespace(bl_idname=tool, bl_options={"UNDO"} if undo else set())] if tool else []
        objects = SimpleNamespace(active=SimpleNamespace(mode=mode))
        window = SimpleNamespace(
            modal_operators=operators,
            screen=SimpleNamespace(is_animation_playing=playing),
            view_layer=SimpleNamespace(objects=objects),
        )
        app = SimpleNamespace(background=False, is_job_running=lambda kind: kind == job)
        context = SimpleNamespace(window_manager=SimpleNamespace(windows=[window]))
        delivery.bpy = SimpleNamespace(app=app, context=context)
        return delivery.obstacle()

    found = {
        "nothing": said(),
        "posing": said("POSE"),
        "looking around": said(tool="VIEW3D_OT_rotate"),
        "render": said(job="RENDER"),
        "bake": said(job="OBJECT_BAKE"),
        "moving": said(tool="TRANSFORM_OT_translate", undo=True),
        "stroke": said(tool="SCULPT_OT_brush_stroke"),
        "playing": said(playing=True),
        "editing": said("EDIT"),
        "sculpting": said("SCULPT"),
    }
    delivery.bpy = bpy
    return found


def changed_meanwhile(args: dict[str, Any]) -> Any:
    """The World is renamed, deleted, or linked from another file before the result arrives."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "ok")
    library = Path(args["root"]) / "library.blend"
    bpy.data.libraries.write(str(library), {bpy.data.worlds.new("Linked")})
    scene = bpy.context.scene
    found = {}

    def restored(change: Any) -> Any:
        scene.world = bpy.data.worlds.new("Mine")
        press_generate()
        change()
        settle(session)
        name, problem = scene.world.name, session.problem and session.problem.line
        bpy.ops.skyloop.restore_world()
        return [name, problem, scene.world.name if scene.world else None]

    def rename() -> None:
        scene.world.name = "Renamed"

    def link() -> None:
        with bpy.data.libraries.load(str(library), link=True) as (_, into):
            into.worlds = ["Linked"]
        scene.world = next(world for world in bpy.data.worlds if part("blender_addon.places").is_linked(world))

    found["renamed"] = restored(rename)
    found["deleted"] = restored(lambda: bpy.data.worlds.remove(scene.world))
    found["linked"] = restored(link)
    return found


def off_and_on(args: dict[str, Any]) -> Any:
    """The extension is disabled in mid-job and enabled again: the job is offered, and goes on."""
    addon_utils.enable(MODULE, default_set=True)
    bpy.context.preferences.addons[MODULE].preferences.output_folder = args["root"]
    session = use_fake(args["film"], "slow+keep")
    press_generate("goes on")
    turn_until(session, lambda: session.preview is not None)
    folder = session.job
    addon_utils.disable(MODULE)
    gone = [name for name in dir(bpy.types) if name.startswith("SKYLOOP")]
    addon_utils.enable(MODULE)
    bpy.context.preferences.addons[MODULE].preferences.output_folder = args["root"]
    session = use_fake(args["film"], "ok+keep")
    session.scan_history()
    turn_until(session, lambda: session._scan is None)
    offered = [str(job.folder) for job in session.unfinished]
    bpy.ops.skyloop.resume_job(job=str(folder))
    settle(session)
    return {"gone": gone, "offered": offered, "job": str(folder), "world": bpy.context.scene.world.name}


def told(args: dict[str, Any]) -> Any:
    """What the status bar and its panel say in each situation."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "slow")
    found = {"idle": _status()}
    press_generate()
    turn_until(session, lambda: session.preview is not None)
    found["running"], found["popover"] = _status(), _drawn("SKYLOOP_PT_progress")
    bpy.ops.skyloop.pause()
    found["paused"] = _status()
    bpy.ops.skyloop.resume_queue()
    bpy.ops.skyloop.cancel()
    settle(session)
    session.release()
    session.runtime.mode = "ok"
    bpy.context.scene.skyloop.auto_apply = False
    press_generate()
    settle(session)
    found["ready"] = _status()
    session.notice_until_s = 0.001  # long ago
    session.step()
    found["later"] = _status()
    session.release()
    session.runtime.mode = "crash"
    press_generate()
    settle(session)
    found["failed"], found["failed_popover"] = _status(), _drawn("SKYLOOP_PT_progress")
    bpy.ops.skyloop.dismiss()
    found["dismissed"] = _status()
    return found


def shown_while_made(args: dict[str, Any]) -> Any:
    """The preview in the viewport adds nothing to the file, and belongs to the scene that asked for it."""
    addon_utils.enable(MODULE, default_set=True)
    session, viewport = use_fake(args["film"], "slow"), part("blender_addon.running.viewport")
    first, shown = bpy.context.scene, bpy.context.window_manager.skyloop
    second = bpy.data.scenes.new("Second")
    view = SimpleNamespace(is_perspective=True)

    def seen(scene: bpy.types.Scene, region: Any = view) -> bool:
        manager = bpy.context.window_manager
        return viewport.shown_in(SimpleNamespace(window_manager=manager, region_data=region, scene=scene))

    before = _ids()
    found = {"before": seen(first)}
    shown.show_preview = True
    press_generate()
    turn_until(session, lambda: session.preview is not None)
    found |= {"first": seen(first), "second": seen(second), "added": _ids() - before}
    found["flat"] = seen(first, SimpleNamespace(is_perspective=False))
    bpy.ops.ed.undo_push(message="one")
    bpy.ops.ed.undo_push(message="two")
    bpy.ops.ed.undo()
    found["after_undo"] = seen(bpy.context.scene)
    blend = str(Path(args["root"]) / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    found["saved"] = _ids() - before
    shown = bpy.context.window_manager.skyloop
    shown.show_preview = False
    found["switched_off"] = seen(bpy.context.scene)
    bpy.context.window_manager.skyloop.show_preview = True
    bpy.ops.wm.open_mainfile(filepath=blend)
    found["in_another_file"] = seen(bpy.context.scene)
    bpy.ops.skyloop.cancel()
    settle(session)
    found["ended"] = seen(bpy.context.scene)
    return found


def _ids() -> int:
    return len(bpy.data.images) + len(bpy.data.worlds) + len(bpy.data.textures)


def _status() -> str:
    said: list[str] = []
    part("blender_addon.running.status").draw(SimpleNamespace(layout=Layout(said)), bpy.context)
    return " ".join(said)


def _drawn(panel: str) -> str:
    return drawn(getattr(bpy.types, panel), bpy.context)


def history(args: dict[str, Any]) -> Any:
    """Skies in two folders, one without a picture, one of a newer Skyloop: listed, searched, marked, made once more."""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
    session = use_fake(args["film"], "ok")
    here = make_job(args["film"], root, "dawn over hills", seed=1)
    bare = make_job(args["film"], root, "storm", seed=2)
    (bare / "poster.png").unlink()
    newer = make_job(args["film"], root, "from the future", seed=3)
    (newer / "request.json").write_text('{"schema": 99, "prompt": "from the future"}', encoding="utf-8")
    home = make_job(args["film"], part("blender_addon.places").home_root(), "at home", seed=4)
    found: dict[str, Any] = {}
    bpy.ops.skyloop.refresh_history()
    settle(session)
    ours = {str(job.folder): job for job in session.history}
    found["listed"] = [path in ours for path in map(str, (here, bare, newer, home))]
    found["lines"] = len(bpy.context.window_manager.skyloop.history) == len(session.history)
    _choose(session, bare)
    found["bare"] = _drawn("SKYLOOP_PT_history")
    bpy.ops.skyloop.pin(job=str(here))
    found["pinned"] = session.listed(here).pinned and (here / "pinned").is_file()
    found["search"] = _shown(session, words="DAWN hills")
    found["favourites"] = _shown(session, pinned=True)
    _choose(session, here)
    bpy.ops.skyloop.refresh_history()
    settle(session)
    found["still_chosen"] = session.chosen().folder == here and session.chosen().pinned
    bpy.ops.skyloop.pin(job=str(here), pinned=False)
    found["unpinned"] = session.listed(here).pinned
    bpy.context.scene.skyloop.auto_apply = False
    bpy.ops.skyloop.reroll(job=str(here))
    again = session.queue.tasks[0].request
    settle(session)
    made = session.listed(session.just_done)
    found["again"] = [again.prompt, again.seed != 1, again.width, made.card.prompt, made.card.seed == again.seed]
    shutil.rmtree(bare)
    found["gone"] = _refused(lambda: bpy.ops.skyloop.apply_world(job=str(bare)))
    found["gone_again"] = _refused(lambda: bpy.ops.skyloop.reroll(job=str(bare)))
    bpy.ops.skyloop.refresh_history()
    settle(session)
    bpy.ops.wm.read_homefile(use_empty=True)
    found["lines_after_open"] = len(bpy.context.window_manager.skyloop.history) == len(session.history) > 0
    settle(session)
    found["after_open"] = [session.listed(here) is not None, session.listed(bare) is not None]
    return found


def space(args: dict[str, Any]) -> Any:
    """What Free Space says it would delete, and what is there afterwards."""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
    session = use_fake(args["film"], "slow")
    jobs = {name: make_job(args["film"], root, name, seed=n) for n, name in enumerate(NAMES)}
    jobs["quick"] = make_job(args["film"], root / "candidates", "quick")
    scene = bpy.context.scene
    bpy.ops.skyloop.apply_world(job=str(jobs["world"]))
    bpy.data.images.load(str(jobs["image"] / "sky.mp4"))
    request = part("blender_addon.core.jobs").read(jobs["old"]).request
    session.generate_for(scene, replace(request, source=str(jobs["source"]), strength=0.3))
    session.scan_history()
    turn_until(session, lambda: session._scan is None and session.state == "running")
    bpy.ops.skyloop.pin(job=str(jobs["liked"]))
    others = {job.folder for job in session.archive.all} - set(jobs.values())  # of other scenarios, in the home
    dialog = bpy.types.SKYLOOP_OT_free_space
    operator = SimpleNamespace(keep_mb=0, layout=Layout([]), bl_rna=bpy.ops.skyloop.free_space.get_rna_type())
    dialog.draw(operator, bpy.context)
    said = " ".join(operator.layout.said)
    goes = [job.title for job in session.to_free(0) if job.folder not in others]
    untouched = [job.title for job in session.to_free(10e9)]
    refused = {name: _refused(lambda name=name: bpy.ops.skyloop.delete_job(job=str(jobs[name]))) for name in IN_USE}
    bpy.ops.skyloop.free_space(keep_mb=0)
    turn_until(session, lambda: session._scan is None and not session.errands.busy)
    bpy.ops.skyloop.cancel()
    settle(session)
    left = sorted(name for name, folder in jobs.items() if folder.exists())
    listed = {job.title for job in session.archive.all}
    return {"said": said, "goes": goes, "all": untouched, "refused": refused, "left": left, "listed": sorted(listed)}


NAMES = ("old", "world", "image", "source", "liked", "new")
IN_USE = ("world", "image", "source")


def _choose(session: Any, folder: Path) -> None:
    folders = [job.folder for job in session.history]
    bpy.context.window_manager.skyloop.history_index = folders.index(folder)


def _shown(session: Any, words: str = "", *, pinned: bool = False) -> list[str]:
    """The titles that the list shows, in its order."""
    shown = bpy.context.window_manager.skyloop
    shown.history_words, shown.history_pinned = words, pinned
    stand_in = SimpleNamespace(bitflag_filter_item=1 << 30)
    flags, places = bpy.types.SKYLOOP_UL_history.filter_items(stand_in, bpy.context, shown, "history")
    shown.history_words, shown.history_pinned = "", False
    titles = {place: job.title for place, flag, job in zip(places, flags, session.history, strict=True) if flag}
    return [titles[place] for place in sorted(titles)]


def _refused(press: Any) -> str:
    try:
        press()
    except RuntimeError as error:
        return str(error)
    return "nothing"

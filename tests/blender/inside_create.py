"""Scenarios of asking for a sky, and of trying some out first: see :mod:`inside`."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import MODULE, finish, make_job, part, turn_until, use_fake


def begin(args: dict[str, Any], mode: str = "ok") -> Any:
    """The extension with the fake backend, skies in ``root`` if that is given; returns the session."""
    addon_utils.enable(MODULE, default_set=True)
    if "root" in args:
        bpy.context.preferences.addons[MODULE].preferences.output_folder = args["root"]
    session = use_fake(args["film"], mode)
    turn_until(session, lambda: session._scan is None)
    return session


def set_free(session: Any, free_mb: float | None) -> None:
    """As if the last look at the disk had found so much free space."""
    session.archive = replace(session.archive, free_mb=free_mb)


def settle(session: Any) -> None:
    """Until all is made, handed over and listed."""
    finish(session)
    turn_until(session, lambda: session._scan is None)


def said(call: Callable[[], Any]) -> str:
    """What an operator refuses with; empty when it does not."""
    try:
        call()
    except RuntimeError as error:
        return str(error).strip()
    return ""


def words_of(scene: bpy.types.Scene | None = None) -> dict[str, str]:
    """All that the panels say."""
    from layout import drawn

    names = ("PT_main", "PT_model", "PT_settings", "PT_presets", "PT_explore", "MT_examples", "MT_models")
    with bpy.context.temp_override(scene=scene or bpy.context.scene):
        return {name[3:]: drawn(getattr(bpy.types, f"SKYLOOP_{name}"), bpy.context) for name in names}


def panels(args: dict[str, Any]) -> Any:
    """What they say of an empty scene, of one with a prompt, of a wrong one, and of a sky made from another."""
    begin(args)
    settings = bpy.context.scene.skyloop
    found = {"empty": words_of()}
    settings.prompt = "stars"
    found["fine"] = words_of()
    settings.quality, settings.custom_width, settings.style = "CUSTOM", 1000, "CUSTOM"
    settings.match_scene_fps, settings.model = True, "another"
    settings.explore.source, settings.explore.strength = args["film"], 0.5
    found["wrong"] = words_of()
    return found


def set_wrong(name: str, root: str) -> None:
    """Make one thing wrong, by the name of its check."""
    scene = bpy.context.scene
    settings = scene.skyloop
    session = part("blender_addon.session").current()
    match name:
        case "prompt":
            settings.prompt = ""
        case "prompt spaces":
            settings.prompt = "   "
        case "prompt bell":
            settings.prompt = "stars\x07"
        case "prompt style":
            settings.prompt, settings.style, settings.style_text = "s" * 1900, "CUSTOM", "w" * 400
        case "negative":
            settings.negative = "  "
        case "size":
            settings.quality, settings.custom_width = "CUSTOM", 1000
        case "model":
            settings.model = "gone"
        case "disk":
            settings.frames = 400
            set_free(session, 400.0)
        case "time":
            settings.frames = 4096
        case "source":
            settings.explore.source, settings.explore.strength = root, 1.0
        case "rate":
            scene.render.fps, scene.render.fps_base = 30, 1.001
        case "front":
            camera = bpy.data.objects.new("C", bpy.data.cameras.new("C"))
            camera.rotation_euler = (1.5708, 0.0, 3.1)
            scene.collection.objects.link(camera)
            scene.camera = camera
            bpy.context.view_layer.update()


def fixes(args: dict[str, Any]) -> Any:
    """Each thing that can be wrong: what is said, whether Generate can be pressed, and both after its button; then
    after undo and redo."""
    found = {}
    for name in args["names"]:
        bpy.ops.wm.read_homefile(use_empty=True)
        session = begin(args)
        set_free(session, None)
        check = name.split()[0]
        bpy.context.scene.skyloop.prompt = "stars"
        set_wrong(name, args["root"])
        bpy.ops.ed.undo_push(message="wrong")
        request = part("blender_addon.create.request")

        def there(check: str = check, found_in: Any = request.found_in) -> str:
            return next((c.message for c in found_in(bpy.context) if c.id == check), "")

        before = {"said": there(), "can": bpy.ops.skyloop.generate.poll(), "panels": words_of()}
        bpy.ops.skyloop.fix("EXEC_DEFAULT", True, check=check)
        after = {"said": there(), "can": bpy.ops.skyloop.generate.poll()}
        bpy.ops.ed.undo()
        undone = there()
        bpy.ops.ed.redo()
        found[name] = {"before": before, "after": after, "undone": undone, "redone": there()}
    found["nothing"] = said(lambda: bpy.ops.skyloop.fix(check="weather"))
    return found


def region(args: dict[str, Any]) -> Any:
    """A region without a prompt: its button selects it, and once it has one nothing is in the way."""
    begin(args)
    bpy.context.scene.skyloop.prompt = "stars"
    regions = part("blender_addon.direct.regions")
    names = [regions.add(bpy.context.scene, yaw, 0.0, 30.0, prompt).name for yaw, prompt in ((0.0, "moon"), (90.0, ""))]
    words, can = words_of()["main"], bpy.ops.skyloop.generate.poll()
    bpy.ops.skyloop.fix(check="steering 0")
    active = bpy.context.view_layer.objects.active
    active.skyloop.prompt = "sun"
    return {
        "words": words,
        "selected": active.name == names[1],
        "can": [can, bpy.ops.skyloop.generate.poll()],
        "after": words_of()["main"],
    }


def choose_folder(args: dict[str, Any]) -> Any:
    """The last resort when the disk is full: another folder."""
    session = begin(args)
    bpy.context.scene.skyloop.prompt = "stars"
    set_free(session, 0.0)
    checks = part("blender_addon.create.request").found_in(bpy.context)
    disk = next(c for c in checks if c.id == "disk")
    can = bpy.ops.skyloop.generate.poll()
    missing = said(lambda: bpy.ops.skyloop.choose_output_folder(directory=str(Path(args["root"]) / "none")))
    bpy.ops.skyloop.choose_output_folder(directory=args["other"])
    settle(session)
    return {
        "operator": disk.fix.operator,
        "can": [can, bpy.ops.skyloop.generate.poll()],
        "missing": missing,
        "folder": str(part("blender_addon.places").output_root()),
        "free_mb": session.free_mb,
    }


def presets(args: dict[str, Any]) -> Any:
    """Saved, applied, overwritten, broken, deleted."""
    begin(args)
    catalogue = part("blender_addon.create.catalogue")
    settings, ops = bpy.context.scene.skyloop, bpy.ops.skyloop
    folder = catalogue.presets_folder()
    values = {"quality": "CUSTOM", "custom_width": 768, "frames": 48, "fps": 24.0, "style": "MISTY", "negative": "sun"}
    settings.prompt = "kept apart"
    for name, value in values.items():
        setattr(settings, name, value)
    ops.save_preset(name="Mine")
    ops.save_preset(name="With Words", include_prompt=True)
    refused = {
        "twice": said(lambda: ops.save_preset(name="Mine")),
        "nameless": said(lambda: ops.save_preset(name=" ")),
        "built in": said(lambda: ops.save_preset(name="Final", overwrite=True)),
        "delete built in": said(lambda: ops.delete_preset(name="Preview")),
        "unknown": said(lambda: ops.apply_preset(name="Nobody's")),
    }

    def state() -> dict[str, Any]:
        return {name: getattr(settings, name) for name in values}

    settings.prompt = "another"
    ops.apply_preset(name="Preview")
    preview = [settings.quality, settings.frames, settings.fps, settings.style]
    bpy.ops.ed.undo_push(message="before")
    ops.apply_preset("EXEC_DEFAULT", True, name="Mine")
    settings = bpy.context.scene.skyloop
    applied, prompt = state(), settings.prompt
    bpy.ops.ed.undo()
    settings = bpy.context.scene.skyloop
    undone = state()
    bpy.ops.ed.redo()
    settings = bpy.context.scene.skyloop
    redone = state()
    ops.apply_preset(name="With Words")
    with_words = settings.prompt
    settings.frames = 8
    ops.save_preset(name="Mine", overwrite=True)
    (folder / "bad.json").write_text("{", encoding="utf-8")
    (folder / "foreign.json").write_text(
        '{"skyloop_preset": 1, "name": "Foreign", "settings": {"colour": 1}}', encoding="utf-8"
    )
    catalogue.look()
    shown = words_of()["presets"]
    mine = next(p for p in catalogue.shelf().presets if p.name == "Mine")
    mine.file.write_text("no longer", encoding="utf-8")  # by another program, since it was listed
    refused["spoilt"] = said(lambda: ops.apply_preset(name="Mine"))
    for name in ("bad.json", "foreign.json", mine.file.name, "With Words"):
        ops.delete_preset(name=name)
    return {
        "values": values,
        "applied": applied,
        "undone": undone,
        "redone": redone,
        "preview": preview,
        "prompt": [prompt, with_words],
        "refused": refused,
        "shown": shown,
        "left": [p.name for p in catalogue.shelf().presets] + [b.file.name for b in catalogue.shelf().broken],
        "folder": str(folder),
        "inside": "skyloop" in str(folder).lower(),
    }


def keep_preset(args: dict[str, Any]) -> Any:
    begin(args)
    bpy.context.scene.skyloop.frames = 77
    bpy.ops.skyloop.save_preset(name="Of Yesterday")
    return None


def find_preset(args: dict[str, Any]) -> Any:
    """In a later Blender, and once more after the extension was switched off and on."""
    begin(args)
    addon_utils.disable(MODULE)
    addon_utils.enable(MODULE, default_set=True)
    use_fake(args["film"], "ok")
    bpy.ops.skyloop.apply_preset(name="Of Yesterday")
    frames = bpy.context.scene.skyloop.frames
    bpy.ops.skyloop.delete_preset(name="Of Yesterday")
    return frames


def seeds(args: dict[str, Any]) -> Any:
    """Drawn anew for every sky until it is locked; taken along and brought back."""
    session = begin(args, "ok")
    settings, ops = bpy.context.scene.skyloop, bpy.ops.skyloop
    settings.prompt = "stars"
    asked = []
    for _ in range(3):
        ops.generate()
        asked.append(settings.seed)
    settings.random_seed = False
    for _ in range(2):
        ops.generate()
        asked.append(settings.seed)
    ops.new_seed()
    drawn, locked = settings.seed, not settings.random_seed
    clipboard = SimpleNamespace(clipboard="")  # without a window Blender has none
    context = SimpleNamespace(scene=bpy.context.scene, window_manager=clipboard)
    reports: list[str] = []
    operators, pasted = part("blender_addon.create.seeds"), {}

    def press(operator: Any) -> None:
        stand_in = SimpleNamespace(report=lambda kind, line: reports.append(line))
        stand_in.act = partial(operator.act, stand_in)
        operator.execute(stand_in, context)

    for text in ("4711", " 12\n", "", "moon", "-3", "2147483648", "99999999999999999999", "٣", "1.5"):
        settings.seed, settings.random_seed, clipboard.clipboard = 1, True, text
        reports.clear()
        press(operators.SKYLOOP_OT_paste_seed)
        pasted[text] = [settings.seed, settings.random_seed, *reports]
    settings.seed = 42
    press(operators.SKYLOOP_OT_copy_seed)
    return {
        "asked": asked,
        "drawn": drawn,
        "locked": locked,
        "pasted": pasted,
        "copied": clipboard.clipboard,
        "waiting": [task.request.seed for task in session.queue.tasks],
    }


def length(args: dict[str, Any]) -> Any:
    """Seconds and frames are one length; the scene's rate keeps the seconds."""
    begin(args)
    scene = bpy.context.scene
    settings = scene.skyloop
    scene.render.fps, scene.render.fps_base = 24, 1.001
    request_of = part("blender_addon.create.request").request_of

    def now() -> list[float]:
        request = request_of(scene, device="cpu")
        return [request.frames, round(request.fps, 3), round(settings.duration_s, 3)]

    found = {"first": now()}
    settings.duration_s = 5.0
    found["five seconds"] = now()
    settings.frames = 32
    found["32 frames"] = now()
    settings.match_scene_fps = True
    found["of the scene"] = now()
    scene.render.fps = 48
    found["scene faster"] = now()
    settings.duration_s = 1.0
    found["one second"] = now()
    settings.match_scene_fps = False
    found["own again"] = now()
    settings.duration_s = 1e9
    found["longest"] = now()
    settings.duration_s = 0.0
    found["shortest"] = now()
    return found


def small_steps(args: dict[str, Any]) -> Any:
    """The operators that set one thing: done, undone, redone."""
    begin(args)
    found = {}
    for name, arguments, attribute in (
        ("use_prompt", {"prompt": "rain"}, "prompt"),
        ("choose_model", {"model": "another"}, "model"),
        ("new_seed", {}, "seed"),
        ("start_from_prompt", {}, "explore.source"),
    ):
        settings = bpy.context.scene.skyloop
        settings.explore.source, settings.seed = "/somewhere", 1
        bpy.ops.ed.undo_push(message="before")
        states = []
        for step in (
            lambda: None,
            lambda: getattr(bpy.ops.skyloop, name)("EXEC_DEFAULT", True, **arguments),  # noqa: B023
            bpy.ops.ed.undo,
            bpy.ops.ed.redo,
        ):
            step()
            states.append(bpy.context.scene.path_resolve(f"skyloop.{attribute}"))
        found[name] = states
    return found


def recall(args: dict[str, Any]) -> Any:
    """Settings of earlier skies come back whole, into a scene that is set quite otherwise, and when it is reopened."""
    begin(args)
    jobs, protocol = part("blender_addon.core.jobs"), part("backend.protocol")
    request_of = part("blender_addon.create.request").request_of
    root, found = Path(args["root"]), []
    for number, fields in enumerate(args["requests"]):
        request = protocol.GenerateRequest.from_json({"device": "cpu", **fields})
        folder = jobs.create(root, request)
        bpy.ops.wm.read_homefile(use_empty=True)
        begin(args)
        settings = bpy.context.scene.skyloop
        settings.match_scene_fps = settings.loop = bool(number % 2)
        settings.style, settings.style_text, settings.frames, settings.model = "CUSTOM", "odd", 99, "gone"
        settings.explore.source, settings.explore.strength = "/old", 0.9
        settings.front_deg, settings.direct.motion, settings.direct.photo = 30.0, 0.5, "/old.png"
        regions = part("blender_addon.direct.regions")
        mine = regions.add(bpy.context.scene, 10.0, 20.0, 30.0, "mine")
        for _ in range(2):  # the second time nothing is added
            bpy.ops.skyloop.recall(job=str(folder))
        mine = bpy.data.objects[mine.name]
        objects = len(bpy.data.objects), mine.skyloop.enabled
        blend = str(root / "recalled.blend")
        bpy.ops.wm.save_as_mainfile(filepath=blend)
        bpy.ops.wm.open_mainfile(filepath=blend)
        again = request_of(bpy.context.scene, device="cpu").to_json()
        found.append({name: [value, again[name]] for name, value in request.to_json().items() if again[name] != value})
        found[-1] |= {"objects": objects} if objects != (1 + len(request.regions), False) else {}
        found[-1] |= {"seed is drawn anew": 1} if bpy.context.scene.skyloop.random_seed else {}
    jobs_with_large_seed = jobs.create(root, protocol.GenerateRequest(prompt="x", seed=2**40))
    return {"lost": found, "large": said(lambda: bpy.ops.skyloop.recall(job=str(jobs_with_large_seed)))}


def two_scenes(args: dict[str, Any]) -> Any:
    """Each scene has its own request; a preset, a fix or a seed of one leaves the other alone."""
    begin(args)
    first, second = bpy.context.scene, bpy.data.scenes.new("Second")
    first.skyloop.prompt = "of the first"
    with bpy.context.temp_override(scene=second):
        second.skyloop.prompt = " "
        bpy.ops.skyloop.fix(check="prompt")
        bpy.ops.skyloop.apply_preset(name="Final")
        bpy.ops.skyloop.new_seed()
        second.skyloop.match_scene_fps = True
    found = [
        [s.skyloop.prompt, s.skyloop.quality, s.skyloop.random_seed, s.skyloop.match_scene_fps] for s in (first, second)
    ]
    return {"scenes": found, "panels": [words_of(first)["main"], words_of(second)["main"]]}


def explore(args: dict[str, Any]) -> Any:
    """Four are tried, one is chosen, looked at, made in full, kept; more are made, the rest discarded."""
    session = begin(args, "ok")
    jobs, ops = part("blender_addon.core.jobs"), bpy.ops.skyloop
    scene = bpy.context.scene
    settings = scene.skyloop
    scene.world = bpy.data.worlds.new("Mine")
    found: dict[str, Any] = {"refused": said(ops.try_candidates), "none": words_of()["explore"]}
    settings.prompt, settings.style, settings.steps = "stars", "MISTY", 30
    ops.try_candidates(count=4)
    found["asked"] = [task.request.to_json() for task in session.queue.tasks]
    turn_until(session, lambda: session.queue.running and session.preview is not None)
    found["running"] = words_of()["explore"]
    settle(session)
    found["done"] = words_of()["explore"]
    found["world"] = scene.world.name
    folder = next(job.folder for job in session.candidates if job.card.seed == found["asked"][2]["seed"])
    settings.prompt, settings.style, settings.random_seed = "something else", "NONE", True
    bpy.ops.ed.undo_push(message="before")
    states = []
    for step in (
        lambda: None,
        lambda: ops.choose_candidate("EXEC_DEFAULT", True, job=str(folder)),
        bpy.ops.ed.undo,
        bpy.ops.ed.redo,
    ):
        step()
        now = bpy.context.scene.skyloop
        states.append([now.prompt, now.style, now.random_seed, now.explore.chosen == folder.name])
    found["choosing"], settings = states, bpy.context.scene.skyloop
    found["chosen seed"], found["third"] = settings.seed, found["asked"][2]["seed"]
    found["chosen"] = words_of()["explore"]
    ops.show_candidate()
    found["shown"] = bpy.context.scene.world.skyloop.job == str(folder)
    ops.restore_world()
    ops.make_candidate()
    [task] = session.queue.tasks
    found["full"] = task.request.to_json()
    settle(session)
    found["full world"] = bpy.context.scene.world.skyloop.job == str(task.folder)
    settings.duration_s = 4.0
    ops.make_candidate()
    [task] = session.queue.tasks
    found["longer"] = task.request.to_json()
    settle(session)
    settings.quality, settings.frames = "PREVIEW", 16
    found["whole"] = words_of()["explore"]
    ops.keep_candidate()
    kept = Path(bpy.context.scene.world.skyloop.job)
    turn_until(session, lambda: session._scan is None)
    found["kept"] = [str(kept.parent), kept in [job.folder for job in session.history], folder.exists()]
    ops.more_candidates(count=2)
    found["more"] = [task.request.to_json() for task in session.queue.tasks]
    settle(session)
    found["six"] = words_of()["explore"].count("[Cho")
    ops.discard_candidates()
    turn_until(session, lambda: session._scan is None)
    found["left"] = [job.folder == folder for job in session.candidates]
    found["folder"] = str(folder)
    found["jobs"] = str(jobs.Purpose.of(folder))
    return found


def vary(args: dict[str, Any]) -> Any:
    """Variations of the World's sky, and of one in the history."""
    session = begin(args, "ok")
    root = Path(args["root"])
    sky = make_job(args["film"], root, "aurora")
    found: dict[str, Any] = {"no sky": said(lambda: bpy.ops.skyloop.vary())}
    found["foreign"] = said(lambda: bpy.ops.skyloop.vary(job=args["film"]))
    bpy.ops.skyloop.apply_world(job=str(sky))
    bpy.context.scene.skyloop.prompt = "aurora"
    found["main"] = words_of()["main"]
    bpy.ops.skyloop.vary()
    found["asked"] = [task.request.to_json() for task in session.queue.tasks]
    settle(session)
    bpy.ops.skyloop.vary(job=str(sky), count=1)
    found["one"] = [task.request.source for task in session.queue.tasks]
    settle(session)
    found["panel"] = words_of()["explore"]
    first = session.candidates[0].folder
    bpy.ops.skyloop.choose_candidate(job=str(first))
    bpy.ops.skyloop.more_candidates(count=1)
    found["more"] = [task.request.source for task in session.queue.tasks]
    found["source"] = str(sky)
    return found


def misuse(args: dict[str, Any]) -> Any:
    """What cannot be done is refused in a sentence, and nothing is touched."""
    session = begin(args, "slow")
    ops, root = bpy.ops.skyloop, Path(args["root"])
    sky = make_job(args["film"], root, "a finished sky, no candidate")
    undone = part("blender_addon.core.jobs").create(
        root / "candidates", part("backend.protocol").GenerateRequest(prompt="x")
    )
    found = {}
    for name in ("choose_candidate", "make_candidate", "keep_candidate", "show_candidate"):
        for what, job in (
            ("none", ""),
            ("sky", sky),
            ("undone", undone),
            ("foreign", args["film"]),
            ("up", root / ".."),
        ):
            found[f"{name} {what}"] = said(lambda: getattr(ops, name)(job=str(job)))  # noqa: B023
    found["more"] = said(ops.more_candidates)
    found["discard"] = said(ops.discard_candidates)
    bpy.context.scene.skyloop.prompt = "stars"
    set_free(session, 1.0)
    found["full"] = said(ops.try_candidates)
    found["untouched"] = sky.exists() and undone.exists() and not session.queue.tasks
    return found


def open_meanwhile(args: dict[str, Any]) -> Any:
    """Another file is opened while candidates are made, and the first one again: they are there, and no World is
    touched; then what another Blender finds."""
    session = begin(args, "ok")
    blend = str(Path(args["root"]) / "first.blend")
    bpy.context.scene.skyloop.prompt = "stars"
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    bpy.ops.skyloop.try_candidates(count=3)
    turn_until(session, lambda: session.state == "running")
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.world = bpy.data.worlds.new("Other")
    meanwhile = words_of()["explore"]
    settle(session)
    world = bpy.context.scene.world.name
    bpy.ops.wm.open_mainfile(filepath=blend)
    settle(session)
    back = words_of()["explore"]
    bpy.ops.skyloop.discard_candidates.poll()
    return {"meanwhile": meanwhile, "world": world, "back": back}


def find_candidates(args: dict[str, Any]) -> Any:
    session = begin(args)
    bpy.ops.wm.open_mainfile(filepath=str(Path(args["root"]) / "first.blend"))
    settle(session)
    words = words_of()["explore"]
    bpy.ops.skyloop.choose_candidate(job=str(session.candidates[0].folder))
    bpy.ops.skyloop.make_candidate()
    settle(session)
    return {"words": words, "world": bpy.context.scene.world.name}


def explore_two_scenes(args: dict[str, Any]) -> Any:
    """Each scene sees the candidates of its own prompt; cancelling and discarding end what is being made."""
    session = begin(args, "slow")
    first, second = bpy.context.scene, bpy.data.scenes.new("Second")
    for scene, prompt in ((first, "stars"), (second, "rain")):
        scene.skyloop.prompt = prompt
        with bpy.context.temp_override(scene=scene):
            bpy.ops.skyloop.try_candidates(count=2)
    turn_until(session, lambda: session.state == "running" and session.preview is not None)
    before = [words_of(scene)["explore"] for scene in (first, second)]
    with bpy.context.temp_override(scene=second):
        bpy.ops.skyloop.discard_candidates()
    turn_until(session, lambda: len(session.queue.tasks) == 2)
    after = [words_of(scene)["explore"] for scene in (first, second)]
    bpy.ops.skyloop.discard_candidates()
    settle(session)
    root = Path(args["root"]) / "candidates"
    return {"before": before, "after": after, "left": [f.name for f in root.iterdir() if not f.name.startswith(".")]}

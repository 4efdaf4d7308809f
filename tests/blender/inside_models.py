"""Scenarios of choosing a model, getting it, looking after it: see :mod:`inside`."""

import sys
from pathlib import Path
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import FAKE, MODULE, finish, make_job, part, turn_until, use_fake

FAKE_MODELS = FAKE.with_name("fake_models.py")


class Bench:
    """The extension with a fake generator and a fake manager of models, all in ``home``."""

    def __init__(self, args: dict[str, Any], mode: str = "ok") -> None:
        addon_utils.enable(MODULE, default_set=True)
        self.home, self.mode = Path(args["home"]), mode
        found = bpy.context.preferences.addons[MODULE].preferences
        found.output_folder, found.runtime_folder = str(self.home / "skies"), str(self.home)
        bpy.context.preferences.system.use_online_access = True
        self.session = use_fake(args["film"], "ok")
        self.work, self.shelf = part("blender_addon.models.work"), part("blender_addon.models.shelf")
        self.work.backend_command = self.command
        self.ran: list[list[str]] = []
        self.settings = bpy.context.scene.skyloop
        self.settings.prompt = "stars"
        self.look()

    def command(self, *words: str, home: Path | None = None) -> list[str]:
        assert home == self.home
        self.ran.append(list(words[1:]))
        return [sys.executable, str(FAKE_MODELS), str(home), self.mode, *words]

    def look(self) -> None:
        """Until the last look at the disk has been taken in."""
        self.shelf.stock()
        turn_until(self.session, lambda: self.shelf._asked is None and self.session._scan is None)

    def begin(self, *words: str, model: str = "") -> None:
        """As ``work.start`` does where there is a window: nobody waits."""
        tool = part("blender_addon.core.tool").Tool
        command = self.command("models", *words, home=self.home)
        self.work.works._current = self.work.Work("Getting it", tool(command, environ=self.work.environ()), model)

    def checks(self) -> dict[str, list[str]]:
        found = part("blender_addon.create.request").found_in(bpy.context)
        return {c.id: [str(c.severity), c.message, c.fix.label if c.fix else ""] for c in found}

    def words(self) -> dict[str, str]:
        from layout import drawn

        names = ("PT_main", "PT_model", "MT_models")
        return {name[3:]: drawn(getattr(bpy.types, f"SKYLOOP_{name}"), bpy.context) for name in names}


def said(call: Any) -> str:
    """What an operator refuses with; empty when it does not."""
    try:
        call()
    except RuntimeError as error:
        return str(error).strip()
    return ""


def get(args: dict[str, Any]) -> Any:
    """A model that is not here is chosen, got, used, verified and removed."""
    bench = Bench(args)
    ops, fix = bpy.ops.skyloop, {}
    ops.choose_model(model="wan21-1.3b")
    fix["before"] = [bench.checks().get("model"), ops.generate.poll(), bench.words()]
    ops.fix(check="model")
    bench.look()
    fix["after"] = [bench.checks().get("model"), ops.generate.poll(), bench.words()]
    ops.generate()
    finish(bench.session)
    folder = bench.session.archive.all or bench.session.finished
    ops.verify_model(model="wan21-1.3b")
    ops.remove_model(model="wan21-1.3b")
    bench.look()
    fix["removed"] = bench.checks().get("model")
    return fix | {"ran": bench.ran, "made": bool(folder)}


def under_way(args: dict[str, Any]) -> Any:
    """While a download goes on, and after it was cancelled."""
    bench = Bench(args, "slow")
    bpy.ops.skyloop.choose_model(model="wan21-1.3b")
    bench.begin("download", "wan21-1.3b", model="wan21-1.3b")
    turn_until(bench.session, lambda: bench.work.step() and bench.work.current().progress.done > 400)
    during = {
        "words": bench.words()["main"],
        "check": bench.checks()["model"],
        "another": said(lambda: bpy.ops.skyloop.remove_model(model="wan21-1.3b")),
    }
    bpy.ops.skyloop.cancel_model()
    turn_until(bench.session, lambda: not bench.work.step())
    bench.look()
    after = {"check": bench.checks()["model"], "problem": bench.work.problem() is None, "words": bench.words()["model"]}
    return {"during": during, "after": after, "cancel": bpy.ops.skyloop.cancel_model.poll()}


def refusals(args: dict[str, Any]) -> Any:
    """What stands in the way of a download, and what the panel says then."""
    found: dict[str, Any] = {}
    for mode in ("gated", "full"):
        bench = Bench(args, mode)
        found[mode] = said(lambda: bpy.ops.skyloop.get_model(model="wan21-1.3b"))
    bench.begin("download", "wan21-1.3b", model="wan21-1.3b")
    turn_until(bench.session, lambda: not bench.work.step())
    found["panel"] = bench.words()["main"]
    bpy.ops.skyloop.dismiss_models()
    found["dismissed"] = bench.work.problem() is None
    bench.mode = "ok"
    found["licence"] = said(lambda: bpy.ops.skyloop.get_model(model="hunyuan15"))
    bpy.ops.skyloop.get_model(model="hunyuan15", accept_licence=True)
    found["accepted"] = bench.ran[-1]
    found["unknown"] = said(lambda: bpy.ops.skyloop.get_model(model="gone"))
    bpy.context.preferences.system.use_online_access = False
    bpy.ops.skyloop.choose_model(model="wan21-14b")
    found["offline"] = [bpy.ops.skyloop.get_model.poll(), bench.words()["model"]]
    return found


def environment(args: dict[str, Any]) -> Any:
    """Token and mirror reach the child by its environment, and no .blend."""
    bench = Bench(args)
    found = bpy.context.preferences.addons[MODULE].preferences
    found.hub_token, found.hub_mirror = "hf_secret", "ftp://mirror"
    wrong = said(lambda: bpy.ops.skyloop.get_model(model="wan21-1.3b"))
    found.hub_mirror = "https://mirror.example.org/"
    bench.begin("download", "wan21-1.3b")
    tool = bench.work.current().tool
    turn_until(bench.session, lambda: not bench.work.step())
    blend = bench.home / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=False)
    shown = found.bl_rna.properties["hub_token"].subtype
    found.hub_token = found.hub_mirror = ""
    return {
        "wrong": wrong,
        "given": tool.document["token"],
        "in_blend": b"hf_secret" in blend.read_bytes(),
        "in_command": any("hf_secret" in word for word in tool._process.args),
        "subtype": shown,
    }


def own_folder(args: dict[str, Any]) -> Any:
    bench = Bench(args)
    own = bench.home / "mine"
    own.mkdir()
    missing = said(lambda: bpy.ops.skyloop.add_model(model="wan21-1.3b", filepath=str(bench.home / "not")))
    bpy.ops.skyloop.add_model(model="wan21-1.3b", filepath=str(own))
    bpy.ops.skyloop.choose_model(model="wan21-1.3b")
    bench.look()
    return {"missing": missing, "ran": bench.ran, "words": bench.words()["model"], "checks": list(bench.checks())}


def follow(args: dict[str, Any]) -> Any:
    """Size, length and rate follow the model, but for those that the user has set."""
    bench = Bench(args)
    settings, choose = bench.settings, bpy.ops.skyloop.choose_model

    def now() -> list[Any]:
        return [settings.quality, settings.frames, settings.fps]

    found = {"first": now()}
    for model in ("wan21-1.3b", "fastwan22-5b", "builtin"):
        choose(model=model)
        found[model] = now()
    settings.frames = 40
    choose(model="wan21-1.3b")
    found["by hand"] = now()
    values = {"frames": 33, "fps": 5.0, "quality": "PREVIEW", "model": "fastwan22-5b"}
    part("blender_addon.create.request").assign(settings, values)
    found["preset"] = now()
    job = make_job(args["film"], bench.home / "skies")
    bpy.ops.skyloop.recall(job=str(job))
    found["recalled"] = [settings.model, *now(), settings.custom_width]
    return found


def hints(args: dict[str, Any]) -> Any:
    """Steps that a few-step model was not trained for, odd lengths, small sizes, no picture: each with its button."""
    bench = Bench(args)
    settings = bench.settings
    found: dict[str, Any] = {}

    def fixed(check: str) -> list[Any]:
        before = bench.checks().get(check)
        bpy.ops.skyloop.fix(check=check)
        return [before, bench.checks().get(check)]

    bpy.ops.skyloop.choose_model(model="fastwan22-5b")
    found["fine"] = list(bench.checks())
    settings.steps, settings.guidance = 20, 6.0
    found["steps"], found["guidance"] = fixed("trained_steps"), fixed("trained_guidance")
    settings.frames = 122
    found["odd"] = [*fixed("loop_length"), settings.frames]
    settings.frames = 16
    found["short"] = [*fixed("loop_length"), settings.frames]
    settings.quality = "PREVIEW"
    found["small"] = [*fixed("composed"), settings.quality]
    bpy.ops.skyloop.choose_model(model="svd-xt")
    found["picture"] = bench.checks()["picture"]
    bpy.ops.skyloop.choose_photo(filepath=str(Path(args["film"]) / "poster.png"))
    found["with picture"] = "picture" in bench.checks()
    settings.direct.photo_kind = "PHOTO"
    found["with photo"] = "picture" in bench.checks()
    return found


def loras(args: dict[str, Any]) -> Any:
    """Files are added, weighed, left out, sent along, and come back with an earlier sky."""
    bench = Bench(args)
    request_of = part("blender_addon.create.request").request_of
    scene, ops = bpy.context.scene, bpy.ops.skyloop
    for name in ("mist.safetensors", "pano.safetensors"):
        (bench.home / name).write_bytes(b"x")
    names = [{"name": "mist.safetensors"}, {"name": "pano.safetensors"}]
    ops.add_lora(directory=str(bench.home), files=names)
    listed = bench.settings.models.loras
    listed["mist"].strength = 0.6

    def sent() -> list[Any]:
        return [[Path(path).name, strength] for path, strength in request_of(scene, device="cpu").loras]

    found: dict[str, Any] = {"built-in": sent()}
    ops.choose_model(model="wan21-1.3b")
    found["wan"] = sent()
    request = request_of(scene, device="cpu")
    listed["pano"].enabled = False
    found["one"] = sent()
    ops.leave_out_loras()
    found["none"] = sent()
    part("blender_addon.models.lora").recall(scene, request)
    found["recalled"], found["listed"] = sent(), len(listed)
    bpy.ops.wm.save_as_mainfile(filepath=str(bench.home / "scene.blend"))
    listed["mist"].path = "//mist.safetensors"
    found["relative"] = [sent(), listed["mist"].problem]
    listed["mist"].path = str(bench.home / "gone.safetensors")
    found["gone"] = bench.checks()["loras"]
    ops.fix(check="loras")
    found["fixed"] = "loras" in bench.checks()
    bench.settings.models.lora_index = 0
    ops.remove_lora()
    found["left"] = [lora.name for lora in listed]
    found["empty"] = said(lambda: ops.add_lora(directory=str(bench.home)))
    return found


def gone(args: dict[str, Any]) -> Any:
    """What the history says of skies whose model is not here, or not known any more."""
    from dataclasses import replace

    bench = Bench(args)
    text = part("blender_addon.core.stock").made_with
    stock = bench.shelf.stock()
    make_job(args["film"], bench.home / "skies")
    bench.session.scan_history()
    turn_until(bench.session, lambda: bench.session._scan is None)
    from layout import drawn

    shown = {}
    for model in ("builtin", "wan21-1.3b", "wan99"):
        first = bench.session.archive.finished[0]
        changed = [replace(first, card=replace(first.card, model=model))]
        bench.session.archive = replace(bench.session.archive, finished=changed)
        shown[model] = drawn(bpy.types.SKYLOOP_PT_history, bpy.context)
    return {"shown": shown, "unlooked": text("wan21-1.3b", None), "looked": text("wan21-1.3b", stock)}


def preferences(args: dict[str, Any]) -> Any:
    """What they say of the models, and how those move."""
    bench = Bench(args)
    bpy.ops.skyloop.get_model(model="wan21-1.3b")
    bench.look()
    from layout import Layout

    words: list[str] = []
    part("blender_addon.models.panel").draw_models(Layout(words), bpy.context)
    bpy.ops.skyloop.move_models(directory=str(bench.home / "other"))
    return {"words": " ".join(words), "ran": bench.ran[-1]}


def really(args: dict[str, Any]) -> Any:
    """The real manager: a folder of the user's that is none is refused, a real one is taken in and let go."""
    addon_utils.enable(MODULE, default_set=True)
    work, shelf = part("blender_addon.models.work"), part("blender_addon.models.shelf")
    places = part("blender_addon.places")
    session = use_fake(args["film"], "ok")
    work.backend_command = lambda *words, home: [args["python"], "-m", "backend", *words]
    environ = work.environ
    work.environ = lambda: {**environ(), "SKYLOOP_HOME": args["home"]}
    places.runtime_home = lambda: Path(args["home"])
    found: dict[str, Any] = {
        "wrong": said(lambda: bpy.ops.skyloop.add_model(model=args["model"], filepath=args["wrong"]))
    }
    bpy.ops.skyloop.add_model(model=args["model"], filepath=args["folder"], accept_licence=True)
    for name in ("added", "removed"):
        turn_until(session, lambda: shelf.stock() is not None and shelf._asked is None)
        held = shelf.held(args["model"])
        found[name] = [held.condition, list(held.own)]
        if name == "added":
            bpy.ops.skyloop.verify_model(model=args["model"])
            bpy.ops.skyloop.remove_model(model=args["model"])
    return found

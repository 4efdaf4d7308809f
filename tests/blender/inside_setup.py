"""Setting up inside Blender: the real installer with a fake Python and a package index of this machine."""

import builtins
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy  # isort: skip
import addon_utils
from inside import MODULE, finish, make_job, part, press_generate, turn_until, use_fake
from layout import Layout, drawn


def machine(folder: Path) -> Any:
    """What ``tests/machine.py`` makes, as the machine that this Blender runs on."""
    place = importlib.util.spec_from_file_location("machine", Path(__file__).parents[1] / "machine.py")
    assert place and place.loader
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    made = module.Machine(folder)
    os.environ.update(FAKE_DIR=str(made.fake), SKYLOOP_HOME=str(made.home))
    sys.executable = str(made.python)
    build = part("backend.runtime.torch_build")
    build.accelerator, build.reachable = lambda: "cpu", lambda index: False
    return made


def start(args: dict[str, Any]) -> tuple[Any, Any]:
    """The machine, and the session once it has looked at it."""
    made = machine(Path(args["root"]))
    addon_utils.enable(MODULE, default_set=True)
    session = part("blender_addon.session").current()
    look(session)
    return made, session


def look(session: Any) -> None:
    """As at the next start of Blender."""
    session.refresh()
    session.setup.forget()
    turn_until(session, lambda: session.setup.facts is not None)


def settle(session: Any) -> None:
    """What was started is over, and what came of it was looked at."""
    session.step()
    turn_until(session, lambda: not session.busy and not session.setup.looking)


def seen(session: Any) -> dict[str, Any]:
    """The panel and the preferences as they are now; drawing them may look at nothing outside."""
    panel = part("blender_addon.panel")
    preferences = bpy.context.preferences.addons[MODULE].preferences
    said: list[str] = []
    stand_in = type("StandIn", (), {"layout": Layout(said), "bl_rna": preferences.bl_rna})()
    with untouched():
        main = drawn(panel.SKYLOOP_PT_main, bpy.context)
        type(preferences).draw(stand_in, bpy.context)
    can = {name: getattr(bpy.ops.skyloop, name).poll() for name in ("install", "repair", "move_generator", "generate")}
    return {"stage": session.setup.stage.value, "main": main, "preferences": " ".join(said), "can": can}


@contextmanager
def untouched() -> Iterator[None]:
    """Nothing in here may open, list or measure a file or folder, or start a process."""

    def refuse(*args: Any, **named: Any) -> Any:
        raise AssertionError(f"drawing looked at {args}")

    places = [(os, "scandir"), (os, "listdir"), (os, "walk"), (os, "stat"), (os, "lstat"), (builtins, "open")]
    places += [(shutil, "disk_usage"), (subprocess, "Popen")]
    kept = [(owner, name, getattr(owner, name)) for owner, name in places]
    for owner, name in places:
        setattr(owner, name, refuse)
    try:
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)


def offline(args: dict[str, Any]) -> Any:
    """A new user whose Blender is set to stay offline, who then allows it by the button in the panel."""
    _, session = start(args)
    found = {"before": seen(session), "online": [bpy.app.online_access]}
    bpy.ops.skyloop.allow_online()
    found["online"].append(bpy.app.online_access)
    found["after"] = seen(session)
    found["tooltip"] = bpy.ops.skyloop.allow_online.get_rna_type().description
    return found


def panels(args: dict[str, Any]) -> Any:
    """Which panels there are: for a new user, for one who opens another's file, for one with earlier skies."""
    _, session = start(args)

    def shown() -> list[str]:
        with untouched():
            found = [cls for cls in bpy.types.Panel.__subclasses__() if cls.__name__.startswith("SKYLOOP_PT_")]
            ours = [cls for cls in found if getattr(cls, "bl_category", "") == "Skyloop"]
            top = [cls for cls in ours if getattr(cls, "bl_parent_id", "SKYLOOP_PT_main") == "SKYLOOP_PT_main"]
            return sorted(c.__name__[11:] for c in top if not hasattr(c, "poll") or c.poll(bpy.context))

    found = {"new": shown()}
    skies, mine = Path(args["root"]) / "skies", bpy.context.scene.world
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], skies)))
    found["sky"] = shown()
    bpy.context.scene.world = mine
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(skies)
    session.scan_history()
    turn_until(session, lambda: bool(session.history))
    found["history"] = shown()
    use_fake(args["film"], "ok")
    found["ready"] = shown()
    return found


def online() -> None:
    bpy.context.preferences.system.use_online_access = True


def way_through(args: dict[str, Any]) -> Any:
    """Everything that can get in the way of setting up, one after the other, until it is ready."""
    made, session = start(args)
    online()
    found: dict[str, Any] = {}
    work, survey = part("backend.runtime.work").shutil, part("backend.runtime.survey")
    usage = shutil.disk_usage
    work.disk_usage = survey.shutil.disk_usage = lambda path: type("Usage", (), {"free": 500_000_000})
    look(session)
    found["little_room"] = seen(session)
    bpy.ops.skyloop.install()
    settle(session)
    found["no_room"] = seen(session)
    shutil.disk_usage = usage
    fail = made.arrange("fail-plan", "WARNING: Retrying ... NewConnectionError('...')")
    bpy.ops.skyloop.install()
    settle(session)
    found["no_network"] = seen(session) | {"log": str(session.problem.log)}
    bpy.ops.skyloop.copy_report()
    fail.unlink()
    made.index.stall = 100_000
    bpy.ops.skyloop.install()
    turn_until(session, lambda: session.progress.name == "download" and made.index.log)
    part_file = lambda: sum(f.stat().st_size for f in made.home.glob("downloads/*/*.part"))  # noqa: E731
    turn_until(session, lambda: part_file() >= 100_000)
    found["downloading"] = seen(session)
    bpy.ops.skyloop.cancel()
    made.index.stall = 0
    settle(session)
    found["half"] = seen(session)
    look(session)
    found["half_later"] = seen(session)
    bpy.ops.skyloop.install()
    settle(session)
    found["ready"] = seen(session)
    found["fetched"] = made.index.log
    found["calls"] = made.calls()
    made.close()
    return found


def after(args: dict[str, Any]) -> Any:
    """What happens to a generator that is set up: damage, a move, a disk that is unplugged, an update, removal."""
    made, session = start(args)
    online()
    preferences = bpy.context.preferences.addons[MODULE].preferences
    bpy.ops.skyloop.install()
    settle(session)
    found: dict[str, Any] = {"known": preferences.known_home}
    shutil.rmtree(next(made.home.glob("envs/*/lib/python3.11/site-packages/thing")))
    look(session)
    found["broken"] = seen(session)
    made.index.log.clear()
    bpy.ops.skyloop.repair()
    settle(session)
    found["repaired"] = seen(session) | {"fetched": made.fetched()}

    disk = Path(args["root"]) / "disk two"
    (disk / "photos").mkdir(parents=True)
    bpy.ops.skyloop.move_generator(directory=str(disk))
    session.step()
    found["moving"] = seen(session)
    settle(session)
    left = [path.name for path in made.home.iterdir()]
    found["moved"] = seen(session) | {"folder": preferences.runtime_folder, "left": left}
    disk.rename(disk.with_name("unplugged"))
    look(session)
    found["gone"] = seen(session)
    disk.with_name("unplugged").rename(disk)
    session.setup._looked_s -= 60
    turn_until(session, lambda: not session.not_installed)
    settle(session)
    found["back"] = seen(session)

    places = part("backend.runtime.places")
    spec, changed = places.SPECS["backend"], made.fake / "requirements.txt"
    changed.write_text(spec.requirements.read_text() + "more==1\n")
    places.SPECS["backend"] = dataclasses.replace(spec, requirements=changed)
    (next(disk.glob("Skyloop/envs/*")) / "more.bin").write_bytes(bytes(5_000_000))  # enough to be worth a button
    look(session)
    found["outdated"] = seen(session)
    bpy.ops.skyloop.install()
    settle(session)
    found["updated"] = seen(session)
    bpy.ops.skyloop.remove_generator(old=True)
    settle(session)
    found["only_new"] = seen(session) | {"left": len(list(disk.glob("Skyloop/envs/*")))}
    bpy.ops.skyloop.remove_generator()
    settle(session)
    found["removed"] = seen(session) | {"left": len(list(disk.glob("Skyloop/envs/*")))}
    made.close()
    return found


def other(args: dict[str, Any]) -> Any:
    """Another folder is chosen in the preferences while the generator is in its old one."""
    made, session = start(args)
    online()
    preferences = bpy.context.preferences.addons[MODULE].preferences
    bpy.ops.skyloop.install()
    settle(session)
    chosen = Path(args["root"]) / "chosen"
    chosen.mkdir()
    preferences.runtime_folder = str(chosen)
    turn_until(session, lambda: session.setup.facts is not None)
    found = {"chosen": seen(session)}
    bpy.ops.skyloop.use_there()
    turn_until(session, lambda: session.setup.facts is not None)
    found["there"] = seen(session) | {"folder": preferences.runtime_folder}
    preferences.runtime_folder = str(chosen)
    turn_until(session, lambda: session.setup.facts is not None)
    made.index.log.clear()
    bpy.ops.skyloop.bring_generator()
    settle(session)
    found["here"] = seen(session) | {"folder": preferences.runtime_folder, "fetched": made.fetched()}
    preferences.runtime_folder = ""
    turn_until(session, lambda: session.setup.facts is not None)
    found["default"] = seen(session)
    made.close()
    return found


def chosen_meanwhile(args: dict[str, Any]) -> Any:
    """Another folder is chosen while a sky is being made."""
    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "slow")
    press_generate()
    turn_until(session, lambda: session.state == "running")
    folder = bpy.app.tempdir + "elsewhere"
    bpy.context.preferences.addons[MODULE].preferences.runtime_folder = folder
    session.step()
    found = {"meanwhile": [session.state.value, session.setup.runtime is None]}
    bpy.ops.skyloop.cancel()
    finish(session)
    turn_until(session, lambda: session.setup.runtime is not None and session.setup.facts is not None)
    return found | {"folder": folder, "home": str(session.runtime.home), "stage": session.setup.stage.value}


def does_not_start(args: dict[str, Any]) -> Any:
    """A generator that looks whole, but whose process ends before it says anything of use."""
    made, session = start(args)
    online()
    bpy.ops.skyloop.install()
    settle(session)
    fake = Path(__file__).with_name("fake_backend.py")
    client, film = part("blender_addon.core.client"), args["film"]
    command = [os.path.realpath("/proc/self/exe"), str(fake), "broken", film]
    session.runtime.client = lambda: client.BackendClient(command, cwd=Path(film))
    press_generate()
    turn_until(session, lambda: session.problem is not None)
    found = {"failed": seen(session)}
    for task in list(session.queue.tasks):
        session.remove(task.folder)
    finish(session)
    bpy.ops.skyloop.repair()
    settle(session)
    made.close()
    return found | {"after": seen(session)}


def second(args: dict[str, Any]) -> Any:
    """Another process is setting up already: this one says so, waits, and uses what the other made."""
    made, session = start(args)
    online()
    hang = made.arrange("hang-install")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from backend import runtime; "
        "from backend.runtime import torch_build; torch_build.accelerator = lambda: 'cpu'; "
        "torch_build.reachable = lambda index: False; sys.executable = sys.argv[2]; runtime.ensure()"
    )
    root = Path(part("backend").__file__).parents[1]
    python = os.path.realpath("/proc/self/exe")
    first = subprocess.Popen([python, "-c", code, str(root), str(made.python)])
    end = time.monotonic() + 20
    while "install" not in made.calls() and time.monotonic() < end:
        time.sleep(0.02)
    look(session)
    found = {"beside": seen(session)}
    bpy.ops.skyloop.install()
    turn_until(session, lambda: session.progress.name == "wait")
    found["waiting"] = seen(session)
    hang.unlink()
    settle(session)
    found |= {"after": seen(session), "first": first.wait(20), "calls": made.calls(), "fetched": made.fetched()}
    made.close()
    return found

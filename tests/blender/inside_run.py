"""Scenarios of work under way and of what was made: see :mod:`inside`."""

from pathlib import Path
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import MODULE, finish, part, press_generate, turn_until, use_fake


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

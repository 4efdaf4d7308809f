"""What the page on scripting shows, run as it stands."""

import re
from pathlib import Path
from typing import Any

import addon_utils
import bpy
from inside import MODULE, make_job, use_fake


def run(args: dict[str, Any]) -> Any:
    """Each Python example of the page, in its order, in one Blender with a stand-in for the generator."""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
    bpy.ops.wm.save_as_mainfile(filepath=str(root / "shot.blend"))
    use_fake(args["film"], "ok")
    job = make_job(args["film"], root)
    examples = re.findall(r"```python\n(.*?)```", Path(args["page"]).read_text(encoding="utf-8"), re.DOTALL)
    worlds = []
    for example in examples:
        exec(compile(example.replace("/skies/aurora", str(job)), args["page"], "exec"), {})
        worlds.append({scene.name: scene.world and scene.world.name for scene in bpy.data.scenes})
    scene = bpy.data.scenes["Scene"]
    return {"worlds": worlds, "frames": scene.frame_end, "front_deg": scene.skyloop.front_deg}


def fails(args: dict[str, Any]) -> Any:
    """What a script gets to see when the generator fails."""
    addon_utils.enable(MODULE, default_set=True)
    use_fake(args["film"], "oom")
    bpy.context.scene.skyloop.prompt = "too large"
    bpy.ops.skyloop.generate()
    try:
        bpy.ops.skyloop.wait()
    except RuntimeError as error:
        return str(error)
    return ""

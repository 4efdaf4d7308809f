"""What the page on scripting shows, run as it stands."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import addon_utils
import bpy
from inside import MODULE, make_job, part, use_fake


def run(args: dict[str, Any]) -> Any:
    """Each Python example of the page, in its order, in one Blender with a stand-in for the generator."""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
    bpy.ops.wm.save_as_mainfile(filepath=str(root / "shot.blend"))
    use_fake(args["film"], "ok")
    job = make_job(args["film"], root)
    fake = str(Path(__file__).with_name("fake_export.py"))
    part("blender_addon.export.work").backend_command = lambda *words, home: [sys.executable, fake, "ok", *words]
    examples = re.findall(r"```python\n(.*?)```", Path(args["page"]).read_text(encoding="utf-8"), re.DOTALL)
    worlds = []
    for example in examples:
        exec(compile(_here(example, root, job), args["page"], "exec"), {})
        worlds.append({scene.name: scene.world and scene.world.name for scene in bpy.data.scenes})
    scene = bpy.data.scenes["Scene"]
    regions = [region.prompt for region in part("blender_addon.direct.request").conditions(scene)["regions"]]
    return {
        "worlds": worlds,
        "frames": scene.frame_end,
        "front_deg": scene.skyloop.front_deg,
        "regions": regions,
        "exported": json.loads((root / "pictures" / "asked.json").read_text(encoding="utf-8")),
    }


def _here(example: str, root: Path, job: Path) -> str:
    """An example with the folders of this test."""
    return example.replace("/skies/aurora", str(job)).replace("/skies", str(root))


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


def operators(_: dict[str, Any]) -> Any:
    """``{operator: [what a script may give it]}`` of all that Blender has of ours."""
    addon_utils.enable(MODULE, default_set=True)
    found = {}
    for name in dir(bpy.ops.skyloop):
        rna = getattr(bpy.ops.skyloop, name).get_rna_type()
        shown = [p.identifier for p in rna.properties if p.identifier != "rna_type"]
        found[name] = sorted(p for p in shown if not p.startswith("filter_"))
    return found

"""Scenarios of asking for a sky: see :mod:`inside`."""

from pathlib import Path
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import MODULE, part, use_fake


def smoke(args: dict[str, Any]) -> Any:
    from layout import drawn

    addon_utils.enable(MODULE, default_set=True)
    use_fake(args["film"], "ok")
    context = bpy.context
    found = {"empty": drawn(bpy.types.SKYLOOP_PT_main, context)}
    context.scene.skyloop.prompt = "stars"
    found["main"] = drawn(bpy.types.SKYLOOP_PT_main, context)
    found["settings"] = drawn(bpy.types.SKYLOOP_PT_settings, context)
    found["presets"] = drawn(bpy.types.SKYLOOP_PT_presets, context)
    found["examples"] = drawn(bpy.types.SKYLOOP_MT_examples, context)
    return found

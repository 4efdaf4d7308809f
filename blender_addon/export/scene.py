"""The scene as glTF, by Blender's own exporter: what is visible, without a change to it, its selection or its mode."""

from pathlib import Path

import addon_utils
import bpy

from ...backend.protocol import ErrorKind, SkyloopError, bad_request
from ..core.errands import settled

MODULE = "io_scene_gltf2"


def why_not() -> str:
    """What keeps the scene from being written; empty when nothing does."""
    return "" if addon_utils.check(MODULE)[1] else "Blender's glTF add-on is switched off"


def write(scene: bpy.types.Scene, path: Path) -> None:
    """Write ``scene`` to a .glb file. Blender stands still meanwhile. Raises ``SkyloopError``."""
    if why_not():
        raise bad_request(f"{why_not()}.", "Switch it on, or export without the scene.")
    if not settled():
        raise bad_request("Skyloop is still at work on the disk.", "Try again in a moment.")
    with bpy.context.temp_override(scene=scene, view_layer=_layer(scene)):
        active = bpy.context.view_layer.objects.active
        mode = active.mode if active else "OBJECT"
        try:
            bpy.ops.export_scene.gltf(
                filepath=str(path),
                check_existing=False,
                export_format="GLB",
                use_active_scene=True,
                use_visible=True,
                export_apply=True,
                export_cameras=True,
                export_lights=True,
                export_import_convert_lighting_mode="COMPAT",  # as bright beside a sky, whose white is 1, as here
                export_animations=True,
                export_yup=True,
            )
        except RuntimeError as error:
            text = str(error).strip().removeprefix("Error: ")
            raise SkyloopError(
                ErrorKind.INTERNAL, f"The scene could not be written as glTF: {text}", "Try without it."
            ) from error
        finally:
            if active and active.mode != mode:  # the exporter leaves Edit Mode
                bpy.ops.object.mode_set(mode=mode)
    if not path.is_file():
        raise SkyloopError(ErrorKind.INTERNAL, "The scene could not be written as glTF.", "Try without it.")


def _layer(scene: bpy.types.Scene) -> bpy.types.ViewLayer:
    window = bpy.context.window
    return window.view_layer if window and window.scene == scene else scene.view_layers[0]

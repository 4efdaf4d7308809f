"""Run by Blender's Python: a ball under a sky, rendered by Cycles. Arguments: a JSON document, and the answer's file.

The document lists ``shots``, each of a picture as the world's light (``light``), or a USD stage to import (``usd``),
and what to look at: the sky in directions (x, y, z in Blender's axes), or a ``mirror`` or ``white`` ball, straight at
where its normal is that direction; the mirror shows that direction then. The answer has a list of linear RGB a shot.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

SIZE, SPAN = 8, 0.02  # pixels, and what they show of the ball


def main(document: dict[str, Any]) -> list[list[list[float]]]:
    return [shot(**wanted) for wanted in document["shots"]]


def shot(
    *,
    look_at: list[list[float]],
    ball: str = "",
    light: str = "",
    usd: str = "",
    turn_deg: float = -90.0,
    samples: int = 16,
) -> list[list[float]]:
    """Linear RGB in each direction."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("World")
    if usd:
        bpy.ops.wm.usd_import(filepath=usd)
    else:
        lit_by(scene.world, light, turn_deg)
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", samples, False
    scene.cycles.use_adaptive_sampling = False
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    scene.view_settings.view_transform = "Raw"
    scene.render.use_persistent_data = True
    if ball:
        add_ball(ball)
    return [view(scene, direction, at_ball=bool(ball)).tolist() for direction in look_at]


def lit_by(world: Any, light: str, turn_deg: float) -> None:
    """As the README of the export says."""
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    picture, mapping, where = (nodes.new(f"ShaderNode{name}") for name in ("TexEnvironment", "Mapping", "TexCoord"))
    picture.image = bpy.data.images.load(light)
    picture.image.colorspace_settings.name = "Linear Rec.709"
    mapping.inputs["Rotation"].default_value[2] = math.radians(turn_deg)
    links.new(where.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], picture.inputs["Vector"])
    background = next(node for node in nodes if node.bl_idname == "ShaderNodeBackground")
    links.new(picture.outputs["Color"], background.inputs["Color"])


def add_ball(kind: str) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=1, segments=256, ring_count=128)
    bpy.ops.object.shade_smooth()
    material = bpy.data.materials.new(kind)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader = tree.nodes.new("ShaderNodeBsdfAnisotropic" if kind == "mirror" else "ShaderNodeBsdfDiffuse")
    shader.inputs["Color"].default_value = (1, 1, 1, 1)
    shader.inputs["Roughness"].default_value = 0
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    bpy.context.object.data.materials.append(material)


def view(scene: Any, direction: list[float], *, at_ball: bool) -> np.ndarray:
    """Linear RGB (3,) that a camera without perspective sees in a direction or, from there, of the ball."""
    towards = Vector(direction).normalized()
    if not scene.camera:
        data = bpy.data.cameras.new("Camera")
        data.type, data.ortho_scale = "ORTHO", SPAN
        scene.camera = bpy.data.objects.new("Camera", data)
        scene.collection.objects.link(scene.camera)
    scene.camera.location = 10 * towards
    scene.camera.rotation_euler = (-towards if at_ball else towards).to_track_quat("-Z", "Y").to_euler()
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth = "OPEN_EXR", "32"
    scene.render.filepath = str(Path(sys.argv[-1]).with_suffix(".exr"))
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(SIZE * SIZE * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(-1, 4)[:, :3].mean(axis=0)


if __name__ == "__main__":
    document = json.loads(sys.argv[-2])
    Path(sys.argv[-1]).write_text(json.dumps(main(document)), encoding="utf-8")

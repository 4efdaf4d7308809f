"""Run by Blender's Python: white things under a sky of the extension's, as a picture by Cycles and as glTF.

Arguments: the film, a folder to write ``<front>.png`` and ``<front>.glb`` into, the pictures' size in pixels, then for
each sky its front in degrees.
"""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import bpy

from blender_addon.__main__ import load_package


def main(film: Path, folder: Path, size: int, fronts: list[float]) -> None:
    load_package().register()
    skies: Any = importlib.import_module("skyloop.blender_addon.sky.world")
    films: Any = importlib.import_module("skyloop.blender_addon.sky.film")
    for front_deg in fronts:
        scene = bpy.context.scene
        for thing in list(scene.objects):
            bpy.data.objects.remove(thing)
        scene.world = skies.build("Sky", films.Film(film), front_deg=front_deg)
        furnish()
        look(scene, size)
        scene.render.filepath = str(folder / f"{front_deg:g}.png")
        bpy.ops.render.render(write_still=True)
        bpy.ops.export_scene.gltf(filepath=str(folder / f"{front_deg:g}.glb"), export_cameras=True)


def furnish() -> None:
    """A pillar to the left, a cone to the right, a slab that leans behind them: nothing that looks alike mirrored."""
    white = bpy.data.materials.new("White")
    white.use_nodes = True
    shader = white.node_tree.nodes["Principled BSDF"].inputs
    shader["Base Color"].default_value = (0, 0, 0, 1)
    shader["Emission Color"].default_value, shader["Emission Strength"].default_value = (1, 1, 1, 1), 1.0
    bpy.ops.mesh.primitive_cube_add(size=1, location=(-2, 3, 2), scale=(0.6, 0.6, 4))
    bpy.context.object.data.materials.append(white)
    bpy.ops.mesh.primitive_cone_add(radius1=1, depth=2, location=(2.5, 2, 1))
    bpy.context.object.data.materials.append(white)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(1, 6, 4), rotation=(0.2, 0.6, 0.3), scale=(3, 0.4, 0.8))
    bpy.context.object.data.materials.append(white)


def look(scene: Any, size: int) -> None:
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.angle = math.radians(75)
    camera.location, camera.rotation_euler = (0.5, -5, 1.7), (math.radians(98), 0, math.radians(-12))
    scene.collection.objects.link(camera)
    scene.camera = camera
    render = scene.render
    render.resolution_x = render.resolution_y = size
    render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", 8
    scene.cycles.use_denoising = False
    render.threads_mode, render.threads = "FIXED", 2
    scene.view_settings.view_transform, render.dither_intensity = "Standard", 0.0
    render.image_settings.file_format = "PNG"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), [float(text) for text in sys.argv[4:]])

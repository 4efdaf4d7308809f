# SPDX-License-Identifier: MIT-0
"""Builds a looping sky by Skyloop in the open level of Unreal 5.3 or newer: Tools > Execute Python Script.

Keep sky.mp4 and skyloop.json beside it. Running it again brings what it made up to date and adds nothing twice.
"""

import json
import shutil
from pathlib import Path

import unreal

HERE = Path(__file__).resolve().parent
SKY_LABEL, LIGHT_LABEL = "Skyloop Sky", "Skyloop Light"
SPHERE = "/Engine/BasicShapes/Sphere.Sphere"  # 1 m across
SKY_SCALE = 20000.0  # so 10 km from its middle to the sky
# V points from the sky to the camera. Unreal looks along +X and has +Y at its right; the middle of the frame is where
# Yaw, in degrees, says.
UV_CODE = """float3 d = -normalize(V);
float u = 0.5 + atan2(d.y, d.x) / 6.28318531 - Yaw / 360.0;
float v = acos(clamp(d.z, -1.0, 1.0)) / 3.14159265;
return float2(frac(u), v);"""


def build() -> str:
    """Builds the sky; returns what to do next, or what is missing."""
    missing = [name for name in ("sky.mp4", "skyloop.json") if not (HERE / name).is_file()]
    if missing:
        return f"{missing[0]} is not beside import_skyloop.py. Keep the files of the export together."
    facts = json.loads((HERE / "skyloop.json").read_text(encoding="utf-8"))
    folder = f"/Game/Skyloop/{facts['name']}"
    player = make_player(folder)
    source = make_source(folder, copy_film(facts["name"]))
    material = make_material(folder, make_texture(folder, player), float(facts["yaw"]))
    place_sky(material)
    place_light()
    editor_assets().save_directory(folder)
    player.open_source(source)
    return (
        "The sky is in the level and plays.\n\nOne step is left, so that it also plays in your finished game: in the "
        f"Level Blueprint, connect Event BeginPlay to Open Source. Target: SkyPlayer, Media Source: SkySource, both "
        f"in {folder}."
    )


def asset(path: str, kind: unreal.Class, factory: unreal.Factory) -> unreal.Object:
    """The asset at a path such as /Game/A/B, made if there is none."""
    if editor_assets().does_asset_exist(path):
        return editor_assets().load_asset(path)
    folder, name = path.rsplit("/", 1)
    return unreal.AssetToolsHelpers.get_asset_tools().create_asset(name, folder, kind, factory)


def make_player(folder: str) -> unreal.MediaPlayer:
    made = asset(f"{folder}/SkyPlayer", unreal.MediaPlayer.static_class(), unreal.MediaPlayerFactoryNew())
    player = unreal.MediaPlayer.cast(made)
    player.close()  # the film may be about to be replaced
    player.set_editor_properties({"loop": True, "play_on_open": True, "affected_by_pie_handling": False})
    return player


def copy_film(name: str) -> Path:
    """Films have to lie under Content/Movies to be packaged with a game."""
    place = Path(unreal.Paths.convert_relative_path_to_full(unreal.Paths.project_content_dir()))
    film = place / "Movies" / "Skyloop" / name / "sky.mp4"
    film.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "sky.mp4", film)
    return film


def make_source(folder: str, film: Path) -> unreal.FileMediaSource:
    made = asset(f"{folder}/SkySource", unreal.FileMediaSource.static_class(), unreal.FileMediaSourceFactoryNew())
    source = unreal.FileMediaSource.cast(made)
    source.set_file_path(film.as_posix())
    source.set_editor_properties({"precache_file": True})
    return source


def make_texture(folder: str, player: unreal.MediaPlayer) -> unreal.MediaTexture:
    made = asset(f"{folder}/SkyTexture", unreal.MediaTexture.static_class(), unreal.MediaTextureFactoryNew())
    texture = unreal.MediaTexture.cast(made)
    texture.set_editor_properties(
        {
            "media_player": player,
            "new_style_output": True,  # a plain 2D texture with the sampler type Color
            "srgb": True,
            "address_x": unreal.TextureAddress.TA_WRAP,
            "address_y": unreal.TextureAddress.TA_CLAMP,
        }
    )
    return texture


def make_material(folder: str, texture: unreal.MediaTexture, yaw: float) -> unreal.Material:
    """An unlit sky material with the parameters Yaw and Brightness."""
    made = asset(f"{folder}/SkyMaterial", unreal.Material.static_class(), unreal.MaterialFactoryNew())
    material, edit = unreal.Material.cast(made), unreal.MaterialEditingLibrary
    edit.delete_all_material_expressions(material)
    material.set_editor_properties(
        {"shading_model": unreal.MaterialShadingModel.MSM_UNLIT, "is_sky": True, "two_sided": True}
    )
    camera = edit.create_material_expression(material, unreal.MaterialExpressionCameraVectorWS.static_class(), -1000, 0)
    turn = parameter(material, "Yaw", yaw, 200)
    uv = edit.create_material_expression(material, unreal.MaterialExpressionCustom.static_class(), -750, 0)
    uv.set_editor_properties(
        {
            "code": UV_CODE,
            "description": "Where in the film a direction is",
            "output_type": unreal.CustomMaterialOutputType.CMOT_FLOAT2,
            "inputs": [custom_input("V"), custom_input("Yaw")],
        }
    )
    sample = edit.create_material_expression(material, unreal.MaterialExpressionTextureSample.static_class(), -500, 0)
    sample.set_editor_properties({"texture": texture, "sampler_type": unreal.MaterialSamplerType.SAMPLERTYPE_COLOR})
    brightness = parameter(material, "Brightness", 1.0, 400)
    product = edit.create_material_expression(material, unreal.MaterialExpressionMultiply.static_class(), -200, 0)
    edit.connect_material_expressions(camera, "", uv, "V")
    edit.connect_material_expressions(turn, "", uv, "Yaw")
    edit.connect_material_expressions(uv, "", sample, "")
    edit.connect_material_expressions(sample, "", product, "A")
    edit.connect_material_expressions(brightness, "", product, "B")
    edit.connect_material_property(product, "", unreal.MaterialProperty.MP_EMISSIVE_COLOR)
    edit.recompile_material(material)
    return material


def parameter(material: unreal.Material, name: str, value: float, y: int) -> unreal.MaterialExpression:
    made = unreal.MaterialEditingLibrary.create_material_expression(
        material, unreal.MaterialExpressionScalarParameter.static_class(), -1000, y
    )
    made.set_editor_properties({"parameter_name": name, "default_value": value})
    return made


def custom_input(name: str) -> unreal.CustomInput:
    made = unreal.CustomInput()
    made.set_editor_property("input_name", name)
    return made


def editor_assets() -> unreal.EditorAssetSubsystem:
    found = unreal.get_editor_subsystem(unreal.EditorAssetSubsystem)
    assert found, "Unreal's editor always has it"
    return found


def editor_actors() -> unreal.EditorActorSubsystem:
    found = unreal.get_editor_subsystem(unreal.EditorActorSubsystem)
    assert found, "Unreal's editor always has it"
    return found


def spawned(kind: unreal.Class, label: str) -> unreal.Actor:
    made = editor_actors().spawn_actor_from_class(kind, unreal.Vector(0, 0, 0))
    made.set_actor_label(label)
    return made


def place_sky(material: unreal.Material) -> None:
    """A sphere around everything, seen from inside."""
    level = editor_actors().get_all_level_actors()
    found = next((actor for actor in level if actor.get_actor_label() == SKY_LABEL), None)
    sky = unreal.StaticMeshActor.cast(found or spawned(unreal.StaticMeshActor.static_class(), SKY_LABEL))
    sky.set_actor_scale3d(unreal.Vector(SKY_SCALE, SKY_SCALE, SKY_SCALE))
    mesh = sky.static_mesh_component
    mesh.set_mobility(unreal.ComponentMobility.MOVABLE)
    mesh.set_static_mesh(unreal.StaticMesh.cast(editor_assets().load_asset(SPHERE)))
    mesh.set_material(0, material)
    mesh.set_collision_enabled(unreal.CollisionEnabled.NO_COLLISION)
    mesh.set_cast_shadow(False)


def place_light() -> None:
    """The level's Sky Light, or a new one, takes its light from the sky in every frame."""
    level = editor_actors().get_all_level_actors()
    found = next((actor for actor in level if isinstance(actor, unreal.SkyLight)), None)
    light = unreal.SkyLight.cast(found or spawned(unreal.SkyLight.static_class(), LIGHT_LABEL)).light_component
    light.set_mobility(unreal.ComponentMobility.MOVABLE)
    light.set_editor_properties(
        {
            "source_type": unreal.SkyLightSourceType.SLS_CAPTURED_SCENE,
            "real_time_capture": True,
            "lower_hemisphere_is_black": False,
        }
    )


if __name__ == "__main__":
    said = build()
    unreal.log(said)
    if hasattr(unreal, "EditorDialog"):  # of the plugin Editor Scripting Utilities, which may be off
        unreal.EditorDialog.show_message(unreal.Text("Skyloop"), unreal.Text(said), unreal.AppMsgType.OK)

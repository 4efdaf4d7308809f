"""The sun of a sky as a real lamp: crisp shadows, while the sky's own light goes without what the lamp gives.

The lamp turns with the sky's Front by a driver that Blender computes itself, and follows the film's sun by keys that
repeat with the loop. It is one object with a rotation of its own, so it can be looked at, copied and removed like any.
"""

import math
from collections.abc import Sequence

import bpy

from ...backend.protocol import bad_request
from ..core import sunlight
from ..core.sunlight import Colour, Highlights, Light
from . import keys, light, nodes
from .light import Frame

NAME = "Skyloop Sun"


def find_sun(sky: bpy.types.World) -> None:
    """Set the sliders so that the boost keeps to the sun of the film, with a boost that suits it where there is none.

    Raises ``SkyloopError`` when the sky is much the same all over.
    """
    _focus(sky, light.picture_of(sky), light.frames_of(sky))


def lamp_of(sky: bpy.types.World) -> bpy.types.Object | None:
    """The lamp that was made for a sky, wherever it was renamed or moved to; None when it is gone."""
    lamp = sky.skyloop.sun
    return lamp if lamp and lamp.users_scene else None


def add(scene: bpy.types.Scene, sky: bpy.types.World, *, soften: bool = True) -> bpy.types.Object:
    """Make or update the sun lamp of ``sky`` in ``scene``. Raises ``SkyloopError`` when the sky shows no sun."""
    picture = light.picture_of(sky)
    frames = light.frames_of(sky)
    shown = _focus(sky, picture, frames)
    found = sunlight.measure(picture, shown)
    if not any(found.lamp):
        raise bad_request("This sky has no light for a lamp.", "Raise Boost, or lower Lamp Above.")
    lamp = lamp_of(sky) or _new_lamp(sky)
    if lamp.name not in scene.collection.all_objects:
        scene.collection.objects.link(lamp)
    _follow_front(lamp, sky)
    _shine(lamp, sky, found, frames)
    _track(sky, shown, frames)
    nodes.set_value(sky, "Lamp", float(soften))
    sky.skyloop.sun_made_for = made_for(sky)
    return lamp


def remove(sky: bpy.types.World) -> None:
    """Take the lamp away and give its light back to the sky."""
    lamp = lamp_of(sky)
    if lamp:
        data = lamp.data
        bpy.data.objects.remove(lamp)
        if data and not data.users:
            bpy.data.lights.remove(data)
    sky.skyloop.sun = None
    nodes.set_value(sky, "Lamp", 0.0)


def made_for(sky: bpy.types.World) -> str:
    """The choices that a lamp depends on; another text means that it must be updated."""
    record = sky.skyloop
    sliders = ("Boost", "Boost Above", "Sun Focus", "Sun Size", "Lamp Above", "Strength", "Lighting", "Saturation")
    values = [f"{nodes.value(sky, name):.4g}" for name in sliders]
    tint = nodes.slider(sky, "Tint")
    values += [f"{part:.3g}" for part in tint.default_value] if tint else []
    return " ".join([record.job, record.speed, str(record.reverse), str(record.frame_offset), *values])


def _focus(sky: bpy.types.World, picture: sunlight.Picture, frames: Sequence[Frame]) -> Highlights:
    shown = light.highlights_of(sky)
    if shown.focus:  # the sun is known, and may have been put right by hand
        return shown
    sun = sunlight.sun_at(picture, frames[0].yaw, frames[0].pitch) if frames else sunlight.find_sun(picture)
    if sun is None or (light.looked_at(sky) and not frames):
        raise bad_request(
            "No sun stands out in this sky.", "Set Sun Yaw, Sun Pitch and Sun Focus by hand under Highlights."
        )
    shown = sunlight.brightened(picture, sun, shown)
    chosen = {
        "Boost": shown.boost,
        "Boost Above": shown.above,
        "Sun Focus": shown.focus,
        "Sun Size": shown.size,
        "Sun Yaw": shown.yaw,
        "Sun Pitch": shown.pitch,
    }
    for name, value in chosen.items():
        nodes.set_value(sky, name, value)
    return light.highlights_of(sky)


def _new_lamp(sky: bpy.types.World) -> bpy.types.Object:
    lamp = bpy.data.objects.new(NAME, bpy.data.lights.new(NAME, "SUN"))
    lamp.rotation_mode = "XYZ"
    sky.skyloop.sun = lamp
    return lamp


def _follow_front(lamp: bpy.types.Object, sky: bpy.types.World) -> None:
    """Turn the lamp about the vertical as Front turns the sky: clockwise, so the other way than Blender counts."""
    lamp.driver_remove("delta_rotation_euler", 2)
    driver = lamp.driver_add("delta_rotation_euler", 2).driver
    variable = driver.variables.new()
    variable.name = "front"
    target = variable.targets[0]
    target.id_type, target.id = "WORLD", sky
    node = nodes.node_of(sky)
    assert node
    target.data_path = f'node_tree.nodes["{bpy.utils.escape_identifier(node.name)}"].inputs["Front"].default_value'
    driver.expression = "-front"


def _shine(lamp: bpy.types.Object, sky: bpy.types.World, found: Light, frames: Sequence[Frame]) -> None:
    """Direction, colour, strength and size; over the loop where the frames are known."""
    data = lamp.data
    assert data
    colour = _graded(sky, found.lamp)
    brightest = max(colour)
    data.color = [part / brightest for part in colour]
    data.angle = min(max(found.lamp_size, math.radians(0.5)), math.radians(30.0))
    energy = brightest * nodes.value(sky, "Strength") * nodes.value(sky, "Lighting")
    if not frames:
        frames = [Frame(found.lamp_yaw, found.lamp_pitch, 1.0)]
    yaws = _unwrapped([frame.yaw for frame in frames])
    keys.key_loop(lamp, "rotation_euler", 0, [frame.pitch - math.pi / 2 for frame in frames], sky)
    keys.key_loop(lamp, "rotation_euler", 2, [-yaw for yaw in yaws], sky)
    keys.key_loop(data, "energy", -1, [energy * frame.strength for frame in frames], sky)


def _track(sky: bpy.types.World, shown: Highlights, frames: Sequence[Frame]) -> None:
    """Let the boost follow the sun too."""
    node = nodes.node_of(sky)
    assert node
    yaws = _unwrapped([frame.yaw for frame in frames]) or [shown.yaw]
    pitches = [frame.pitch for frame in frames] or [shown.pitch]
    for name, values in (("Sun Yaw", yaws), ("Sun Pitch", pitches)):
        path = node.inputs[name].path_from_id("default_value")
        keys.key_loop(sky.node_tree, path, -1, values, sky)


def _graded(sky: bpy.types.World, colour: Colour) -> list[float]:
    """The lamp's light with the sky's saturation and tint, as the nodes do it."""
    tint = nodes.slider(sky, "Tint")
    assert tint
    grey, saturation = sunlight.luma(colour), nodes.value(sky, "Saturation")
    mixed = [max(0.0, grey + (part - grey) * saturation) for part in colour]
    return [max(part * dye, 1e-9) for part, dye in zip(mixed, tint.default_value, strict=False)]


def _unwrapped(angles: Sequence[float]) -> list[float]:
    """The same directions without jumps of a whole turn."""
    found: list[float] = []
    for angle in angles:
        near = found[-1] if found else angle
        found.append(angle + math.tau * round((near - angle) / math.tau))
    return found

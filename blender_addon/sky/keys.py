"""F-curves that play a loop: keys over one turn of the film, repeated for ever before and after."""

from collections.abc import Sequence
from typing import Any

import bpy

from . import timeline


def key_loop(owner: bpy.types.ID, path: str, index: int, values: Sequence[float], sky: bpy.types.World) -> None:
    """Animate one number of ``owner`` with a value for each film frame of ``sky``, as its film plays.

    Values that hardly differ are set once and not keyed. A curve that was there is replaced.
    """
    forget(owner, path, index)
    if max(values) - min(values) <= 1e-4 * max(map(abs, values), default=0.0):
        _set(owner, path, index, values[0])
        return
    record = sky.skyloop
    speed = -timeline.speed_of(sky) if record.reverse else timeline.speed_of(sky)
    for number, value in enumerate([*values, values[0]]):  # the first again: where the loop closes
        _set(owner, path, index, value)
        owner.keyframe_insert(path, index=index, frame=1.0 + (number - record.frame_offset) / speed)
    curve = find(owner, path, index)
    assert curve
    for key in curve.keyframe_points:
        key.interpolation = "LINEAR"
    curve.modifiers.new("CYCLES")


def find(owner: bpy.types.ID, path: str, index: int) -> bpy.types.FCurve | None:
    curves = _curves(owner)
    return curves.find(path, index=max(0, index)) if curves is not None else None


def forget(owner: bpy.types.ID, path: str, index: int) -> None:
    """Remove the animation of one number; its present value stays."""
    if curve := find(owner, path, index):
        _curves(owner).remove(curve)


def _curves(owner: bpy.types.ID) -> Any:
    """The F-curves of a data-block, None when it has none. From Blender 4.4 on its action holds those of others too."""
    data = owner.animation_data
    if not data or not data.action:
        return None
    if not hasattr(data, "action_slot"):
        return data.action.fcurves
    bags = (strip.channelbag(data.action_slot) for layer in data.action.layers for strip in layer.strips)
    return next((bag.fcurves for bag in bags if data.action_slot and bag), None)


def _set(owner: bpy.types.ID, path: str, index: int, value: float) -> None:
    target, _, name = path.rpartition(".")
    place = owner.path_resolve(target) if target else owner
    if index < 0:
        setattr(place, name, value)
    else:
        getattr(place, name)[index] = value

"""Regions: add, order, select, take away; the photo and the camera."""

import math

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty

from ...backend.controls import MAX_PROMPT_CHARS, MAX_REGIONS, RADIUS_RANGE_DEG
from ...backend.protocol import SkyloopError, bad_request
from ..core import directions
from ..ui import Action, refused, tr
from . import camera, photo, regions, view

LEAST_RADIUS_DEG, MOST_RADIUS_DEG = RADIUS_RANGE_DEG


class SKYLOOP_OT_region_add(Action, bpy.types.Operator):
    """Add a region with a prompt of its own where you look: in the viewport, or through the active camera"""

    bl_idname = "skyloop.region_add"
    bl_label = "Add Region Where I Look"
    bl_options = {"REGISTER", "UNDO"}

    prompt: StringProperty(name="Prompt", description="What is there", maxlen=MAX_PROMPT_CHARS)
    radius_deg: FloatProperty(
        name="Radius °", description="How far it reaches", min=LEAST_RADIUS_DEG, max=MOST_RADIUS_DEG, default=30.0
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return _no_room(context)

    def act(self, context: bpy.types.Context) -> None:
        yaw, pitch = view.direction(context)
        made = regions.add(context.scene, yaw, pitch, self.radius_deg, self.prompt)
        regions.make_active(context.scene, made)


class SKYLOOP_OT_region_add_band(Action, bpy.types.Operator):
    """Add a region all around the sky at a height, such as stars from 50° up, or the ground below the horizon"""

    bl_idname = "skyloop.region_add_band"
    bl_label = "Add Region All Around"
    bl_options = {"REGISTER", "UNDO"}

    prompt: StringProperty(name="Prompt", description="What is there", maxlen=MAX_PROMPT_CHARS)
    from_deg: FloatProperty(
        name="From °", description="Its lower edge: 0 is the horizon", min=-90.0, max=90.0, default=50.0
    )
    to_deg: FloatProperty(
        name="To °", description="Its upper edge: 90 is straight up", min=-90.0, max=90.0, default=90.0
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return _no_room(context)

    def act(self, context: bpy.types.Context) -> None:
        low, high = sorted((self.from_deg, self.to_deg))
        if high - low < 2 * LEAST_RADIUS_DEG:
            text = f"From {low:g}° to {high:g}° nothing fits in."
            raise bad_request(text, "Leave two degrees at least.")
        # An edge at a pole is no edge: the band's middle lies there, so that all above (or below) is in it.
        middle, radius = (low + high) / 2, (high - low) / 2
        if high == 90.0 and low > -90.0:
            middle, radius = 90.0, 90.0 - low
        elif low == -90.0 and high < 90.0:
            middle, radius = -90.0, 90.0 + high
        made = regions.add(context.scene, 0.0, middle, radius, self.prompt, around=True)
        regions.make_active(context.scene, made)


class _OfRegion(Action):
    """What is done to a region: the one named, else the active one."""

    region: StringProperty(name="Region", description="Name of its object", options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if regions.of_scene(context.scene) else "Select a region first"

    def target(self, context: bpy.types.Context) -> bpy.types.Object:
        """Raises ``SkyloopError`` when there is none, or it is another file's."""
        found = context.scene.objects.get(self.region) if self.region else context.view_layer.objects.active
        if not regions.is_region(found):
            raise bad_request("No region is selected.", "Select one in the list.")
        return found


def _own(thing: bpy.types.Object) -> bpy.types.Object:
    if not thing.is_editable:
        raise bad_request(f"{thing.name} is linked from another file.", "Change it there, or make it local.")
    return thing


class SKYLOOP_OT_region_move(_OfRegion, bpy.types.Operator):
    """Paint this region earlier or later: later ones lie over earlier ones"""

    bl_idname = "skyloop.region_move"
    bl_label = "Change Painting Order"
    bl_options = {"REGISTER", "UNDO"}

    direction: EnumProperty(
        name="Direction",
        description="To be painted earlier or later",
        items=(("UP", "Earlier", "Below the one before it"), ("DOWN", "Later", "Over the one after it")),
        options={"SKIP_SAVE"},
    )

    def act(self, context: bpy.types.Context) -> None:
        thing = self.target(context)
        regions.move(context.scene, thing, -1 if self.direction == "UP" else 1)


class SKYLOOP_OT_region_remove(_OfRegion, bpy.types.Operator):
    """Delete this region and its object"""

    bl_idname = "skyloop.region_remove"
    bl_label = "Remove Region"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        thing = _own(self.target(context))
        found = regions.of_scene(context.scene)
        at = found.index(thing)
        after = found[at + 1] if at + 1 < len(found) else found[at - 1]
        if after != thing:
            regions.make_active(context.scene, after)
        bpy.data.objects.remove(thing)


class SKYLOOP_OT_region_select(_OfRegion, bpy.types.Operator):
    """Select this region in the viewport, to move it or to change its prompt"""

    bl_idname = "skyloop.region_select"
    bl_label = "Select Region"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        regions.make_active(context.scene, self.target(context))


class SKYLOOP_OT_region_point(_OfRegion, bpy.types.Operator):
    """Bring this region to where you look: in the viewport, or through the active camera"""

    bl_idname = "skyloop.region_point"
    bl_label = "Bring Here"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        thing = _own(self.target(context))
        regions.point(context.scene, thing, *view.direction(context))


class _Dragged(_OfRegion):
    """A change that follows the mouse over the sky until the button is let go; Escape puts back what was."""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            thing = _own(self.target(context))
        except SkyloopError as error:
            return refused(self, error)
        if context.region_data is None:
            return self.execute(context)
        self.region = thing.name
        self.before = (thing.matrix_world.copy(), thing.skyloop.radius_deg)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        thing = context.scene.objects.get(self.region)
        if thing is None:
            return {"CANCELLED"}
        if event.type in {"ESC", "RIGHTMOUSE"}:
            thing.matrix_world, thing.skyloop.radius_deg = self.before
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE" and (under := view.under_mouse(context, event)):
            self.follow(context, thing, under)
            context.area.tag_redraw()
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return {"FINISHED"}
        return {"RUNNING_MODAL"}

    def follow(self, context: bpy.types.Context, thing: bpy.types.Object, under: directions.Vector) -> None:
        raise NotImplementedError


class SKYLOOP_OT_region_drag(_Dragged, bpy.types.Operator):
    """Drag the region over the sky"""

    bl_idname = "skyloop.region_drag"
    bl_label = "Drag Region"
    bl_options = {"REGISTER", "UNDO", "BLOCKING"}

    yaw_deg: FloatProperty(name="Yaw °", description="0 is ahead (+Y), 90 to the right (+X)", min=-360.0, max=360.0)
    pitch_deg: FloatProperty(name="Pitch °", description="0 is the horizon, 90 straight up", min=-90.0, max=90.0)

    def follow(self, context: bpy.types.Context, thing: bpy.types.Object, under: directions.Vector) -> None:
        self.yaw_deg, self.pitch_deg = directions.yaw_pitch(under) or (0.0, 0.0)
        regions.point(context.scene, thing, self.yaw_deg, self.pitch_deg)

    def act(self, context: bpy.types.Context) -> None:
        regions.point(context.scene, _own(self.target(context)), self.yaw_deg, self.pitch_deg)


class SKYLOOP_OT_region_resize(_Dragged, bpy.types.Operator):
    """Drag the region's edge"""

    bl_idname = "skyloop.region_resize"
    bl_label = "Change Radius"
    bl_options = {"REGISTER", "UNDO", "BLOCKING"}

    radius_deg: FloatProperty(
        name="Radius °", description="How far it reaches", min=LEAST_RADIUS_DEG, max=MOST_RADIUS_DEG, default=30.0
    )

    def follow(self, context: bpy.types.Context, thing: bpy.types.Object, under: directions.Vector) -> None:
        at = regions.direction_of(context.scene, thing)
        if at is None:
            return
        radius = directions.angle_deg(directions.direction(*at), under)
        if thing.skyloop.around:
            radius = abs((directions.yaw_pitch(under) or at)[1] - at[1])
        self.radius_deg = thing.skyloop.radius_deg = max(LEAST_RADIUS_DEG, radius)

    def act(self, context: bpy.types.Context) -> None:
        _own(self.target(context)).skyloop.radius_deg = self.radius_deg


class SKYLOOP_OT_photo_at_camera(Action, bpy.types.Operator):
    """Place the picture where the active camera looks. Without a picture, the camera's background image is taken"""

    bl_idname = "skyloop.photo_at_camera"
    bl_label = "At the Active Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if context.scene.camera else "The scene has no active camera"

    def act(self, context: bpy.types.Context) -> None:
        photo.place_at_camera(context.scene)


class SKYLOOP_OT_camera_measure(Action, bpy.types.Operator):
    """Follow the camera from the scene's first to its last frame, and tell how much of the sky it sees"""

    bl_idname = "skyloop.camera_measure"
    bl_label = "Measure the Saving"
    bl_options = {"REGISTER"}  # No UNDO: it only notes what is so anyway.

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return camera.problem(context.scene)

    def act(self, context: bpy.types.Context) -> None:
        camera.measure(context.scene, camera.keys(context.scene))
        share = context.scene.skyloop.direct.camera_share
        self.report({"INFO"}, tr(f"The camera sees about {math.ceil(100 * share)} % of the sky."))


def _no_room(context: bpy.types.Context) -> str:
    full = len(regions.of_scene(context.scene)) >= MAX_REGIONS
    return f"There are {MAX_REGIONS} regions, which is the most" if full else ""


CLASSES = (
    SKYLOOP_OT_region_add,
    SKYLOOP_OT_region_add_band,
    SKYLOOP_OT_region_move,
    SKYLOOP_OT_region_remove,
    SKYLOOP_OT_region_select,
    SKYLOOP_OT_region_point,
    SKYLOOP_OT_region_drag,
    SKYLOOP_OT_region_resize,
    SKYLOOP_OT_photo_at_camera,
    SKYLOOP_OT_camera_measure,
)

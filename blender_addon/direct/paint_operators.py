"""Masks painted on the sky, and what is done with them: re-roll or edit that part of it, say where it moves."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ...backend.controls import MAX_PROMPT_CHARS, RADIUS_RANGE_DEG
from ...backend.protocol import GenerateRequest, SkyloopError, bad_request
from .. import places, session
from ..ui import refused, tr
from . import edit, masks, painting, view
from .operators import Mixin

KIND = {"name": "Mask", "description": "What the mask is for", "items": masks.ITEMS, "options": {"SKIP_SAVE"}}


class SKYLOOP_OT_paint_mask(bpy.types.Operator):
    """Paint a mask on the sky, from inside. Done brings you back to what you were doing"""

    bl_idname = "skyloop.paint_mask"
    bl_label = "Paint Mask"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(**KIND)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set(tr("A mask is being painted already: press Done first"))
        return painting.sphere_of(context.scene) is None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            painting.begin(context, self.kind)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class _WhilePainting(Mixin):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set(tr("No mask is being painted"))
        return bool(context.scene.skyloop.direct.painting) or painting.sphere_of(context.scene) is not None


class SKYLOOP_OT_paint_done(_WhilePainting, bpy.types.Operator):
    """Keep what is painted, and go back to what you were doing"""

    bl_idname = "skyloop.paint_done"
    bl_label = "Done"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        painting.end(context, keep=True)
        return {"FINISHED"}


class SKYLOOP_OT_paint_discard(_WhilePainting, bpy.types.Operator):
    """Leave the mask as it was before this painting, and go back to what you were doing"""

    bl_idname = "skyloop.paint_discard"
    bl_label = "Discard"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        painting.end(context, keep=False)
        return {"FINISHED"}


class SKYLOOP_OT_paint_colour(_WhilePainting, bpy.types.Operator):
    """Whether the brush paints the mask or takes paint away"""

    bl_idname = "skyloop.paint_colour"
    bl_label = "Paint or Erase"
    bl_options = {"REGISTER"}

    erase: BoolProperty(name="Erase", description="Take paint away", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        painting.set_colour(context, paint=not self.erase)
        return {"FINISHED"}


class SKYLOOP_OT_mask_remove(bpy.types.Operator):
    """Remove this mask with all that is painted in it"""

    bl_idname = "skyloop.mask_remove"
    bl_label = "Remove Mask"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(**KIND)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set(tr("Press Done first"))
        return painting.sphere_of(context.scene) is None

    def execute(self, context: bpy.types.Context) -> set[str]:
        masks.remove(context.scene, self.kind)
        return {"FINISHED"}


class _Anew(Mixin):
    """A part of the present sky is asked for anew; size, length, rate and loop stay the sky's own."""

    bl_options = {"REGISTER"}  # No UNDO: only applying the result changes the file.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.current()
        reason = "The generator is not set up yet: press Set Up Skyloop" if now.not_installed else ""
        reason = reason or edit.why_not(context.scene)
        cls.poll_message_set(tr(reason))
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.current().generate_for(context.scene, self.request(context))
        except SkyloopError as error:
            return refused(self, error)
        session.wake()
        self.report({"INFO"}, "The part is made anew; the rest keeps its pixels.")
        return {"FINISHED"}

    def request(self, context: bpy.types.Context) -> GenerateRequest:
        raise NotImplementedError


class SKYLOOP_OT_reroll_painted(_Anew, bpy.types.Operator):
    """Make the painted part of the present sky anew from the same words. The rest keeps its pixels"""

    bl_idname = "skyloop.reroll_painted"
    bl_label = "Re-roll Painted Part"

    def request(self, context: bpy.types.Context) -> GenerateRequest:
        job = edit.source_of(context.scene)
        mask = masks.write(context.scene, masks.EDIT, places.output_root())
        return edit.part_of(job, device=places.device(), mask=mask)


class SKYLOOP_OT_edit_painted(_Anew, bpy.types.Operator):
    """Put something else into the painted part of the present sky. The rest keeps its pixels"""

    bl_idname = "skyloop.edit_painted"
    bl_label = "Edit Painted Part"

    prompt: StringProperty(
        name="Prompt",
        description="What shall be there; empty takes the panel's",
        maxlen=MAX_PROMPT_CHARS,
        options={"SKIP_SAVE"},
    )

    def request(self, context: bpy.types.Context) -> GenerateRequest:
        prompt = self.prompt.strip() or context.scene.skyloop.direct.edit_prompt.strip()
        if not prompt:
            raise bad_request("It is not said what shall be there.", "Describe it in New Prompt.")
        job = edit.source_of(context.scene)
        mask = masks.write(context.scene, masks.EDIT, places.output_root())
        return edit.part_of(job, device=places.device(), mask=mask, prompt=prompt)


class SKYLOOP_OT_reroll_view(_Anew, bpy.types.Operator):
    """Make the present sky anew around where you look: in the viewport, or through the active camera"""

    bl_idname = "skyloop.reroll_view"
    bl_label = "Re-roll Where I Look"

    radius_deg: FloatProperty(
        name="Radius °",
        description="How much of the sky is made anew; 0 takes the panel's",
        min=0.0,
        max=RADIUS_RANGE_DEG[1],
        options={"SKIP_SAVE"},
    )
    prompt: StringProperty(
        name="Prompt",
        description="What shall be there; empty for the sky's own",
        maxlen=MAX_PROMPT_CHARS,
        options={"SKIP_SAVE"},
    )

    def request(self, context: bpy.types.Context) -> GenerateRequest:
        job = edit.source_of(context.scene)
        radius = self.radius_deg or context.scene.skyloop.direct.reroll_radius_deg
        place = edit.around(context.scene, *view.direction(context), radius)
        return edit.part_of(job, device=places.device(), mask_at=place, prompt=self.prompt)


CLASSES = (
    SKYLOOP_OT_paint_mask,
    SKYLOOP_OT_paint_done,
    SKYLOOP_OT_paint_discard,
    SKYLOOP_OT_paint_colour,
    SKYLOOP_OT_mask_remove,
    SKYLOOP_OT_reroll_painted,
    SKYLOOP_OT_edit_painted,
    SKYLOOP_OT_reroll_view,
)

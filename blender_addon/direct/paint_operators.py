"""Masks painted on the sky, and what is done with them: re-roll or edit that part of it, say where it moves."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ...backend.controls import MAX_PROMPT_CHARS, RADIUS_RANGE_DEG
from ...backend.protocol import GenerateRequest, bad_request
from .. import places, session
from ..ui import Action
from . import edit, masks, painting, view

KIND = {"name": "Mask", "description": "What the mask is for", "items": masks.ITEMS, "options": {"SKIP_SAVE"}}


class SKYLOOP_OT_paint_mask(Action, bpy.types.Operator):
    """Paint a mask on the sky, from inside. Done brings you back to what you were doing"""

    bl_idname = "skyloop.paint_mask"
    bl_label = "Paint Mask"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(**KIND)

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "A mask is being painted already: press Done first" if painting.sphere_of(context.scene) else ""

    def act(self, context: bpy.types.Context) -> None:
        painting.begin(context, self.kind)


class _WhilePainting(Action):
    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        is_one = context.scene.skyloop.direct.painting or painting.sphere_of(context.scene)
        return "" if is_one else "No mask is being painted"


class SKYLOOP_OT_paint_done(_WhilePainting, bpy.types.Operator):
    """Keep what is painted, and go back to what you were doing"""

    bl_idname = "skyloop.paint_done"
    bl_label = "Done"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        painting.end(context, keep=True)


class SKYLOOP_OT_paint_discard(_WhilePainting, bpy.types.Operator):
    """Leave the mask as it was before this painting, and go back to what you were doing"""

    bl_idname = "skyloop.paint_discard"
    bl_label = "Discard"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        painting.end(context, keep=False)


class SKYLOOP_OT_paint_colour(_WhilePainting, bpy.types.Operator):
    """Whether the brush paints the mask or takes paint away"""

    bl_idname = "skyloop.paint_colour"
    bl_label = "Paint or Erase"
    bl_options = {"REGISTER"}

    erase: BoolProperty(name="Erase", description="Take paint away", options={"SKIP_SAVE"})

    def act(self, context: bpy.types.Context) -> None:
        painting.set_colour(context, paint=not self.erase)


class SKYLOOP_OT_mask_remove(Action, bpy.types.Operator):
    """Remove this mask with all that is painted in it"""

    bl_idname = "skyloop.mask_remove"
    bl_label = "Remove Mask"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(**KIND)

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "Press Done first" if painting.sphere_of(context.scene) else ""

    def act(self, context: bpy.types.Context) -> None:
        masks.remove(context.scene, self.kind)


class _Anew(Action):
    """A part of the present sky is asked for anew; size, length, rate and loop stay the sky's own."""

    bl_options = {"REGISTER"}  # No UNDO: only applying the result changes the file.

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return session.current().why_not or edit.why_not(context.scene)

    def act(self, context: bpy.types.Context) -> None:
        session.current().generate_for(context.scene, self.request(context))
        session.wake()
        self.report({"INFO"}, "The part is made anew; the rest keeps its pixels.")

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

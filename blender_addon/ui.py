"""What the panels and operators of all features share: wrapped text, refusals, translated words."""

from typing import TYPE_CHECKING

import bpy

from ..backend.protocol import SkyloopError
from . import languages
from .core.wrapping import wrapped

USUAL_WIDTH = 292.0  # of the sidebar with its tabs, in pixels
Mixin = bpy.types.Operator if TYPE_CHECKING else object  # Blender registers operators only, not what they share


class SkyloopPanel:
    """Where all our panels are: a tab of their own in the 3D View's sidebar."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Skyloop"
    bl_translation_context = languages.OWN


class Action(Mixin):
    """What our operators do alike: say why they are grey, do their work, report what went wrong."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """What stands against it just now, for the tooltip; empty when nothing does."""
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if reason := cls.why_not(context):
            cls.poll_message_set(tr(reason))
        return not reason

    def act(self, context: bpy.types.Context) -> set[str] | None:
        """The work; returns nothing when it is done. Raises ``SkyloopError``."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            return self.act(context) or {"FINISHED"}
        except SkyloopError as error:
            return refused(self, error)


def tr(text: str) -> str:
    """``text`` in the user's language, for sentences that are put together; whole labels Blender translates itself.

    ``tr("Seed {seed}").format(seed=7)`` and ``tr(f"Seed {seed}")``
    are both understood; what comes from modules without bpy is like the latter.
    """
    return languages.sentence(text)


def width_of(context: bpy.types.Context) -> float:
    """Of the sidebar, as its content counts: in pixels at resolution scale 1, fewer where that is enlarged."""
    region = context.region
    if region is None:
        return USUAL_WIDTH
    width = float(region.width)
    if region.type == "UI":
        width = region.view2d.region_to_view(width, 0.0)[0] - region.view2d.region_to_view(0.0, 0.0)[0]
    return width / context.preferences.system.ui_scale


def is_narrow(context: bpy.types.Context) -> bool:
    """Whether the names beside numbers would be cut; within the fields there is room for them."""
    return width_of(context) < 0.95 * USUAL_WIDTH


def paragraph(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", beside: float = 0.0
) -> None:
    """Text over as many lines as the sidebar's width asks for; labels do not wrap by themselves.

    ``beside`` is the width, in units of a button's height, that other things on the same line take.
    """
    taken = 60.0 + 20.0 * (beside + (icon != "NONE"))
    columns = max(20, int((width_of(context) - taken) / 6.0))
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(wrapped(tr(text), columns)):
        shown = icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE")
        column.label(text=line, icon=shown, translate=False)


def refused(operator: bpy.types.Operator, error: SkyloopError) -> set[str]:
    """Show the error as Blender shows errors; the operator returns what this returns."""
    operator.report({"ERROR"}, " ".join(tr(text) for text in (error.message, error.hint) if text))
    return {"CANCELLED"}

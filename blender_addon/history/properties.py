"""What lists show."""

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, IntProperty, StringProperty

from .. import redraw
from ..core.archive import Order


class SKYLOOP_PG_history_item(bpy.types.PropertyGroup):
    """One finished sky on the disk: only its name."""


ORDERS = (
    (Order.NEWEST.upper(), "Newest First", "By the time when they were made"),
    (Order.OLDEST.upper(), "Oldest First", "By the time when they were made"),
    (Order.LARGEST.upper(), "Largest First", "By what they take on the disk"),
    (Order.PROMPT.upper(), "By Prompt", "In alphabetical order"),
)


def _show_preview(self: "SKYLOOP_PG_window_manager", context: bpy.types.Context) -> None:
    redraw.viewports()


class SKYLOOP_PG_window_manager(bpy.types.PropertyGroup):
    """What lists show. Blender saves it with the file all the same, so it holds nothing but names: no folder that an
    operator would trust. The jobs themselves are in the session, in the same order."""

    history: CollectionProperty(type=SKYLOOP_PG_history_item)
    history_index: IntProperty(name="Sky", description="A sky that was made earlier")
    history_words: StringProperty(
        name="Search", description="Words of the prompt, the model or the seed", options={"TEXTEDIT_UPDATE"}
    )
    history_order: EnumProperty(name="Order", description="In which order the skies are listed", items=ORDERS)
    history_pinned: BoolProperty(name="Favourites Only", description="List only what was marked as a favourite")
    show_preview: BoolProperty(
        name="Show in Viewport",
        description="Look around in the sky while it is being made. "
        "Your World is not changed, and renders do not see it",
        update=_show_preview,
    )


CLASSES = (SKYLOOP_PG_history_item, SKYLOOP_PG_window_manager)

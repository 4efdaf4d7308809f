"""Having Blender draw again what shows our work, and nothing else: a viewport that renders must not start anew."""

import bpy

OURS = {("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW")}


def panels() -> None:
    """The sidebar and the preferences, wherever they are open, and the status bar."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in OURS:
                    region.tag_redraw()
        if window.workspace and not window.modal_operators:  # who may have a text of their own there
            window.workspace.status_text_set_internal(None)  # Blender has no other way to redraw the status bar


def viewports() -> None:
    """The 3D Views."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()

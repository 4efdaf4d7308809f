"""The first thing a new user sees: one button that makes the generator, and how far it is."""

import bpy

from .. import session
from ..core.state import State
from ..running.operators import SKYLOOP_OT_cancel
from ..ui import paragraph
from .operators import SKYLOOP_OT_install


def draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    if now.state is State.INSTALLING:
        layout.label(text="Setting up the generator", icon="IMPORT")
        layout.progress(factor=now.progress.factor, text=now.progress_text)
        layout.operator(SKYLOOP_OT_cancel.bl_idname, icon="X")
        paragraph(layout, context, "You can go on working. If it is interrupted, it goes on from there next time.")
        return
    paragraph(
        layout,
        context,
        "Skyloop needs its generator, which is set up once in a folder of its own: about 2 GB to download and "
        "keep, 8 GB with an NVIDIA card.",
        icon="INFO",
    )
    column = layout.column()
    column.scale_y = 1.5
    column.operator(SKYLOOP_OT_install.bl_idname, icon="IMPORT")
    if not bpy.app.online_access:
        paragraph(
            layout, context, "Blender is set to stay offline. The download needs online access; nothing else does."
        )
        layout.operator("screen.userpref_show", text="Open Preferences", icon="PREFERENCES").section = "SYSTEM"

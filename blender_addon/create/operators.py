"""The button that makes a sky."""

import random

import bpy

from ...backend.protocol import SkyloopError
from .. import places, session
from ..ui import refused
from .request import request_of, why_not_generate


class SKYLOOP_OT_generate(bpy.types.Operator):
    """Make an animated 360° sky from the prompt, after those that are asked for already. Blender stays usable"""

    bl_idname = "skyloop.generate"
    bl_label = "Generate Sky"
    bl_options = {"REGISTER"}  # No UNDO: only applying the result changes the file.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = why_not_generate(context)
        cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.skyloop
        if settings.random_seed:
            settings.seed = random.randrange(2**31)
        try:
            session.current().generate_for(context.scene, request_of(context.scene, device=places.device()))
        except SkyloopError as error:
            return refused(self, error)
        session.wake()
        return {"FINISHED"}


CLASSES = (SKYLOOP_OT_generate,)

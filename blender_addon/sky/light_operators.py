"""The light of a sky: its sun, a lamp for it, and how bright it all is."""

import bpy
from bpy.props import BoolProperty, EnumProperty

from .. import places
from ..ui import Action, tr
from . import lamp, light, nodes, work, world


class OfSky(Action):
    """What needs a sky in the World, with its node."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        sky = context.scene.world
        if not world.is_sky(sky):
            return "The World of this scene is not a Skyloop sky"
        if places.is_linked(sky):
            return "The World is linked from another file: make it local first"
        return "" if nodes.node_of(sky) else "The Skyloop node was taken out of this World: apply the sky again"


class SKYLOOP_OT_find_sun(OfSky, bpy.types.Operator):
    """Find the sun in the film and make it as bright as suns are, without making clouds brighter"""

    bl_idname = "skyloop.find_sun"
    bl_label = "Brighten the Sun"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        lamp.find_sun(context.scene.world)


class SKYLOOP_OT_add_sun_lamp(OfSky, bpy.types.Operator):
    """Make a lamp of the film's sun, for crisp shadows: its direction, colour, strength. Again to update it"""

    bl_idname = "skyloop.add_sun_lamp"
    bl_label = "Add Sun Lamp"
    bl_options = {"REGISTER", "UNDO"}

    soften: BoolProperty(
        name="Take It Out of the Sky",
        description="Let the sky give no light where the lamp does, so that it does not count twice",
        default=True,
    )

    def act(self, context: bpy.types.Context) -> None:
        sky = context.scene.world
        lamp.add(context.scene, sky, soften=self.soften)


class SKYLOOP_OT_measure_light(OfSky, bpy.types.Operator):
    """Look at every frame of the film, so that the sun lamp can follow its sun. Blender stays usable"""

    bl_idname = "skyloop.measure_light"
    bl_label = "Follow the Sun"
    bl_options = {"REGISTER"}  # No UNDO: it writes a file beside the film; the lamp is updated by its own operator.

    def act(self, context: bpy.types.Context) -> None:
        sky = context.scene.world
        scene_uid, sky_uid = context.scene.session_uid, sky.session_uid

        def update() -> None:
            # Looked up again, as undo or another file may have come between.
            scene = next((s for s in bpy.data.scenes if s.session_uid == scene_uid), None)
            if scene and scene.world and scene.world.session_uid == sky_uid and lamp.lamp_of(scene.world):
                soften = nodes.value(scene.world, "Lamp") > 0.0
                with bpy.context.temp_override(scene=scene):
                    bpy.ops.skyloop.add_sun_lamp("EXEC_DEFAULT", True, soften=soften)

        work.start("Looking at the light", work.command("light", sky.skyloop.job), update)


class SKYLOOP_OT_remove_sun_lamp(OfSky, bpy.types.Operator):
    """Take the sun lamp away and give its light back to the sky"""

    bl_idname = "skyloop.remove_sun_lamp"
    bl_label = "Remove Sun Lamp"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        lamp.remove(context.scene.world)


class SKYLOOP_OT_check_brightness(OfSky, bpy.types.Operator):
    """Measure how much light the sky gives to level ground, and which exposure fits"""

    bl_idname = "skyloop.check_brightness"
    bl_label = "Measure Brightness"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        sky = context.scene.world
        sky.skyloop.brightness = share = light.brightness(sky)
        self.report({"INFO"}, sentence(share))


class SKYLOOP_OT_match_brightness(OfSky, bpy.types.Operator):
    """Expose the scene, or light it, so that a grey card on the ground looks as it should"""

    bl_idname = "skyloop.match_brightness"
    bl_label = "Match Brightness"
    bl_options = {"REGISTER", "UNDO"}

    by: EnumProperty(
        name="By",
        description="What is changed",
        items=(
            ("EXPOSURE", "Exposure", "Of the scene: the picture of the sky becomes brighter or darker too"),
            ("LIGHTING", "Lighting", "Of the sky: its picture stays as it is"),
        ),
    )

    def act(self, context: bpy.types.Context) -> None:
        scene, sky = context.scene, context.scene.world
        share = light.brightness(sky)
        if self.by == "EXPOSURE":
            scene.view_settings.exposure = light.exposure_ev(share)
        else:
            factor = 2.0 ** (light.exposure_ev(share) - scene.view_settings.exposure)
            nodes.set_value(sky, "Lighting", nodes.value(sky, "Lighting") * factor)
            share = light.brightness(sky)
        sky.skyloop.brightness = share


def sentence(share: float) -> str:
    """How bright a sky is: in words, as a share of a white dome, and in stops."""
    text = tr("Like {words}: {share} of a white dome; a grey card needs exposure {stops} EV.")
    stops = light.exposure_ev(share)
    return text.format(words=tr(light.words(share)), share=f"{share:.2g}", stops=f"{stops:+.1f}")


CLASSES = (
    SKYLOOP_OT_find_sun,
    SKYLOOP_OT_add_sun_lamp,
    SKYLOOP_OT_measure_light,
    SKYLOOP_OT_remove_sun_lamp,
    SKYLOOP_OT_check_brightness,
    SKYLOOP_OT_match_brightness,
)

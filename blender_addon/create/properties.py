"""The request as the user sets it, kept with the scene."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ...backend.protocol import (
    FOV_RANGE_DEG,
    MAX_FRAMES,
    MAX_MODEL_CHARS,
    MAX_PROMPT_CHARS,
    MAX_WIDTH_PX,
    MIN_HEIGHT_PX,
)
from ..core.settings import CUSTOM, QUALITIES, USUAL_QUALITY, duration_s, frames_in, natural
from ..core.stock import BUILT_IN, known
from ..core.styles import CUSTOM as CUSTOM_STYLE
from ..core.styles import NONE, STYLES
from ..direct.properties import SKYLOOP_PG_direct
from ..explore.properties import SKYLOOP_PG_explore
from ..export.properties import SKYLOOP_PG_export
from ..languages import OWN
from ..models.properties import SKYLOOP_PG_models
from ..sky import world
from ..vr.properties import SKYLOOP_PG_vr

MAX_SEED = 2**31 - 1

# Blender keeps pointers into these strings, so they must live as long as the class.
QUALITY_ITEMS = (
    *((q.id, q.label, q.description) for q in QUALITIES),
    (CUSTOM, "Custom", "A width of your own; the height is half of it"),
)
STYLE_ITEMS = (
    (NONE, "None", "The prompt alone", 0),
    *((s.id, s.label, f"Adds: {s.words}", s.number) for s in STYLES),
    (CUSTOM_STYLE, "Own Words", "Words of your own, added to every prompt; a preset keeps them", 1000),
)
MAX_STYLE_CHARS = 500


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames a second of the scene."""
    return scene.render.fps / scene.render.fps_base


def fps_of(settings: "SKYLOOP_PG_scene") -> float:
    """Frames a second of the next sky."""
    return round(scene_fps(settings.id_data) if settings.match_scene_fps else settings.fps, 3)


def _duration(self: "SKYLOOP_PG_scene") -> float:
    return duration_s(self.frames, fps_of(self))


def _set_duration(self: "SKYLOOP_PG_scene", seconds: float) -> None:
    self.frames = frames_in(seconds, fps_of(self))


def _keep_duration(self: "SKYLOOP_PG_scene", context: bpy.types.Context) -> None:
    """Another rate for the same seconds: who takes the scene's rate wants a smoother sky, not a shorter one."""
    rates = (self.fps, scene_fps(self.id_data))
    before, after = rates if self.match_scene_fps else reversed(rates)
    self.frames = frames_in(duration_s(self.frames, before), after)


def _follow_model(self: "SKYLOOP_PG_scene", context: bpy.types.Context) -> None:
    """Another model brings its own size, length and rate along, as far as the user has left those of the last."""
    models = known()
    before, after = models.get(self.models.followed or BUILT_IN), models.get(self.model)
    if before is None or after is None:
        return
    self.models.followed = after.id
    was, now = natural(before), natural(after)
    if self.quality == was.quality:
        self.quality = now.quality
    if not self.match_scene_fps and (self.frames, round(self.fps, 3)) == (was.frames, round(was.fps, 3)):
        self.frames, self.fps = now.frames, now.fps


def _front_deg(self: "SKYLOOP_PG_scene") -> float:
    """That of the sky in the World, which may be keyed; without a sky, what was chosen for the next."""
    shown = world.front_deg_of(self.id_data.world)
    return self.next_front_deg if shown is None else shown


def _turn_sky(self: "SKYLOOP_PG_scene", front_deg: float) -> None:
    self.next_front_deg = front_deg
    if world.is_sky(self.id_data.world):
        world.set_front(self.id_data.world, front_deg)


class SKYLOOP_PG_scene(bpy.types.PropertyGroup):
    """The next request, saved with the scene."""

    prompt: StringProperty(
        name="Prompt", description="What the sky looks like, in a few words", maxlen=MAX_PROMPT_CHARS
    )
    negative: StringProperty(
        name="Avoid",
        description="What should not be seen; may stay empty",
        maxlen=MAX_PROMPT_CHARS,
        translation_context=OWN,
    )
    style: EnumProperty(name="Style", description="A look that is added to the prompt", items=STYLE_ITEMS)
    style_text: StringProperty(
        name="Style Words", description="Words that are added to the prompt", maxlen=MAX_STYLE_CHARS
    )
    model: StringProperty(
        name="Model", description="What makes the sky", default=BUILT_IN, maxlen=MAX_MODEL_CHARS, update=_follow_model
    )
    seed: IntProperty(name="Seed", description="The same seed and settings give the same sky", min=0, default=0)
    random_seed: BoolProperty(
        name="New Seed Each Time",
        description="Draw a new seed for every sky. Lock it to get the same sky again, or to change one thing only",
        default=True,
    )
    quality: EnumProperty(
        name="Quality",
        description="Size of the sky",
        items=QUALITY_ITEMS,
        default=USUAL_QUALITY,
        translation_context=OWN,  # Blender's own words for these are too long to stand in one row
    )
    custom_width: IntProperty(
        name="Width",
        description="Width of the whole turn in pixels, a multiple of 32; the height is half of it",
        min=2 * MIN_HEIGHT_PX,
        max=MAX_WIDTH_PX // 2,
        default=1536,
        subtype="PIXEL",
    )
    frames: IntProperty(name="Frames", description="Length of the loop in frames", min=1, max=MAX_FRAMES, default=16)
    fps: FloatProperty(
        name="Frame Rate", description="Frames per second of the movie file", min=1.0, max=120.0, default=8.0
    )
    match_scene_fps: BoolProperty(
        name="Use the Scene's Frame Rate",
        description="Make as many frames a second as the scene plays. The loop lasts as long as before; more frames "
        "take more time to make",
        update=_keep_duration,
    )
    duration_s: FloatProperty(
        name="Duration",
        description="Length of the loop in seconds; the number of frames follows",
        min=0.01,
        soft_max=60.0,
        precision=2,
        step=100,
        unit="TIME_ABSOLUTE",
        get=_duration,
        set=_set_duration,
        options={"SKIP_SAVE"},
    )
    loop: BoolProperty(name="Loop", description="The last frame leads back to the first", default=True)
    fov_deg: FloatProperty(
        name="Field of View °",
        description="How much of the sky is composed as one picture: small gives more and smaller things",
        min=FOV_RANGE_DEG[0],
        max=FOV_RANGE_DEG[1],
        default=90.0,
        precision=0,
        step=100,
    )
    front_deg: FloatProperty(
        name="Front °",
        description="Where the middle of the sky is: 0 is ahead (+Y), 90 to the right (+X). "
        "Turns the present sky at once",
        soft_min=-180.0,
        soft_max=180.0,
        precision=1,
        step=500,
        get=_front_deg,
        set=_turn_sky,
    )
    next_front_deg: FloatProperty(name="Next Front °", description="The front that the next sky starts with")
    steps: IntProperty(name="Steps", description="Refinement steps; 0 is the model's own number", min=0, max=200)
    guidance: FloatProperty(
        name="Guidance",
        description="How strictly the prompt is followed; 0 is the model's own strength",
        min=0.0,
        max=30.0,
    )
    auto_apply: BoolProperty(
        name="Apply When Done",
        description="Put the finished sky into this scene's World; one undo step, and the old World is kept",
        default=True,
    )

    direct: PointerProperty(type=SKYLOOP_PG_direct)
    explore: PointerProperty(type=SKYLOOP_PG_explore)
    vr: PointerProperty(type=SKYLOOP_PG_vr)
    models: PointerProperty(type=SKYLOOP_PG_models)
    export: PointerProperty(type=SKYLOOP_PG_export)


CLASSES = (SKYLOOP_PG_scene,)

"""What Skyloop keeps in Blender: the request on the Scene, a sky's origin on the World, lists on the window manager."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..backend.protocol import (
    FOV_RANGE_DEG,
    MAX_FRAMES,
    MAX_PROMPT_CHARS,
    MAX_WIDTH_PX,
    MIN_HEIGHT_PX,
    GenerateRequest,
    bad_request,
)
from . import world
from .core.settings import CUSTOM, QUALITIES, size_of

MAX_SEED = 2**31 - 1

# Blender keeps pointers into these strings, so they must live as long as the class.
QUALITY_ITEMS = (
    *((q.id, q.label, q.description) for q in QUALITIES),
    (CUSTOM, "Custom", "A width of your own; the height is half of it"),
)


def _turn_sky(self: "SKYLOOP_PG_scene", context: bpy.types.Context) -> None:
    if world.is_sky(self.id_data.world):
        world.set_front(self.id_data.world, self.front_deg)


class SKYLOOP_PG_scene(bpy.types.PropertyGroup):
    """The next request, saved with the scene."""

    prompt: StringProperty(
        name="Prompt", description="What the sky looks like, in a few words", maxlen=MAX_PROMPT_CHARS
    )
    negative: StringProperty(
        name="Avoid", description="What should not be seen; may stay empty", maxlen=MAX_PROMPT_CHARS
    )
    seed: IntProperty(name="Seed", description="The same seed and settings give the same sky", min=0, default=0)
    random_seed: BoolProperty(name="New Each Time", description="Draw a new seed for every run", default=True)
    quality: EnumProperty(name="Quality", description="Size of the sky", items=QUALITY_ITEMS, default="STANDARD")
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
        default=0.0,
        precision=1,
        step=500,
        update=_turn_sky,
    )
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

    def request(self, *, device: str) -> GenerateRequest:
        """The request as it stands; whether it can be done is its own :meth:`GenerateRequest.problems` to say."""
        width, height = size_of(self.quality, self.custom_width)
        return GenerateRequest(
            prompt=self.prompt,
            negative=self.negative,
            width=width,
            height=height,
            frames=self.frames,
            fps=round(self.fps, 3),
            loop=self.loop,
            seed=self.seed,
            steps=self.steps,
            guidance=round(self.guidance, 3),
            fov_deg=round(self.fov_deg, 3),
            device=device,
        )

    def recall(self, request: GenerateRequest) -> None:
        """Set everything as an earlier request had it, to repeat or vary it. Raises ``SkyloopError``."""
        if request.seed > MAX_SEED:
            raise bad_request(f"Seed {request.seed} is larger than Blender's fields hold.", f"Use up to {MAX_SEED}.")
        sizes = {(q.width, q.height): q.id for q in QUALITIES}
        self.quality = sizes.get((request.width, request.height), CUSTOM)
        self.custom_width = request.width
        self.random_seed = False
        for name in ("prompt", "negative", "frames", "fps", "loop", "seed", "steps", "guidance", "fov_deg"):
            setattr(self, name, getattr(request, name))


class SKYLOOP_PG_world(bpy.types.PropertyGroup):
    """Where a sky came from, and what it replaced."""

    is_sky: BoolProperty()
    prompt: StringProperty(name="Prompt")
    seed: StringProperty(name="Seed", description="As text, because seeds may be larger than Blender's integers")
    fps: FloatProperty(name="Frame Rate", default=8.0)
    job: StringProperty(name="Job Folder")
    previous: PointerProperty(type=bpy.types.World, name="Previous World")
    previous_fake_user: BoolProperty()


class SKYLOOP_PG_history_item(bpy.types.PropertyGroup):
    """One finished sky on the disk: only its name."""


class SKYLOOP_PG_window_manager(bpy.types.PropertyGroup):
    """What lists show. Blender saves it with the file all the same, so it holds nothing but names: no folder that an
    operator would trust. The jobs themselves are in the session, in the same order."""

    history: CollectionProperty(type=SKYLOOP_PG_history_item)
    history_index: IntProperty(name="Sky")


CLASSES = (SKYLOOP_PG_scene, SKYLOOP_PG_world, SKYLOOP_PG_history_item, SKYLOOP_PG_window_manager)


def register() -> None:
    bpy.types.Scene.skyloop = PointerProperty(type=SKYLOOP_PG_scene)
    bpy.types.World.skyloop = PointerProperty(type=SKYLOOP_PG_world)
    bpy.types.WindowManager.skyloop = PointerProperty(type=SKYLOOP_PG_window_manager)


def unregister() -> None:
    del bpy.types.WindowManager.skyloop
    del bpy.types.World.skyloop
    del bpy.types.Scene.skyloop

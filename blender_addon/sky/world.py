"""From a movie to an animated World, and back: build aside, swap, keep the old one.

The frame's centre appears where "front" points. Blender shows the centre of an environment texture at +X; a Mapping
node turns it, so that front 0° is +Y and positive angles turn to the right, clockwise seen from above.
"""

import math
from pathlib import Path

import bpy

from ...backend.protocol import ErrorKind, SkyloopError
from ..core.jobs import Job, shorten
from ..core.settings import blender_fps

FRONT_NODE = "Skyloop Front"
SKY_NODE = "Skyloop Sky"


def apply(scene: bpy.types.Scene, job: Job, *, front_deg: float) -> bpy.types.World:
    """Make a new World of the job's movie and give it to ``scene``. The World that was there is kept, with a user.

    Raises ``SkyloopError`` and changes nothing when the movie is missing or unreadable.
    """
    if not job.movie.is_file():
        raise SkyloopError(
            ErrorKind.BAD_REQUEST, f"The movie {job.movie} is missing.", "It was moved or deleted: generate it again."
        )
    previous, image, world = scene.world, None, None
    try:
        image = _load(job.movie)
        world = bpy.data.worlds.new(f"Skyloop: {shorten(job.request.prompt, 40)}")
        _build(world, image, front_deg)
        record = world.skyloop
        record.is_sky = True
        record.prompt, record.seed = job.request.prompt, str(job.request.seed)
        record.fps, record.job = job.request.fps, str(job.folder)
        if previous:
            record.previous, record.previous_fake_user = previous, previous.use_fake_user
            previous.use_fake_user = True
        scene.world = world
    except BaseException:
        scene.world = previous
        if world:
            if previous and world.skyloop.previous == previous:
                previous.use_fake_user = world.skyloop.previous_fake_user
            bpy.data.worlds.remove(world)
        if image:
            bpy.data.images.remove(image)
        raise
    return world


def restore(scene: bpy.types.Scene) -> bpy.types.World | None:
    """Give ``scene`` back the World that the present sky replaced; None when there was none."""
    if not is_sky(scene.world):
        raise SkyloopError(ErrorKind.BAD_REQUEST, "The World of this scene is not a Skyloop sky.")
    record = scene.world.skyloop
    previous = record.previous
    if previous:
        previous.use_fake_user = record.previous_fake_user
    scene.world = previous
    return previous


def is_sky(world: bpy.types.World | None) -> bool:
    return bool(world and world.skyloop.is_sky)


def sky_image(world: bpy.types.World) -> bpy.types.Image | None:
    """The movie of a sky; None when somebody has taken the node out."""
    node = world.node_tree.nodes.get(SKY_NODE) if world.node_tree else None
    return node.image if node else None


def set_front(world: bpy.types.World, front_deg: float) -> None:
    """Turn a sky so that the frame's centre is at yaw ``front_deg``: 0 is +Y, 90 is +X."""
    node = world.node_tree.nodes.get(FRONT_NODE) if world.node_tree else None
    if node:
        node.inputs["Rotation"].default_value[2] = math.radians(front_deg - 90.0)


def camera_front_deg(camera: bpy.types.Object) -> float:
    """The yaw in degrees of where a camera looks. Raises ``SkyloopError`` when it looks straight up or down."""
    ahead = -camera.matrix_world.col[2].xyz.normalized()
    if math.hypot(ahead.x, ahead.y) < 1e-3:
        raise SkyloopError(
            ErrorKind.BAD_REQUEST, f"The camera {camera.name} looks straight up or down.", "Point it at the horizon."
        )
    return math.degrees(math.atan2(ahead.x, ahead.y))


def match_timeline(scene: bpy.types.Scene, *, fps: bool, frame_range: bool) -> None:
    """Make the scene as fast (``fps``) or as long (``frame_range``) as its sky; one movie frame is one scene frame."""
    if not is_sky(scene.world):
        raise SkyloopError(ErrorKind.BAD_REQUEST, "The World of this scene is not a Skyloop sky.")
    image = sky_image(scene.world)
    if fps:
        scene.render.fps, scene.render.fps_base = blender_fps(scene.world.skyloop.fps)
    if frame_range and image:
        scene.frame_start, scene.frame_end = 1, image.frame_duration


def _load(movie: Path) -> bpy.types.Image:
    try:
        image = bpy.data.images.load(str(movie), check_existing=False)
    except RuntimeError as error:
        raise SkyloopError(ErrorKind.INTERNAL, f"Blender cannot open {movie}.", "Generate it again.") from error
    if image.source != "MOVIE" or image.frame_duration < 1 or not image.size[0]:
        bpy.data.images.remove(image)
        raise SkyloopError(
            ErrorKind.INTERNAL, f"Blender cannot read {movie} as a movie.", "It may be damaged: generate it again."
        )
    if bpy.data.filepath:
        try:
            image.filepath = bpy.path.relpath(str(movie))
        except ValueError:  # another drive: only the absolute path leads there
            image.filepath = str(movie)
    image.colorspace_settings.name = "sRGB"
    return image


def _build(world: bpy.types.World, image: bpy.types.Image, front_deg: float) -> None:
    """Texture Coordinate -> Mapping -> Environment Texture -> Background -> World Output."""
    if world.node_tree is None:
        world.use_nodes = True  # before Blender 5.0 a World starts without nodes
    tree = world.node_tree
    assert tree
    tree.nodes.clear()

    def node(kind: str, column: int, name: str = "") -> bpy.types.Node:
        made = tree.nodes.new(kind)
        made.location = (column * 220.0, 0.0)
        if name:
            made.name = made.label = name
        return made

    coordinates = node("ShaderNodeTexCoord", 0)
    mapping = node("ShaderNodeMapping", 1, FRONT_NODE)
    sky = node("ShaderNodeTexEnvironment", 2, SKY_NODE)
    background = node("ShaderNodeBackground", 4)
    output = node("ShaderNodeOutputWorld", 5)
    tree.links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], sky.inputs["Vector"])
    tree.links.new(sky.outputs["Color"], background.inputs["Color"])
    tree.links.new(background.outputs["Background"], output.inputs["Surface"])

    sky.image = image
    user = sky.image_user
    user.frame_duration = image.frame_duration  # Blender's default is 100, whatever the movie
    user.frame_start = 1
    user.frame_offset = 0  # an offset is clamped, not wrapped, and would break the loop
    user.use_cyclic = True
    user.use_auto_refresh = True  # without it the viewport and VR stand still
    set_front(world, front_deg)

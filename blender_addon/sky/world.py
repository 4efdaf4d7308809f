"""A sky in the World of a scene, and out again: build aside, swap, keep what was there.

However many skies follow one another, ``restore`` brings back the user's own World.
"""

import contextlib
import math

import bpy

from ...backend.protocol import ErrorKind, SkyloopError
from .. import places
from ..core.jobs import Job, shorten
from . import film, nodes, timeline
from .film import Film


def apply(scene: bpy.types.Scene, job: Job, *, front_deg: float) -> bpy.types.World:
    """Make a new World of the job's movie and give it to ``scene``. The World that was there is kept, with a user.

    Raises ``SkyloopError`` and changes nothing when the movie is missing or unreadable.
    """
    made = build(f"Skyloop: {shorten(job.request.prompt, 40)}", film.of_job(job), front_deg=front_deg)
    record = made.skyloop
    record.prompt, record.seed = job.request.prompt, str(job.request.seed)
    record.fps, record.job = job.request.fps, str(job.folder)
    show(scene, made)
    return made


def build(name: str, shown: Film, *, front_deg: float) -> bpy.types.World:
    """A new World, used by no scene yet, of any film or still. Raises ``SkyloopError`` and leaves nothing.

    ``front_deg`` is the yaw, in Blender's world, of the picture's middle.
    """
    data = bpy.data
    with contextlib.ExitStack() as undo:
        image = film.load(shown)
        undo.callback(data.images.remove, image)
        group = nodes.make(image)
        undo.callback(data.node_groups.remove, group)
        world = data.worlds.new(name)
        undo.callback(data.worlds.remove, world)
        nodes.put(world, group)
        timeline.set_up(world, film.length(image, shown.frames))
        world.skyloop.is_sky = True
        set_front(world, front_deg)
        _be_quick(world, shown.width or image.size[0])
        undo.pop_all()
    return world


def _be_quick(world: bpy.types.World, width: int) -> None:
    """Let Cycles' map of where light comes from be as fine as the film, not finer: it is made anew for each frame."""
    if cycles := getattr(world, "cycles", None):  # Cycles may be switched off
        cycles.sampling_method, cycles.sample_map_resolution = "MANUAL", min(max(256, width), 2048)


def discard(world: bpy.types.World) -> None:
    """Remove a World that :func:`build` made, with its film and nodes where nothing else uses them."""
    node, image = nodes.node_of(world), sky_image(world)
    group = node.node_tree if node else None
    bpy.data.worlds.remove(world)
    if group and not group.users:
        bpy.data.node_groups.remove(group)
    if image and not image.users:
        bpy.data.images.remove(image)


def show(scene: bpy.types.Scene, sky: bpy.types.World) -> None:
    """Give ``sky`` to ``scene`` and note what it replaces: the user's own World, also where a sky is there already."""
    shown, record = scene.world, sky.skyloop
    if is_sky(shown):
        record.replaced = shown.skyloop.replaced
        record.previous, record.previous_fake_user = shown.skyloop.previous, shown.skyloop.previous_fake_user
    elif shown:
        keepers = _skies_over(shown)
        record.replaced, record.previous = True, shown
        record.previous_fake_user = keepers[0].skyloop.previous_fake_user if keepers else shown.use_fake_user
        if not places.is_linked(shown):
            shown.use_fake_user = True  # else it would not be saved when nothing uses the sky any more
    scene.world = sky


def restore(scene: bpy.types.Scene) -> bpy.types.World | None:
    """Give ``scene`` back the user's own World; None when there was none, or the user has deleted it since."""
    if not is_sky(scene.world):
        raise SkyloopError(ErrorKind.BAD_REQUEST, "The World of this scene is not a Skyloop sky.")
    record = scene.world.skyloop
    previous, fake_user = record.previous, record.previous_fake_user
    scene.world = previous
    shown = {s.world for s in bpy.data.scenes}
    if previous and not places.is_linked(previous) and not any(sky in shown for sky in _skies_over(previous)):
        previous.use_fake_user = fake_user
    return previous


def _skies_over(world: bpy.types.World) -> list[bpy.types.World]:
    return [sky for sky in bpy.data.worlds if is_sky(sky) and sky.skyloop.previous == world]


def is_sky(world: bpy.types.World | None) -> bool:
    return bool(world and world.skyloop.is_sky)


def sky_image(world: bpy.types.World) -> bpy.types.Image | None:
    """The film of a sky; None when somebody has taken the node out."""
    node = nodes.film_node(world)
    return node.image if node else None


def set_front(world: bpy.types.World, front_deg: float) -> None:
    """Turn a sky so that the frame's centre is at yaw ``front_deg``: 0 is +Y, 90 is +X."""
    if socket := nodes.slider(world, "Front"):
        socket.default_value = math.radians(front_deg)


def front_deg_of(world: bpy.types.World | None) -> float | None:
    """The yaw of the frame's centre; None when ``world`` shows no sky."""
    socket = nodes.slider(world, "Front") if world and is_sky(world) else None
    return math.degrees(socket.default_value) if socket else None


def camera_front_deg(camera: bpy.types.Object) -> float:
    """The yaw in degrees of where a camera looks. Raises ``SkyloopError`` when it looks straight up or down."""
    ahead = -camera.matrix_world.col[2].xyz.normalized()
    if math.hypot(ahead.x, ahead.y) < 1e-3:
        raise SkyloopError(
            ErrorKind.BAD_REQUEST, f"The camera {camera.name} looks straight up or down.", "Point it at the horizon."
        )
    return math.degrees(math.atan2(ahead.x, ahead.y))

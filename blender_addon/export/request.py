"""The export that the scene's settings ask for."""

from pathlib import Path

import bpy

from ...backend.exports.orientation import wrapped
from ...backend.exports.request import ExportRequest
from ...backend.exports.targets import TARGETS, Value
from ...backend.protocol import bad_request
from .. import session
from ..core.exporting import Found, Place, option_key, turns
from ..sky import asset, film, sequence, world
from .properties import FILE, HISTORY, SKYLOOP_PG_export


def place_of(scene: bpy.types.Scene, job: str = "", folder: str = "") -> Place:
    """Film and folder of the next export; ``job`` is another film or job folder, ``folder`` another folder than what
    the settings say. Raises ``SkyloopError`` when there is no sky to export, or no folder."""
    settings = scene.skyloop.export
    source, title = (_absolute(job), "") if job else _source(scene, settings)
    chosen = folder or settings.folder
    if chosen.startswith("//") and not bpy.data.filepath:
        raise bad_request("The file is not saved, so there is nothing beside it.", "Save it, or choose another folder.")
    origin = source.parent if source.name == "sky.mp4" else source  # the job's folder
    parent = Path(bpy.data.filepath).parent if bpy.data.filepath else origin.parent
    name = asset.slug(title or origin.stem) or "sky"
    return Place(source, _absolute(chosen) if chosen else None, parent, f"{name}-{settings.target}")


def request_of(scene: bpy.types.Scene, found: Found, place: Place) -> ExportRequest:
    """The request for what was found at a place; a scene to go with it is not in it yet."""
    settings = scene.skyloop.export
    target = TARGETS[settings.target]
    options: dict[str, Value] = {o.name: getattr(settings, option_key(target, o)) for o in target.options}
    return ExportRequest(
        source=str(place.source),
        target=target.name,
        out=str(found.out),
        facing="blender" if wants_scene(settings) else settings.facing,
        front_deg=wrapped(scene.skyloop.front_deg),
        prerotate=settings.prerotate and turns(target, str(options.get("beside", ""))),
        height=settings.height,
        force=settings.replace and found.earlier,
        options=options,
    )


def wants_scene(settings: SKYLOOP_PG_export) -> bool:
    """Whether the scene itself goes along."""
    target = TARGETS[settings.target]
    return target.takes_scene and (settings.with_scene or target.name == "scene")


def _source(scene: bpy.types.Scene, settings: SKYLOOP_PG_export) -> tuple[Path, str]:
    """The chosen film or job folder, and what it shows."""
    if settings.source == FILE:
        if not settings.film:
            raise bad_request("No film is chosen.", "Choose a film of the whole turn.")
        return _absolute(settings.film), ""
    if settings.source == HISTORY:
        chosen = session.current().chosen()
        if chosen is None:
            raise bad_request("No sky is selected in the History.", "Select one there, or make one first.")
        return chosen.folder / "sky.mp4", chosen.card.prompt
    sky = scene.world
    if not world.is_sky(sky):
        raise bad_request("The World of this scene is not a Skyloop sky.", "Apply one, or choose another source.")
    image = world.sky_image(sky)
    if sequence.is_sequence(sky) and sky.skyloop.job:
        return Path(sky.skyloop.job) / "sky.mp4", sky.skyloop.prompt
    if image is None:
        raise bad_request("This World has lost its film.", "Apply the sky again.")
    return film.place(image), sky.skyloop.prompt


def _absolute(path: str) -> Path:
    return Path(bpy.path.abspath(path)).absolute()

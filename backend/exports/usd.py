"""A USD stage with one dome light, whose picture is another one at each frame. Written as text: no USD library."""

from __future__ import annotations

from pathlib import Path
from string import Template

from ..sequence import check_room
from .film import Film
from .hdr import about_light, write_light
from .numbered import named, put, spread
from .orientation import ENGINES, wrapped
from .request import ExportRequest
from .run import Steps, Written
from .stills import panorama_xmp, picture

STAGE, FRAMES = "sky.usda", "frames"
_TEMPLATE = Path(__file__).parent / "usd_files" / STAGE


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(disk_full)``."""
    check_room(Path(request.out), film.frames * film.width * film.height, request.text("format"))


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``sky.usda`` and its pictures in ``frames``."""
    kind, boost = request.text("format"), request.number("boost")
    numbers, frames = range(film.frames), folder / FRAMES
    frames.mkdir()
    notes = [
        "Some renderers and viewers keep the first picture while it plays (OpenUSD issue 3094): render frame by frame.",
    ]
    if film.loops:
        notes.append("USD has no loop of its own: repeat the shot, or begin again after the last frame.")
    if kind == "exr":
        seen = yield from write_light(film, numbers, kind, boost, frames, "sky")
        light = about_light(boost)
        notes += [seen.told(), *seen.notes(boost)]
    else:
        xmp = panorama_xmp(film.width, film.height)
        yield from spread(film, numbers, lambda n, f: put(frames / named("sky", n, kind), picture(f, kind, xmp)))
        light = "8 bit sRGB, which ends at display white."
        notes.append("PNG ends at display white, so there is no boost in it: choose EXR for a sun that casts shadows.")
    put(folder / STAGE, stage(film, kind, yaw_deg, light).encode())
    use = (
        f"Keep {STAGE} beside its folder {FRAMES}: the paths in it are relative.",
        f"Houdini (Solaris), Maya, Omniverse: reference or sublayer {STAGE} into your stage; its light is /World/Sky.",
        "Blender: File, Import, Universal Scene Description: it becomes the scene's World, with the first picture.",
        f"It plays {film.frames} frames from time code 0, {film.fps:g} a second; Y is up, and ahead is -Z.",
        "To turn the sky, change xformOp:rotateY of /World/Sky.",
    )
    return Written(use, STAGE, tuple(notes))


def stage(film: Film, kind: str, yaw_deg: float, light: str) -> str:
    """The text of the stage: pictures of that ``kind``, the frame's centre ``yaw_deg`` to the right of -Z."""
    paths = [f"@./{FRAMES}/{named('sky', number, kind)}@" for number in range(film.frames)]
    facts = {
        "FIRST": paths[0],
        "SAMPLES": ",\n".join(f"            {number}: {path}" for number, path in enumerate(paths)),
        "LAST": film.frames - 1,
        "COUNT": film.frames,
        "FPS": f"{film.fps:.9g}",
        "ROTATE_Y": f"{rotate_y(yaw_deg):.9g}",
        "LIGHT": light,
        "LOOPS": int(film.loops),
        "END": "after the last time code comes the first one again" if film.loops else "it was not made as a loop",
    }
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(facts)


def rotate_y(yaw_deg: float) -> float:
    """The rotation about +Y, in [-180, 180), that shows a dome's centre ``yaw_deg`` to the right of -Z: from +Z, where
    the centre is by default, a positive one turns it towards +X, the right of what looks along -Z."""
    return wrapped(ENGINES["usd"].default_deg - yaw_deg)

"""A sky whose film is gone: Blender shows magenta without a word, so this notices, and finds the film again.

Whether a file is there is asked in a thread, as a disk that is asleep or a network that is gone may take long to
answer; what was found is noted in the World.
"""

import logging
import threading
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from ...backend.jobs.store import is_file
from ...backend.protocol import SkyloopError, bad_request
from .. import places, redraw
from ..core import jobs
from . import film, timeline, world

log = logging.getLogger(__name__)

PERIOD_S = 5.0


def skies() -> list[bpy.types.World]:
    """The skies of this file that have a film."""
    return [w for w in bpy.data.worlds if world.is_sky(w) and world.sky_image(w)]


def note(absent: set[Path]) -> None:
    """Write into each World whether its film is among ``absent``."""
    changed = False
    for sky in skies():
        gone = film.place(world.sky_image(sky)) in absent
        if sky.skyloop.missing != gone:
            sky.skyloop.missing, changed = gone, True
    if changed:
        redraw.panels()


def places_of_films() -> set[Path]:
    return {film.place(world.sky_image(sky)) for sky in skies()}


def look_now() -> set[Path]:
    """Without a window: look at once, and say so in the log, as a farm would render magenta."""
    absent = {path for path in places_of_films() if not path.is_file()}
    note(absent)
    for path in sorted(absent):
        log.warning("The film of a sky is missing: %s. Blender shows magenta instead.", path)
    return absent


def find(sky: bpy.types.World) -> Path:
    """The film of ``sky`` somewhere else: in its job folder's new place, beside the .blend, among all known skies.

    Raises ``SkyloopError`` when there is none.
    """
    image = world.sky_image(sky)
    if image is None:
        raise bad_request("This World has lost its film.", "Apply the sky again.")
    old = film.place(image)
    record = sky.skyloop
    job = Path(record.job).name if record.job else old.parent.name
    around = [Path(bpy.data.filepath).parent] if bpy.data.filepath else []
    around += [folder / "skyloop" for folder in around] + places.roots()
    for root in around:
        for found in (root / job / old.name, root / old.parent.name / old.name, root / old.name):
            if is_file(found) and _is_of(found.parent, record):
                return found
    for entry in jobs.entries(places.roots()):
        if entry.card.prompt == record.prompt and str(entry.card.seed) == record.seed:
            found = entry.folder / old.name
            if is_file(found):
                return found
    raise bad_request(f"{old.name} of this sky was not found.", "Choose the file, or restore the previous World.")


def relocate(sky: bpy.types.World, file: Path) -> None:
    """Let ``sky`` show ``file`` from now on. Raises ``SkyloopError`` and changes nothing when it cannot be read."""
    image = world.sky_image(sky)
    if image is None:
        raise bad_request("This World has lost its film.", "Apply the sky again.")
    sequence = image.source == "SEQUENCE"
    seen = film.load(film.Film(file))  # only to see that Blender can read it, and how long it is
    frames = sky.skyloop.frames if sequence else film.length(seen)
    bpy.data.images.remove(seen)
    film.point(image, file)
    image.source = "SEQUENCE" if sequence else _source_of(file)
    image.reload()
    timeline.set_up(sky, frames)
    if (file.parent / "request.json").is_file():
        sky.skyloop.job = str(file.parent)
    note({path for path in places_of_films() if not path.is_file()})


def _source_of(file: Path) -> str:
    return "MOVIE" if file.suffix.lower() in bpy.path.extensions_movie else "FILE"


def _is_of(folder: Path, record: bpy.types.PropertyGroup) -> bool:
    """Whether a folder is the job of this sky; one that is no job cannot tell, and the name has to do."""
    try:
        request = jobs.read(folder).request
    except SkyloopError:
        return True
    return (request.prompt, str(request.seed)) == (record.prompt, record.seed)


class _Look(threading.Thread):
    """Asks the disk for files."""

    def __init__(self, files: set[Path]) -> None:
        super().__init__(name="skyloop-films", daemon=True)
        self.files = files
        self.absent: set[Path] = set()
        self.start()

    def run(self) -> None:
        self.absent = {path for path in self.files if not path.is_file()}


_look: _Look | None = None


def _tick() -> float:
    """Never raises: Blender would drop the timer without a word."""
    global _look
    try:
        if _look is None:
            files = places_of_films()
            _look = _Look(files) if files else None
        elif not _look.is_alive():
            note(_look.absent)
            _look = None
    except Exception:
        log.exception("films")
        _look = None
    return PERIOD_S if _look is None else 0.2


@persistent
def _after_load(*_arguments: object) -> None:
    global _look
    _look = None  # of another file
    if bpy.app.background:
        look_now()
    elif bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
        bpy.app.timers.register(_tick, first_interval=0.1, persistent=True)


def register() -> None:
    bpy.app.handlers.load_post.append(_after_load)
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=PERIOD_S, persistent=True)


def unregister() -> None:
    global _look
    bpy.app.handlers.load_post.remove(_after_load)
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    _look = None

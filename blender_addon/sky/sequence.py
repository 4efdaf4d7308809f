"""A sky as numbered pictures instead of a movie: PNG for renderers that do not like movies, EXR for highlights."""

import re
from pathlib import Path

import bpy

from ...backend.protocol import bad_request
from ..core import jobs
from ..core.jobs import Job
from . import film, nodes, timeline, work, world
from .film import Film

FORMATS = (
    ("png", "PNG", "8 bits, as the movie has them"),
    ("exr", "EXR", "Half floats with highlights beyond white, which are an estimate"),
)
EXR_STOPS, MAX_STOPS = 4.0, 10.0  # by which highlights go beyond white: where no Boost is set, and at most


def job_of(sky: bpy.types.World) -> Job:
    """The job that made a sky. Raises ``SkyloopError`` when its folder is gone."""
    if not sky.skyloop.job:
        raise bad_request("This sky was not made from a job.", "Apply one from the history.")
    return jobs.read(Path(sky.skyloop.job))


def write(sky: bpy.types.World, kind: str) -> None:
    """Have the pictures written into the job folder, then show them. Raises ``SkyloopError``."""
    job, uid = job_of(sky), sky.session_uid
    folder = job.folder / f"frames-{kind}"
    words = work.command("frames", str(job.folder), "--out", str(folder), "--format", kind)
    if kind == "exr":
        words += ["--boost", f"{min(nodes.value(sky, 'Boost') or EXR_STOPS, MAX_STOPS):g}"]

    def show_them() -> None:
        # Looked up again, as undo or another file may have come between.
        found = next((w for w in bpy.data.worlds if w.session_uid == uid and w.skyloop.job == str(job.folder)), None)
        if found is None:
            raise RuntimeError(f"The World is gone; its pictures are in {folder}")
        bpy.ops.skyloop.show_sequence("EXEC_DEFAULT", True, world=found.name, folder=str(folder))

    work.start("Writing the pictures", words, show_them)


def show(sky: bpy.types.World, folder: Path) -> None:
    """Let ``sky`` play the numbered pictures in ``folder``. Raises ``SkyloopError`` and then changes nothing."""
    pictures = numbered(folder)
    if len(pictures) != sky.skyloop.frames:
        raise bad_request(f"{folder} has {len(pictures)} pictures, not {sky.skyloop.frames}.", "Write them again.")
    _swap(sky, Film(pictures[0], frames=len(pictures)))
    boost = nodes.slider(sky, "Boost")
    if boost and pictures[0].suffix == ".exr":
        boost.default_value = 0.0  # it is in the pictures


def show_movie(sky: bpy.types.World) -> None:
    """Back to the movie. Raises ``SkyloopError`` when that is gone."""
    _swap(sky, film.of_job(job_of(sky)))


def is_sequence(sky: bpy.types.World) -> bool:
    image = world.sky_image(sky)
    return bool(image and image.source == "SEQUENCE")


def numbered(folder: Path) -> list[Path]:
    """The pictures of a folder whose names end in a number, in order."""
    found = [p for p in folder.iterdir() if re.search(r"\d\.(png|exr)$", p.name)] if folder.is_dir() else []
    return sorted(found)


def _swap(sky: bpy.types.World, shown: Film) -> None:
    node = nodes.film_node(sky)
    if node is None:
        raise bad_request("This World has lost its film.", "Apply the sky again.")
    image, old = film.load(shown), node.image
    node.image = image
    timeline.set_up(sky, film.length(image, shown.frames))
    if old and not old.users:
        bpy.data.images.remove(old)

"""The film of a sky as a Blender image: a movie, a still picture, or a numbered sequence of pictures."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import bpy

from ...backend.protocol import ErrorKind, SkyloopError, bad_request
from .. import places
from ..core import mp4
from ..core.jobs import Job

LINEAR = (".exr", ".hdr")


@dataclass(frozen=True)
class Film:
    """What a sky shows. ``path`` is a movie, a still, or the first picture of a sequence of ``frames``.

    Of a movie whose ``frames`` and ``width`` in pixels are known, Blender need not open the file to know them.
    """

    path: Path
    frames: int = 0
    width: int = 0


def of_job(job: Job) -> Film:
    """The movie that a job has made."""
    known = mp4.facts(job.movie)
    return Film(job.movie, known.frames, known.width) if known else Film(job.movie)


def load(film: Film) -> bpy.types.Image:
    """A new image of ``film``. Raises ``SkyloopError``, and leaves nothing behind, when there is none to read."""
    if not film.path.is_file():
        raise bad_request(f"The film {film.path} is missing.", "It was moved or deleted: generate it again.")
    try:
        image = bpy.data.images.load(str(film.path), check_existing=False)
    except RuntimeError as error:
        raise _unreadable(film.path) from error
    movie = image.source == "MOVIE"
    # Blender would know it only once the pixels are read; another one afterwards has them read again.
    image.colorspace_settings.name = "Linear Rec.709" if film.path.suffix.lower() in LINEAR else "sRGB"
    known = movie and film.frames and film.width
    if not known and (not image.size[0] or (movie and image.frame_duration < 1)):
        bpy.data.images.remove(image)
        raise _unreadable(film.path)
    if film.frames and not movie:
        image.source = "SEQUENCE"
    point(image, film.path)
    return image


def point(image: bpy.types.Image, path: Path) -> None:
    """Let ``image`` read from ``path``, by a relative path where the .blend is saved and on the same drive."""
    chosen = str(path)
    if bpy.data.filepath:
        with contextlib.suppress(ValueError):  # another drive: only the absolute path leads there
            chosen = bpy.path.relpath(chosen)
    if image.filepath != chosen:  # else Blender would open the film once more
        image.filepath = chosen


def place(image: bpy.types.Image) -> Path:
    """The file that ``image`` reads, or the first of them."""
    return places.absolute(image.filepath, image)


def length(image: bpy.types.Image, frames: int = 0) -> int:
    """Frames of a film; of a sequence Blender does not know it, so ``frames`` says, where it is known."""
    return frames or max(1, image.frame_duration)


def _unreadable(path: Path) -> SkyloopError:
    return SkyloopError(
        ErrorKind.INTERNAL, f"Blender cannot read {path} as a film.", "It may be damaged: make it again."
    )

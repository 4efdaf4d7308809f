"""The film of a sky as a Blender image: a movie, a still picture, or a numbered sequence of pictures."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import bpy

from ...backend.protocol import ErrorKind, SkyloopError, bad_request
from .. import places

LINEAR = (".exr", ".hdr")


@dataclass(frozen=True)
class Film:
    """What a sky shows. ``path`` is a movie, a still, or the first picture of a sequence of ``frames``."""

    path: Path
    frames: int = 0  # of a sequence; a movie knows its own, a still has one


def load(film: Film) -> bpy.types.Image:
    """A new image of ``film``. Raises ``SkyloopError``, and leaves nothing behind, when there is none to read."""
    if not film.path.is_file():
        raise bad_request(f"The film {film.path} is missing.", "It was moved or deleted: generate it again.")
    try:
        image = bpy.data.images.load(str(film.path), check_existing=False)
    except RuntimeError as error:
        raise _unreadable(film.path) from error
    if not image.size[0] or (image.source == "MOVIE" and image.frame_duration < 1):
        bpy.data.images.remove(image)
        raise _unreadable(film.path)
    if film.frames:
        image.source = "SEQUENCE"
    # Blender would know it only once the pixels are read.
    image.colorspace_settings.name = "Linear Rec.709" if film.path.suffix.lower() in LINEAR else "sRGB"
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
    """Frames of a film; of a sequence Blender does not know it, so ``frames`` says."""
    return frames or max(1, image.frame_duration)


def _unreadable(path: Path) -> SkyloopError:
    return SkyloopError(
        ErrorKind.INTERNAL, f"Blender cannot read {path} as a film.", "It may be damaged: make it again."
    )

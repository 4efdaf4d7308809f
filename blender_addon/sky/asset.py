"""A sky as an asset: a small .blend with its film beside it in an asset library, in Skyloop's catalogue.

The open file stays as it is: what is written are copies, which are removed again.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import bpy

from ...backend.protocol import ErrorKind, SkyloopError, bad_request
from ..core import asset_catalogue
from . import film, nodes, world

CATALOGUE = "Skyloop/Skies"
FOLDER = "Skyloop"
LEAST_LETTERS = 3  # of a word of the prompt that becomes a tag


def folders() -> dict[str, Path]:
    """The user's asset libraries that are there, by name."""
    known = bpy.context.preferences.filepaths.asset_libraries
    return {item.name: Path(item.path) for item in known if item.path and Path(item.path).is_dir()}


def save(sky: bpy.types.World, library: Path, *, copy_film: bool = True) -> Path:
    """Write ``sky`` into ``library``; returns the new .blend. With ``copy_film`` its film lies beside it, else the
    asset shows the film where it is. Raises ``SkyloopError`` and leaves nothing behind when that fails."""
    image = world.sky_image(sky)
    if image is None or not film.place(image).is_file():
        raise bad_request("The film of this sky is missing.", "Find it first.")
    title = sky.skyloop.prompt or sky.name
    folder = _free(library / FOLDER / (slug(title) or "sky"))
    catalogue = asset_catalogue.catalogue(library, CATALOGUE)
    with contextlib.ExitStack() as undo:
        try:
            folder.mkdir(parents=True)
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            shown = _copy_film(image, folder) if copy_film else film.place(image)
            poster = _poster(image, folder)
            with _copied(sky, image, shown, folder if copy_film else None) as copy:
                _describe(copy, title, catalogue, poster)
                target = folder / f"{folder.name}.blend"
                bpy.data.libraries.write(str(target), {copy}, path_remap="RELATIVE", fake_user=True, compress=True)
        except OSError as error:
            text = f"The asset could not be written to {folder}: {error.strerror or error}."
            raise SkyloopError(ErrorKind.INTERNAL, text, "Check the folder and the free space.") from error
        undo.pop_all()
    return target


def slug(text: str) -> str:
    """``text`` as the name of a folder on any system."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-_")[:40].rstrip("-_")


def tags(prompt: str, seed: str) -> list[str]:
    """What an asset can be searched by."""
    words = [word for word in re.findall(r"\w+", prompt.lower()) if len(word) >= LEAST_LETTERS]
    return list(dict.fromkeys([*words, "sky", "loop", *([f"seed {seed}"] if seed else [])]))


def _free(folder: Path) -> Path:
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def _copy_film(image: bpy.types.Image, folder: Path) -> Path:
    source = film.place(image)
    files = [source]
    if image.source == "SEQUENCE":
        files = sorted(f for f in source.parent.iterdir() if f.suffix == source.suffix)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return folder / source.name


def _poster(image: bpy.types.Image, folder: Path) -> Path | None:
    """The picture for the thumbnail, beside the asset."""
    source = film.place(image)
    for found in (source.with_name("poster.png"), source.parent.with_name("poster.png")):
        if found.is_file():
            return Path(shutil.copyfile(found, folder / "poster.png"))
    return None


@contextlib.contextmanager
def _copied(sky: bpy.types.World, image: bpy.types.Image, shown: Path, job: Path | None) -> Iterator[bpy.types.World]:
    """A copy of a sky that shows ``shown``, knows nothing of this file, and goes away afterwards."""
    made: list[bpy.types.ID] = []
    try:
        copy = sky.copy()
        made.append(copy)
        node = nodes.node_of(copy)
        assert node
        node.node_tree = node.node_tree.copy()
        made.append(node.node_tree)
        node.node_tree.nodes[nodes.FILM].image = film_copy = image.copy()
        made.append(film_copy)
        film_copy.filepath = str(shown)
        record = copy.skyloop
        record.previous, record.sun, record.replaced = None, None, False
        record.job = str(job) if job else record.job
        nodes.set_value(copy, "Lamp", 0.0)  # the lamp stays here
        yield copy
    finally:
        for item in made:
            bpy.data.batch_remove([item])


def _describe(copy: bpy.types.World, title: str, catalogue: str, poster: Path | None) -> None:
    record = copy.skyloop
    copy.name = title[:60]
    copy.asset_mark()
    data = copy.asset_data
    data.catalog_id = catalogue
    data.description = f"{title} (a sky of {record.frames} frames that loops)"
    for tag in tags(record.prompt, record.seed):
        data.tags.new(tag, skip_if_exists=True)
    if poster:
        with bpy.context.temp_override(id=copy):
            bpy.ops.ed.lib_id_load_custom_preview(filepath=str(poster))

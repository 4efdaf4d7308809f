"""The presets to choose from, read when the extension starts and when they change, as nothing is read from the disk
while Blender draws."""

from pathlib import Path

import bpy

from .. import places
from ..core import presets
from ..core.presets import Shelf

_shelf = Shelf()


def shelf() -> Shelf:
    """The user's presets."""
    return _shelf


def presets_folder() -> Path:
    """Where the user's presets are, inside the extension's own folder; in that of Blender's settings where it has none,
    as an add-on that is no extension."""
    try:
        return Path(bpy.utils.extension_path_user(places.PACKAGE, path="presets"))
    except (ValueError, OSError):
        return Path(bpy.utils.user_resource("CONFIG", path="skyloop/presets"))


def look() -> None:
    """Read them again."""
    global _shelf
    _shelf = presets.load(presets_folder())

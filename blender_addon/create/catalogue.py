"""What there is to choose from: models and presets, read when the extension starts and when they change, as nothing is
read from the disk while Blender draws."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy

from ...backend import models as backend_models
from .. import places
from ..core import presets
from ..core.presets import Shelf

_models: dict[str, dict[str, Any]] = {}
_shelf = Shelf()


def models() -> Mapping[str, dict[str, Any]]:
    """The models that can be chosen, by id."""
    return _models


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
    """Read both again."""
    global _shelf
    _models.clear()
    _models.update({str(model["id"]): model for model in backend_models.catalogue()})
    _shelf = presets.load(presets_folder())

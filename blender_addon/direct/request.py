"""What the scene's regions, pictures, masks and camera add to a request."""

from typing import Any

import bpy


def conditions(scene: bpy.types.Scene) -> dict[str, Any]:
    """Fields of a ``GenerateRequest`` that the scene sets by direction; empty where it sets none."""
    return {}

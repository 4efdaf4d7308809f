"""What Godot needs to know of a glTF scene (.glb): whether it can read it, and where a camera sees all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..protocol import bad_request
from .gltf import damaged, document, listed

_BACK = 0.8  # times the larger side: at Godot's 75°, 0.65 would just do
_DRACO = "KHR_draco_mesh_compression"


def check(path: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` unless Godot can read the scene; :func:`.gltf.check_scene` comes before."""
    if _DRACO in listed(path, document(path), "extensionsRequired"):
        text = f"{path} is compressed with Draco, which Godot cannot read."
        raise bad_request(text, "Export it from Blender with Compression off.")
    viewpoint(path)


def viewpoint(path: Path) -> tuple[float, float, float] | None:
    """Where a camera that looks along -Z has the whole scene before it, in metres with +Y up; None where the scene has
    a camera of its own. Raises ``SkyloopError(bad_request)`` for a damaged scene."""
    told = document(path)
    try:
        nodes = _placed(told)
        if any("camera" in node for node, _ in nodes):
            return None
        corners = np.array([corner for node, placed in nodes for corner in _corners(told, node, placed)] or [[0.0] * 3])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path) from error
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y, z = (low + high) / 2
    width, height, depth = high - low
    return float(x), float(y), float(z + depth / 2 + _BACK * max(width, height, 1.0))


def _placed(told: dict[str, Any]) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The nodes that are shown, each with its matrix (4, 4) into the scene."""
    nodes, scenes = told.get("nodes", []), told.get("scenes", [])
    roots = scenes[told.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
    found, left, seen = [], [(index, np.eye(4)) for index in roots], set[int]()
    while left:
        index, above = left.pop()
        if index in seen:
            raise ValueError("a node is in two places")
        seen.add(index)
        placed = above @ _matrix(nodes[index])
        found.append((nodes[index], placed))
        left += [(child, placed) for child in nodes[index].get("children", [])]
    return found


def _matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    made = np.eye(4)
    made[:3, :3] = np.array(turn) * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    made[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return made


def _corners(told: dict[str, Any], node: dict[str, Any], placed: np.ndarray) -> list[np.ndarray]:
    """The corners of the boxes of a node's meshes, which glTF has with their points (accessors' min and max)."""
    found = []
    for part in told["meshes"][node["mesh"]]["primitives"] if "mesh" in node else []:
        points = told["accessors"][part["attributes"]["POSITION"]]
        box = np.array([points["min"], points["max"]], float)
        if box.shape != (2, 3) or not np.isfinite(box).all():
            raise ValueError("points that are no numbers")
        picks = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
        found += [(placed @ [*box[pick, range(3)], 1.0])[:3] for pick in picks]
    return found

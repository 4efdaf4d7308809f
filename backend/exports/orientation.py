"""Which way round a sky is in each engine: pure functions over one table. Standard library only.

Everywhere yaw is measured as in the film: degrees to the right, seen from inside, pitch up. ``0`` is where the engine's
camera looks by default (its forward); a film's centre is "at yaw 30" when that camera finds it 30° to its right.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """``default_deg``: where the engine's own panorama material or sphere puts the frame's centre when nothing turns
    it. ``ahead_deg``: where Blender's +Y, which is glTF's -Z, comes to lie when a glTF scene is imported."""

    default_deg: float
    ahead_deg: float


ENGINES = {
    # No engine: what is shown is the film, and its centre is ahead.
    "film": Engine(0.0, 0.0),
    # Looks along -Z, as glTF does. An equirectangular background has its centre at +X (glTF issue 1761).
    "three": Engine(90.0, 0.0),
    # Looks along -Z; PanoramaSkyMaterial has the frame's centre at +Z.
    "godot": Engine(180.0, 0.0),
    # Looks along +Z, to the right is +X. Skybox/Panoramic has the frame's centre at +X (its ToRadialCoords). UnityGLTF
    # (SchemaExtensions, issue 257) and glTFast negate X alone, so that glTF's -Z lies behind.
    "unity": Engine(90.0, 180.0),
    # Looks along +X, to the right is +Y. A material with u = .5 + atan2(y, x) / 2 pi has the centre at +X. Its glTF
    # importer and exporter swap Y and Z, (x, y, z) to (x, z, y), so that glTF's -Z lies at -Y, to the left.
    "unreal": Engine(0.0, -90.0),
    # Y is up and cameras look along -Z. A dome light has the frame's centre at +Z (OpenEXR: longitude 0).
    "usd": Engine(180.0, 0.0),
}


@dataclass(frozen=True)
class Turn:
    """How a sky is put right: pixels are moved ``roll_deg`` to the right, then the engine has to show the frame's
    centre at ``yaw_deg``."""

    roll_deg: float
    yaw_deg: float


def turn(engine: str, facing: str, front_deg: float, *, prerotate: bool) -> Turn:
    """The turn that is wanted of ``engine``; both angles are in [-180, 180).

    ``facing`` and ``front_deg`` are those of :class:`.request.ExportRequest`. With ``prerotate`` the pixels are turned
    so that the engine's own default, unturned, is right.
    """
    row = ENGINES[engine]
    wanted = row.ahead_deg + front_deg if facing == "blender" else 0.0
    if engine == "film":
        return Turn(wrapped(wanted), 0.0)
    if prerotate:
        return Turn(wrapped(wanted - row.default_deg), wrapped(row.default_deg))
    return Turn(0.0, wrapped(wanted))


def wrapped(deg: float) -> float:
    """The same angle in [-180, 180)."""
    return (deg + 180.0) % 360.0 - 180.0

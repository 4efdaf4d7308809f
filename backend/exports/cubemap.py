"""Cube maps: six pictures a frame, named and turned as an engine expects them, resampled once.

The six *pictures* are what a level viewer sees with a field of view of 90°: the four around the horizon, then up and
down as reached from ahead. An engine's *faces* are these pictures, turned by quarters, under the names of the cube's
axes; which is which follows from one table of OpenGL's and from where an engine's axes point.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from .film import Film
from .numbered import chosen, put, spread
from .orientation import ENGINES
from .request import ExportRequest
from .run import Steps, Written

Axis = tuple[int, int, int]

FACES = ("px", "nx", "py", "ny", "pz", "nz")
# Where the columns (to the right) and rows (downward) of each face run, in the cube's own axes: table 8.19 of the
# OpenGL 4.6 specification, which Direct3D, Vulkan and KTX share.
_ALONG: dict[str, tuple[Axis, Axis, Axis]] = {
    "px": ((1, 0, 0), (0, 0, -1), (0, -1, 0)),
    "nx": ((-1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "py": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "ny": ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
    "pz": ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
    "nz": ((0, 0, -1), (-1, 0, 0), (0, -1, 0)),
}
# Each order's axes of the cube that point to the right, up and ahead of a viewer.
# KTX 2.0 (on cube maps): a left-handed cube with +Z ahead. Unity looks up its cube maps by world directions, which are
# that too. three.js mirrors X (flipEnvMap) and looks along -Z. Unreal looks up by world directions, X ahead and Z up:
# the turns that come of it are those of its page "Creating Cubemaps" (+X a quarter counter-clockwise, -X clockwise, +Y
# half).
ORDERS: dict[str, tuple[Axis, Axis, Axis]] = {
    "opengl": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "three": ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "unity": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "unreal": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
}
# The pictures: where they look, and where their columns and rows run, as (right, up, ahead) of the viewer.
_PICTURES: dict[str, tuple[Axis, Axis, Axis]] = {
    "ahead": ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
    "right": ((1, 0, 0), (0, 0, -1), (0, -1, 0)),
    "behind": ((0, 0, -1), (-1, 0, 0), (0, -1, 0)),
    "left": ((-1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "up": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "down": ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
}
_SUPERSAMPLE = 2  # in the middle of a face its pixels are 4 / pi times as large as the film's
_BESIDE = 4  # pixels that a frame is continued by, for the cubic filter

_SIX = " ".join(f"sky_{face}.png" for face in FACES)
_FIRST = {
    "opengl": "The faces are named after OpenGL's axes: upload them in the order px nx py ny pz nz, top row first.",
    "three": "three.js: scene.background = new THREE.CubeTextureLoader().load([...]) with px nx py ny pz nz, in that "
    "order.",
    "unity": "Unity: Assets > Create > Legacy > Cubemap; drop px on Right (+X), nx on Left (-X), py on Top, ny on "
    "Bottom, pz on Front, nz on Back.",
    "unreal": "Unreal takes a cube map as one DDS file: texassemble cube -o sky.dds px nx py ny pz nz (Microsoft's "
    "DirectXTex), then import sky.dds.",
}
_FIRST_STRIP = {
    "opengl": "The strip holds OpenGL's faces +X -X +Y -Y +Z -Z from left to right: cut it, or load it as it is.",
    "three": "The strip holds the faces px nx py ny pz nz from left to right, as three.js orders them.",
    "unity": "Unity: import the strip and set Texture Shape to Cube; its faces are found by themselves.",
    "unreal": "Unreal reads a cube map from a DDS file: open the strip in Photoshop with NVIDIA's Texture Tools, save "
    "it as a cube map, and import that.",
}
_THEN = {
    "opengl": "Ahead is +Z, to the right +X, up +Y, as KTX has it (a left-handed cube).",
    "three": "Ahead is -Z, where a three.js camera looks.",
    "unity": "Make a material with the shader Skybox/Cubemap (not 6 Sided, which names left and right the other way).",
    "unreal": "Ahead is +X. For a still sky the target HDR Light is simpler: Unreal imports its .hdr as a cube map.",
}


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError``: bad_request for a frame that is not there, disk_full."""
    chosen(film, request, "png")


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``sky_px.png`` and so on (or ``sky.png``, a strip) for one frame, ``sky_0000_px.png`` and so on for all; faces
    are a quarter of the film's width."""
    order, strip = request.text("order"), request.text("layout") == "strip"
    numbers = chosen(film, request, "png")
    if request.facing == "blender":  # the target's row has no engine, but each order has
        yaw_deg += ENGINES["three" if order == "opengl" else order].ahead_deg
    cube = Cube(film.width // 4)

    def take(number: int, frame: np.ndarray) -> None:
        stem = f"sky_{number:04d}" if len(numbers) > 1 else "sky"
        made = faces(cube, np.roll(frame, round(yaw_deg / 360 * film.width), axis=1), order)
        if strip:
            put(folder / f"{stem}.png", _png(np.concatenate([made[face] for face in FACES], axis=1)))
            return
        for face in FACES:
            put(folder / f"{stem}_{face}.png", _png(made[face]))

    yield from spread(film, numbers, take)
    shows = ", ".join(f"{face} {picture}" for face, (picture, _) in turns(order).items())
    use = [(_FIRST_STRIP if strip else _FIRST)[order], _THEN[order], f"What each face shows: {shows}."]
    if order == "opengl" and not strip:
        use.append(f"For KTX2, by Khronos' KTX-Software: ktx create --cubemap --format R8G8B8_SRGB {_SIX} sky.ktx2")
    if len(numbers) > 1:
        use.append(f"The numbers count frames: show {film.fps:g} a second, and after the last the first again.")
    stem = "sky_0000" if len(numbers) > 1 else "sky"
    return Written(tuple(use), f"{stem}.png" if strip else f"{stem}_{FACES[0]}.png")


def _png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR))[1].tobytes()


class Cube:
    """Resamples equirectangular frames, four times as wide as its faces of ``size`` pixels, to the six pictures."""

    def __init__(self, size: int) -> None:
        self.size = size
        fine = size * _SUPERSAMPLE
        across, down = np.meshgrid(*[(np.arange(fine, dtype=np.float32) + 0.5) * (2 / fine) - 1] * 2)
        one = np.ones_like(across)
        self._level = self._map(across, -down, one)
        self._up = self._map(across, one, down)

    def _map(self, right: np.ndarray, up: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where directions lie in a continued frame, in OpenCV's fixed-point form."""
        yaw, pitch = np.arctan2(right, ahead), np.arctan2(up, np.hypot(right, ahead))
        columns = (yaw / np.pi + 1) * (2 * self.size) - 0.5 + _BESIDE
        rows = (0.5 - pitch / np.pi) * (2 * self.size) - 0.5 + _BESIDE
        return cv2.convertMaps(columns.astype(np.float32), rows.astype(np.float32), cv2.CV_16SC2)

    def pictures(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """The six, (size, size, 3) uint8 each, of a frame (2 * size, 4 * size, 3) uint8."""
        found = {}
        for quarter, name in enumerate(("ahead", "right", "behind", "left")):
            found[name] = self._resampled(np.roll(frame, -quarter * self.size, axis=1), self._level)
        found["up"] = self._resampled(frame, self._up)
        found["down"] = self._resampled(frame[::-1], self._up)[::-1]
        return found

    def _resampled(self, frame: np.ndarray, where: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        fine = cv2.remap(_continued(frame), *where, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return cv2.resize(fine, (self.size, self.size), interpolation=cv2.INTER_AREA)


def faces(cube: Cube, frame: np.ndarray, order: str) -> dict[str, np.ndarray]:
    """The faces of :data:`FACES`, (size, size, 3) uint8, as one of :data:`ORDERS` has them, top row first."""
    pictures = cube.pictures(frame)
    return {face: np.rot90(pictures[name], quarters) for face, (name, quarters) in turns(order).items()}


def turns(order: str) -> dict[str, tuple[str, int]]:
    """For each face of an order the picture that it is, and the quarters that this is turned counter-clockwise by."""
    axes = np.array(ORDERS[order])  # rows: right, up, ahead, in the cube's axes
    found = {}
    for face, along in _ALONG.items():
        looks, columns, rows = (tuple(int(value) for value in axes @ np.array(vector)) for vector in along)
        name = next(name for name, (seen, _, _) in _PICTURES.items() if seen == looks)
        found[face] = (name, next(q for q, turned in enumerate(_quarters(name)) if turned == (columns, rows)))
    return found


def _quarters(name: str) -> Iterator[tuple[Axis, Axis]]:
    """Where columns and rows of a picture run, each time after a quarter counter-clockwise, which puts what was at the
    right to the top."""
    _, columns, rows = _PICTURES[name]
    for _ in range(4):
        yield columns, rows
        columns, rows = rows, (-columns[0], -columns[1], -columns[2])


def _continued(frame: np.ndarray) -> np.ndarray:
    """The frame with what lies beyond its edges: the other side of the circle and, over a pole, of the meridian."""
    across = np.roll(frame, frame.shape[1] // 2, axis=1)
    tall = np.concatenate([across[:_BESIDE][::-1], frame, across[-_BESIDE:][::-1]])
    return cv2.copyMakeBorder(tall, 0, 0, _BESIDE, _BESIDE, cv2.BORDER_WRAP)

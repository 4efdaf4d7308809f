"""Looking at a panorama through perspective views, with numpy and OpenCV only, so that measuring needs no torch.

Geometry as in :mod:`backend.sphere` (the unit tests hold the two together): yaw to the right, pitch up, degrees here.
A :class:`Lens` is made once for a frame size and a view and then reads any number of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PAD = 8  # pixels carried across the seam and the poles, enough for an 8-tap kernel and a small blur
_MAX_SUPERSAMPLING = 16


def direction(yaw_deg: np.ndarray | float, pitch_deg: np.ndarray | float) -> np.ndarray:
    """Unit vectors (..., 3): x right, y ahead, z up."""
    yaw, pitch = np.broadcast_arrays(np.radians(yaw_deg), np.radians(pitch_deg))
    return np.stack([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)], axis=-1)


def camera_rays(fov_deg: float, height: int, width: int) -> np.ndarray:
    """Rays (height, width, 3) of a view ahead, with y = 1; ``fov_deg`` is the horizontal angle, pixels are square."""
    scale = 2 * math.tan(math.radians(fov_deg) / 2) / width
    x = (np.arange(width) + 0.5 - width / 2) * scale
    z = -(np.arange(height) + 0.5 - height / 2) * scale
    xx, zz = np.meshgrid(x, z)
    return np.stack([xx, np.ones_like(xx), zz], axis=-1)


def turned(rays: np.ndarray, yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """Rays (..., 3) turned up by pitch and then right by yaw."""
    cy, sy = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    cp, sp = math.cos(math.radians(pitch_deg)), math.sin(math.radians(pitch_deg))
    up = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    right = np.array([[cy, sy, 0], [-sy, cy, 0], [0, 0, 1]])
    return rays @ (right @ up).T


def erp_pixels(rays: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates x, y (...) of rays (..., 3) in an equirectangular frame, pixel centres at whole numbers."""
    yaw = np.arctan2(rays[..., 0], rays[..., 1])
    pitch = np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1]))
    return (0.5 + yaw / (2 * np.pi)) * width - 0.5, (0.5 - pitch / np.pi) * height - 0.5


def row_weights(height: int, flat: bool = False) -> np.ndarray:
    """Share (height,) of the sphere's area that each row of a frame stands for, or equal shares; the sum is 1."""
    cosine = np.cos(np.radians(90 - (np.arange(height) + 0.5) * 180 / height))
    weights = np.ones(height) if flat else cosine
    return (weights / weights.sum()).astype(np.float32)


def extended(image: np.ndarray, *, flat: bool = False, wrap: bool = True) -> np.ndarray:
    """The frame (H, W[, C]) with ``PAD`` pixels more on each side: what lies across the seam and beyond the poles."""
    if flat:
        image = np.pad(image, [(PAD, PAD)] + [(0, 0)] * (image.ndim - 1), mode="edge")
        sides = [(0, 0), (PAD, PAD)] + [(0, 0)] * (image.ndim - 2)
        return np.pad(image, sides, mode="wrap" if wrap else "edge")
    half = image.shape[1] // 2
    above = np.roll(image[:PAD][::-1], half, axis=1)
    below = np.roll(image[-PAD:][::-1], half, axis=1)
    image = np.concatenate([above, image, below])
    return np.concatenate([image[:, -PAD:], image, image[:, :PAD]], axis=1)


@dataclass(frozen=True)
class View:
    """A perspective view of the sphere, square, without roll."""

    yaw_deg: float
    pitch_deg: float
    fov_deg: float = 90.0


def ring(pitch_deg: float, fov_deg: float = 90.0, around: int = 6) -> list[View]:
    """Views evenly around at one pitch: ``around`` of them at the horizon, fewer towards the poles, one at a pole."""
    count = max(1, round(around * math.cos(math.radians(pitch_deg))))
    return [View(i * 360 / count, pitch_deg, fov_deg) for i in range(count)]


# The 14 views that a panorama is judged by (design, section 5): 6 at the horizon, 3 above, 3 below, zenith and nadir.
ALL_ROUND = [*ring(0), *(View(yaw, pitch) for pitch in (45, -45) for yaw in (0, 120, 240)), View(0, 90), View(0, -90)]


def all_round(pitch_deg: float, fov_deg: float) -> list[View]:
    """Those of the 14 directions that are at one pitch, or a :func:`ring` where none is, as views of ``fov_deg``."""
    yaws = [view.yaw_deg for view in ALL_ROUND if view.pitch_deg == pitch_deg]
    return [View(yaw, pitch_deg, fov_deg) for yaw in yaws] or ring(pitch_deg, fov_deg)


class Lens:
    """Reads one view out of frames of one size, without aliasing: more samples than pixels, then averaged.

    ``scale`` is the view's pixel in tangent units at its centre (radians), 0 for a flat crop.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, supersampling: int, scale: float) -> None:
        self._x, self._y = (x + PAD).astype(np.float32), (y + PAD).astype(np.float32)
        self._supersampling = supersampling
        self.scale = scale

    @staticmethod
    def on_sphere(view: View, size: int, height: int, width: int) -> Lens:
        """A lens giving ``size`` x ``size`` pixels of a ``width`` x ``height`` equirectangular frame."""
        scale = 2 * math.tan(math.radians(view.fov_deg) / 2) / size
        factor = min(max(math.ceil(scale * height / math.pi - 1e-6), 1), _MAX_SUPERSAMPLING)
        rays = turned(camera_rays(view.fov_deg, size * factor, size * factor), view.yaw_deg, view.pitch_deg)
        return Lens(*erp_pixels(rays, height, width), factor, scale)

    @staticmethod
    def on_plane(left: float, side: float, size: int) -> Lens:
        """A lens giving ``size`` x ``size`` pixels of the square of ``side`` pixels from column ``left``, row 0."""
        factor = min(max(math.ceil(side / size - 1e-6), 1), _MAX_SUPERSAMPLING)
        at = (np.arange(size * factor) + 0.5) * side / (size * factor) - 0.5
        x, y = np.meshgrid(left + at, at)
        return Lens(x, y, factor, 0.0)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The view (size, size[, C]) of an :func:`extended` frame, in its type."""
        # With many samples a pixel the kernel hardly shows in the mean, and the long one costs four times as much.
        kernel = cv2.INTER_LANCZOS4 if self._supersampling < 3 else cv2.INTER_CUBIC
        fine = cv2.remap(image, self._x, self._y, kernel, borderMode=cv2.BORDER_REPLICATE)
        if self._supersampling == 1:
            return fine
        size = fine.shape[0] // self._supersampling
        return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)


class RoundTrip:
    """Takes a view's picture to an equirectangular frame and back: what a panorama of that size can show of it.

    What is outside the picture repeats its edge, so leave a margin out of what you measure.
    """

    def __init__(self, view: View, size: int, height: int, width: int) -> None:
        scale = 2 * math.tan(math.radians(view.fov_deg) / 2) / size
        factor = min(max(math.ceil(math.pi / height / scale - 1e-6), 1), 4)
        pitch = 90 - (np.arange(height * factor) + 0.5) * 180 / (height * factor)
        yaw = (np.arange(width * factor) + 0.5) * 360 / (width * factor) - 180
        # Turning the rays down by the view's pitch puts them in its own frame.
        rays = turned(direction(yaw[None, :], pitch[:, None]), 0, -view.pitch_deg)
        ahead = np.maximum(rays[..., 1], 1e-3)
        x = rays[..., 0] / ahead / scale + size / 2 - 0.5
        y = -rays[..., 2] / ahead / scale + size / 2 - 0.5
        # Of the frame, only the rows and columns where the picture is are drawn.
        shown = (rays[..., 1] > 0) & (np.abs(x - size / 2) < size) & (np.abs(y - size / 2) < size)
        self._rows, self._columns = (_reach(np.asarray(shown.any(axis=axis)), factor) for axis in (1, 0))
        drawn = tuple(slice(part.start * factor, part.stop * factor) for part in (self._rows, self._columns))
        self._x, self._y = (at[drawn].clip(-size, 2 * size).astype(np.float32) for at in (x, y))
        self._frame = np.zeros((height, width), np.float32)
        self._lens = Lens.on_sphere(View(0, view.pitch_deg, view.fov_deg), size, height, width)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The picture (size, size) float32 as the panorama would give it back, same size and type."""
        drawn = cv2.remap(picture, self._x, self._y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
        size = (self._columns.stop - self._columns.start, self._rows.stop - self._rows.start)
        erp = self._frame.copy()
        erp[self._rows, self._columns] = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
        return self._lens(extended(erp))


def _reach(shown: np.ndarray, factor: int) -> slice:
    """From the first to the last place shown (n * factor,), in whole steps of ``factor``."""
    where = np.flatnonzero(shown) // factor
    return slice(int(where[0]), int(where[-1]) + 1)


def evenly(items: Sequence, most: int) -> list:
    """At most ``most`` of the items, evenly spread, the first always among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, most - 1))] for i in range(most)]

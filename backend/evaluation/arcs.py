"""Whether a step stands out along arcs of the sphere: the join at ±180°, or the borders of the last step's windows.

What stands out is judged by the picture itself: the same arcs laid elsewhere in it. Grey frames are (T, H, W) uint8;
points (n, 3) on the arcs, and normals (n, 3) across them, are unit vectors.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from .spatial import ratio, typical
from .views import direction, erp_pixels, extended, turned

# How far aside a border is laid for comparison: clear of where windows cross-fade, nearer than the next border.
_ASIDE_PX = (12.0, 26.0)
_PIECE_DEG = 15.0
_SIDE_DEG = 45.0


def steps_across(greys: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """|I| from one side of each point to the other, averaged over time: (..., 3), (..., 3) -> (...), grey levels.

    Both sides are read two pixels apart from slightly smoothed frames, so that arcs on the pixel grid have no advantage
    over those between.
    """
    height, width = greys.shape[1:]
    reach = math.pi / height
    sides = [erp_pixels(points + sign * reach * normals, height, width) for sign in (-1, 1)]
    steps = np.zeros(points.shape[:-1], np.float32)
    for grey in greys:
        smooth = cv2.GaussianBlur(extended(grey).astype(np.float32), (0, 0), 1.0)
        pad = (smooth.shape[0] - height) // 2
        one, other = (
            cv2.remap(smooth, (x + pad).astype(np.float32), (y + pad).astype(np.float32), cv2.INTER_LINEAR)
            for x, y in sides
        )
        steps += np.abs(one - other)
    return steps / len(greys)


def percentile(steps: np.ndarray) -> float:
    """Where the :func:`typical` step of the first row of (1 + draws, n) stands among that of the others, 0 to 100."""
    means = np.round(_means(steps), 3)
    below, equal = (means[1:] < means[0]).mean(), (means[1:] == means[0]).mean()
    return float(100 * (below + equal / 2))


def _means(steps: np.ndarray) -> np.ndarray:
    return typical(steps.T, np.full(steps.shape[1], 1 / steps.shape[1], np.float32))


def arc_percentile(greys: np.ndarray, points: np.ndarray, normals: np.ndarray, *, draws: int = 200) -> float:
    """Where the step across some arcs stands among the same arcs laid elsewhere at random, 0 to 100; pass 2.5 to 97.5.

    The null turns them to any yaw, keeping their pitch and slope: against freely turned arcs, which cross the horizon
    and the gradient of the sky aslant, every upright one looks smooth. A seam stands at 100, a smeared one at 0.
    """
    rng = np.random.default_rng(0)
    turns = [turned(np.eye(3), yaw_deg, 0) for yaw_deg in (0, *rng.uniform(0, 360, draws))]
    turned_points, turned_normals = (np.stack([of @ turn for turn in turns]) for of in (points, normals))
    return percentile(steps_across(greys, turned_points, turned_normals))


def seam_percentile(greys: np.ndarray) -> float:
    """:func:`arc_percentile` of the meridian at ±180°, pole to pole."""
    pitch = np.linspace(-89, 89, max(64, greys.shape[1] // 2))
    return arc_percentile(greys, direction(180.0, pitch), np.broadcast_to(direction(-90.0, 0.0), (len(pitch), 3)))


def border(greys: np.ndarray, points: np.ndarray, normals: np.ndarray, *, draws: int = 200) -> tuple[float, float]:
    """Where the step across borders stands among arcs beside them, 0 to 100, and its ratio to the median of those.

    Pass 2.5 to 97.5: a step at the borders stands at 100, a blur along them at 0. The null moves pieces
    of them aside by 12 to 26 pixels, either way: turning, as in :func:`arc_percentile`, would lay evenly spaced windows
    onto each other's borders and leave those along a parallel where they are. What runs along a parallel moves in long
    pieces, since a sky is layered.
    """
    rng = np.random.default_rng(0)
    _, piece = np.unique(_pieces(points, normals), axis=0, return_inverse=True)
    piece = piece.reshape(-1)
    size = (draws, piece.max() + 1)
    aside = rng.uniform(*_ASIDE_PX, size) * rng.choice((-1, 1), size) * math.pi / greys.shape[1]
    angle = np.concatenate([np.zeros((1, len(points))), aside[:, piece]])[..., None]
    moved = np.cos(angle) * points + np.sin(angle) * normals
    steps = steps_across(greys, moved, np.cos(angle) * normals - np.sin(angle) * points)
    means = _means(steps)
    return percentile(steps), ratio(float(means[0]), float(np.median(means[1:])))


def _pieces(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """To which piece a point belongs (n, 3): by pitch and quarter where its arc runs along a parallel, else by yaw."""
    pitch, yaw = np.arcsin(points[:, 2].clip(-1, 1)), np.arctan2(points[:, 0], points[:, 1])
    level = np.abs(normals[:, 2]) > 0.7 * np.cos(pitch)
    finer, coarser = np.degrees([np.where(level, pitch, yaw), np.where(level, yaw, 0)])
    return np.stack([level, np.round(finer / _PIECE_DEG), np.round(coarser / _SIDE_DEG)], axis=1).astype(int)

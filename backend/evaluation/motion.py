"""How fast a panorama moves in each of its 14 views, where it differs, and how that compares with the model's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from . import temporal
from .spatial import ReferenceView, ratio, typical_of
from .views import ALL_ROUND, PAD, Lens, View, all_round, evenly, extended

STILL_DEG_PER_S = 0.05
_MOST_PAIRS = 16
_COMPARED_PAIRS = 8


def around(greys: Sequence[np.ndarray], pairs: Sequence[temporal.Pair], fps: float, size: int) -> dict[str, Any]:
    """Motion of equirectangular frames (H, W) uint8 in 90 degree views of ``size`` pixels.

    ``motion``: degrees a second, mean over views; ``motion_variation``: standard deviation over views by the mean;
    ``motion_by_view``: [yaw, pitch, degrees a second]; ``motion_islands``: [yaw, pitch] of views that move less than a
    quarter or more than four times as fast as the median view; ``motion_frozen``: share of the views' area that moves
    less than 0.05 degrees a second, plain areas included.
    """
    wide = [extended(grey) for grey in greys]
    fields = [_speeds(wide, view, size, pairs, fps) for view in ALL_ROUND]
    speeds = np.array([field.mean() for field in fields])
    usual = float(np.median(speeds))
    islands = [
        [view.yaw_deg, view.pitch_deg]
        for view, one in zip(ALL_ROUND, speeds, strict=True)
        if usual > STILL_DEG_PER_S and not usual / 4 <= one <= usual * 4
    ]
    return {
        "motion": speeds.mean(),
        "motion_variation": speeds.std() / max(speeds.mean(), STILL_DEG_PER_S),
        "motion_frozen": np.mean([(field < STILL_DEG_PER_S).mean() for field in fields]),
        "motion_by_view": [[v.yaw_deg, v.pitch_deg, s] for v, s in zip(ALL_ROUND, speeds, strict=True)],
        "motion_islands": islands,
    }


def against(
    greys: Sequence[np.ndarray], pairs: Sequence[temporal.Pair], fps: float, references: Sequence[ReferenceView]
) -> list[tuple[View, float]]:
    """Speed in each view over that of the base model's own samples at the same pitch, angle and pixels.

    Both are steadied at 0.05 degrees a second, so a sky that stands still as the model's does gives 1. References at
    one pitch are averaged as logarithms, as these ratios should be over views and skies. References that are stills are
    left out.
    """
    theirs: dict[tuple[float, float, int], list[float]] = defaultdict(list)
    for one in references:
        if len(one.frames) > 1:
            samples = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in one.frames]
            steps = evenly(temporal.neighbours(len(samples), loop=False), _COMPARED_PAIRS)
            speed = temporal.speeds(samples, steps, one.fov_deg, fps).mean()
            theirs[one.pitch_deg, one.fov_deg, samples[0].shape[0]].append(float(speed))
    wide, chosen = [extended(grey) for grey in greys], evenly(pairs, _COMPARED_PAIRS)
    return [
        (view, ratio(ours, typical_of(speeds, STILL_DEG_PER_S), STILL_DEG_PER_S))
        for (pitch_deg, fov_deg, size), speeds in theirs.items()
        for view in all_round(pitch_deg, fov_deg)
        for ours in [float(_speeds(wide, view, size, chosen, fps).mean())]
    ]


def _speeds(
    wide: Sequence[np.ndarray], view: View, size: int, pairs: Sequence[temporal.Pair], fps: float
) -> np.ndarray:
    height, width = wide[0].shape
    lens = Lens.on_sphere(view, size, height - 2 * PAD, width - 2 * PAD)
    chosen = evenly(pairs, _MOST_PAIRS)
    seen = {frame: lens(wide[frame]) for frame in {frame for pair in chosen for frame in pair}}
    return temporal.speeds(seen, chosen, view.fov_deg, fps)

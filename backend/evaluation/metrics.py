"""The quality figures of a panoramic video, by name, and what counts as a pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from . import spatial, temporal
from .spatial import ReferenceView
from .views import ALL_ROUND, Lens, View, evenly, extended, ring, row_weights

PASS: dict[str, tuple[float, float]] = {
    "seam": (0.9, 1.1),
    "seam2": (0.0, 1.2),
    "seam_color": (0.0, 1.3),
    "seam_percentile": (2.5, 97.5),
    "pole": (0.85, 1.15),
    "loop": (0.0, 1.1),
    "loop_flow": (0.0, 1.3),
    "loop_color": (0.0, 0.5),
    "detail": (0.9, 1.1),
    "detail_by_pitch": (0.9, 1.1),
    "motion_ratio": (0.9, 1.1),
    "motion_ratio_by_pitch": (0.9, 1.1),
    "flicker_line": (0.0, 3.0),
}

_VIEW_PX = 128
_STILL_DEG_PER_S = 0.05


def figures(
    frames: np.ndarray,
    *,
    fps: float,
    loop: bool,
    flat: bool = False,
    wrap: bool = True,
    reference: Sequence[ReferenceView] | None = None,
    gap: int | None = None,
) -> dict[str, Any]:
    """Every figure that frames (T, H, W, 3) uint8 allow; ``spatial`` and ``temporal`` say what each of them is.

    ``loop``: the first frame follows the last. ``flat``: not a sphere; ``wrap`` then says whether left and right edge
    join (a sphere always wraps). ``reference``: samples of the base model at the same fps, for detail and motion.
    ``gap``: a frame number after which frames were left out, when a long video is measured by its ends.

    What cannot be told (a loop of two frames, a seam of a picture that has none) is left out; no value is NaN or inf.
    Lists are JSON-ready. Several seconds of work at 2048x1024.
    """
    wrap = wrap or not flat
    weights = row_weights(frames.shape[1], flat)
    greys = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    few = np.array(evenly(range(len(frames)), 8))
    found: dict[str, Any] = {}
    if wrap:
        found["seam"], found["seam2"] = spatial.seam(greys[few], weights)
        found["seam_color"] = spatial.seam_color(frames[few], weights)
    if not flat:
        found["seam_percentile"] = spatial.seam_percentile(greys[few[:4]])
        found["pole"] = {"zenith": spatial.pole(greys[few], 90), "nadir": spatial.pole(greys[few], -90)}
    middle = greys[len(greys) // 2]
    found["repetition"] = spatial.flat_repetition(middle) if flat else spatial.sphere_repetition(middle)
    pairs = temporal.neighbours(len(frames), loop=loop, gap=gap)
    if pairs:
        found |= _motion(greys, pairs, fps, flat, wrap, reference or ())
        found |= _flicker(greys, pairs, weights, flat, wrap)
    if loop and len(pairs) > 2:
        found["loop"] = temporal.loop(frames, pairs, weights)
        found["loop_flow"] = temporal.loop_flow(greys, pairs, flat=flat, wrap=wrap)
        found["loop_color"] = temporal.loop_color(frames, pairs, weights)
    if reference:
        by_pitch = spatial.detail(greys[few[::2]], reference, flat=flat)
        found["detail"], found["detail_by_pitch"] = _geometric_mean(by_pitch.values()), by_pitch
    return {name: _plain(value) for name, value in found.items() if value is not None}


def _motion(
    greys: np.ndarray,
    pairs: list[temporal.Pair],
    fps: float,
    flat: bool,
    wrap: bool,
    reference: Sequence[ReferenceView],
) -> dict[str, Any]:
    """motion (deg/s, mean over views), its variation (standard deviation over mean), by view, and where it differs.

    An island is a view that moves less than a quarter or more than four times as fast as the median view.
    A flat panorama has no degrees: ``motion_px`` is in pixels a second.
    """
    chosen = evenly(pairs, 16)
    if flat:
        return {"motion_px": temporal.flat_speed(_small_frames(greys), chosen, fps) * max(1, greys.shape[2] / 1024)}
    wide = [extended(grey) for grey in _small_frames(greys)]
    height, width = wide[0].shape[0] - 16, wide[0].shape[1] - 16

    def speed(view: View, size: int) -> float:
        lens = Lens.on_sphere(view, size, height, width)
        return temporal.speed(temporal.watch(wide, lens), chosen, view.fov_deg, fps)

    speeds = np.array([speed(view, _VIEW_PX) for view in ALL_ROUND])
    usual = float(np.median(speeds))
    islands = [
        [view.yaw_deg, view.pitch_deg]
        for view, one in zip(ALL_ROUND, speeds, strict=True)
        if usual > _STILL_DEG_PER_S and not usual / 4 <= one <= usual * 4
    ]
    found: dict[str, Any] = {
        "motion": speeds.mean(),
        "motion_variation": speeds.std() / max(speeds.mean(), _STILL_DEG_PER_S),
        "motion_by_view": [[v.yaw_deg, v.pitch_deg, s] for v, s in zip(ALL_ROUND, speeds, strict=True)],
        "motion_islands": islands,
    }
    theirs: dict[float, list[float]] = {}
    ours: dict[float, float] = {}
    for one in reference:
        if len(one.frames) < 2:
            continue
        samples = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in one.frames]
        its_pairs = temporal.neighbours(len(samples), loop=False)
        theirs.setdefault(one.pitch_deg, []).append(temporal.speed(samples, its_pairs, one.fov_deg, fps))
        if one.pitch_deg not in ours:
            views = ring(one.pitch_deg, one.fov_deg)
            ours[one.pitch_deg] = float(np.mean([speed(view, samples[0].shape[0]) for view in views]))
    means = {pitch: float(np.mean(values)) for pitch, values in theirs.items()}
    by_pitch = {f"{p:g}": ours[p] / mean for p, mean in means.items() if mean > _STILL_DEG_PER_S}
    if by_pitch:
        found |= {"motion_ratio": _geometric_mean(by_pitch.values()), "motion_ratio_by_pitch": by_pitch}
    return found


def _flicker(
    greys: np.ndarray, pairs: list[temporal.Pair], weights: np.ndarray, flat: bool, wrap: bool
) -> dict[str, Any]:
    """flicker: standard deviation over time of the mean brightness, grey levels; its line; the residual of motion."""
    levels = temporal.brightness(greys, weights)
    small = _small_frames(greys)
    height, width = small[0].shape
    if flat:
        side = min(height, width)
        lenses = [Lens.on_plane(left, side, _VIEW_PX) for left in {0, width - side}]
    else:
        lenses = [Lens.on_sphere(view, _VIEW_PX, height, width) for view in (*ring(0, around=3), View(0, 90))]
    chosen = evenly(pairs, 5)
    wanted = sorted({frame for pair in chosen for frame in pair})
    numbers = {frame: i for i, frame in enumerate(wanted)}
    wide = [extended(small[frame], flat=flat, wrap=wrap) for frame in wanted]
    local = [(numbers[a], numbers[b]) for a, b in chosen]
    rest = [temporal.residual(temporal.watch(wide, lens), local) for lens in lenses]
    known = [value for value in rest if value is not None]
    return {
        "flicker": levels.std(),
        "flicker_line": temporal.flicker_line(levels),
        "flicker_residual": np.mean(known) if known else None,
    }


def _small_frames(greys: np.ndarray) -> list[np.ndarray]:
    """Frames no wider than 1024 pixels, which is all that 128-pixel views need."""
    height, width = greys.shape[1:]
    if width <= 1024:
        return list(greys)
    size = (1024, max(32, round(height * 1024 / width)))
    return [cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in greys]


def _geometric_mean(values: Any) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(list(values), 1e-6)))))


def _plain(value: Any) -> Any:
    """JSON-ready, four digits after the point."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not math.isfinite(value):
        raise FloatingPointError(f"a quality figure came out as {value}")
    return round(float(value), 4)


def passes(name: str, value: Any) -> bool | None:
    """Whether a figure is within ``PASS``, every part of it; None where no number is a pass."""
    if name not in PASS:
        return None
    low, high = PASS[name]
    return all(low <= one <= high for one in (value.values() if isinstance(value, dict) else [value]))

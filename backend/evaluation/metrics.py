"""The quality figures of a panoramic video, by name, and what counts as a pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from . import motion, spatial, temporal
from .arcs import border, seam_percentile
from .borders import Arcs
from .poles import pole, pole_spectrum
from .spatial import ReferenceView, typical_of
from .views import Lens, View, evenly, extended, ring, row_weights

PASS: dict[str, tuple[float, float]] = {
    "seam": (0.9, 1.1),
    "seam2": (0.0, 1.2),
    "seam_color": (0.0, 1.3),
    "seam_percentile": (2.5, 97.5),
    "border": (2.5, 97.5),
    "pole": (0.85, 1.15),
    "pole_spectrum": (0.6, 1.6),
    "loop": (0.0, 1.1),
    "loop_flow": (0.0, 1.3),
    "loop_color": (0.0, 0.5),
    "detail": (0.9, 1.1),
    "detail_by_pitch": (0.9, 1.1),
    "detail_by_view": (0.9, 1.1),
    "motion_ratio": (0.9, 1.1),
    "motion_ratio_by_pitch": (0.9, 1.1),
    "motion_ratio_by_view": (0.9, 1.1),
    "flicker_line": (0.0, 3.0),
}

PARTS = 9
_VIEW_PX = 128
_POLES = {"zenith": 90, "nadir": -90}


def figures(frames: np.ndarray, **options: Any) -> dict[str, Any]:
    """All figures of :func:`measured`. Several seconds of work at 2048x1024."""
    return {name: value for part in measured(frames, **options) for name, value in part.items()}


def measured(
    frames: np.ndarray,
    *,
    fps: float,
    loop: bool,
    flat: bool = False,
    wrap: bool = True,
    reference: Sequence[ReferenceView] | None = None,
    gap: int | None = None,
    arcs: Arcs | None = None,
) -> Iterator[dict[str, Any]]:
    """Every figure that frames (T, H, W, 3) uint8 allow, a few at a time, at most :data:`PARTS` times; ``spatial`` and
    ``temporal`` say what each of them is.

    ``loop``: the first frame follows the last. ``flat``: not a sphere; ``wrap`` then says whether left and right edge
    join (a sphere always wraps). ``reference``: samples of the base model at the same fps: detail is compared with
    those that see the least of the world, motion with those that see the most, as wide windows settle it.
    ``gap``: a frame number after which frames were left out, when a long video is measured by its ends.
    ``arcs``: the borders of the last step, see :func:`.borders.border_arcs`.

    What cannot be told (a loop of two frames, a seam of a picture that has none) is left out; no value is NaN or inf.
    Lists are JSON-ready.
    """
    wrap = wrap or not flat
    weights = row_weights(frames.shape[1], flat)
    greys = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    few = np.array(evenly(range(len(frames)), 8))
    if wrap:
        seam, seam2 = spatial.seam(greys[few], weights)
        color = spatial.seam_color(frames[few], weights)
        yield _told({"seam": seam, "seam2": seam2, "seam_color": color})
    if not flat:
        yield _told({
            "seam_percentile": seam_percentile(greys[few[::2]]),
            "pole": {name: pole(greys[few], pitch) for name, pitch in _POLES.items()},
            "pole_spectrum": {name: pole_spectrum(greys[few[::2]], pitch) for name, pitch in _POLES.items()},
        })  # fmt: skip
    if arcs is not None and len(arcs[0]):
        yield _told(dict(zip(("border", "border_ratio"), border(greys[few[::2]], *arcs), strict=True)))
    middle = greys[len(greys) // 2]
    yield _told({"repetition": spatial.flat_repetition(middle) if flat else spatial.sphere_repetition(middle)})
    pairs = temporal.neighbours(len(frames), loop=loop, gap=gap)
    if pairs:
        if flat:
            yield _told({"motion_px": _flat_motion(greys, pairs, fps)})
        else:
            yield _told(motion.around(_small_frames(greys), pairs, fps, _VIEW_PX))
        yield _told(_flicker(greys, pairs, weights, flat, wrap))
    if loop and len(pairs) > 2:
        yield _told({
            "loop": temporal.loop(frames, pairs, weights),
            "loop_flow": temporal.loop_flow(greys, pairs, flat=flat, wrap=wrap),
            "loop_color": temporal.loop_color(frames, pairs, weights),
        })  # fmt: skip
    if reference:
        finest, widest = (pick(r.fov_deg for r in reference) for pick in (min, max))
        fine = [r for r in reference if r.fov_deg == finest]
        yield _told(_compared("detail", spatial.detail(greys[few[::2]], fine, flat=flat)))
        if pairs and not flat:
            wide = [r for r in reference if r.fov_deg == widest]
            yield _told(_compared("motion_ratio", motion.against(_small_frames(greys), pairs, fps, wide)))


def _told(found: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in found.items() if value is not None}


def _compared(name: str, ratios: list[tuple[View, float]]) -> dict[str, Any]:
    """Ratios by view to what ``name`` reports: their geometric mean, by pitch and view by view."""
    if not ratios:
        return {}
    pitches = dict.fromkeys(view.pitch_deg for view, _ in ratios)
    by_pitch = {f"{p:g}": typical_of([r for view, r in ratios if view.pitch_deg == p]) for p in pitches}
    by_view = [[view.yaw_deg, view.pitch_deg, one] for view, one in ratios]
    return {
        name: typical_of([one for _, one in ratios]),
        f"{name}_by_pitch": by_pitch,
        f"{name}_by_view": by_view,
    }


def _flat_motion(greys: np.ndarray, pairs: list[temporal.Pair], fps: float) -> float:
    """Pixels a second: a flat panorama has no degrees."""
    return temporal.flat_speed(_small_frames(greys), evenly(pairs, 16), fps) * max(1, greys.shape[2] / 1024)


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
    if isinstance(value, list):
        values = [view[-1] for view in value]
    else:
        values = list(value.values()) if isinstance(value, dict) else [value]
    return all(low <= one <= high for one in values)

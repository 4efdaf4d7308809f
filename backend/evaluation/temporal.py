"""Figures of the course of a video: does it close, how fast does it move, does it flicker.

``pairs`` are the (earlier, later) numbers of frames that are true neighbours. Motion is by OpenCV's DIS optical flow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from .spatial import MARGIN, ratio
from .views import Lens, camera_rays, evenly, row_weights

_FLOW_WIDTH_PX = 512
_FLOW_PAD_PX = 32
_STILL_LEVELS = 0.5  # a key frame alone is a step of 0.2 to 0.7 grey levels, which nobody sees
_STILL_DEG = 0.03
Pair = tuple[int, int]


def neighbours(count: int, *, loop: bool, gap: int | None = None) -> list[Pair]:
    """All pairs of neighbouring frames, with ``loop`` also last -> first as the last pair; none is ``gap`` -> next."""
    pairs = [(t, t + 1) for t in range(count - 1) if t != gap]
    return [*pairs, (count - 1, 0)] if loop and count > 2 else pairs


def loop(frames: np.ndarray, pairs: Sequence[Pair], weights: np.ndarray) -> float:
    """Step last -> first over the usual step; pass at most 1.1.

    d(a, b) = sum over y of w(y) |I_a - I_b|; the figure is d(last, first) / median of d(t, t+1). The last pair is the
    closing one.
    """
    steps = [_step(frames[a], frames[b], weights) for a, b in evenly(pairs[:-1], 16)]
    last, first = pairs[-1]
    return ratio(_step(frames[last], frames[first], weights), float(np.median(steps)), _STILL_LEVELS)


def _step(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    return float(weights @ cv2.absdiff(one, other).mean(axis=(1, 2), dtype=np.float32))


def loop_color(frames: np.ndarray, pairs: Sequence[Pair], weights: np.ndarray) -> float:
    """Jump of the mean colour at the join, CIE76 delta E, beyond the usual step between frames; pass at most 0.5.

    max(0, dE(last, first) - median of dE(t, t+1)). It tells a slow drift that the loop jumps back from, which
    :func:`loop` may miss in a busy picture; that the light changes all the time, as in an aurora, does not count.
    """
    means = {frame: _mean_lab(frames[frame], weights) for frame in {f for p in pairs for f in p}}
    steps = [float(np.linalg.norm(means[a] - means[b])) for a, b in pairs]
    return max(0.0, steps[-1] - float(np.median(steps[:-1])))


def _mean_lab(frame: np.ndarray, weights: np.ndarray) -> np.ndarray:
    columns = min(frame.shape[1], 256)
    small = cv2.resize(frame, (columns, frame.shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return weights @ cv2.cvtColor(small, cv2.COLOR_RGB2LAB).mean(axis=1)


class Flow:
    """Optical flow (h, w, 2), pixels, from one grey uint8 picture to the next."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self._dis.calc(np.ascontiguousarray(one), np.ascontiguousarray(other), None)  # type: ignore[arg-type]


def loop_flow(greys: np.ndarray, pairs: Sequence[Pair], *, flat: bool, wrap: bool) -> float | None:
    """Change of motion at the join over the usual change of motion; pass at most 1.3. None for under 5 frames.

    f_t is the flow t -> t+1, in degrees on the sphere, a_t = E|f_t - f_(t-1)|; the figure is the mean of a_t on both
    sides of the join over the median of a_t elsewhere.
    """
    count = len(greys)
    if count < 5:
        return None
    small = [_small(grey, wrap) for grey in greys]
    weights = row_weights(small[0].shape[0], flat)
    stretch = np.ones_like(weights) if flat else weights / weights.max()
    degrees = 360 / _FLOW_WIDTH_PX
    flow = Flow()
    known: dict[Pair, np.ndarray] = {}

    def motion(pair: Pair) -> np.ndarray:
        if pair not in known:
            found = flow(small[pair[0]], small[pair[1]])[:, _FLOW_PAD_PX:-_FLOW_PAD_PX] * degrees
            found[..., 0] *= stretch[:, None]
            known[pair] = found
        return known[pair]

    def change(one: Pair, other: Pair) -> float:
        return float(weights @ np.linalg.norm(motion(one) - motion(other), axis=2).mean(axis=1))

    inside = [(one, other) for one, other in zip(pairs, pairs[1:], strict=False) if one[1] == other[0]][:-1]
    if not inside:
        return None
    join = (change(pairs[-2], pairs[-1]) + change(pairs[-1], pairs[0])) / 2
    return ratio(join, float(np.median([change(*pair) for pair in evenly(inside, 12)])), _STILL_DEG)


def _small(grey: np.ndarray, wrap: bool) -> np.ndarray:
    height = max(32, round(_FLOW_WIDTH_PX * grey.shape[0] / grey.shape[1]))
    small = cv2.resize(grey, (_FLOW_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.pad(small, [(0, 0), (_FLOW_PAD_PX, _FLOW_PAD_PX)], mode="wrap" if wrap else "edge")


def speeds(
    pictures: Sequence[np.ndarray] | Mapping[int, np.ndarray], pairs: Sequence[Pair], fov_deg: float, fps: float
) -> np.ndarray:
    """Speed (h', w') over time, degrees a second, of what a perspective view (h, w) uint8 shows, a margin left out.

    The flow of each pixel is the angle between its ray and the ray it moves to, so that the stretch of a wide view does
    not count as motion. What has no texture has no measurable motion and counts as 0.
    """
    flow = Flow()
    height, width = pictures[pairs[0][0]].shape
    rays = camera_rays(fov_deg, height, width).astype(np.float32)
    scale = np.float32(2 * math.tan(math.radians(fov_deg) / 2) / width)
    here = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    side = round(MARGIN * width)
    inner = slice(side, height - side), slice(side, width - side)
    total = np.zeros(here[inner].shape[:2])
    for a, b in pairs:
        moved = flow(pictures[a], pictures[b])[inner] * scale
        there = rays[inner] + np.stack([moved[..., 0], np.zeros_like(moved[..., 0]), -moved[..., 1]], axis=2)
        there /= np.linalg.norm(there, axis=2, keepdims=True)
        total += np.degrees(2 * np.arcsin(np.linalg.norm(there - here[inner], axis=2) / 2))
    return total * (fps / len(pairs))


def flat_speed(pictures: Sequence[np.ndarray], pairs: Sequence[Pair], fps: float) -> float:
    """Mean speed of pictures (h, w) uint8, in pixels a second."""
    flow = Flow()
    return float(np.mean([np.linalg.norm(flow(pictures[a], pictures[b]), axis=2).mean() for a, b in pairs])) * fps


def brightness(greys: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean grey level (T,) of each frame, by area of the sphere."""
    return np.array([float(weights @ grey.mean(axis=1, dtype=np.float32)) for grey in greys])


def flicker_line(levels: np.ndarray) -> float | None:
    """How far the brightness pulses every 4 or 8 frames, the periods of video autoencoders; pass at most 3.

    Amplitude of the spectrum of the mean brightness at those periods over the mean of its neighbours; the larger.
    None for less than 16 frames, where there are no neighbours.
    """
    count = len(levels)
    if count < 16:
        return None
    times = np.arange(count)
    spectrum = np.abs(np.fft.rfft(levels - np.polyval(np.polyfit(times, levels, 1), times))) / count
    found = []
    for period in (4, 8):
        line = round(count / period)
        beside = [spectrum[k] for k in (line - 1, line + 1) if 0 < k < len(spectrum)]
        found.append(ratio(float(spectrum[line]), float(np.mean(beside))))
    return max(found)


def residual(pictures: Sequence[np.ndarray], pairs: Sequence[Pair]) -> float | None:
    """Mean change, grey levels, that motion does not explain: what is left after each picture is moved onto the next.

    |I_a - I_b moved back by the flow|, over pixels where the flow there and back agree within a pixel; None if nowhere.
    Grain that boils and brightness that pumps both count.
    """
    flow = Flow()
    height, width = pictures[0].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    found = []
    for a, b in pairs:
        there, back = flow(pictures[a], pictures[b]), flow(pictures[b], pictures[a])
        to_x, to_y = x + there[..., 0], y + there[..., 1]
        returned = there + cv2.remap(back, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        sure = inside & (np.linalg.norm(returned, axis=2) < 1)
        moved = cv2.remap(pictures[b].astype(np.float32), to_x, to_y, cv2.INTER_LINEAR)
        if sure.any():
            found.append(float(np.abs(pictures[a] - moved)[sure].mean()))
    return float(np.mean(found)) if found else None


def watch(greys: Sequence[np.ndarray], lens: Lens) -> list[np.ndarray]:
    """The view of a lens in each of the extended grey frames."""
    return [lens(grey) for grey in greys]

"""Figures of single frames: is there a seam, is it as sharp as the model, does it repeat itself.

Frames are (T, H, W, 3) uint8, grey frames (T, H, W) uint8. Differences are in grey levels (0-255). Ratios of two small
differences are steadied by ``STILL``, so that plain and black frames give 1 and not noise over noise.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .views import Lens, RoundTrip, View, all_round, direction, evenly, extended, ring

STILL = 0.02
_PLAIN = 0.25  # grey levels a pixel: gradients far below are those of a plain sky, where there is no detail to lose
MARGIN = 0.1  # of a view's side, left out of gradients: what is beyond the edge of a sample is not known
_THUMBNAIL_PX, _PATCH_PX = 64, 48


@dataclass(frozen=True, kw_only=True)
class ReferenceView:
    """Frames (T, h, h, 3) uint8 that the base model makes in one window on its own, for the same prompt and pitch.

    The yardstick of detail and motion. ``fov_deg`` is the window's angle. One seed differs from the next by a lot, so
    give several for a pitch: their logarithms are averaged.
    """

    pitch_deg: float
    fov_deg: float
    frames: np.ndarray


def ratio(a: float, b: float, still: float = STILL) -> float:
    """a / b, and 1 where both are far below ``still``."""
    return float((a + still) / (b + still))


def typical(steps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted geometric mean over the first axis, at half a grey level, of steps (n, m), as (m,).

    A few strong edges, such as stars or a skyline, hardly move it; a seam, which is a little more everywhere, does. On
    rendered skies a seam of four levels shows about twice as much as in the plain mean, and under stars or aurora the
    chance spread without a seam is about half.
    """
    return np.exp(weights @ np.log(steps + 0.5)) - 0.5


def seam(greys: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Step and kink across the join of the left and right edge over those of a usual column nearby.

    g(x) = the :func:`typical` |I(x+1) - I(x)| of the rows, averaged over time, each row weighed by its share of the
    sphere. The first figure is g(W-1 -> 0) / median of g within 30 degrees; pass 0.9 to 1.1. The second is the same of
    |I(x+1) - 2 I(x) + I(x-1)|, the larger of the two columns at the join; pass below 1.2.

    One picture can miss these bounds by chance (rendered, perfectly seamless skies spread over 0.7 to 1.4), so judge a
    method by the mean of several, and one picture by ``seam_percentile``. I is the luma, because mp4 stores colour at
    half the width and no player fills it in across the join, which would be taken for a seam; :func:`seam_color` is for
    the colour.
    """
    steps = np.zeros(greys.shape[1:], np.float32)
    kinks = np.zeros(greys.shape[1:], np.float32)
    for grey in greys:
        right = np.roll(grey, -1, axis=1)
        step = cv2.subtract(right, grey, dtype=cv2.CV_16S)
        steps += cv2.absdiff(right, grey)
        kinks += cv2.absdiff(step, np.roll(step, 1, axis=1))
    step, kink = typical(steps / len(greys), weights), typical(kinks / len(greys), weights)
    return ratio(step[-1], _nearby(step)), ratio(max(kink[-1], kink[0]), _nearby(kink[1:]))


def _nearby(profile: np.ndarray) -> float:
    """Median of a ring of columns (n,) within 30 degrees of its last one, which is not counted itself."""
    near = max(2, len(profile) // 12)
    return float(np.median(np.r_[profile[:near], profile[-1 - near : -1]]))


def seam_color(frames: np.ndarray, weights: np.ndarray) -> float:
    """The step of :func:`seam` for colour alone (Cr and Cb), at a quarter of the width; pass below 1.3."""
    height, width = frames.shape[1], frames.shape[2] // 4
    steps = np.zeros((height, width), np.float32)
    for frame in frames:
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        colour = 255 * cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)[..., 1:]
        steps += np.abs(np.roll(colour, -1, axis=1) - colour).mean(axis=2)
    profile = typical(steps / len(frames), weights)
    return ratio(profile[-1], _nearby(profile), still=0.1)


def sharpness(pictures: Iterable[np.ndarray]) -> float:
    """Mean length of the gradient, grey levels a pixel, of pictures (h, w), a margin left out."""
    found = []
    for picture in pictures:
        side = round(MARGIN * min(picture.shape))
        inner = picture[side : picture.shape[0] - side, side : picture.shape[1] - side].astype(np.float32)
        dx, dy = inner[:-1, 1:] - inner[:-1, :-1], inner[1:, :-1] - inner[:-1, :-1]
        found.append(float(np.hypot(dx, dy).mean()))
    return float(np.mean(found))


def detail(greys: np.ndarray, references: Sequence[ReferenceView], *, flat: bool = False) -> list[tuple[View, float]]:
    """Sharpness of views of the panorama over that of the base model's own samples at their pitch; pass 0.9 to 1.1.

    The views are the 14 of ``views.ALL_ROUND`` at the pitches of the references, with their angle and pixels; the
    references make the same journey: drawn into an equirectangular frame of the panorama's size and read back through
    the same lens. So 1 means "as sharp as the model itself, seen through the same resampling", at any resolution, and
    what a small equirectangular frame cannot hold is not blamed on the method. The mean length of the gradient is used
    rather than its square, which a few stars or a moon would decide. References at one pitch are averaged as
    logarithms, as these ratios should be over views and skies: then what is more and less busy than usual evens out.
    A flat panorama is compared pixel by pixel, as a single view.
    """
    if flat:
        theirs = [sharpness(_grey_samples(one, len(greys))) for one in references]
        return [(View(0, 0), ratio(sharpness(greys), typical_of(theirs, _PLAIN), _PLAIN))]
    height, width = greys.shape[1:]
    wide = [extended(grey.astype(np.float32)) for grey in greys]
    by_view: dict[tuple[float, float, int], list[float]] = defaultdict(list)
    trips: dict[tuple[float, float, int], RoundTrip] = {}
    for one in references:
        kind = (one.pitch_deg, one.fov_deg, one.frames.shape[1])
        if kind not in trips:
            trips[kind] = RoundTrip(View(0, one.pitch_deg, one.fov_deg), kind[2], height, width)
        by_view[kind].append(sharpness(map(trips[kind], _grey_samples(one, len(greys)))))
    found = []
    for (pitch_deg, fov_deg, size), theirs in by_view.items():
        for view in all_round(pitch_deg, fov_deg):
            lens = Lens.on_sphere(view, size, height, width)
            found.append((view, ratio(sharpness(map(lens, wide)), typical_of(theirs, _PLAIN), _PLAIN)))
    return found


def _grey_samples(reference: ReferenceView, most: int) -> list[np.ndarray]:
    few = evenly(list(reference.frames), most)
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in few]


def typical_of(values: Sequence[float], still: float = 1e-6) -> float:
    """Geometric mean of values, steadied at ``still``."""
    return float(np.exp(np.mean(np.log(np.asarray(values) + still))) - still)


def repetition(
    pictures: Sequence[tuple[np.ndarray, np.ndarray]], apart: Callable[[np.ndarray, np.ndarray], bool]
) -> float:
    """Highest correlation between what two views that do not overlap show, -1 to 1.

    ``pictures`` are (place, thumbnail (64, 64)), ``apart`` tells of two places whether their views share nothing. Each
    row's mean is taken out first, since a horizon or a gradient towards the zenith is the same all around and no
    repetition. A 48-pixel patch of one view is searched in the other, so a copy need not sit in the same spot.
    No number is a pass by itself: it grows with how smooth the picture is, so compare methods on the same prompt.
    """
    images = [(place, _without_rows(thumbnail)) for place, thumbnail in pictures]
    images = [(place, image) for place, image in images if image.std() > 1]
    highest = 0.0
    edge = (_THUMBNAIL_PX - _PATCH_PX) // 2
    for i, (place, image) in enumerate(images):
        patch = image[edge:-edge, edge:-edge]
        for other_place, other in images[:i]:
            if patch.std() > 0.5 and apart(place, other_place):
                highest = max(highest, float(cv2.matchTemplate(other, patch, cv2.TM_CCOEFF_NORMED).max()))
    return min(highest, 1.0)


def _without_rows(picture: np.ndarray) -> np.ndarray:
    image = picture.astype(np.float32)
    return image - image.mean(axis=1, keepdims=True)


def sphere_repetition(grey: np.ndarray) -> float:
    """:func:`repetition` of one equirectangular frame (H, W), over 20 views of 45 degrees at three pitches.

    The mean of each row of the frame is taken out too: a bow in a tilted view is the horizon's or the zenith's.
    """
    views = [view for pitch in (0, 40, -40) for view in ring(pitch, 45, around=8)]
    wide = extended(_without_rows(grey))
    lenses = [Lens.on_sphere(view, _THUMBNAIL_PX, *grey.shape) for view in views]
    places = [direction(view.yaw_deg, view.pitch_deg) for view in views]
    nearest = math.cos(math.radians(45 * math.sqrt(2)))
    pictures = [(place, lens(wide)) for place, lens in zip(places, lenses, strict=True)]
    return repetition(pictures, lambda a, b: float(a @ b) < nearest)


def flat_repetition(grey: np.ndarray) -> float | None:
    """:func:`repetition` of a flat frame over its squares; None where there are fewer than two."""
    height, width = grey.shape
    count = width // height
    if count < 2:
        return None
    pictures = [(np.array([i]), _thumbnail(grey[:, i * height : (i + 1) * height])) for i in range(count)]
    return repetition(pictures, lambda a, b: bool(a[0] != b[0]))


def _thumbnail(grey: np.ndarray) -> np.ndarray:
    return cv2.resize(grey, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)

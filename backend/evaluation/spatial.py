"""Figures of single frames: is there a seam, are the poles round, is it as sharp as the model, does it repeat itself.

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

from .views import Lens, RoundTrip, View, direction, erp_pixels, evenly, extended, ring, turned

STILL = 0.02
MARGIN = 0.1  # of a view's side, left out of gradients: what is beyond the edge of a sample is not known
_ANNULUS_DEG = (1.0, 10.0)
_THUMBNAIL_PX, _PATCH_PX = 64, 48


@dataclass(frozen=True, kw_only=True)
class ReferenceView:
    """Frames (T, h, h, 3) uint8 that the base model makes in one window on its own, for the same prompt and pitch.

    The yardstick of detail and motion. ``fov_deg`` is the window's angle. One seed differs from the next by a lot, so
    give several for a pitch: they are averaged.
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


def arc_percentile(greys: np.ndarray, points: np.ndarray, normals: np.ndarray, *, draws: int = 200) -> float:
    """Where the step across some arcs stands among the same arcs laid elsewhere at random, 0 to 100; pass 2.5 to 97.5.

    points (n, 3) on the arcs, and normals (n, 3) across them, are unit vectors. The null turns them to any yaw, keeping
    their pitch and slope: against freely turned arcs, which cross the horizon and the gradient of the sky aslant, every
    upright one looks smooth. Both sides are read two pixels apart from slightly smoothed frames, so that arcs on the
    pixel grid have no advantage over those between. A seam stands at 100, a smeared one at 0.
    """
    height, width = greys.shape[1:]
    reach = math.pi / height
    rng = np.random.default_rng(0)
    turns = [turned(np.eye(3), yaw_deg, 0) for yaw_deg in (0, *rng.uniform(0, 360, draws))]
    turned_points = np.stack([points @ turn for turn in turns])
    turned_normals = np.stack([normals @ turn for turn in turns])
    sides = [erp_pixels(turned_points + sign * reach * turned_normals, height, width) for sign in (-1, 1)]
    steps = np.zeros((draws + 1, len(points)), np.float32)
    for grey in greys:
        smooth = cv2.GaussianBlur(extended(grey).astype(np.float32), (0, 0), 1.0)
        pad = (smooth.shape[0] - height) // 2
        one, other = (
            cv2.remap(smooth, (x + pad).astype(np.float32), (y + pad).astype(np.float32), cv2.INTER_LINEAR)
            for x, y in sides
        )
        steps += np.abs(one - other)
    even = np.full(len(points), 1 / len(points), np.float32)
    means = np.round(typical(steps.T / len(greys), even), 3)
    below, equal = (means[1:] < means[0]).mean(), (means[1:] == means[0]).mean()
    return float(100 * (below + equal / 2))


def seam_percentile(greys: np.ndarray) -> float:
    """:func:`arc_percentile` of the meridian at ±180°, pole to pole."""
    pitch = np.linspace(-89, 89, max(64, greys.shape[1] // 2))
    return arc_percentile(greys, direction(180.0, pitch), np.broadcast_to(direction(-90.0, 0.0), (len(pitch), 3)))


def pole(greys: np.ndarray, pitch_deg: float) -> float:
    """Gradient around the pole over gradient away from it, 1 to 10 degrees from it; ``pitch_deg`` is 90 or -90.

    E|dI/dtheta| / E|dI/dr| in a perspective view of the pole. Texture without direction gives 1, pass 0.85 to 1.15;
    spokes (a pinched pole) give more, rings (a smeared one) less. A plain gradient towards the zenith, as in a clear
    sky, is honestly below 1.
    """
    height, width = greys.shape[1:]
    fov_deg = 2 * _ANNULUS_DEG[1] + 4
    size = max(24, round(fov_deg * height / 180))
    lens = Lens.on_sphere(View(0, pitch_deg, fov_deg), size, height, width)
    across = (np.arange(size) + 0.5 - size / 2) * lens.scale
    x, y = np.meshgrid(across, across)
    radius = np.maximum(np.hypot(x, y), 1e-9)
    low, high = (math.tan(math.radians(a)) for a in _ANNULUS_DEG)
    inside = (radius >= low) & (radius <= high)
    around = away = 0.0
    for grey in greys:
        dy, dx = np.gradient(lens(extended(grey.astype(np.float32))))
        around += float(np.abs((x * dy - y * dx) / radius)[inside].mean())
        away += float(np.abs((x * dx + y * dy) / radius)[inside].mean())
    return ratio(around / len(greys), away / len(greys))


def sharpness(pictures: Iterable[np.ndarray]) -> float:
    """Mean length of the gradient, grey levels a pixel, of pictures (h, w), a margin left out."""
    found = []
    for picture in pictures:
        side = round(MARGIN * min(picture.shape))
        inner = picture[side : picture.shape[0] - side, side : picture.shape[1] - side].astype(np.float32)
        dx, dy = inner[:-1, 1:] - inner[:-1, :-1], inner[1:, :-1] - inner[:-1, :-1]
        found.append(float(np.hypot(dx, dy).mean()))
    return float(np.mean(found))


def detail(greys: np.ndarray, references: Sequence[ReferenceView], *, flat: bool = False) -> dict[str, float]:
    """Sharpness of the panorama over that of the base model's own samples, by pitch ("-45": 0.97); pass 0.9 to 1.1.

    Views of the panorama, all around at the pitch of each reference and with its angle and pixels, against the
    reference after the same journey: drawn into an equirectangular frame of the panorama's size and read back through
    the same lens. So 1 means "as sharp as the model itself, seen through the same resampling", at any resolution, and
    what a small equirectangular frame cannot hold is not blamed on the method. The mean length of the gradient is used
    rather than its square, which a few stars or a moon would decide. A flat panorama is compared pixel by pixel.
    """
    ours: dict[str, float] = {}
    theirs: dict[str, list[float]] = defaultdict(list)
    height, width = greys.shape[1:]
    wide = [] if flat else [extended(grey.astype(np.float32)) for grey in greys]
    trips: dict[tuple[float, float, int], RoundTrip] = {}
    for reference in references:
        few = evenly(list(reference.frames), len(greys))
        samples = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in few]
        size, pitch_deg, fov_deg = samples[0].shape[0], reference.pitch_deg, reference.fov_deg
        if flat:
            theirs["all"].append(sharpness(samples))
            ours["all"] = ours.get("all") or sharpness(greys)
            continue
        pitch = f"{pitch_deg:g}"
        if (pitch_deg, fov_deg, size) not in trips:
            trips[pitch_deg, fov_deg, size] = RoundTrip(View(0, pitch_deg, fov_deg), size, height, width)
        theirs[pitch].append(sharpness(map(trips[pitch_deg, fov_deg, size], samples)))
        if pitch not in ours:
            lenses = [Lens.on_sphere(view, size, height, width) for view in ring(pitch_deg, fov_deg)]
            ours[pitch] = sharpness(lens(image) for lens in lenses for image in wide)
    return {pitch: ratio(ours[pitch], float(np.mean(theirs[pitch]))) for pitch in ours}


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

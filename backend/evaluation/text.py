"""The `text` figure: does what each view of a panorama shows follow its prompt, and each region's its own?

On rendered panoramas with their own captions the figures are at their ceiling, with others' at their floor; both, and
the command that measures them, are in ``weights/TEXT_CARD.md`` (``backend/training/calibration.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..protocol import Region
from .judge import Named, TextJudge, look
from .views import View, direction, ring, turned

__all__ = ["TextJudge", "text_by_direction", "text_figures"]

VIEW_FOV_DEG = 70.0


def text_figures(
    frames: np.ndarray, prompt: str, regions: Sequence[Region] = (), judge: TextJudge | None = None
) -> dict[str, Any]:
    """Does a panorama (T, H, W, 3) uint8, equirectangular, follow its prompts? JSON-ready, four digits.

    ``text``: mean probability of the values that ``prompt`` names, over the views outside all regions and then over
    attributes; ``text_top1``: how often the likeliest value is one of them; ``text_by_attribute``: the probability by
    attribute. With regions, see :func:`text_by_direction`. What the prompts do not name is left out.
    """
    judge = judge or TextJudge()
    views = [v for pitch in (0, 45, -45, 90, -90) for v in ring(pitch, VIEW_FOV_DEG)]
    named = judge.named(prompt)
    found: dict[str, Any] = {}
    if named:
        seen = look(frames, views, judge)
        free = np.array([all(_clear_of(region, view) for region in regions) for view in views])
        scores = {name: score for name, values in named.items() if (score := seen.score(name, values, free))}
        if scores:
            found["text"], found["text_top1"] = (_mean([s[i] for s in scores.values()]) for i in (0, 1))
            found["text_by_attribute"] = {name: round(score[0], 4) for name, score in scores.items()}
    return found | text_by_direction(frames, regions, prompt, judge)


def text_by_direction(
    frames: np.ndarray, regions: Sequence[Region], prompt: str = "", judge: TextJudge | None = None
) -> dict[str, Any]:
    """Is each region's content where it belongs? 1 is perfect, 0 what ignores directions gets, below 0 is misplaced.

    ``text_by_region``: by number of the region, the mean probability of its values in views inside it, less that of
    the same values in views outside it and outside every region that names them too; ``text_direction``: the mean over
    regions; ``text_direction_top1``: how often a view inside shows a value of the region as the likeliest one.

    Attributes that ``prompt`` gives the same values are no evidence and left out; so are regions with nothing to judge.
    """
    judge = judge or TextJudge()
    base = judge.named(prompt)
    named = [
        {a: values for a, values in judge.named(region.prompt).items() if values != base.get(a)} for region in regions
    ]
    scores = {str(i): score for i in range(len(regions)) if (score := _placed(frames, i, regions, named, judge))}
    if not scores:
        return {}
    return {
        "text_direction": _mean([contrast for contrast, _ in scores.values()]),
        "text_direction_top1": _mean([top1 for _, top1 in scores.values()]),
        "text_by_region": {number: round(contrast, 4) for number, (contrast, _) in scores.items()},
    }


def _placed(
    frames: np.ndarray, number: int, regions: Sequence[Region], named: Sequence[Named], judge: TextJudge
) -> tuple[float, float] | None:
    """How much likelier a region's values are inside it than elsewhere, and how often they are the likeliest there."""
    if not named[number]:
        return None
    region = regions[number]
    inside, outside = _views_inside(region), _views_around(_fov(region))
    # A later region lies over this one, as paint does.
    bare = [all(_distance(over, view) > over.radius_deg for over in regions[number + 1 :]) for view in inside]
    seen = look(frames, inside + outside, judge)
    scores = []
    for attribute, values in named[number].items():
        alike = [r for r, n in zip(regions, named, strict=True) if n.get(attribute, frozenset()) & values]
        away = [all(_clear_of(r, view) for r in alike) for view in outside]
        here = seen.score(attribute, values, np.array(bare + [False] * len(outside)))
        there = seen.score(attribute, values, np.array([False] * len(inside) + away))
        if here and there:
            scores.append((here[0] - there[0], here[1]))
    if not scores:
        return None
    contrast, top1 = np.mean(scores, axis=0)
    return float(contrast), float(top1)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def _fov(region: Region) -> float:
    """Field of view of the views that judge a region: narrow enough to lie in it."""
    return min(max(1.1 * region.radius_deg, 30.0), VIEW_FOV_DEG)


def _distance(region: Region, view: View) -> float:
    """Degrees from the middle of a region to that of a view; for a band of elevation, the difference of pitch."""
    if region.yaw_deg is None:
        return abs(view.pitch_deg - region.pitch_deg)
    cosine = direction(region.yaw_deg, region.pitch_deg) @ direction(view.yaw_deg, view.pitch_deg)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _clear_of(region: Region, view: View) -> bool:
    """Whether a view shows nothing, or no more than a corner, of the region."""
    return _distance(region, view) > region.radius_deg + 0.35 * view.fov_deg


def _views_inside(region: Region) -> list[View]:
    """The view of a region's middle and, when it is wider than one view, four around that one; a ring for a band."""
    fov = _fov(region)
    if region.yaw_deg is None:
        return ring(region.pitch_deg, fov)
    middle = View(region.yaw_deg, region.pitch_deg, fov)
    if region.radius_deg <= 15:
        return [middle]
    away = np.radians(0.45 * region.radius_deg)
    # Rays around "ahead", turned to the region's middle.
    ahead = [[np.sin(away) * x, np.cos(away), np.sin(away) * z] for x, z in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    x, y, z = turned(np.array(ahead), region.yaw_deg, region.pitch_deg).T
    yaws, pitches = np.degrees(np.arctan2(x, y)), np.degrees(np.arcsin(np.clip(z, -1, 1)))
    return [middle] + [View(float(u), float(v), fov) for u, v in zip(yaws, pitches, strict=True)]


def _views_around(fov_deg: float) -> list[View]:
    """Views in all directions."""
    return [v for pitch in (0, 45, -45, 90, -90) for v in ring(pitch, fov_deg, around=8)]

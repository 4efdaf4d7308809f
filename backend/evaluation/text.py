"""The `text` figure: does what each view shows follow its prompt, in the eyes of a classifier of rendered scenes.

The words of a prompt name values of attributes ("northern lights over a frozen lake": sky aurora, ground snow or lake);
what it does not name, and words the classifier's training never used, are not judged. A view is judged only for what it
can show: no ground in the zenith, no sky in the nadir.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..protocol import ErrorKind, SkyloopError
from .views import Lens, View, direction, evenly, extended, ring, turned

if TYPE_CHECKING:
    from .classifier import SceneClassifier

WEIGHTS, FACTS = "classifier.safetensors", "text.json"
FOLDER = Path(__file__).parent / "weights"
VIEW_FOV_DEG = 70.0
_FRAMES = 3
_WIDEST_PX = 1024

Named = dict[str, frozenset[str]]  # attribute -> the values a prompt names; several mean any of them
RegionText = tuple[float, float, float, str]  # yaw, pitch, radius in degrees, prompt
Probabilities = dict[str, dict[str, np.ndarray]]  # attribute -> value -> (n,)


@dataclass(frozen=True)
class TextJudge:
    """The classifier and its vocabulary; reads its files (``WEIGHTS``, ``FACTS``) when first asked."""

    folder: Path = FOLDER

    @cached_property
    def facts(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / FACTS).read_text())
        except (OSError, ValueError) as error:
            raise SkyloopError(
                ErrorKind.MISSING_MODEL, f"The judge of prompts cannot be read ({FACTS}).", "Install Skyloop again."
            ) from error

    @cached_property
    def _net(self) -> SceneClassifier:
        from ..models.storage import load_weights
        from .classifier import SceneClassifier

        net = SceneClassifier(self.facts["attributes"])
        net.load_state_dict(load_weights(self.folder / WEIGHTS))
        return net.eval()

    @cached_property
    def _phrases(self) -> re.Pattern[str]:
        longest_first = sorted({*self.facts["words"], *self.facts["features"]}, key=len, reverse=True)
        return re.compile(r"\b(" + "|".join(map(re.escape, longest_first)) + r")(?:e?s)?\b")

    def named(self, prompt: str) -> Named:
        """What a prompt names. A longer phrase wins over the words in it ("sea of clouds" is not the sea).

        Two values of one attribute are alternatives; what a feature implies ("milky way": stars) counts only where
        nothing else is said.
        """
        said: dict[str, set[str]] = {}
        implied: dict[str, set[str]] = {}
        for match in self._phrases.finditer(re.sub(r"[\s\-]+", " ", prompt.lower().replace("’", "'"))):
            for into, source in ((said, "words"), (implied, "features")):
                for attribute, values in self.facts[source].get(match[1], {}).items():
                    into.setdefault(attribute, set()).update(values)
        return {attribute: frozenset(values) for attribute, values in (implied | said).items()}

    def probabilities(
        self, views: np.ndarray, pitch_deg: np.ndarray | float, fov_deg: np.ndarray | float
    ) -> Probabilities:
        """What pictures (n, h, w, 3) uint8 show: attribute -> value -> probability (n,), float32.

        ``pitch_deg`` (up is positive) and ``fov_deg`` (horizontal) are those of the views: numbers or (n,).
        """
        import torch

        from .classifier import VIEW_PX, elevation

        small = np.stack([cv2.resize(v, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA) for v in views])
        pitch, fov = (_radians(a, len(small)) for a in (pitch_deg, fov_deg))
        pictures = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            logits = self._net(pictures, elevation(pitch, fov), fov)
        return {
            name: dict(zip(values, logits[name].softmax(1).numpy().T, strict=True))
            for name, values in self.facts["attributes"].items()
        }

    def can_show(self, views: Sequence[View]) -> dict[str, np.ndarray]:
        """Which attributes each view can show: attribute -> bool (n,)."""
        from .classifier import elevation, visible

        pitch, fov = (
            _radians(np.array(a), len(views)) for a in zip(*((v.pitch_deg, v.fov_deg) for v in views), strict=True)
        )
        return {name: seen.numpy() for name, seen in visible(elevation(pitch, fov)).items()}


def _radians(degrees: np.ndarray | float, count: int) -> Any:
    import torch

    return torch.from_numpy(np.radians(np.broadcast_to(degrees, count)).astype(np.float32))


@dataclass(frozen=True)
class Seen:
    """What the classifier sees in views (n) of a panorama: probabilities, mean over frames, and what can be judged."""

    views: list[View]
    probabilities: Probabilities
    can_show: dict[str, np.ndarray]

    def score(self, attribute: str, values: frozenset[str], which: np.ndarray) -> tuple[float, float] | None:
        """Mean probability of the values and how often the likeliest value is one of them, over ``which`` (n,) bool.

        None when none of these views can show the attribute.
        """
        chosen = which & self.can_show[attribute]
        if not chosen.any():
            return None
        each = self.probabilities[attribute]
        wanted = sum(each[v][chosen] for v in values)
        rest = np.max([p[chosen] for v, p in each.items() if v not in values], axis=0)
        best = np.max([each[v][chosen] for v in values], axis=0)
        return float(np.mean(wanted)), float(np.mean(best >= rest))


def look(frames: np.ndarray, views: list[View], judge: TextJudge) -> Seen:
    """Judge views of equirectangular frames (T, H, W, 3) uint8, of which three are looked at."""
    few = [_shrunk(frame) for frame in evenly(list(frames), _FRAMES)]
    height, width = few[0].shape[:2]
    wide = [extended(frame) for frame in few]
    pictures = []
    for view in views:
        lens = Lens.on_sphere(view, 64, height, width)
        pictures += [lens(frame) for frame in wide]
    pitch, fov = (np.repeat([getattr(v, name) for v in views], len(few)) for name in ("pitch_deg", "fov_deg"))
    found = judge.probabilities(np.stack(pictures), pitch, fov)
    mean = {a: {v: p.reshape(-1, len(few)).mean(1) for v, p in values.items()} for a, values in found.items()}
    return Seen(views, mean, judge.can_show(views))


def _shrunk(frame: np.ndarray) -> np.ndarray:
    if frame.shape[1] <= _WIDEST_PX:
        return frame
    return cv2.resize(
        frame, (_WIDEST_PX, round(frame.shape[0] * _WIDEST_PX / frame.shape[1])), interpolation=cv2.INTER_AREA
    )


def text_figures(
    frames: np.ndarray, prompt: str, regions: Sequence[RegionText] = (), judge: TextJudge | None = None
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
        free = np.all([np.ones(len(views), bool), *(_clear_of(region, views) for region in regions)], axis=0)
        scores = {name: score for name, values in named.items() if (score := seen.score(name, values, free))}
        if scores:
            found["text"], found["text_top1"] = (_mean([s[i] for s in scores.values()]) for i in (0, 1))
            found["text_by_attribute"] = {name: round(score[0], 4) for name, score in scores.items()}
    return found | text_by_direction(frames, regions, prompt, judge)


def text_by_direction(
    frames: np.ndarray, regions: Sequence[RegionText], prompt: str = "", judge: TextJudge | None = None
) -> dict[str, Any]:
    """Is each region's content where it belongs? 1 is perfect, 0 what ignores directions gets, below 0 is misplaced.

    ``text_by_region``: by number of the region, the mean probability of its values in views inside it, less that of
    the same values in views outside it and outside every region that names them too; ``text_direction``: the mean over
    regions; ``text_direction_top1``: how often a view inside shows a value of the region as the likeliest one.

    Attributes that ``prompt`` gives the same values are no evidence and left out; so are regions with nothing to judge.
    """
    judge = judge or TextJudge()
    base = judge.named(prompt)
    names = [{a: values for a, values in judge.named(region[3]).items() if values != base.get(a)} for region in regions]
    contrasts: dict[str, float] = {}
    hits: list[float] = []
    for number, region in enumerate(regions):
        if not names[number]:
            continue
        inside, outside = _views_inside(region), _views_around(_fov(region[2]))
        # A smaller region lies on top of a larger one.
        smaller = [r for r in regions if r[2] < region[2]]
        own = np.array([not any(_distance(r, v) < r[2] for r in smaller) for v in inside])
        seen = look(frames, inside + outside, judge)
        scores = []
        for attribute, values in names[number].items():
            alike = [r for r, n in zip(regions, names, strict=True) if n.get(attribute, frozenset()) & values]
            away = np.all([_clear_of(r, outside) for r in alike], axis=0)
            here = seen.score(attribute, values, np.concatenate([own, np.zeros(len(outside), bool)]))
            there = seen.score(attribute, values, np.concatenate([np.zeros(len(inside), bool), away]))
            if here and there:
                scores.append((here[0] - there[0], here[1]))
        if scores:
            contrasts[str(number)] = _mean([s[0] for s in scores])
            hits.append(float(np.mean([s[1] for s in scores])))
    if not contrasts:
        return {}
    return {
        "text_direction": _mean(list(contrasts.values())),
        "text_direction_top1": _mean(hits),
        "text_by_region": contrasts,
    }


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def _fov(radius_deg: float) -> float:
    """Field of view of the views that judge a region: narrow enough to lie in it."""
    return min(max(1.1 * radius_deg, 30.0), VIEW_FOV_DEG)


def _distance(region: RegionText, view: View) -> float:
    """Degrees between the centres of a region and a view."""
    cosine = direction(region[0], region[1]) @ direction(view.yaw_deg, view.pitch_deg)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _clear_of(region: RegionText, views: Sequence[View]) -> np.ndarray:
    """Which views (n,) show nothing, or no more than a corner, of the region."""
    return np.array([_distance(region, v) > region[2] + 0.35 * v.fov_deg for v in views])


def _views_inside(region: RegionText) -> list[View]:
    """The view of a region's centre and, when it is wider than one view, four views around that one."""
    yaw, pitch, radius, _ = region
    middle = View(yaw, pitch, _fov(radius))
    if radius <= 15:
        return [middle]
    away = np.radians(0.45 * radius)
    # Rays around "ahead", turned to the region's centre.
    ahead = [[np.sin(away) * x, np.cos(away), np.sin(away) * z] for x, z in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    x, y, z = turned(np.array(ahead), yaw, pitch).T
    yaws, pitches = np.degrees(np.arctan2(x, y)), np.degrees(np.arcsin(np.clip(z, -1, 1)))
    return [middle] + [View(float(u), float(v), middle.fov_deg) for u, v in zip(yaws, pitches, strict=True)]


def _views_around(fov_deg: float) -> list[View]:
    """Views in all directions."""
    return [v for pitch in (0, 45, -45, 90, -90) for v in ring(pitch, fov_deg, around=8)]

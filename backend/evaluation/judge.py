"""What a classifier of rendered scenes sees in the views of a panorama, and what a prompt says that it should.

The words of a prompt name values of attributes ("northern lights over a meadow": sky aurora, ground grass); what it
does not name, and words that are not in ``text.json``, are not judged. A view is judged only for what it can show: no
ground in the zenith, no sky in the nadir. Accuracy, and the command behind it: ``weights/TEXT_CARD.md``.
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
from .views import Lens, View, evenly, extended
from .weights import FACTS, FOLDER, WEIGHTS

if TYPE_CHECKING:
    from .classifier import SceneClassifier

_FRAMES = 3
_WIDEST_PX = 1024

Named = dict[str, frozenset[str]]  # attribute -> the values a prompt names; several mean any of them
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
        from ..models.storage import load_into
        from .classifier import SceneClassifier

        net = SceneClassifier(self.facts["attributes"])
        load_into(net, self.folder / WEIGHTS)
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

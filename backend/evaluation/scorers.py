"""The hook for outside scores, such as CLIP, VBench or Q-Align, for those who have their weights.

A scorer is a callable that is named on the command line, ``--scorer NAME=MODULE:CALLABLE``, where MODULE is a module
that Python finds from the working folder, or the path of a ``.py`` file. It is called once a sky, and its figures stand
beside the others as ``NAME.figure``. For example ``clip_score.py``, after ``pip install transformers`` in Skyloop's
private runtime, for ``--scorer clip=clip_score.py:alignment`` (the runtime is offline: set ``HF_HUB_OFFLINE=0`` for
the first run, which downloads the weights)::

    import torch
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained("openai/clip-vit-base-patch32").eval()
    processor = CLIPProcessor.from_pretrained("openai/clip-vit-base-patch32")

    def alignment(views, fps, prompt):
        pictures = [view[len(view) // 2] for view in views]
        inputs = processor(text=[prompt], images=pictures, return_tensors="pt", padding=True, truncation=True)
        with torch.inference_mode():
            similarity = model(**inputs).logits_per_image[:, 0] / 100
        return {"mean": similarity.mean().item(), "least": similarity.min().item()}
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import numbers
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from ..media.video import probe, read_frames
from ..protocol import ErrorKind, SkyloopError, bad_request
from .views import ALL_ROUND, Lens, extended

VIEW_PX = 256
MOST_FRAMES = 64
_HINT = "Write NAME=MODULE:CALLABLE, such as clip=clip_score.py:alignment."


class Scorer(Protocol):
    """Scores one sky."""

    def __call__(self, views: Sequence[np.ndarray], fps: float, prompt: str) -> Mapping[str, float]:
        """``views``: 14 perspective views, 90 degrees wide, of the whole sky, each (frames, 256, 256, 3) uint8 RGB.

        The order is that of :data:`.views.ALL_ROUND`. ``fps``: frames a second. ``prompt``: what the sky was made from.
        Returns finite numbers by name; what an exception says is recorded as the reason why this sky has no such score.
        """
        ...


@dataclass(frozen=True)
class NamedScorer:
    """A scorer with the name of its figures, and how it was given on the command line."""

    name: str
    given: str
    call: Scorer

    def score(self, views: Sequence[np.ndarray], fps: float, prompt: str) -> dict[str, float]:
        """``{NAME.figure: number}``. Raises ``SkyloopError`` when the scorer fails or returns something else."""
        try:
            found: Any = self.call(views, fps, prompt)
        except Exception as error:  # anything may happen in another's code
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise bad_request(f"Scorer {self.name} failed ({reason}).", "Mend it, or leave it out.") from error
        if not isinstance(found, Mapping) or not found or not all(map(_is_figure, found.items())):
            shown = " ".join(repr(found).split())[:80]
            raise bad_request(f"Scorer {self.name} returned {shown}.", "It has to return {figure: finite number}.")
        return {f"{self.name}.{key}": float(value) for key, value in found.items()}


def _is_figure(item: tuple[Any, Any]) -> bool:
    key, value = item
    return isinstance(key, str) and isinstance(value, numbers.Real) and math.isfinite(value)


def load_scorers(given: Iterable[str]) -> list[NamedScorer]:
    """Import scorers and try each once on a small picture, so that what is wrong with them shows before any work.

    Raises ``SkyloopError(bad_request)``, one line.
    """
    scorers = [_load(text) for text in given]
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise bad_request("Two scorers have the same name.", "Give each its own: NAME=MODULE:CALLABLE.")
    gradient = np.linspace(0, 255, VIEW_PX, dtype=np.uint8)
    trial = [np.broadcast_to(gradient[:, None, None], (4, VIEW_PX, VIEW_PX, 3)).copy() for _ in ALL_ROUND]
    for scorer in scorers:
        scorer.score(trial, 8.0, "clear sky over the sea")
    return scorers


def _load(given: str) -> NamedScorer:
    match = re.fullmatch(r"(\w+)=(.+):(\w+)", given)
    if not match:
        raise bad_request(f"{given[:80]!r} names no scorer.", _HINT)
    name, module_name, attribute = match.groups()
    try:
        call = getattr(_import(module_name), attribute)
    except Exception as error:  # the module's own code runs here too
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise bad_request(f"Scorer {name} cannot be loaded ({reason}).", _HINT) from error
    if not callable(call):
        raise bad_request(f"{attribute} of scorer {name} is not callable.", _HINT)
    return NamedScorer(name, given, cast(Scorer, call))


def _import(name: str) -> Any:
    if not name.endswith(".py"):
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)  # last: what lies there must not stand in for a library
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def perspective_views(video: Path) -> tuple[list[np.ndarray], float]:
    """The 14 views of an equirectangular video's first 64 frames, (frames, 256, 256, 3) uint8 RGB, and its fps.

    Raises ``SkyloopError(bad_request)`` when it is no video.
    """
    facts = probe(video)
    lenses = [Lens.on_sphere(view, VIEW_PX, facts["height"], facts["width"]) for view in ALL_ROUND]
    shots: list[list[np.ndarray]] = [[] for _ in ALL_ROUND]
    for frame in read_frames(video, MOST_FRAMES):
        wide = extended(frame)
        for shot, lens in zip(shots, lenses, strict=True):
            shot.append(lens(wide))
    if not shots[0]:
        raise SkyloopError(ErrorKind.INTERNAL, f"{video} has no frames.")
    return [np.stack(shot) for shot in shots], facts["fps"] or 1.0

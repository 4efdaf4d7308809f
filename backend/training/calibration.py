"""What the `text` figures of :mod:`backend.evaluation.text` come to on panoramas that follow their prompts perfectly.

Rendered panoramas of held-out scenes go through the same functions as generated ones: with their own captions they
give the ceiling, with each other's the floor; so do two of them side by side for prompts by direction.

    python3 -m backend.training.calibration DIR [--panoramas 44]

measures a judge in DIR (by default the one in the repository) and writes the figures into its ``text.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import sphere
from ..evaluation.judge import TextJudge
from ..evaluation.text import text_by_direction, text_figures
from ..evaluation.weights import FACTS, FOLDER
from ..protocol import Region
from .attributes import ATTRIBUTES, Scene, sample_scene
from .captions import caption
from .scenes import Renderer

CALIBRATION_SEED = 9_000_001
HEIGHT_PX = 256
# Halves of the sphere, a little smaller, as the regions of a user are.
HALVES = ((-90.0, 0.0, 75.0), (90.0, 0.0, 75.0))


def panorama(renderer: Renderer, scene: Scene, height: int = HEIGHT_PX, frames: int = 2) -> np.ndarray:
    """Equirectangular frames (T, height, 2 x height, 3) uint8 of a scene, an eighth of a second apart."""
    directions = sphere.erp_directions(height, 2 * height)[None]
    times = torch.arange(frames)[None] / 8.0
    image = renderer.shade([scene], directions, times, math.pi / height)[0]
    return (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu().numpy()


def halves(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two panoramas in one: yaw below 0 shows ``left``, above 0 ``right``."""
    middle = left.shape[2] // 2
    return np.concatenate([left[:, :, :middle], right[:, :, middle:]], axis=2)


def calibrate(renderer: Renderer, folder: Path, count: int) -> dict[str, Any]:
    """Write into ``FACTS`` of a folder, and return, the means of the figures over ``count`` panoramas.

    ``ceiling``: with their own captions; ``floor``: with another's; ``ignored``: two halves are asked for in a panorama
    that shows one of them everywhere.
    """
    rng = random.Random(CALIBRATION_SEED)
    judge = TextJudge(folder)
    kinds = ATTRIBUTES["sky"]
    scenes = [sample_scene(rng, kinds[i % len(kinds)]) for i in range(count)]
    captions = [caption(scene, rng) for scene in scenes]
    pictures = [panorama(renderer, scene) for scene in scenes]
    # A step of 5 is another kind of sky for every number of panoramas that 11 kinds divide.
    own = [text_figures(p, c, judge=judge) for p, c in zip(pictures, captions, strict=True)]
    other = [text_figures(p, captions[(i + 5) % count], judge=judge) for i, p in enumerate(pictures)]
    by_direction: dict[str, list[dict[str, Any]]] = {"ceiling": [], "floor": [], "ignored": []}
    for i in range(count):
        j = (i + 5) % count
        both = halves(pictures[i], pictures[j])
        cases = {"ceiling": (both, i, j), "floor": (both, j, i), "ignored": (pictures[i], i, j)}
        for case, (picture, left, right) in cases.items():
            regions = [Region(*where, captions[k]) for where, k in zip(HALVES, (left, right), strict=True)]
            by_direction[case].append(text_by_direction(picture, regions, judge=judge))
    found = {
        "panoramas": count,
        "ceiling": _means(own) | _means(by_direction["ceiling"]),
        "floor": _means(other) | _means(by_direction["floor"]),
        "ignored": _means(by_direction["ignored"]),
        "ceiling_by_attribute": _means([one.get("text_by_attribute", {}) for one in own]),
    }
    path = folder / FACTS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": found}, indent=1))
    return found


def _means(figures: list[dict[str, Any]]) -> dict[str, float]:
    names = sorted({name for one in figures for name, value in one.items() if isinstance(value, float)})
    return {name: round(float(np.mean([one[name] for one in figures if name in one])), 3) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--panoramas", type=int, default=44)
    args = parser.parse_args()
    print(json.dumps(calibrate(Renderer("cpu"), args.folder, args.panoramas), indent=1))


if __name__ == "__main__":
    main()

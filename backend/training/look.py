"""Contact sheet of procedural scenes, for eyes: ``python -m backend.training.look --out FILE.png [--sky X]``."""

from __future__ import annotations

import argparse
import math
import random
import textwrap
from pathlib import Path

import cv2
import numpy as np
import torch

from .. import sphere
from .scenes import ATTRIBUTES, Renderer, caption, sample_scene

VIEWS = ((5.0, 90.0), (25.0, 60.0), (-20.0, 75.0), (70.0, 90.0), (-75.0, 90.0), (8.0, 22.0))  # pitch, FoV in degrees


def sheet(sky: str | None, rows: int, size: int, seed: int, **fixed: str) -> np.ndarray:
    """A picture (rows * (size + 34), width, 3) uint8 RGB: each row one scene, as a sphere, in views and in motion."""
    rng = random.Random(seed)
    renderer = Renderer("cpu")
    lines = []
    for row in range(rows):
        scene = sample_scene(rng, sky or ATTRIBUTES["sky"][row % len(ATTRIBUTES["sky"])])
        for _ in range(2000):
            if all(getattr(scene, k) == value for k, value in fixed.items()):
                break
            scene = sample_scene(rng, sky)
        t = torch.tensor([[rng.uniform(0, 20)]])
        erp = renderer.shade([scene], sphere.erp_directions(size, 2 * size)[None], t, math.pi / size)
        tiles = [erp[0, 0]]
        yaw = torch.tensor([scene.sun_yaw + rng.uniform(-0.7, 0.7)])
        for pitch, fov in VIEWS:
            fov_rad = torch.tensor([math.radians(fov)])
            d = sphere.view_directions(yaw, torch.tensor([math.radians(pitch)]), fov_rad, size, size)
            times = torch.cat([t, t + 0.6], dim=1) if pitch == VIEWS[0][0] else t
            tiles.extend(renderer.shade([scene], d, times, float(fov_rad) / size)[0])
        strip = (torch.cat(tiles, dim=-1).permute(1, 2, 0) * 255).byte().numpy()
        text = np.zeros((34, strip.shape[1], 3), np.uint8)
        words = (
            " | ".join([caption(scene, rng), caption(scene, rng)])
            + f"   [{scene.sky} {scene.time} {scene.hue} {scene.ground} "
            f"{scene.ridge} {scene.weather} {scene.feature}]"
        )
        for k, line in enumerate(textwrap.wrap(words, strip.shape[1] // 6)[:2]):
            cv2.putText(text, line, (3, 13 + 15 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
        lines += [strip, text]
    return np.concatenate(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sky", choices=ATTRIBUTES["sky"])
    for name in ("ground", "time", "ridge", "weather", "feature"):
        parser.add_argument(f"--{name}", choices=ATTRIBUTES[name])
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    fixed = {k: getattr(args, k) for k in ("ground", "time", "ridge", "weather", "feature") if getattr(args, k)}
    picture = sheet(args.sky, args.rows, args.size, args.seed, **fixed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out), picture[..., ::-1])


if __name__ == "__main__":
    main()

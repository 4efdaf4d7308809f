"""What the figures come to on skies that have no seams: the pass bands of a suite, and confidence intervals.

The skies are rendered whole by :mod:`backend.training`, written as a movie and measured like any other; each is
turned several times, so that another meridian is the join and other places lie under the borders. A rendered sky does
not loop, so the movie starts in the middle of the run: its join is then a step like any other, and the run's ends are
a gap.

    python3 -m backend.evaluation.calibration OUT.json [--skies N] [--size WxH]... [--frames N] [--device cpu|cuda]

replaces what ``OUT.json`` says of these sizes, sky by sky (run it with the private runtime's Python).
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..media.files import atomic_write

CALIBRATION = Path(__file__).with_name("calibration.json")
RATIOS = frozenset({
    "seam", "seam2", "seam_color", "border_ratio", "pole", "pole_spectrum", "loop", "loop_flow", "detail",
    "detail_by_pitch", "detail_by_view", "motion_ratio", "motion_ratio_by_pitch", "motion_ratio_by_view",
})  # fmt: skip
"""Figures where half and twice are equally far from 1: average their logarithms, over views, prompts and seeds."""

# Less of these is never worse.
_NO_LEAST = frozenset({
    "loop", "loop_flow", "loop_color", "flicker_line", "motion_variation", "motion_frozen", "repetition",
})  # fmt: skip
# What depends on nothing but the method. The amount of motion or flicker is a matter of what the prompt asks for.
_KEPT = _NO_LEAST | {
    "seam", "seam2", "seam_color", "seam_percentile", "border", "border_ratio", "pole", "pole_spectrum",
}  # fmt: skip
_DRAWS = 2000
_FPS = 8.0
_LEAST = 0.01  # of a ratio, so that its logarithm is finite


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the low and high end of its 95 % bootstrap interval. Raises ``ValueError`` without values."""
    sample = np.asarray(values, float)
    if not sample.size:
        raise ValueError("no values to average")
    drawn = np.random.default_rng(0).integers(0, len(sample), (_DRAWS, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), (0.025, 0.975))
    return float(sample.mean()), float(low), float(high)


@functools.cache
def bands(n: int, width: int = 1024) -> dict[str, tuple[float, float]]:
    """Where the mean over ``n`` skies of a method without seams lies with 95 %, by figure (``pole.zenith``: its part).

    The mean is geometric for ``RATIOS``. ``bands(1)`` is for a single sky. Figures of which less is never worse have a
    low end of 0 and 95 % below the high one. From the calibrated size nearest to ``width`` that has the figure. Both
    ends allow for how few skies were rendered (drawn twice: the skies to choose from, then n of them).
    """
    sizes = json.loads(CALIBRATION.read_text(encoding="utf-8"))["sizes"]
    nearest = sorted(sizes, key=lambda size: -abs(math.log(int(size.partition("x")[0]) / width)))
    known = {name: skies for size in nearest for name, skies in sizes[size]["figures"].items()}
    return {name: _band(name, skies, n) for name, skies in known.items()}


def _band(name: str, skies: list[list[float]], n: int) -> tuple[float, float]:
    base = name.partition(".")[0]
    values = np.array(skies)
    if base in RATIOS:
        values = np.log(np.maximum(values, _LEAST))
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(values), (_DRAWS, len(values)))
    sky = np.take_along_axis(chosen, rng.integers(0, len(values), (_DRAWS, n)), axis=1)
    means = values[sky, rng.integers(0, values.shape[1], (_DRAWS, n))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    if base in _NO_LEAST:
        low, high = -np.inf, np.quantile(means, 0.95)
    if base in RATIOS:
        low, high = np.exp(low), np.exp(high)
    return round(max(0.0, float(low)), 4), round(float(high), 4)


def render(index: int, width: int, height: int, frames: int, renderer: Any) -> np.ndarray:
    """A seamless video (frames, height, width, 3) uint8 of rendered scene ``index``, four samples a pixel."""
    import torch

    from .. import sphere
    from ..training.scenes import sample_scene

    rng = random.Random(index)
    scene, start_s = sample_scene(rng), rng.uniform(0, 60)
    yaw, level = torch.tensor([rng.uniform(-math.pi, math.pi)]), torch.zeros(1)
    directions = sphere.tilt(sphere.erp_directions(2 * height, 2 * width)[None], yaw, level)
    video = []
    for frame in range(frames):
        time_s = torch.tensor([[start_s + frame / _FPS]])
        fine = renderer.shade([scene], directions, time_s, math.pi / height)[0]
        picture = torch.nn.functional.avg_pool2d(fine, 2)[0].permute(1, 2, 0)
        video.append((picture * 255).round().to(torch.uint8).cpu().numpy())
    return np.stack(video)


@functools.cache
def arcs_of(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Borders as ``skyloop`` has them at this size after twelve steps."""
    from ..charts import sphere_charts
    from ..windows import layout
    from .borders import border_arcs

    charts = sphere_charts(width // 8, 16)
    windows = layout([(c.rows, c.columns, c.wrap) for c in charts], 16, True, 11, (16, 16), finishing=True)
    found = border_arcs(charts, windows)
    assert found
    return found


def measure(video: np.ndarray, turns: int, seed: int) -> dict[str, list[float]]:
    """The figures of ``turns`` movies of a video, each turned and begun elsewhere, by name."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    count, height, width = video.shape[:3]
    arcs = arcs_of(width, height)
    found: dict[str, list[float]] = {}
    for turn in range(turns):
        begin = int(rng.integers(2, count - 1)) if count > 4 else 0
        aside = round(width * (turn + rng.uniform()) / turns)
        turned = np.roll(video, (-begin, aside), axis=(0, 2))
        for name, value in _figures(_through_movie(turned), begin, arcs).items():
            found.setdefault(name, []).append(round(value, 4))
    return found


def _figures(movie: np.ndarray, begin: int, arcs: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    from . import temporal
    from .metrics import figures
    from .views import row_weights

    loops = begin > 0
    values = figures(movie, fps=_FPS, loop=loops, gap=len(movie) - 1 - begin if loops else None, arcs=arcs)
    values.pop("flicker_line", None)
    if loops and len(movie) >= 16:
        run = np.roll(movie, begin, axis=0).mean(axis=3)
        values["flicker_line"] = temporal.flicker_line(temporal.brightness(run, row_weights(movie.shape[1])))
    flat: dict[str, float] = {}
    for name, value in values.items():
        if name in _KEPT:
            flat |= {f"{name}.{part}": one for part, one in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _through_movie(frames: np.ndarray) -> np.ndarray:
    from ..media.video import VideoWriter, read_frames

    height, width = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sky.mp4"
        with VideoWriter(path, width, height, _FPS) as writer:
            for frame in frames:
                writer.write(np.ascontiguousarray(frame))
        return np.stack(list(read_frames(path)))


def calibrate(
    width: int, height: int, *, skies: int, frames: int, turns: int, device: str, workers: int
) -> Iterator[dict[str, list[float]]]:
    """The figures of each sky, rendered here and measured in ``workers`` other processes."""
    import torch

    from ..training.scenes import Renderer

    renderer = Renderer(torch.device(device))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting: list[Future[dict[str, list[float]]]] = []
        for index in range(skies):
            waiting.append(pool.submit(measure, render(index, width, height, frames, renderer), turns, index))
            while waiting and (len(waiting) > 2 * workers or waiting[0].done()):
                yield waiting.pop(0).result()
        for one in waiting:
            yield one.result()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m backend.evaluation.calibration", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--skies", type=int, default=24)
    parser.add_argument("--size", action="append", help="default: 512x256 and 1024x512")
    parser.add_argument("--frames", type=int, default=16, help="under 5: only the figures of single frames")
    parser.add_argument("--turns", type=int, default=4, help="measurements of each sky")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    known = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {"sizes": {}}
    for size in given.size or ["512x256", "1024x512"]:
        width, height = map(int, size.split("x"))
        columns: dict[str, list[list[float]]] = {}
        settings = {"frames": given.frames, "turns": given.turns}
        skies = calibrate(width, height, skies=given.skies, **settings, device=given.device, workers=given.workers)
        for done, figures in enumerate(skies, 1):
            print(f"{size}: {done} of {given.skies} skies", file=sys.stderr, flush=True)
            for name, values in figures.items():
                columns.setdefault(name, []).append(values)
            settings |= {"skies": done}
            options = " ".join(f"--{name} {value}" for name, value in settings.items())
            command = f"python3 -m backend.evaluation.calibration OUT.json --size {size} {options}"
            known["sizes"][size] = {"command": command, **settings, "figures": columns}
            _write(given.out, known)


def _write(path: Path, known: dict[str, Any]) -> None:
    """A figure a line."""
    text = json.dumps(known, allow_nan=False)
    text = text.replace('"figures": {', '"figures": {\n').replace("]], ", "]],\n")
    atomic_write(path, (text + "\n").encode())


if __name__ == "__main__":
    main()

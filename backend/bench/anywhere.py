"""The figures of ``python3 -m backend bench``: ratios within one run, which mean the same on any machine, and the time
that the smallest usual sky takes on this one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from .. import estimate, pipeline
from ..canvas import Canvas, white_noise
from ..charts import sphere_charts
from ..conditioning import Prompts, encode_prompts
from ..denoise import Schedule, denoise
from ..engine import Engine
from ..fields import Fields
from ..film import Film
from ..models.base import VideoModel, View
from ..protocol import METHODS, Event, GenerateRequest, phase
from ..render import source_of
from ..sizes import latents_of, sphere_columns, window_of
from . import gauges

ROOT = Path(__file__).parents[2]
GOALS = {"engine_over_bare": 1.05, "memory_8192_over_1024": 1.05, "small_sky_s": 60.0, "help_s": 0.3}
_STEPS, _BATCHES = 2, 3
_SMALL = GenerateRequest(prompt="northern lights over a frozen lake", width=512, height=256, seed=1)


def bench(model_id: str, device: str) -> Generator[Event, None, dict[str, Any]]:
    """Yields ``phase`` events; returns what was measured of that model on a device of :data:`..protocol.DEVICES`.

    Raises ``SkyloopError`` as making a sky does."""
    engine, request, total = Engine(), replace(_SMALL, model=model_id, device=device), 4
    yield phase("bench", 0, total, "part")
    found: dict[str, Any] = {"evaluations": evaluations(model_id), "help_s": help_seconds()}
    yield phase("bench", 1, total, "part")
    model = engine.model(model_id, device)
    document = {"model": model_id, "device": engine.device_name(model.device), "torch": str(torch.__version__)}
    prompts = encode_prompts(model, request)
    found |= engine_over_bare(model, prompts)
    yield phase("bench", 2, total, "part")
    if model.device.type == "cuda":
        small, large = (peak_mb(model, prompts, width) for width in (1024, 8192))
        found |= {"peak_mb_1024": small, "peak_mb_8192": large, "memory_8192_over_1024": large / small}
    yield phase("bench", 3, total, "part")
    phases = small_sky(request, engine)
    found |= {"small_sky_s": sum(phases.values()), "small_sky_phases_s": phases}
    yield phase("bench", total, total, "part")
    return document | {"figures": found, "goals": GOALS}


def evaluations(model_id: str) -> dict[str, int]:
    """How often each method looks at a window of the usual sky, at the model's own number of steps."""
    usual = GenerateRequest(prompt="sky", model=model_id)
    return {name: estimate.evaluations(replace(usual, method=name)) for name in METHODS}


def help_seconds(runs: int = 5) -> float:
    """The median time of ``python3 -m backend --help``, a process of its own."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "backend", "--help"], cwd=ROOT, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return median(taken)


def canvas_of(model: VideoModel, width: int) -> Canvas:
    """White noise on the finest charts of a loop of 16 frames."""
    spec = model.spec
    charts = sphere_charts(sphere_columns(width, 90.0, spec.cells, spec.ratio)[-1], spec.cells)
    latents = latents_of(16, True, spec)
    noise = white_noise(charts, spec.channels, latents, torch.Generator().manual_seed(5))
    return Canvas(charts, noise, True, 1 / 8)


def engine_over_bare(model: VideoModel, prompts: Prompts) -> dict[str, float]:
    """A few guided steps of the usual sky over as many bare calls of the model, on tensors that are ready for it."""
    width = 1024 if model.device.type == "cuda" else 512  # a processor takes minutes otherwise
    spec, canvas = model.spec, canvas_of(model, width)
    sigmas = model.sigmas(spec.steps)[: _STEPS + 1]
    schedule = Schedule(sigmas, [spec.guidance] * (len(sigmas) - 1))
    frames, n = window_of(canvas.frames, True, spec), spec.window_batch
    x = torch.randn(n, spec.channels, frames, spec.cells, spec.cells, device=model.device)
    views, texts = [View(0.0, 1.5, 1 / 8)] * n, prompts.encoded[:1] * n

    def call() -> object:
        return model.predict(x, sigmas[0], views, texts, prompts.negative, spec.guidance)

    each = gauges.seconds(call, model.device) / n
    start = time.perf_counter()
    steps = denoise(model, canvas, prompts, schedule, fresh=lambda: canvas_of(model, width).latents)
    windows = sum(p.evaluations for p in steps) / (1 if spec.guidance == 1 else 2)
    gauges.settle(model.device)
    taken = time.perf_counter() - start
    return {"engine_s": taken, "bare_s": windows * each, "engine_over_bare": taken / (windows * each)}


def peak_mb(model: VideoModel, prompts: Prompts, width: int) -> float:
    """The most memory of the card while the first window batches of a step are evaluated, and a first part decoded."""
    canvas = canvas_of(model, width)
    schedule = Schedule(model.sigmas(model.spec.steps)[:2], [model.spec.guidance])
    with gauges.peaks(model.device) as most:
        for _ in islice(denoise(model, canvas, prompts, schedule), _BATCHES):
            pass
        source = source_of(model, canvas, range(2), Fields())
        with torch.inference_mode():
            if isinstance(source, Film):
                with closing(source.develop()) as pieces:
                    next(pieces, None)
            else:
                tile = source.tiles[0][0]
                source(0, tile, range(1))
    return most["peak_mb"]


def small_sky(request: GenerateRequest, engine: Engine) -> dict[str, float]:
    """Seconds of each phase of a whole sky, figures included."""
    with tempfile.TemporaryDirectory(prefix="skyloop-bench-") as folder:
        *_, last = pipeline.generate(request, Path(folder), engine=engine)
    return last.data["result"]["seconds"]

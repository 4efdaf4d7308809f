"""From a request to a finished sky: the whole method, readable on one page.

layout     windows that see a wide part of the world settle composition and motion (:mod:`.denoise`)
refine     the same at twice the resolution, from a re-noised upsampling, until the size fits (:mod:`.motion_guidance`)
decode     latents to frames, tile by tile, straight into the video file (:mod:`.decode`)
measure    the quality figures, against single windows of the same model (:mod:`.evaluation`)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import __version__
from .charts import Chart, sphere_charts
from .decode import decode_frames
from .denoise import Canvas, Progress, denoise, white_noise
from .engine import Engine
from .evaluation.files import measure_file
from .evaluation.spatial import ReferenceView
from .media.files import atomic_write
from .media.stills import write_png
from .media.video import VideoWriter
from .models.base import ModelSpec, VideoModel
from .motion_guidance import renoise, upsample
from .protocol import Event, GenerateRequest, phase

# Noise level from which each further stage refines the one before: enough to make detail, too little to move the
# layout. What is where is settled by then, so refining goes without guidance, at half the cost (docs/engine.md).
REFINE_SIGMAS = (0.75, 0.6, 0.5, 0.4)
REFINE_GUIDANCE = 1.0
REFERENCE_PITCHES_DEG = (-90, -45, 0, 45, 90)
PREVIEW_HEIGHT = 256


@dataclass(frozen=True)
class Stage:
    """Charts to denoise on, from which noise level."""

    charts: list[Chart]
    sigma: float

    def fov(self, cells: int) -> float:
        """What a window of ``cells`` sees at the horizon, radians."""
        first = self.charts[0]
        return first.fov if first.kind == "plane" else 2 * math.pi * cells / first.columns


def plan(request: GenerateRequest, spec: ModelSpec) -> list[Stage]:
    """The resolutions that lead to the requested size, coarse to fine."""
    if request.flat:
        return _flat_stages(request, spec)
    columns = 4 * round(spec.cells * 360 / request.fov_deg / 4)
    stages = [Stage(sphere_charts(columns, conformal=False), 1.0)]
    final = 32 * round(request.width / spec.ratio / 32)
    for sigma in REFINE_SIGMAS:
        if final < 1.25 * columns:
            break
        columns = min(final, 2 * columns) if final < 3 * columns else 2 * columns
        stages.append(Stage(sphere_charts(columns, conformal=True), sigma))
    return stages


def _flat_stages(request: GenerateRequest, spec: ModelSpec) -> list[Stage]:
    rows, columns = request.height / spec.ratio, request.width / spec.ratio
    halvings = max(0, min(len(REFINE_SIGMAS), int(math.log2(min(rows, columns) / spec.cells))))
    stages = []
    for k, sigma in zip(range(halvings, -1, -1), (1.0, *REFINE_SIGMAS), strict=False):
        size = [max(spec.cells, math.ceil(n / 2**k)) for n in (rows, columns)]
        # At the coarsest scale a window shows the field of view that was asked for; each doubling halves it.
        fov = 2 * math.atan(math.tan(math.radians(request.fov_deg) / 2) / 2 ** (halvings - k))
        stages.append(Stage([Chart("plane", size[0], size[1], wrap=request.wrap, fov=fov)], sigma))
    return stages


Steps = Generator[Event, None, Any]


def generate(request: GenerateRequest, job: Path, *, engine: Engine | None = None) -> Generator[Event, None, None]:
    """Generate ``request`` into the folder ``job``: ``sky.mp4``, ``poster.png``, ``result.json``, ``preview.png``.

    Yields ``phase`` and ``preview`` events and last a ``done`` event with the content of ``result.json``. Close the
    iterator to cancel. Raises ``SkyloopError``, or what torch and the disk raise.
    """
    request.validated()
    engine = engine or Engine()
    clock = Clock()
    yield phase("load", 0, 1, "model")
    with clock("load"):
        model = engine.model(request.model, request.device)
        engine.reset_peak(model.device)
        text = model.encode_text([request.prompt, request.negative])
    yield phase("load", 1, 1, "model")
    request_in_full = replace(
        request, steps=request.steps or model.spec.steps, guidance=request.guidance or model.spec.guidance
    )
    stages = plan(request, model.spec)
    canvas, evaluations = yield from compose(model, text, request_in_full, stages, job, clock)
    yield from write_movie(model, canvas, request, job, clock)
    figures = yield from measure(model, text, request_in_full, stages[-1].fov(model.spec.cells), job, clock)
    result = {
        "request": request.to_json(),
        "model": model.spec.id,
        "versions": {"skyloop": __version__, "torch": str(torch.__version__)},
        "device": engine.device_name(model.device),
        "seconds": clock.seconds,
        "evaluations": evaluations,
        "peak_memory_mb": engine.peak_memory_mb(model.device),
        "figures": figures,
    }
    atomic_write(job / "result.json", json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False).encode())
    yield Event(type="done", data={"result": result})


def compose(
    model: VideoModel, text: Any, request: GenerateRequest, stages: list[Stage], job: Path, clock: Clock
) -> Steps:
    """Denoise through all stages. Returns the clean canvas and the number of window evaluations."""
    generator = torch.Generator().manual_seed(request.seed)
    frames = request.frames if request.loop else max(request.frames, model.spec.frames)
    canvas, evaluations = None, 0
    for number, stage in enumerate(stages):
        name = "layout" if number == 0 else f"refine {number}" if len(stages) > 2 else "refine"
        latents = white_noise(stage.charts, model.spec.channels, frames, generator)
        if canvas is not None:
            with clock("upsample"):
                for start, clean in upsample(model, canvas, stage.charts):
                    yield phase("upsample", start, frames, "frame")
                    part = slice(start, start + clean[0].shape[1])
                    for z, c in zip(latents, clean, strict=True):
                        z[:, part] = renoise(c, z[:, part], stage.sigma)
                yield phase("upsample", frames, frames, "frame")
        canvas = Canvas(stage.charts, latents, request.loop, 1 / request.fps)
        sigmas = starting_at(model.sigmas(request.steps), stage.sigma)
        guidance = request.guidance if number == 0 else REFINE_GUIDANCE
        with clock(name):
            for p in denoise(model, canvas, text, sigmas, guidance):
                yield phase(name, p.step * p.windows + p.window, p.steps * p.windows, "window")
                if p.clean is not None:
                    evaluations += p.windows * (1 if guidance == 1 else 2)
                    write_preview(model, stage.charts, p.clean, request, job)
                    yield Event(type="preview", data={"file": "preview.png"})
    return canvas, evaluations


def write_movie(model: VideoModel, canvas: Canvas, request: GenerateRequest, job: Path, clock: Clock) -> Steps:
    """Decode the clean canvas into ``sky.mp4`` and its middle frame into ``poster.png``."""
    width, height, count = request.width, request.height, request.frames
    with clock("decode"), VideoWriter(job / "sky.mp4", width, height, request.fps, count) as video:
        for i, frame in enumerate(decode_frames(model, canvas.charts, canvas.latents, height, width, range(count))):
            video.write(frame)
            if i == count // 2:
                write_png(job / "poster.png", frame)
            yield phase("decode", i + 1, count, "frame")


def measure(model: VideoModel, text: Any, request: GenerateRequest, fov: float, job: Path, clock: Clock) -> Steps:
    """Returns the quality figures of ``sky.mp4``, against single windows of the model that see ``fov`` (radians)."""
    reference: list[ReferenceView] = []
    with clock("measure"):
        for p in sample_reference(model, text, request, fov, reference):
            yield phase("measure", p.step + 1, p.steps + 1)
        figures = measure_file(
            job / "sky.mp4", loop=request.loop, flat=request.flat, wrap=request.wrap, reference=reference
        )
    yield phase("measure", request.steps + 1, request.steps + 1)
    return figures


def starting_at(sigmas: list[float], sigma: float) -> list[float]:
    """The part of a schedule below ``sigma``, starting exactly there."""
    return sigmas if sigma >= 1 else [sigma, *(s for s in sigmas if s < 0.97 * sigma)]


def write_preview(
    model: VideoModel, charts: list[Chart], clean: list[Tensor], request: GenerateRequest, job: Path
) -> None:
    """The first frame of the predicted clean canvas, small."""
    height = min(PREVIEW_HEIGHT, request.height)
    width = max(1, round(height * request.width / request.height))
    write_png(job / "preview.png", next(iter(decode_frames(model, charts, clean, height, width, range(1)))))


def sample_reference(
    model: VideoModel, text: Any, request: GenerateRequest, fov: float, found: list[ReferenceView]
) -> Iterator[Progress]:
    """Single windows of the model at several pitches, same prompt, into ``found``: the yardstick of sharpness."""
    spec = model.spec
    pitches = (0,) if request.flat else REFERENCE_PITCHES_DEG
    planes = [Chart("plane", spec.cells, spec.cells, fov=fov, pitch=math.radians(p)) for p in pitches]
    noise = white_noise(planes, spec.channels, spec.frames, torch.Generator().manual_seed(request.seed))
    canvas = Canvas(planes, noise, False, 1 / request.fps)
    yield from denoise(model, canvas, text, model.sigmas(request.steps), request.guidance)
    pixels = spec.cells * spec.ratio
    for pitch, plane, latents in zip(pitches, planes, canvas.latents, strict=True):
        window = np.stack(list(decode_frames(model, [plane], [latents], pixels, pixels, range(spec.frames))))
        found.append(ReferenceView(pitch_deg=pitch, fov_deg=math.degrees(fov), frames=window))


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)

"""From a request to a finished sky: the whole method, readable on one page.

compose    the request's method denoises a canvas, window by window (:mod:`.methods`)
decode     latents to frames, tile by tile, straight into the video file (:mod:`.decode`)
measure    the quality figures, against single windows of the same model (:mod:`.evaluation`)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import __version__
from .charts import Chart
from .conditioning import encode_prompts
from .decode import decode_frames, render
from .denoise import Canvas, Schedule, denoise, white_noise
from .edit import Edit
from .engine import Engine
from .evaluation.borders import border_arcs
from .evaluation.fidelity import fidelity
from .evaluation.files import read_film
from .evaluation.metrics import figures
from .evaluation.spatial import ReferenceView
from .evaluation.text import text_figures
from .fields import Fields
from .inputs import check_inputs
from .known import picture_pixels
from .media.files import atomic_write
from .media.stills import write_png
from .media.video import VideoWriter
from .methods import Task, method
from .models.base import ModelSpec, VideoModel
from .protocol import Event, GenerateRequest, phase

REFERENCE_PITCHES_DEG = (-90, -45, 0, 45, 90)
PREVIEW_HEIGHT, PREVIEW_INTERVAL_S = 256, 1.0

Steps = Generator[Event, None, Any]


def generate(
    request: GenerateRequest,
    job: Path,
    *,
    engine: Engine | None = None,
    reference: Sequence[ReferenceView] | None = None,
) -> Generator[Event, None, None]:
    """Generate ``request`` into the folder ``job``: ``sky.mp4``, ``poster.png``, ``result.json``, ``preview.png``.

    Yields ``phase`` and ``preview`` events and last a ``done`` event with the content of ``result.json``. Close the
    iterator to cancel. ``reference`` are single windows of the model to measure against, sampled here when not given.
    Raises ``SkyloopError``, or what torch and the disk raise.
    """
    request.validated()
    check_inputs(request)
    engine = engine or Engine()
    clock = Clock()
    yield phase("load", 0, 1, "model")
    with clock("load"):
        model = engine.model(request.model, request.device)
        engine.reset_peak(model.device)
        task = Task(model, in_full(request, model.spec), encode_prompts(model, request), Fields(job))
    yield phase("load", 1, 1, "model")
    canvas, evaluations = yield from compose(task, job, clock)
    yield from write_movie(task, canvas, job, clock)
    found = yield from measure(task, canvas, reference, job, clock)
    result = {
        "request": request.to_json(),
        "model": model.spec.id,
        "versions": {"skyloop": __version__, "torch": str(torch.__version__)},
        "device": engine.device_name(model.device),
        "seconds": clock.seconds,
        "evaluations": evaluations,
        "peak_memory_mb": engine.peak_memory_mb(model.device),
        "figures": found,
    }
    atomic_write(job / "result.json", json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False).encode())
    yield Event(type="done", data={"result": result})


def in_full(request: GenerateRequest, spec: ModelSpec) -> GenerateRequest:
    """The request with the model's own steps and guidance where it leaves them open."""
    return replace(request, steps=request.steps or spec.steps, guidance=request.guidance or spec.guidance)


def compose(task: Task, job: Path, clock: Clock) -> Steps:
    """Run the request's method. Returns the clean canvas and the number of window evaluations."""
    denoising, evaluations, preview_s = method(task.request.method)(task), 0, -math.inf
    while True:
        start = time.perf_counter()
        try:
            p = next(denoising)
        except StopIteration as finished:
            canvas = finished.value
            shown = [z[:, :: task.stride] for z in canvas.latents]
            return replace(canvas, latents=shown), evaluations
        clock.add(p.stage, time.perf_counter() - start)
        evaluations += p.evaluations
        yield phase(p.stage, p.done, p.total, "tile" if p.stage in ("upsample", "read") else "window")
        if p.clean is not None and time.monotonic() - preview_s > PREVIEW_INTERVAL_S:
            with clock("preview"):
                write_preview(task.model, p.clean, task.request, job)
            preview_s = time.monotonic()
            yield Event(type="preview", data={"file": "preview.png"})


def write_movie(task: Task, canvas: Canvas, job: Path, clock: Clock) -> Steps:
    """Decode the clean canvas into ``sky.mp4`` and its middle frame into ``poster.png``."""
    request, charts = task.request, canvas.charts
    edit = Edit(request) if request.source else None
    width, height, count = request.width, request.height, request.frames
    with clock("decode"), VideoWriter(job / "sky.mp4", width, height, request.fps, count) as video:
        for piece in render(task.model, charts, canvas.latents, height, width, range(count)):
            for made in piece.frames:
                frame = edit(made) if edit else made
                if video.written == count // 2:
                    write_png(job / "poster.png", frame)
                video.write(frame)
            task.fields.release()
            yield phase("decode", piece.done, piece.total, "tile")


def measure(task: Task, canvas: Canvas, reference: Sequence[ReferenceView] | None, job: Path, clock: Clock) -> Steps:
    """Returns the quality figures of ``sky.mp4``, against single windows of the model: as fine as the canvas for
    detail, and as wide as those that settled the layout for motion."""
    request, fov = task.request, window_fov(canvas, task.model.spec)
    with clock("measure"):
        if reference is None:
            reference = yield from sample_references(task, fov)
        film = read_film(job / "sky.mp4")
        found = figures(
            film.frames,
            fps=film.fps,
            gap=film.gap,
            loop=request.loop,
            flat=request.flat,
            wrap=request.wrap,
            reference=reference,
            arcs=border_arcs(canvas.charts, canvas.windows),
        )
        if not request.flat:
            found |= text_figures(film.frames[::5], request.prompt, request.regions)
        if request.image:
            picture, known = picture_pixels(request)
            found |= fidelity(film.frames, picture, known, flat=request.flat)
    yield phase("measure", measuring_steps(task, fov), measuring_steps(task, fov))
    return found


def reference_angles_deg(task: Task, fov: float) -> list[float]:
    """What the windows that a sky is measured against see, each angle once."""
    return list(dict.fromkeys((round(math.degrees(fov), 2), task.request.fov_deg)))


def measuring_steps(task: Task, fov: float) -> int:
    """Steps of progress: those of all references, and one for the figures."""
    return len(reference_angles_deg(task, fov)) * task.request.steps + 1


def sample_references(task: Task, fov: float, seed: int | None = None) -> Generator[Event, None, list[ReferenceView]]:
    """Single windows that see ``fov`` (radians) and, if that is another angle, what the layout's windows see."""
    angles, total = reference_angles_deg(task, fov), measuring_steps(task, fov)
    found = []
    for number, angle in enumerate(angles):
        sampling = sample_reference(task, math.radians(angle), seed)
        while True:
            try:
                done = number * task.request.steps + next(sampling)
            except StopIteration as sampled:
                found += sampled.value
                break
            yield phase("measure", done, total)
    return found


def window_fov(canvas: Canvas, spec: ModelSpec) -> float:
    """What a window of the canvas sees at the horizon, radians."""
    first = canvas.charts[0]
    return first.fov if not first.on_sphere else 2 * math.pi * spec.cells / first.columns


def write_preview(model: VideoModel, clean: Canvas, request: GenerateRequest, job: Path) -> None:
    """The first frame of the predicted clean canvas, small."""
    height = min(PREVIEW_HEIGHT, request.height)
    width = max(1, round(height * request.width / request.height))
    frames = decode_frames(model, clean.charts, clean.latents, height, width, range(1))
    write_png(job / "preview.png", next(iter(frames)))


def sample_reference(task: Task, fov: float, seed: int | None = None) -> Generator[int, None, list[ReferenceView]]:
    """Single windows of the model at several pitches, same prompt: the yardstick of detail and motion.

    ``fov`` radians. Yields the number of steps done, returns one view a pitch.
    """
    model, request, spec = task.model, task.request, task.model.spec
    pitches = (0,) if request.flat else REFERENCE_PITCHES_DEG
    planes = [Chart("plane", spec.cells, spec.cells, fov=fov, pitch=math.radians(p)) for p in pitches]
    generator = torch.Generator().manual_seed(request.seed if seed is None else seed)
    canvas = Canvas(planes, white_noise(planes, spec.channels, spec.frames, generator), False, 1 / request.fps)
    prompts = replace(task.prompts, encoded=task.prompts.encoded[:1], regions=())
    schedule = Schedule(model.sigmas(request.steps), [request.guidance] * request.steps)
    done = 0
    for p in denoise(model, canvas, prompts, schedule):
        if p.clean is not None:
            done += 1
            yield done
    found = []
    pixels = spec.cells * spec.ratio
    for pitch, plane, latents in zip(pitches, planes, canvas.latents, strict=True):
        window = np.stack(list(decode_frames(model, [plane], [latents], pixels, pixels, range(spec.frames))))
        found.append(ReferenceView(pitch_deg=pitch, fov_deg=math.degrees(fov), frames=window))
    return found


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
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)

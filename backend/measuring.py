"""The quality figures of a finished sky, against single windows of the same model."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .canvas import Canvas, white_noise
from .charts import Chart
from .checkpoints import Checkpoints, Saved, Shelf, resumed
from .denoise import Schedule, denoise
from .evaluation.borders import border_arcs
from .evaluation.fidelity import fidelity
from .evaluation.files import read_film
from .evaluation.metrics import PARTS, measured
from .evaluation.spatial import ReferenceView
from .evaluation.text import text_figures
from .fields import Fields
from .known import Known, picture_pixels
from .methods import Task
from .models.base import ModelSpec
from .protocol import Event, phase
from .render import decode_frames
from .sizes import frames_of

REFERENCE_PITCHES_DEG = (-90, -45, 0, 45, 90)
_Result = TypeVar("_Result")


def measure(
    task: Task, canvas: Canvas, reference: Sequence[ReferenceView] | None, movie: Path, shelf: Shelf
) -> Generator[Event, None, dict[str, Any]]:
    """Returns the quality figures of ``movie``, against single windows of the model: as fine as the canvas for
    detail, and as wide as those that settled the layout for motion."""
    request, fov = task.request, window_fov(canvas, task.model.spec)
    if reference is None:
        reference = yield from sample_references(task, fov, shelf=shelf)
    film, found = read_film(movie), dict[str, Any]()
    total = measuring_steps(task, fov)
    parts = measured(
        film.frames,
        fps=film.fps,
        gap=film.gap,
        loop=request.loop,
        flat=request.flat,
        wrap=request.wrap,
        reference=reference,
        arcs=border_arcs(canvas.charts, canvas.windows),
    )
    for number, part in enumerate(parts, 1):
        found |= part
        yield phase("measure", total - PARTS - 1 + number, total)
    if not request.flat:
        found |= text_figures(film.frames[::5], request.prompt, request.regions)
    if request.image:
        picture, known = picture_pixels(request)
        found |= fidelity(film.frames, picture, known, flat=request.flat)
    yield phase("measure", total, total)
    return found


def reference_angles_deg(task: Task, fov: float) -> list[float]:
    """What the windows that a sky is measured against see, each angle once."""
    return list(dict.fromkeys((round(math.degrees(fov), 2), task.request.fov_deg)))


def measuring_steps(task: Task, fov: float) -> int:
    """Steps of progress: those of all references, and of the figures."""
    return len(reference_angles_deg(task, fov)) * task.request.steps + PARTS + 1


def sample_references(
    task: Task, fov: float, seed: int | None = None, shelf: Shelf | None = None
) -> Generator[Event, None, list[ReferenceView]]:
    """Single windows that see ``fov`` (radians) and, if that is another angle, what the layout's windows see."""
    angles, total = reference_angles_deg(task, fov), measuring_steps(task, fov)
    found = []
    for number, angle in enumerate(angles):
        sampling = sample_reference(task, math.radians(angle), seed, shelf.of(f"reference-{number}") if shelf else None)
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


def sample_reference(
    task: Task, fov: float, seed: int | None = None, checkpoints: Checkpoints | None = None
) -> Generator[int, None, list[ReferenceView]]:
    """Single windows of the model at several pitches, same prompt: the yardstick of detail and motion.

    ``fov`` radians. Yields the number of steps done, returns one view a pitch.
    """
    model, request, spec = task.model, task.request, task.model.spec
    pitches = (0,) if request.flat else REFERENCE_PITCHES_DEG
    planes = [Chart("plane", spec.cells, spec.cells, fov=fov, pitch=math.radians(p)) for p in pitches]
    generator = torch.Generator().manual_seed(request.seed if seed is None else seed)
    prompts = replace(task.prompts, encoded=task.prompts.encoded[:1], regions=())
    schedule = Schedule(model.sigmas(request.steps), [request.guidance] * request.steps)

    given = _finished(Known(model, request, task.window, 1, Fields()).given(planes, single=True))

    def fresh() -> list[Tensor]:
        return white_noise(planes, spec.channels, task.window, generator)

    def run(saved: Saved | None) -> Generator[int, None, list[Tensor]]:
        begun = saved.state if saved else None
        if saved and begun:
            generator.set_state(saved.generator)
            noise = begun.of("x", [(spec.channels, task.window, c.rows, c.columns) for c in planes])
        else:
            noise = task.begin(fresh())
        canvas = Canvas(planes, noise, False, 1 / request.fps, given=given)
        for p in denoise(model, canvas, prompts, schedule, begun=begun, fresh=fresh):
            if p.state:
                if checkpoints:
                    checkpoints.offer(p.state, generator, {})
                yield p.state.step
        return canvas.latents

    latents = yield from resumed(checkpoints, Fields(), run)
    found = []
    pixels = spec.cells * spec.ratio
    for pitch, plane, clean in zip(pitches, planes, latents, strict=True):
        canvas = Canvas([plane], [clean], False, 1 / request.fps)
        shown = range(frames_of(task.window, False, spec))
        window = np.stack(list(decode_frames(model, canvas, pixels, pixels, shown)))
        found.append(ReferenceView(pitch_deg=pitch, fov_deg=math.degrees(fov), frames=window))
    return found


def _finished(work: Generator[Any, None, _Result]) -> _Result:
    """What it returns; of a few windows' pictures, which takes no time to speak of."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value

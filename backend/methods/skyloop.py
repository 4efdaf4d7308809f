"""Our method: an atlas in which windows are plain crops, wide ones first, then finer ones from what they made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..charts import Chart, sphere_charts
from ..denoise import Canvas, Schedule, denoise, white_noise
from ..known import Known
from ..models.base import ModelSpec, VideoModel
from ..motion_guidance import renoise, upsample
from ..protocol import GenerateRequest
from . import Denoising, Task

# Guidance shapes the layout at high noise; below this level it changes nothing that is measured, at twice the cost.
GUIDED_ABOVE = 0.5
# How much faster a world the model is asked for, so that the sky moves as its windows do (docs/engine.md): a clip that
# must close within one window moves at .7 of its pace otherwise, and any moves a little slower than a window alone.
LOOP_PACE, LONG_PACE = 1.42, 1.12
# What a refinement leaves of the motion.
REFINED_MOTION = 0.78
# How much stronger motion gets, for each time that the world which guidance leads away from is slower.
AVOIDING = 1.27
# How much of the noise of a frame, as variance, comes back a window later in a longer clip, so that windows in time
# tell of one sky (FreeNoise, Qiu et al. 2023, arXiv 2310.15169, which takes all of it, and so repeats itself).
RECURRENCE = 0.5


@dataclass(frozen=True)
class Refinement:
    """How a finer stage starts from the one before: at which noise level, and in what part of the steps."""

    sigma: float
    steps: float


# What is where is settled by the layout, so refining goes without guidance, at half the cost.
REFINE_GUIDANCE = 1.0
REFINEMENTS = (Refinement(0.4, 0.25),) * 4


@dataclass(frozen=True)
class Stage:
    """Charts to denoise on; the first stage of all has no refinement and starts from noise."""

    charts: list[Chart]
    refinement: Refinement | None = None

    def fov(self, cells: int) -> float:
        """What a window of ``cells`` sees at the horizon, radians."""
        first = self.charts[0]
        return first.fov if first.kind == "plane" else 2 * math.pi * cells / first.columns


def plan(request: GenerateRequest, spec: ModelSpec) -> list[Stage]:
    """The resolutions that lead to the requested size, coarse to fine."""
    if request.flat:
        return _flat_stages(request, spec)
    columns = 4 * round(spec.cells * 360 / request.fov_deg / 4)
    stages = [Stage(sphere_charts(columns, spec.cells))]
    final = 32 * round(request.width / spec.ratio / 32)
    for refinement in REFINEMENTS:
        if final < 1.25 * columns:
            break
        columns = min(final, 2 * columns) if final < 3 * columns else 2 * columns
        stages.append(Stage(sphere_charts(columns, spec.cells), refinement))
    return stages


def _flat_stages(request: GenerateRequest, spec: ModelSpec) -> list[Stage]:
    rows, columns = request.height / spec.ratio, request.width / spec.ratio
    halvings = max(0, min(len(REFINEMENTS), int(math.log2(min(rows, columns) / spec.cells))))
    stages = []
    for k, refinement in zip(range(halvings, -1, -1), (None, *REFINEMENTS), strict=False):
        size = [max(spec.cells, math.ceil(n / 2**k)) for n in (rows, columns)]
        # At the coarsest scale a window shows the field of view that was asked for; each doubling halves it.
        fov = 2 * math.atan(math.tan(math.radians(request.fov_deg) / 2) / 2 ** (halvings - k))
        stages.append(Stage([Chart("plane", size[0], size[1], wrap=request.wrap, fov=fov)], refinement))
    return stages


def layout_schedule(sigmas: list[float], guidance: float) -> Schedule:
    """Guided while the layout forms, unguided below :data:`GUIDED_ABOVE`."""
    return Schedule(sigmas, [guidance if s > GUIDED_ABOVE else 1.0 for s in sigmas[:-1]])


def refine_schedule(model: VideoModel, steps: int, refinement: Refinement) -> Schedule:
    """The part of the model's own schedule below the refinement's noise level, in its part of the steps."""
    fine = model.sigmas(1000)
    start = next(i for i, s in enumerate(fine) if s <= refinement.sigma)
    count = max(2, round(steps * refinement.steps))
    sigmas = [fine[start + round(k * (1000 - start) / count)] for k in range(count + 1)]
    return Schedule([refinement.sigma, *sigmas[1:]], [REFINE_GUIDANCE] * count)


def paces(task: Task, refinements: int) -> tuple[float, float]:
    """Seconds between frames that the model is asked for, and those that guidance leads away from.

    Motion follows the pace that is asked for, up to the fastest that the model knows; more of it comes from guidance
    away from a slower one.
    """
    pace = LOOP_PACE if task.request.loop and task.frames == task.model.spec.frames else LONG_PACE
    asked = pace * task.request.motion / REFINED_MOTION**refinements * task.frame_step_s
    wanted = min(asked, task.model.spec.longest_step_s)
    return wanted, wanted / (1 + (asked / wanted - 1) / AVOIDING) if asked else 0.0


def starting_noise(
    task: Task, charts: list[Chart], still: list[Tensor] | None, generator: torch.Generator
) -> list[Tensor]:
    """White noise of which a part recurs in time, each window's being white; the same in every frame where nothing
    shall move."""
    noise = white_noise(charts, task.model.spec.channels, task.frames, generator, task.fields)
    period = task.model.spec.frames
    again, anew = math.sqrt(RECURRENCE), math.sqrt(1 - RECURRENCE)
    fixed = [s > 0.5 for s in still] if still else [None] * len(noise)
    for frame in range(1, task.frames):
        for z, mask in zip(noise, fixed, strict=True):
            if frame >= period:
                z[:, frame] = again * z[:, frame - period] + anew * z[:, frame]
            if mask is not None:
                z[:, frame] = torch.where(mask, z[:, 0], z[:, frame])
        task.fields.release()
    return noise


def compose(task: Task) -> Denoising:
    """Denoise through all stages, coarse to fine. Returns the clean canvas."""
    model, request = task.model, task.request
    stages, generator = plan(request, model.spec), task.generator()
    known = Known(model, request, task.frames, task.stride, task.fields)
    wanted, avoided = paces(task, len(stages) - 1)
    canvas: Canvas | None = None
    for number, stage in enumerate(stages):
        charts, refinement = stage.charts, stage.refinement
        latents = starting_noise(task, charts, known.still(charts), generator)
        if canvas is None or refinement is None:
            name, coarse = "layout", None
            schedule = layout_schedule(model.sigmas(request.steps), request.guidance)
        else:
            name = f"refine {number}" if len(stages) > 2 else "refine"
            coarse = yield from upsample(model, canvas, charts, task.fields)
            schedule = refine_schedule(model, request.steps, refinement)
        guides = yield from known.guides(charts, coarse)
        if coarse and refinement:
            for frame in range(task.frames):
                for z, c in zip(latents, coarse, strict=True):
                    z[:, frame] = renoise(c[:, frame], z[:, frame], refinement.sigma)
                task.fields.release()
        canvas = Canvas(charts, latents, request.loop, wanted, avoid_step_s=avoided)
        yield from denoise(
            model,
            canvas,
            task.prompts,
            schedule,
            guides=guides,
            stage=name,
            fields=task.fields,
            final=stage is stages[-1],
        )
    assert canvas is not None
    return canvas

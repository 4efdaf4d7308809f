"""Our method: an atlas in which windows are plain crops, wide ones first, then finer ones under a motion lock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..charts import Chart, sphere_charts
from ..denoise import Canvas, Schedule, denoise, white_noise
from ..guides import Guide, MotionLock
from ..models.base import ModelSpec
from ..motion_guidance import renoise, upsample
from ..protocol import GenerateRequest
from . import Denoising, Task

# Guidance shapes the layout at high noise; below this level it only hardens edges, at twice the cost.
GUIDED_ABOVE = 0.3


@dataclass(frozen=True)
class Refinement:
    """How a finer stage starts from the one before: at which noise level, in what part of the steps, how guided."""

    sigma: float
    steps: float
    guidance: float
    lock: float
    blur_cells: float


REFINEMENTS = (
    Refinement(0.75, 0.6, 1.0, 0.0, 1.5),
    Refinement(0.6, 0.5, 1.0, 0.0, 1.5),
    Refinement(0.5, 0.4, 1.0, 0.0, 1.5),
    Refinement(0.4, 0.4, 1.0, 0.0, 1.5),
)


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
    stages = [Stage(sphere_charts(columns, conformal=False))]
    final = 32 * round(request.width / spec.ratio / 32)
    for refinement in REFINEMENTS:
        if final < 1.25 * columns:
            break
        columns = min(final, 2 * columns) if final < 3 * columns else 2 * columns
        stages.append(Stage(sphere_charts(columns, conformal=True), refinement))
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


def refine_schedule(sigmas: list[float], refinement: Refinement) -> Schedule:
    """The model's own schedule for so many steps, from the refinement's noise level on."""
    below = [s for s in sigmas if s < 0.97 * refinement.sigma]
    return Schedule([refinement.sigma, *below], [refinement.guidance] * len(below))


def compose(task: Task) -> Denoising:
    """Denoise through all stages, coarse to fine. Returns the clean canvas."""
    model, request = task.model, task.request
    stages, generator = plan(request, model.spec), task.generator()
    canvas: Canvas | None = None
    for number, stage in enumerate(stages):
        latents = white_noise(stage.charts, model.spec.channels, task.frames, generator, task.fields)
        guides: list[Guide] = []
        if canvas is None or stage.refinement is None:
            name, schedule = "layout", layout_schedule(model.sigmas(request.steps), request.guidance)
        else:
            name = f"refine {number}" if len(stages) > 2 else "refine"
            coarse = yield from upsample(model, canvas, stage.charts, task.fields)
            for frame in range(task.frames):
                for z, c in zip(latents, coarse, strict=True):
                    z[:, frame] = renoise(c[:, frame], z[:, frame], stage.refinement.sigma)
                task.fields.release()
            schedule = refine_schedule(model.sigmas(request.steps), stage.refinement)
            guides = [MotionLock(stage.charts, coarse, stage.refinement.blur_cells, stage.refinement.lock)]
        canvas = Canvas(stage.charts, latents, request.loop, 1 / request.fps)
        yield from denoise(model, canvas, task.prompts, schedule, guides=guides, stage=name, fields=task.fields)
    assert canvas is not None
    return canvas

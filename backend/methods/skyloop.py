"""Our method: an atlas in which windows are plain crops, wide ones first, then finer ones from what they made.

A model that can see a whole panorama makes the layout of that: an equirectangular picture in a single window, which is
turned at every step, in longitude and around the loop. The atlas then starts from what it made.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from .. import inputs
from ..canvas import Canvas
from ..charts import Chart, sphere_charts
from ..checkpoints import named
from ..controls import REFINED_MOTION
from ..denoise import Schedule, denoise
from ..fields import Fields
from ..known import Known
from ..models.base import ModelSpec
from ..motion_guidance import renoise, upsample
from ..protocol import GenerateRequest
from ..sizes import REFINE_SIGMA, last_part, plane_sizes, sphere_columns, stage_levels
from . import Denoising, Task

# How much faster a world the model is asked for, so that the sky moves as its windows do (docs/engine.md): a clip that
# must close within one window moves at .7 of its pace otherwise, and any moves a little slower than a window alone.
LOOP_PACE, LONG_PACE = 1.42, 1.12
# How much stronger motion gets, for each time that the world which guidance leads away from is slower.
AVOIDING = 1.27
# How much of the noise of a frame, as variance, comes back a window later in a longer clip, so that windows in time
# tell of one sky (FreeNoise, Qiu et al. 2023, arXiv 2310.15169, which takes all of it, and so repeats itself).
RECURRENCE = 0.5


def plan(request: GenerateRequest, spec: ModelSpec) -> list[list[Chart]]:
    """The charts of each stage, at the resolutions that lead to the requested size, coarse to fine."""
    if request.flat:
        return _flat_stages(request, spec)
    columns = sphere_columns(request.width, request.fov_deg, spec.cells, spec.ratio)
    atlases = [sphere_charts(n, spec.cells) for n in columns]
    if spec.panorama is None or request.from_whole:  # what is made anew has its layout
        return atlases
    return [[Chart("erp", *spec.panorama, wrap=True)], *atlases]


def _flat_stages(request: GenerateRequest, spec: ModelSpec) -> list[list[Chart]]:
    stages = []
    for k, (rows, columns) in enumerate(plane_sizes(request.width, request.height, spec.cells, spec.ratio)):
        # At the coarsest scale a window shows the field of view that was asked for; each doubling halves it.
        fov = 2 * math.atan(math.tan(math.radians(request.fov_deg) / 2) / 2**k)
        stages.append([Chart("plane", rows, columns, wrap=request.wrap, fov=fov)])
    return stages


def entry(request: GenerateRequest, stages: list[list[Chart]], spec: ModelSpec, sigma: float) -> int:
    """The stage that a source enters at noise level ``sigma``: what is where is the layout's to change, and only where
    so little noise leaves that alone, the finest stage that the source has the pixels for."""
    if sigma > REFINE_SIGMA + 1e-6:  # which a strength of a quarter comes to, but for rounding
        return 0
    width, _ = inputs.source_size(request)
    resolved = [k for k, charts in enumerate(stages) if charts[0].columns * spec.ratio <= 1.25 * width]
    return max(resolved, default=0)


def guided(sigmas: list[float], guidance: float, above: float) -> Schedule:
    """Guided at noise levels ``above`` one, while the layout forms, and not below."""
    return Schedule(sigmas, [guidance if s > above else 1.0 for s in sigmas[:-1]])


def paces(task: Task, refinements: int) -> tuple[float, float]:
    """Seconds between frames that the model is asked for, and those that guidance leads away from.

    Motion follows the pace that is asked for, up to the fastest that the model knows; more of it comes from guidance
    away from a slower one.
    """
    spec = task.model.spec
    pace = LOOP_PACE if task.request.loop and task.frames + spec.lead <= spec.frames else LONG_PACE
    asked = pace * task.request.motion / REFINED_MOTION**refinements * task.frame_step_s
    wanted = min(asked, spec.longest_step_s)
    return wanted, wanted / (1 + (asked / wanted - 1) / AVOIDING) if asked else 0.0


def recurring_noise(task: Task, charts: list[Chart], still: list[Tensor] | None) -> list[Tensor]:
    """White noise of which a part recurs in time; the same in every frame where nothing shall move.

    Each window's own is white: what recurs lies a window apart, and a loop's last frames, which a window may see
    together with its first ones, are drawn anew.
    """
    noise = task.noise(charts)
    period = task.model.spec.frames
    again, anew = math.sqrt(RECURRENCE), math.sqrt(1 - RECURRENCE)
    fixed = [s > 0.5 for s in still] if still else [None] * len(noise)
    for frame in range(1, task.frames):
        for z, mask in zip(noise, fixed, strict=True):
            if period <= frame < task.frames - task.frames % period:
                z[:, frame] = again * z[:, frame - period] + anew * z[:, frame]
            if mask is not None:
                z[:, frame] = torch.where(mask, z[:, 0], z[:, frame])
        task.fields.release()
    return noise


def stage_names(stages: int) -> list[str]:
    """Of a layout and its refinements."""
    return ["layout", *(["refine"] if stages == 2 else [f"refine {k}" for k in range(1, stages)])]


def compose(task: Task) -> Denoising:
    """Denoise through all stages, coarse to fine. Returns the clean canvas."""
    model, request = task.model, task.request
    stages = plan(request, model.spec)
    names = stage_names(len(stages))
    again = last_part(model.sigmas, request.steps, request.strength) if request.from_whole else []
    begin = entry(request, stages, model.spec, again[0]) if again else 0
    whole = stages[0][0].kind == "erp"
    levels = stage_levels(model.sigmas, request.steps, len(stages), whole)
    levels[begin] = again or levels[begin]
    known = Known(model, request, task.frames, task.stride, task.fields)
    wanted, avoided = paces(task, len(stages) - 1)
    canvas: Canvas | None = None
    for number in range(begin + task.first(names[begin:]), len(stages)):
        charts, name, shapes = stages[number], names[number], task.shapes(stages[number])
        begun, coarse, still = task.begun(name), None, known.still(charts)
        fresh = partial(recurring_noise, task, charts, still)
        if begun:
            latents = begun.of("x", shapes)
            coarse = begun.of("coarse", shapes) if number and request.camera else None
        else:
            latents = fresh()
            if canvas:
                coarse = yield from upsample(model, canvas, charts, task.fields)
                _begin_from(coarse, latents, levels[number][0], task.fields)
            elif again:
                coarse = yield from known.beginning(charts, last=number == len(stages) - 1)
                _begin_from(coarse, latents, again[0], task.fields)
            else:
                latents = task.begin(latents)
        guides = yield from known.guides(charts, coarse if number else None, first=number == 0)
        kept = named("coarse", coarse) if coarse and number and request.camera else {}
        schedule = guided(levels[number], request.guidance, model.spec.guided_above)
        given = yield from known.given(charts)
        canvas = replace(task.canvas(charts, latents), frame_step_s=wanted, avoid_step_s=avoided, given=given)
        for p in denoise(
            model,
            canvas,
            task.prompts,
            schedule,
            guides=guides,
            stage=name,
            fields=task.fields,
            final=number == len(stages) - 1,
            begun=begun,
            fresh=fresh,
            shape=model.spec.panorama if whole and number == 0 else None,
        ):
            yield replace(p, state=replace(p.state, tensors=p.state.tensors | kept)) if p.state else p
    assert canvas is not None
    return canvas


def _begin_from(coarse: list[Tensor], noise: list[Tensor], sigma: float, fields: Fields) -> None:
    """Turn ``noise`` into ``coarse`` taken to the noise level ``sigma``, in place."""
    for frame in range(noise[0].shape[1]):
        for z, c in zip(noise, coarse, strict=True):
            z[:, frame] = renoise(c[:, frame], z[:, frame], sigma)
        fields.release()

"""DynamicScaler as its paper describes it (Liu et al., CVPR 2025, arXiv 2412.11100), on our base models.

layout 1  panorama projection denoising of the first 15/48 of the steps, at full resolution (:mod:`.projection`)
layout 2  the rest of the steps in the plane at half resolution, from every second cell (:mod:`.offset_shifting`)
refine    Global Motion Guidance: its clean latent is upsampled, noised again, and refined in the plane

A flat panorama has one layout, in the plane, of all steps. First-order (DDIM, eta 0) steps and guidance throughout, as
in the reference run; within a step windows overwrite each other in turn (:mod:`.sweep`), so they cannot be batched.
Known difference: the run adds noise for step 15 and goes on at the next lower level, one too noisy; here it fits.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor

from .. import sphere
from ..charts import Chart
from ..denoise import Canvas, Progress, white_noise
from ..models.base import ModelSpec
from ..motion_guidance import renoise
from ..protocol import GenerateRequest
from . import Denoising, Task
from .offset_shifting import OffsetShiftingDenoiser
from .projection import ProjectionDenoiser, decimate
from .sweep import Denoiser, Level, mixing_ratio, sweep


def coarse_steps(steps: int) -> int:
    """How many of the steps are done before the hand-off, and left out when refining: 15 of the run's 48."""
    return min(steps - 1, max(1, round(steps * 15 / 48)))


def panorama_chart(request: GenerateRequest, spec: ModelSpec) -> Chart:
    """The canvas at full resolution: an equirectangular latent, or a plane; never smaller than a window."""
    if request.flat:
        rows, columns = math.ceil(request.height / spec.ratio), math.ceil(request.width / spec.ratio)
        # At half resolution a window shows the field of view that was asked for.
        fov = 2 * math.atan(math.tan(math.radians(request.fov_deg) / 2) / 2)
        return Chart("plane", max(spec.cells, rows), max(spec.cells, columns), wrap=request.wrap, fov=fov)
    columns = 32 * max(1, round(request.width / spec.ratio / 32))
    return Chart("erp", max(spec.cells, columns // 2), max(spec.cells, columns), wrap=True)


def halved(chart: Chart, request: GenerateRequest, spec: ModelSpec) -> Chart:
    """The canvas at half resolution, never smaller than a window."""
    rows, columns = (max(spec.cells, math.ceil(n / 2)) for n in (chart.rows, chart.columns))
    return Chart(chart.kind, rows, columns, wrap=chart.wrap, fov=math.radians(request.fov_deg))


def upsample_latents(clean: Tensor, chart: Chart) -> Tensor:
    """A frame's clean latents (C, r, c) at the size of ``chart``, bicubic and circular: the paper's "inter"."""
    return sphere.sample(clean[None], *sphere.grid(chart.rows, chart.columns), wrap=chart.wrap, mode="bicubic")[0]


def denoise_in_turn(
    task: Task, denoiser: Denoiser, noisy: Tensor, steps: range, generator: torch.Generator, stage: str
) -> Generator[Progress, None, Canvas]:
    """Take ``noisy`` (C, F, rows, columns) through ``steps`` of the schedule, in place. Returns the clean canvas."""
    model, request = task.model, task.request
    sigmas = model.sigmas(request.steps)
    clean = task.fields.zeros(*noisy.shape)
    canvas = Canvas([denoiser.chart], [clean], request.loop, task.frame_step_s)
    places = [denoiser.places(i) for i in range(len(steps))]
    done, total = 0, sum(map(len, places))
    for i, step in enumerate(steps):
        level = Level(sigmas[step], sigmas[step + 1], request.guidance, mixing_ratio(i, request.steps))
        footprints = map(denoiser.footprint, places[i])
        for _ in sweep(model, noisy, clean, footprints, task.prompts, level, generator):
            done += 1
            yield Progress(stage, done, total, 1 if request.guidance == 1 else 2)
        if isinstance(denoiser, OffsetShiftingDenoiser):
            canvas.windows = places[i][::-1]  # the last writer owns what it covers, so it comes first
        yield Progress(stage, done, total, 0, canvas)
    return canvas


def denoiser(kind: type[Denoiser], task: Task, chart: Chart) -> Denoiser:
    """One of the two, on a chart of this task."""
    request, spec, shares = task.request, task.model.spec, task.prompts.shares(chart)
    return kind(chart, task.frames, request.loop, task.frame_step_s, spec, shares, request.steps)


def lay_out(task: Task, chart: Chart, coarse: Chart, generator: torch.Generator) -> Denoising:
    """The first stage: on the sphere at full resolution, then in the plane at half; a flat panorama only there."""
    channels, steps, first = task.model.spec.channels, task.request.steps, coarse_steps(task.request.steps)
    planar = denoiser(OffsetShiftingDenoiser, task, coarse)
    if task.request.flat:
        noisy = white_noise([coarse], channels, task.frames, generator, task.fields)[0]
        return (yield from denoise_in_turn(task, planar, noisy, range(steps), generator, "layout"))
    noisy = white_noise([chart], channels, task.frames, generator, task.fields)[0]
    spherical = denoiser(ProjectionDenoiser, task, chart)
    yield from denoise_in_turn(task, spherical, noisy, range(first), generator, "layout 1")
    noisy = decimate(noisy, coarse.rows, coarse.columns)
    return (yield from denoise_in_turn(task, planar, noisy, range(first, steps), generator, "layout 2"))


def refine(task: Task, canvas: Canvas, chart: Chart, generator: torch.Generator) -> Denoising:
    """Global Motion Guidance, the paper's Z_HR = OSD(noise(inter(OSD(Z_LR)))): the clean latent of half resolution,
    interpolated and noised again to the level at which the first stage left the sphere, is refined in the plane."""
    model, steps, first = task.model, task.request.steps, coarse_steps(task.request.steps)
    sigma = model.sigmas(steps)[first]
    noisy = white_noise([chart], model.spec.channels, task.frames, generator, task.fields)[0]
    for frame in range(task.frames):
        noisy[:, frame] = renoise(upsample_latents(canvas.latents[0][:, frame], chart), noisy[:, frame], sigma)
    planar = denoiser(OffsetShiftingDenoiser, task, chart)
    return (yield from denoise_in_turn(task, planar, noisy, range(first, steps), generator, "refine"))


def compose(task: Task) -> Denoising:
    """All stages. Returns the clean canvas at full resolution."""
    generator = task.generator()
    chart = panorama_chart(task.request, task.model.spec)
    coarse = halved(chart, task.request, task.model.spec)
    canvas = yield from lay_out(task, chart, coarse, generator)
    if (chart.rows, chart.columns) == (coarse.rows, coarse.columns):
        return canvas
    return (yield from refine(task, canvas, chart, generator))

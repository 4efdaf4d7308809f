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
from collections.abc import Callable, Generator

from torch import Tensor

from .. import sphere
from ..canvas import Canvas
from ..charts import Chart
from ..checkpoints import State, named
from ..denoise import Progress
from ..models.base import ModelSpec
from ..motion_guidance import renoise
from ..protocol import GenerateRequest
from ..sizes import panorama_size
from . import Denoising, Task
from .offset_shifting import OffsetShiftingDenoiser
from .projection import ProjectionDenoiser, decimate
from .sweep import Denoiser, Level, mixing_ratio, sweep


def coarse_steps(steps: int) -> int:
    """How many of the steps are done before the hand-off, and left out when refining: 15 of the run's 48."""
    return min(steps - 1, max(1, round(steps * 15 / 48)))


def panorama_chart(request: GenerateRequest, spec: ModelSpec) -> Chart:
    """The canvas at full resolution: an equirectangular latent, or a plane; never smaller than a window."""
    rows, columns = panorama_size(request.width, request.height, request.flat, spec.cells, spec.ratio)
    if request.flat:
        # At half resolution a window shows the field of view that was asked for.
        fov = 2 * math.atan(math.tan(math.radians(request.fov_deg) / 2) / 2)
        return Chart("plane", rows, columns, wrap=request.wrap, fov=fov)
    return Chart("erp", rows, columns, wrap=True)


def halved(chart: Chart, request: GenerateRequest, spec: ModelSpec) -> Chart:
    """The canvas at half resolution, never smaller than a window."""
    rows, columns = (max(spec.cells, math.ceil(n / 2)) for n in (chart.rows, chart.columns))
    return Chart(chart.kind, rows, columns, wrap=chart.wrap, fov=math.radians(request.fov_deg))


def upsample_latents(clean: Tensor, chart: Chart) -> Tensor:
    """A frame's clean latents (C, r, c) at the size of ``chart``, bicubic and circular: the paper's "inter"."""
    return sphere.sample(clean[None], *sphere.grid(chart.rows, chart.columns), wrap=chart.wrap, mode="bicubic")[0]


def denoise_in_turn(
    task: Task, denoiser: Denoiser, start: Callable[[], Tensor], steps: range, stage: str
) -> Generator[Progress, None, tuple[Canvas, Tensor]]:
    """Take what ``start`` makes, noisy latents (C, F, rows, columns), through ``steps`` of the schedule, or go on where
    an earlier run was. Returns the clean canvas and the noisy latents that are left."""
    model, request, shapes = task.model, task.request, task.shapes([denoiser.chart])
    sigmas, begun = model.sigmas(request.steps), task.begun(stage)
    noisy = begun.of("x", shapes)[0] if begun else start()
    clean = begun.of("before", shapes)[0] if begun else task.fields.zeros(*noisy.shape)
    canvas = task.canvas([denoiser.chart], [clean])
    places = [denoiser.places(i) for i in range(len(steps))]
    first = begun.steps_of(len(steps)) if begun else 0
    done, total = sum(map(len, places[:first])), sum(map(len, places))

    def settle(i: int) -> None:
        if isinstance(denoiser, OffsetShiftingDenoiser):
            canvas.windows = places[i][::-1]  # the last writer owns what it covers, so it comes first

    if first:
        settle(first - 1)
    for i, step in list(enumerate(steps))[first:]:
        level = Level(sigmas[step], sigmas[step + 1], request.guidance, mixing_ratio(i, request.steps))
        footprints = map(denoiser.footprint, places[i])
        for _ in sweep(model, noisy, clean, footprints, task.prompts, level, task.generator):
            done += 1
            yield Progress(stage, done, total, 1 if request.guidance == 1 else 2)
        settle(i)
        yield Progress(
            stage, done, total, 0, canvas, State(stage, i + 1, named("x", [noisy]) | named("before", [clean]))
        )
    return canvas, noisy


def denoiser(kind: type[Denoiser], task: Task, chart: Chart) -> Denoiser:
    """One of the two, on a chart of this task."""
    request, spec, shares = task.request, task.model.spec, task.prompts.shares(chart)
    return kind(chart, task.frames, request.loop, task.frame_step_s, spec, shares, request.steps)


def coarse_layout(task: Task, coarse: Chart, start: Callable[[], Tensor], steps: range, stage: str) -> Denoising:
    """A layout in the plane at half resolution."""
    planar = denoiser(OffsetShiftingDenoiser, task, coarse)
    canvas, _ = yield from denoise_in_turn(task, planar, start, steps, stage)
    return canvas


def sphere_layout(task: Task, chart: Chart) -> Generator[Progress, None, Tensor]:
    """The first steps of the schedule on the sphere. Returns the noisy latents."""
    first = range(coarse_steps(task.request.steps))
    spherical = denoiser(ProjectionDenoiser, task, chart)
    _, noisy = yield from denoise_in_turn(task, spherical, lambda: start_noise(task, chart), first, "layout 1")
    return noisy


def start_noise(task: Task, chart: Chart) -> Tensor:
    """What denoising begins with (C, F, rows, columns)."""
    return task.begin(task.noise([chart]))[0]


def refine(task: Task, canvas: Canvas | None, chart: Chart) -> Denoising:
    """Global Motion Guidance, the paper's Z_HR = OSD(noise(inter(OSD(Z_LR)))): the clean latent of half resolution,
    interpolated and noised again to the level at which the first stage left the sphere, is refined in the plane.
    ``canvas`` is not needed where an earlier run had begun this stage."""
    model, steps, first = task.model, task.request.steps, coarse_steps(task.request.steps)

    def start() -> Tensor:
        assert canvas is not None
        sigma, noisy = model.sigmas(steps)[first], task.noise([chart])[0]
        for frame in range(task.frames):
            noisy[:, frame] = renoise(upsample_latents(canvas.latents[0][:, frame], chart), noisy[:, frame], sigma)
        return noisy

    planar = denoiser(OffsetShiftingDenoiser, task, chart)
    fine, _ = yield from denoise_in_turn(task, planar, start, range(first, steps), "refine")
    return fine


def compose(task: Task) -> Denoising:
    """All stages. Returns the clean canvas at full resolution."""
    request, steps = task.request, task.request.steps
    chart = panorama_chart(request, task.model.spec)
    coarse = halved(chart, request, task.model.spec)
    names = ["layout", "refine"] if request.flat else ["layout 1", "layout 2", "refine"]
    canvas, noisy, stage = None, None, names[task.first(names)]
    if stage == "layout":
        canvas = yield from coarse_layout(task, coarse, lambda: start_noise(task, coarse), range(steps), stage)
    if stage == "layout 1":
        noisy = yield from sphere_layout(task, chart)
    if stage in ("layout 1", "layout 2"):

        def start() -> Tensor:
            assert noisy is not None
            return decimate(noisy, coarse.rows, coarse.columns)

        rest = range(coarse_steps(steps), steps)
        canvas = yield from coarse_layout(task, coarse, start, rest, "layout 2")
    if canvas is not None and (chart.rows, chart.columns) == (coarse.rows, coarse.columns):
        return canvas
    return (yield from refine(task, canvas, chart))

"""How often a model will look at a window for a sky: by the layout rules that the engine follows (:mod:`.sizes`); where
regions, a mask or a camera decide which windows are needed, by the part of the sphere that those cover. Standard
library only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import coverage
from .controls import Region
from .models import loras
from .models.catalogue import Entry, entries
from .models.schedules import Levels, levels_of
from .protocol import GenerateRequest, SkyloopError
from .sizes import (
    GUIDED_ABOVE,
    frames_of,
    last_part,
    latents_of,
    own_of,
    panorama_size,
    plane_sizes,
    span_count,
    sphere_columns,
    sphere_rows,
    stage_levels,
)


@dataclass(frozen=True)
class ModelFacts:
    """What counts of a model: its window, how it sees time, its own steps and guidance, where that ends, and its noise
    levels for a number of steps."""

    frames: int
    cells: int
    ratio: int
    steps: int
    guidance: float
    levels: Levels
    time_ratio: int = 1
    lead: int = 0
    least_frames: int = 0
    guided_above: float = GUIDED_ABOVE
    panorama: tuple[int, int] | None = None


@dataclass(frozen=True)
class Stage:
    """One resolution of ``skyloop``: ``charts`` of (rows, columns, whether they wrap), the noise ``levels`` that it
    goes through, what a window sees (radians), and how many rows and columns it has."""

    charts: tuple[tuple[int, int, bool], ...]
    levels: tuple[float, ...]
    window: float
    shape: tuple[int, int]

    @property
    def cells(self) -> int:
        return sum(rows * columns for rows, columns, _ in self.charts)

    @property
    def steps(self) -> int:
        return len(self.levels) - 1


def entry_of(model: str) -> Entry:
    """Of the model of that id; of one that is there no more, the built-in one's."""
    known = {entry.id: entry for entry in entries()}
    return known.get(model, known["builtin"])


def model_facts(request: GenerateRequest) -> ModelFacts:
    """Of its entry in the catalogue."""
    entry = entry_of(request.model)
    form, window, preset = entry.architecture, entry.window, entry.preset
    return ModelFacts(
        window.frames,
        window.cells,
        form.ratio,
        preset.steps,
        preset.guidance,
        levels_of(entry),
        time_ratio=form.time_ratio,
        lead=int(form.causal),
        least_frames=min(form.least_frames, window.frames),
        guided_above=form.guided_above,
        panorama=_panorama(request, entry),
    )


def _panorama(request: GenerateRequest, entry: Entry) -> tuple[int, int] | None:
    """Rows and columns of a window in which the model sees all of the sky, if it does."""
    try:
        return loras.panorama(entry, [path for path, strength in request.lora_files if strength]) or entry.panorama
    except SkyloopError:  # which is said where the file is used
        return entry.panorama


def stages(request: GenerateRequest) -> list[Stage]:
    """The stages that ``skyloop`` goes through. A whole source may enter at a later one, which is less."""
    facts = model_facts(request)
    if request.flat:
        sizes = plane_sizes(request.width, request.height, facts.cells, facts.ratio)
        charts = [((rows, columns, request.wrap),) for rows, columns in sizes]
        windows = [0.0] * len(charts)
    else:
        around = sphere_columns(request.width, request.fov_deg, facts.cells, facts.ratio)
        charts = [_sphere(n, facts.cells) for n in around]
        windows = [2 * math.pi * facts.cells / n for n in around]
    shapes, panorama = [(facts.cells, facts.cells)] * len(charts), facts.panorama
    whole = panorama is not None and not request.flat and not request.from_whole
    if panorama and whole:
        charts, windows, shapes = [((*panorama, True),), *charts], [2 * math.pi, *windows], [panorama, *shapes]
    steps = request.steps or facts.steps
    levels = stage_levels(facts.levels, steps, len(charts), whole)
    if request.from_whole:
        levels[0] = last_part(facts.levels, steps, request.strength)
    return [Stage(c, tuple(s), w, shape) for c, s, w, shape in zip(charts, levels, windows, shapes, strict=True)]


def _sphere(columns: int, cells: int) -> tuple[tuple[int, int, bool], ...]:
    """Band and caps as (rows, columns, whether they wrap)."""
    band, cap = sphere_rows(columns, cells)
    return (band, columns, True), (cap, cap, False), (cap, cap, False)


def evaluations(request: GenerateRequest) -> int:
    """How often the model will look at a window. Exact where the whole sky is made of one prompt; with regions, a
    camera or ``mask_at`` about right; with a painted mask and with a source of low strength no less than needed."""
    if request.method != "skyloop":
        return _baseline_evaluations(request)
    found, last = 0.0, len(stages(request)) - 1
    for number, stage in enumerate(stages(request)):
        needed = _needed(request, stage, camera=number > 0) * _prompts_a_window(request, stage)
        for step in range(stage.steps):
            guided = stage.levels[step] > model_facts(request).guided_above + 1e-9 and guidance_of(request) != 1
            ends = number == last and step == stage.steps - 1
            found += (2 if guided else 1) * needed * _windows(request, stage, finishing=ends)
    return round(found)


def _needed(request: GenerateRequest, stage: Stage, *, camera: bool) -> float:
    """The part of a stage's windows that are looked at."""
    found = 1.0
    if request.mask_at is not None:
        found = coverage.cap_or_band(Region(*request.mask_at, ""), _reach_deg(stage))
    if camera and request.camera:
        found = min(found, coverage.seen(request.camera, _reach_deg(stage)))
    return found


def _prompts_a_window(request: GenerateRequest, stage: Stage) -> float:
    """How often a window is looked at because regions meet in it: once for each prompt that it has a share of."""
    if request.flat or not request.regions:
        return 1.0
    touched = sum(coverage.cap_or_band(r, _reach_deg(stage)) for r in request.regions)
    filled = sum(coverage.inside(r, _reach_deg(stage)) for r in request.regions)
    return max(1.0, 1 - min(1.0, filled) + touched)


def _reach_deg(stage: Stage) -> float:
    """From a window's middle to its edge, somewhat towards its corners."""
    return 1.15 * math.degrees(stage.window) / 2


def _windows(request: GenerateRequest, stage: Stage, *, finishing: bool) -> int:
    """Windows of one step."""
    facts = model_facts(request)
    over_time = span_count(*own_of(_latents(request), request.loop, facts), request.loop, finishing)
    return over_time * sum(
        span_count(rows, stage.shape[0], False) * span_count(columns, stage.shape[1], wrap, finishing)
        for rows, columns, wrap in stage.charts
    )


def guidance_of(request: GenerateRequest) -> float:
    """The request's, or the model's own."""
    return request.guidance or model_facts(request).guidance


def _latents(request: GenerateRequest) -> int:
    """Length of the canvas."""
    return latents_of(request.frames, request.loop, model_facts(request))


def canvas_frames(request: GenerateRequest) -> int:
    """The frames that the canvas stands for: of a short loop more than are shown."""
    return frames_of(_latents(request), request.loop, model_facts(request))


def _baseline_evaluations(request: GenerateRequest) -> int:
    """Of the methods that ours is compared with, which are guided at every step."""
    facts = model_facts(request)
    length, window = own_of(_latents(request), request.loop, facts)
    steps, each = request.steps or facts.steps, 1 if guidance_of(request) == 1 else 2
    rows, columns = panorama_size(request.width, request.height, request.flat, facts.cells, facts.ratio)
    wrap = request.wrap or not request.flat
    if request.method == "native":
        return each * sum(span_count(length, window, request.loop, k == steps - 1) for k in range(steps))
    if request.method == "dynamicscaler":
        return each * _papers_windows(request, (rows, columns), length / window, steps)

    def spans(length: int, window: int, around: bool) -> int:
        stride = window if request.method == "independent" else round(window / 2)
        return -(-length // stride) if around else 1 + -(-(length - window) // stride)

    axes = ((length, window, request.loop), (rows, facts.cells, False), (columns, facts.cells, wrap))
    return each * steps * math.prod(spans(*axis) for axis in axes)


def _papers_windows(request: GenerateRequest, size: tuple[int, int], windows: float, steps: int) -> int:
    """Windows of ``dynamicscaler``: views of the sphere first, then the plane at half resolution, then at full. The
    canvas is so many ``windows`` long."""
    facts, wrap = model_facts(request), request.wrap or not request.flat

    def plane(rows: int, columns: int) -> int:
        ends = [math.ceil((n - facts.cells) / (0.75 * facts.cells)) for n in (rows, columns)]
        return (ends[0] + 1) * (math.ceil(columns / facts.cells) if wrap else ends[1] + 1)

    def times(count: int) -> int:
        overlaps = [0.75 if step < steps / 2 else 0.5 for step in range(count)]
        return sum(max(1, math.ceil((windows - 1) / (1 - overlap)) + 1) for overlap in overlaps)

    half = (max(facts.cells, math.ceil(size[0] / 2)), max(facts.cells, math.ceil(size[1] / 2)))
    first = min(steps - 1, max(1, round(steps * 15 / 48)))
    found = times(steps) * plane(*half) if request.flat else 44 * times(first) + times(steps - first) * plane(*half)
    return found + (times(steps - first) * plane(*size) if half != size else 0)

"""What a sky will take before it is made: evaluations of the model, time, memory, disk. Standard library only.

Evaluations are counted by the layout rules that the engine follows (:mod:`.sizes`); where regions, a mask or a camera
decide which windows are needed, by the part of the sphere that those windows cover. Seconds are what finished skies on
this machine took for as much work, or until there are any, figures of docs/engine.md.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from . import coverage
from .controls import Region
from .jobs.index import Card
from .jobs.store import CANVAS_IN_MEMORY_BYTES, needed_bytes
from .models.catalogue import entries
from .protocol import GenerateRequest
from .sizes import (
    GUIDED_ABOVE,
    REFINE_STEPS,
    frames_of,
    latents_of,
    own_of,
    panorama_size,
    plane_sizes,
    refining_steps,
    span_count,
    sphere_columns,
    sphere_rows,
)

LATEST = 8
"""How many finished skies are looked at."""


@dataclass(frozen=True)
class Estimate:
    """``memory_mb``: of the graphics card, or where there is none (or it shares the host's) of the host."""

    seconds: float
    memory_mb: float
    disk_mb: float
    evaluations: int


@dataclass(frozen=True)
class ModelFacts:
    """What counts of a model: its window, how it sees time, its own steps and guidance, and where that ends."""

    frames: int
    cells: int
    ratio: int
    steps: int
    guidance: float
    time_ratio: int = 1
    lead: int = 0
    least_frames: int = 0
    guided_above: float = GUIDED_ABOVE


@dataclass(frozen=True)
class Rates:
    """Seconds: of one evaluation, of a million pixels of film decoded, of as many measured, and of the start."""

    evaluation: float
    decode: float
    figures: float
    load: float


# Measured: two processor cores .18 s for an evaluation; an H100 .003 s, and .08 to .28 s for a million pixels decoded.
# A card for games is taken to be a third as fast as that.
BUILT_IN = {
    "cpu": Rates(evaluation=0.18, decode=1.6, figures=2.0, load=3.0),
    "cuda": Rates(evaluation=0.01, decode=0.25, figures=2.0, load=5.0),
    "mps": Rates(evaluation=0.02, decode=0.5, figures=2.0, load=4.0),
}
# Of the time that decoding a million pixels takes: what enlarging them between stages does, and reading them.
_UPSAMPLE, _READ = 0.7, 0.45
_DEVICE_MB, _HOST_MB = 610.0, 520.0
_NOT_DENOISING = ("load", "decode", "light", "measure", "upsample", "read")


# --- evaluations


@dataclass(frozen=True)
class Stage:
    """One resolution of ``skyloop``: ``charts`` of (rows, columns, whether they wrap), the last ``part`` of the noise
    schedule in ``steps``, and what a window sees (radians)."""

    charts: tuple[tuple[int, int, bool], ...]
    part: float
    steps: int
    window: float

    @property
    def cells(self) -> int:
        return sum(rows * columns for rows, columns, _ in self.charts)


def model_facts(request: GenerateRequest) -> ModelFacts:
    """Of its entry in the catalogue; of a model that is there no more, those of the built-in one."""
    known = {entry.id: entry for entry in entries()}
    entry = known.get(request.model, known["builtin"])
    form, window, preset = entry.architecture, entry.window, entry.preset
    return ModelFacts(
        window.frames,
        window.cells,
        form.ratio,
        preset.steps,
        preset.guidance,
        time_ratio=form.time_ratio,
        lead=int(form.causal),
    )


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
    steps = request.steps or facts.steps
    parts = [request.strength if request.from_whole else 1.0, *[REFINE_STEPS] * (len(charts) - 1)]
    counts = [steps if part == 1 else refining_steps(steps, part) for part in parts]
    return [Stage(*facts) for facts in zip(charts, parts, counts, windows, strict=True)]


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
            level = _noise(stage.part * (1 - step / stage.steps))
            guided = number == 0 and level > model_facts(request).guided_above + 1e-9 and _guidance(request) != 1
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
        span_count(rows, facts.cells, False) * span_count(columns, facts.cells, wrap, finishing)
        for rows, columns, wrap in stage.charts
    )


def _noise(part: float) -> float:
    """The noise level at which the last ``part`` of the model's schedule begins."""
    return 2 * part / (1 + part)


def _guidance(request: GenerateRequest) -> float:
    return request.guidance or model_facts(request).guidance


def _latents(request: GenerateRequest) -> int:
    """Length of the canvas."""
    return latents_of(request.frames, request.loop, model_facts(request))


def _frames(request: GenerateRequest) -> int:
    """What the canvas stands for."""
    return frames_of(_latents(request), request.loop, model_facts(request))


def _baseline_evaluations(request: GenerateRequest) -> int:
    """Of the methods that ours is compared with, which are guided at every step."""
    facts = model_facts(request)
    length, window = own_of(_latents(request), request.loop, facts)
    steps, each = request.steps or facts.steps, 1 if _guidance(request) == 1 else 2
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


# --- time and memory


def estimate(request: GenerateRequest, device_kind: str, past: Sequence[Card] = ()) -> Estimate:
    """What ``request`` will take on a device of the kind ``cpu``, ``cuda`` or ``mps``.

    ``past``: skies of this machine, of which the latest finished ones of that kind of device say how fast it is.
    """
    cards = [c for c in past if c.evaluations and c.seconds and kind_of(c.device) == device_kind]
    cards = sorted(cards, key=lambda c: c.written_ns)[-LATEST:]
    rates, count = calibrated(device_kind, cards), evaluations(request)
    film, done = _film(request), stages(request)
    between = sum(s.cells for s in done[1:]) * model_facts(request).ratio ** 2 * _frames(request) / 1e6
    seconds = rates.load + rates.evaluation * count + rates.decode * (film + _UPSAMPLE * between)
    if request.source:
        seconds += rates.decode * _READ * film * (1 if request.from_whole else len(done))
    if request.measure:
        seconds += rates.evaluation * _reference_evaluations(request) + rates.figures * film
    memory = _memory_mb(request, device_kind)
    memory *= _median([c.peak_memory_mb / _memory_mb(_asked(c), device_kind) for c in cards if c.peak_memory_mb], 1.0)
    return Estimate(seconds, memory, needed_bytes(request) / 1e6, count)


def calibrated(device_kind: str, cards: Sequence[Card]) -> Rates:
    """What finished skies took, by kind of work; where none tells, the usual."""
    usual = BUILT_IN.get(device_kind, BUILT_IN["cpu"])
    if device_kind == "cpu":  # more cores help, though less each time
        usual = Rates(usual.evaluation * (2 / _cores()) ** 0.8, usual.decode * (2 / _cores()) ** 0.8, 2.0, usual.load)
    if not cards:
        return usual
    works = [(dict(c.seconds), c, _asked(c)) for c in cards]
    evaluation = median(sum(v for k, v in s.items() if k not in _NOT_DENOISING) / c.evaluations for s, c, _ in works)
    figures = [max(0.0, s["measure"] - evaluation * _reference_evaluations(r)) / _film(r)
               for s, _, r in works if "measure" in s]  # fmt: skip
    return Rates(
        evaluation,
        median((s.get("decode", 0.0) + s.get("light", 0.0)) / _film(r) for s, _, r in works),
        _median(figures, usual.figures),
        _median([s["load"] for s, _, _ in works if s.get("load", 0.0) > 0.1], usual.load),  # not where it was loaded
    )


def _median(values: list[float], otherwise: float) -> float:
    return median(values) if values else otherwise


def _asked(card: Card) -> GenerateRequest:
    """What can be told of the request from its card."""
    return GenerateRequest(
        prompt=card.prompt, model=card.model, width=card.width, height=card.height, frames=card.frames,
        loop=card.loop, flat=card.width != 2 * card.height, steps=card.steps,
    )  # fmt: skip


def _film(request: GenerateRequest) -> float:
    """Millions of pixels of the movie, of the frames that are made."""
    return request.width * request.height * _frames(request) / 1e6


def _reference_evaluations(request: GenerateRequest) -> int:
    """Of the single windows that a sky is measured against: as wide as the finest stage's, and as the layout's."""
    facts, pitches = model_facts(request), 1 if request.flat else 5
    return pitches * len(stages(request)[:2]) * (request.steps or facts.steps) * (1 if _guidance(request) == 1 else 2)


def _memory_mb(request: GenerateRequest, device_kind: str) -> float:
    """Of a graphics card windows and tiles take the same for any size. On the host there are besides the model the
    canvas, as far as it does not go to files, and what is decoded of a frame."""
    if device_kind == "cuda":
        return _DEVICE_MB
    frame = request.width * request.height / 1e6
    return _HOST_MB + min(CANVAS_IN_MEMORY_BYTES / 1e6, 5 * _film(request)) + 500 * min(frame, 0.8) + 100 * frame


def _cores() -> int:
    return max(1, min(16, os.cpu_count() or 2))


def kind_of(device: str) -> str:
    """The kind of a device by the name that results give it."""
    if device.startswith("processor"):
        return "cpu"
    return "mps" if device.startswith("Apple") else "cuda"

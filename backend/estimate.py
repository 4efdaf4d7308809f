"""What a sky will take before it is made: evaluations of the model, time, memory, disk. Standard library only.

Evaluations are counted as the engine does them (:mod:`.counting`). Seconds are what finished skies of the same model on
this machine took for as much work, or until there are any, figures of docs/engine.md and for larger models arithmetic.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from .counting import canvas_frames, entry_of, evaluations, guidance_of, model_facts, stages
from .jobs.index import Card
from .jobs.store import CANVAS_IN_MEMORY_BYTES, needed_bytes
from .models.catalogue import Entry
from .protocol import GenerateRequest

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
# Of larger models: what such a card for games, an Apple GPU and two cores get done, and how much longer it takes to
# decode a million pixels.
OPERATIONS_PER_S = {"cuda": 60e12, "mps": 6e12, "cpu": 0.15e12}
LARGER_DECODER = 3.0
# Of the time that decoding a million pixels takes: what enlarging them between stages does, and reading them.
_UPSAMPLE, _READ = 0.7, 0.45
_DEVICE_MB, _HOST_MB = 610.0, 520.0
_NOT_DENOISING = ("load", "decode", "light", "measure", "upsample", "read")


def estimate(request: GenerateRequest, device_kind: str, past: Sequence[Card] = ()) -> Estimate:
    """What ``request`` will take on a device of the kind ``cpu``, ``cuda`` or ``mps``.

    ``past``: skies of this machine, of which the latest finished ones of that model, on that kind of device, say how
    fast it is.
    """
    cards = [c for c in past if c.evaluations and c.seconds and kind_of(c.device) == device_kind]
    cards = sorted((c for c in cards if c.model == request.model), key=lambda c: c.written_ns)[-LATEST:]
    rates, count = calibrated(device_kind, cards, entry_of(request.model)), evaluations(request)
    film, done = _film(request), stages(request)
    between = sum(s.cells for s in done[1:]) * model_facts(request).ratio ** 2 * canvas_frames(request) / 1e6
    seconds = rates.load + rates.evaluation * count + rates.decode * (film + _UPSAMPLE * between)
    if request.source:
        seconds += rates.decode * _READ * film * (1 if request.from_whole else len(done))
    if request.measure:
        seconds += rates.evaluation * _reference_evaluations(request) + rates.figures * film
    memory = _memory_mb(request, device_kind)
    memory *= _median([c.peak_memory_mb / _memory_mb(_asked(c), device_kind) for c in cards if c.peak_memory_mb], 1.0)
    return Estimate(seconds, memory, needed_bytes(request) / 1e6, count)


def calibrated(device_kind: str, cards: Sequence[Card], entry: Entry | None = None) -> Rates:
    """What finished skies took, by kind of work; where none tells, the usual, of the model of ``entry``."""
    usual = BUILT_IN.get(device_kind, BUILT_IN["cpu"])
    if device_kind == "cpu":  # more cores help, though less each time
        usual = Rates(usual.evaluation * (2 / _cores()) ** 0.8, usual.decode * (2 / _cores()) ** 0.8, 2.0, usual.load)
    if entry and entry.family != "builtin":
        seconds = _operations(entry) / OPERATIONS_PER_S.get(device_kind, OPERATIONS_PER_S["cpu"])
        usual = replace(usual, evaluation=seconds, decode=LARGER_DECODER * usual.decode)
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


def _operations(entry: Entry) -> float:
    """Of an evaluation: two for each parameter and token, and what attention takes beside that, which has a
    third-root's share less in a larger model. Within a quarter of what was counted of Wan's 1.3 and 14 billion."""
    window, form = entry.window, entry.architecture
    tokens = window.frames * (window.cells // form.multiple) ** 2
    return 2e9 * entry.parameters_b * tokens * (1 + tokens / (11_000 * entry.parameters_b ** (1 / 3)))


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
    return request.width * request.height * canvas_frames(request) / 1e6


def _reference_evaluations(request: GenerateRequest) -> int:
    """Of the single windows that a sky is measured against: as wide as the finest stage's, and as the layout's."""
    facts, pitches = model_facts(request), 1 if request.flat else 5
    square = [stage for stage in stages(request) if stage.shape == (facts.cells, facts.cells)]
    return pitches * len(square[:2]) * (request.steps or facts.steps) * (1 if guidance_of(request) == 1 else 2)


def _memory_mb(request: GenerateRequest, device_kind: str) -> float:
    """Of a graphics card windows and tiles take the same for any size. On the host there are besides the model the
    canvas, as far as it does not go to files, and what is decoded of a frame."""
    entry = entry_of(request.model)
    if device_kind == "cuda":
        return _DEVICE_MB if entry.family == "builtin" else 1000 * entry.memory.min_gb
    host = _HOST_MB if entry.family == "builtin" else 1000 * entry.memory.host_gb
    frame = request.width * request.height / 1e6
    return host + min(CANVAS_IN_MEMORY_BYTES / 1e6, 5 * _film(request)) + 500 * min(frame, 0.8) + 100 * frame


def _cores() -> int:
    return max(1, min(16, os.cpu_count() or 2))


def kind_of(device: str) -> str:
    """The kind of a device by the name that results give it."""
    if device.startswith("processor"):
        return "cpu"
    return "mps" if device.startswith("Apple") else "cuda"

"""What there is to say about a request and the model that is to do it: whether it is here, what it needs, its ways.

:func:`model_checks` is pure, as all of :mod:`.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...backend.estimate import model_facts
from ...backend.models.catalogue import Entry
from ...backend.protocol import MAX_FRAMES, GenerateRequest
from ...backend.sizes import sphere_columns, stride_of
from .check import Check, Fix, Severity
from .settings import QUALITIES
from .stock import BUILT_IN, DAMAGED, PARTIAL, READY, fits, gigabytes

GET = {PARTIAL: "Go On", DAMAGED: "Mend It"}
LARGER = 0.8  # below this part of the size that a model composes anyway, a smaller sky saves nothing


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The chosen model. ``condition`` is empty while nobody has looked; ``getting``: its download is under way.

    ``kind`` and ``memory_mb``: of what computes, None until the generator has said so.
    """

    entry: Entry
    condition: str = ""
    getting: bool = False
    kind: str = ""
    memory_mb: float | None = None


def model_checks(request: GenerateRequest, facts: ModelFacts) -> Iterator[Check]:
    """Everything there is to say about the model, in no order."""
    yield from _there(facts)
    yield from _picture(request, facts.entry)
    if facts.entry.id == BUILT_IN:
        return
    if facts.memory_mb is not None:
        fine, text = fits(facts.entry, facts.kind, facts.memory_mb)
        if not fine:
            yield Check("card", "model", Severity.WARNING, text)
    yield from _trained(request, facts.entry)
    yield from _length(request, facts.entry)
    yield from _size(request, facts.entry)


def _there(facts: ModelFacts) -> Iterator[Check]:
    entry = facts.entry
    if facts.condition in ("", READY):
        return
    if facts.getting:
        yield Check("model", "model", Severity.ERROR, f"Wait for {entry.name}: it is being downloaded.")
        return
    message = {
        PARTIAL: f"Get the model first: {entry.name} is not all on this computer yet.",
        DAMAGED: f"Get the model again: files of {entry.name} are damaged; the others stay.",
    }.get(facts.condition, f"Get the model first: {entry.name} is not on this computer.")
    label = GET.get(facts.condition) or f"Get It ({gigabytes(entry.size_mb)})"
    fix = Fix(label, operator="skyloop.get_model", arguments={"model": entry.id})
    yield Check("model", "model", Severity.ERROR, message, fix)


def _picture(request: GenerateRequest, entry: Entry) -> Iterator[Check]:
    """One that takes no words shows nothing beside the picture, so that a photo of a part is too little."""
    if "text" not in entry.takes and (not request.image or request.image_fov_deg):
        message = f"{entry.name} sets a picture in motion: choose a panorama of the whole sky for it."
        yield Check(
            "picture", "model", Severity.ERROR, message, Fix("Choose a Picture", operator="skyloop.choose_photo")
        )


def _trained(request: GenerateRequest, entry: Entry) -> Iterator[Check]:
    """A few-step model was trained for its own steps and guidance, and for no others."""
    preset = entry.preset
    if preset.sigmas and request.steps not in (0, preset.steps):
        message = f"{entry.name} was trained for {preset.steps} steps; with {request.steps} it looks worse."
        yield Check("trained_steps", "model", Severity.WARNING, message, Fix("Use Its Own Steps", {"steps": 0}))
    if preset.sigmas and request.guidance not in (0.0, preset.guidance):
        message = (
            f"{entry.name} was trained for a guidance of {preset.guidance:g}; with {request.guidance:g} it looks worse."
        )
        yield Check(
            "trained_guidance", "model", Severity.WARNING, message, Fix("Use Its Own Guidance", {"guidance": 0.0})
        )


def _length(request: GenerateRequest, entry: Entry) -> Iterator[Check]:
    """A loop is whole latents, and no shorter than the model's window: others are made longer than they are shown."""
    clips = model_facts(request)
    if not request.loop or request.flat or stride_of(request.frames, True, clips) == 1:
        return
    step = clips.time_ratio
    least = step * (max(clips.least_frames or clips.frames, clips.lead + 1) - clips.lead)
    good = min(max(least, step * round(request.frames / step)), MAX_FRAMES // step * step)
    stride = stride_of(request.frames, True, clips)
    if request.frames < least:
        message = f"{entry.name} makes loops of {least} frames or more: {request.frames} take as long."
    else:
        message = f"With {entry.name} a loop of {request.frames} frames takes {stride} times as long as one of {good}."
    yield Check("loop_length", "length", Severity.WARNING, message, Fix(f"Make It {good} Frames", {"frames": good}))


def _size(request: GenerateRequest, entry: Entry) -> Iterator[Check]:
    if request.flat:
        return
    composed = composed_width(entry, request.fov_deg)
    larger = [quality for quality in QUALITIES if request.width < quality.width <= composed]
    if request.width < LARGER * composed and larger:
        message = f"{entry.name} composes {composed} pixels around anyway: a larger sky hardly takes longer."
        fix = Fix(f"Make It {larger[-1].label} Size", {"quality": larger[-1].id})
        yield Check("composed", "size", Severity.INFO, message, fix)


def composed_width(entry: Entry, fov_deg: float) -> int:
    """The width, in pixels, of the smallest sky that a model composes when it sees so much at once."""
    return sphere_columns(0, fov_deg, entry.window.cells, entry.architecture.ratio)[0] * entry.architecture.ratio

"""Validation as data: everything that stands in the way of a sky, or is worth knowing before, and what would fix it.

:func:`checks` is pure; panels draw what it returns beside the setting that it is about, and the operator
``skyloop.fix`` does what the button beside it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...backend.controls import MAX_PROMPT_CHARS, STRENGTH_RANGE
from ...backend.protocol import FOV_RANGE_DEG, MAX_FRAMES, GenerateRequest
from .check import Check, Fix, Severity
from .estimate import Estimate
from .model_checks import ModelFacts, model_checks
from .settings import CUSTOM, QUALITIES, duration_s, nearest_width
from .styles import EXAMPLES, NONE

LONG_S = 1800.0
FAR_OFF_DEG = 90.0
_FIELD = re.compile(r"region|[a-z_]+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is judged. Sizes are megabytes; None is what nobody knows yet."""

    request: GenerateRequest
    prompt: str  # without its style
    models: tuple[str, ...]
    expect: Callable[[GenerateRequest], Estimate]
    model: ModelFacts | None = None  # None for one that nobody knows
    free_mb: float | None = None
    memory_mb: float | None = None
    scene_fps: float = 0.0
    front_off_deg: float | None = None  # from the sky's middle to where the active camera looks
    steering: tuple[str, ...] = ()  # what is wrong with regions and the camera, in the scene's own names
    regions: tuple[str, ...] = ()  # their names
    loras: tuple[str, ...] = ()  # what is wrong with LoRA files
    why_not: Check | None = None  # what has nothing to do with the request: the generator is not there


def checks(facts: Facts) -> list[Check]:
    """Everything there is to say, errors first."""
    found = [facts.why_not] if facts.why_not else []
    found += [_steering(number, text, facts.regions) for number, text in enumerate(facts.steering)]
    found += [_loras(text) for text in facts.loras]
    numbered = ("region",) if facts.steering else ()  # a request only knows them by number
    found += [_of_problem(text, facts) for text in facts.request.problems() if not text.startswith(numbered)]
    if not any(c.id == "model" for c in found) and facts.request.model not in facts.models:
        found.append(_model(facts.request))
    elif facts.model:
        found += model_checks(facts.request, facts.model)
    if not any(c.place in ("size", "length") and c.severity is Severity.ERROR for c in found):
        found += [*_space(facts), *_memory(facts), *_time(facts)]
    found += [*_rate(facts), *_front(facts)]
    order = list(Severity)
    return sorted(_once(found), key=lambda c: order.index(c.severity))


def _steering(number: int, text: str, regions: tuple[str, ...]) -> Check:
    """What is wrong with a region is set right at its object, which the button finds."""
    named = next((name for name in regions if text.startswith(f"{name}: ")), "")
    fix = Fix("Select Region", operator="skyloop.region_select", arguments={"region": named}) if named else None
    return Check(f"steering {number}", "direct", Severity.ERROR, text, fix)


def why_not(found: list[Check]) -> str:
    """The sentence that says why nothing can be generated; empty when it can."""
    return next((c.message for c in found if c.severity is Severity.ERROR), "")


def _once(found: list[Check]) -> list[Check]:
    return list({check.id: check for check in reversed(found)}.values())[::-1]


def _of_problem(text: str, facts: Facts) -> Check:
    """A problem of the request, which names the field, with what sets that field right."""
    request = facts.request
    match = _FIELD.match(text)
    name = match[0] if match else ""
    if name in ("prompt", "negative"):
        return _words(name, text, facts)
    if name in ("height", "width", "size"):
        return _size(request)
    if name in ("source", "strength", "mask"):
        return _start(name, text)
    limits = {
        "frames": (1, MAX_FRAMES, "length"),
        "fps": (1.0, 120.0, "length"),
        "seed": (0, 2**31 - 1, "seed"),
        "steps": (0, 200, "model"),
        "guidance": (0.0, 30.0, "model"),
        "fov": (*FOV_RANGE_DEG, "view"),
    }
    if name in limits:
        return _number(name, text, request, *limits[name])
    if name == "model":
        return _model(request)
    if "lora" in text.lower():
        return _loras(sentence(text))
    return Check(name or "request", "direct", Severity.ERROR, sentence(text))


def sentence(text: str) -> str:
    """A problem of the protocol, as a sentence for people."""
    return text[:1].upper() + text[1:]


def _words(name: str, text: str, facts: Facts) -> Check:
    if name == "prompt" and not facts.prompt.strip():
        fix = Fix("Use an Example", {"prompt": EXAMPLES[0]})
        return Check("prompt", "prompt", Severity.ERROR, "The prompt is empty: describe the sky in a few words.", fix)
    own = facts.prompt if name == "prompt" else facts.request.negative
    place = "prompt" if name == "prompt" else "words"
    what = "The prompt" if name == "prompt" else "What to avoid"
    if not own.strip():
        fix = Fix("Clear", {name: ""})
        return Check(name, place, Severity.ERROR, f"{what} is only spaces.", fix)
    clean = " ".join(_UNSEEN.sub(" ", own).split())
    if _UNSEEN.search(own):
        message = f"{what} has a character that cannot be seen."
        return Check(name, place, Severity.ERROR, message, Fix("Remove It", {name: clean}))
    if len(clean) <= MAX_PROMPT_CHARS and name == "prompt":  # it is its style that makes it too long, or is odd
        message = f"With its style the prompt cannot be read: {text.partition(' ')[2]}"
        return Check(name, place, Severity.ERROR, message, Fix("Without the Style", {"style": NONE}))
    message = f"{what} is longer than the {MAX_PROMPT_CHARS} characters that are read."
    return Check(name, place, Severity.ERROR, message, Fix("Shorten", {name: clean[:MAX_PROMPT_CHARS]}))


def _size(request: GenerateRequest) -> Check:
    width = nearest_width(request.width)
    message = f"A sky cannot be {request.width} pixels wide: use a multiple of 32, such as {width}."
    fix = Fix(f"Make It {width}", {"quality": CUSTOM, "custom_width": width})
    return Check("size", "size", Severity.ERROR, message, fix)


def _number(name: str, text: str, request: GenerateRequest, low: float, high: float, place: str) -> Check:
    field_name = "fov_deg" if name == "fov" else name
    value = getattr(request, field_name)
    right = min(high, max(low, value)) if value == value else low  # a number that is none equals nothing
    settings: dict[str, Any] = {field_name: right}
    if name == "fps":
        settings = {"match_scene_fps": False, **settings}
    return Check(name, place, Severity.ERROR, sentence(text), Fix(f"Make It {right:g}", settings))


def _model(request: GenerateRequest) -> Check:
    fix = Fix("Use the Built-in Model", {"model": "builtin"})
    message = f"The model {request.model[:40]} is not on this computer."
    return Check("model", "model", Severity.ERROR, message, fix)


def _loras(text: str) -> Check:
    fix = Fix("Leave Them Out", operator="skyloop.leave_out_loras")
    return Check("loras", "model", Severity.ERROR, f"{text.rstrip('.')}.", fix)


def _start(name: str, text: str) -> Check:
    """About the earlier sky that this one is made from."""
    if name == "strength" and text.startswith("strength ") and ": use" in text:
        fix = Fix("Make It 0.5", {"explore.strength": sum(STRENGTH_RANGE) / 2})
        return Check("strength", "start", Severity.ERROR, sentence(text), fix)
    fix = Fix("Start from the Prompt Alone", {"explore.source": ""})
    if text.startswith("source needs"):
        text = "The next sky starts from an earlier one, and a change of 100 % leaves nothing of it: choose less."
    return Check(name, "start", Severity.ERROR, sentence(text), fix)


def _space(facts: Facts) -> Iterator[Check]:
    if facts.free_mb is None:
        return
    needed, free = facts.expect(facts.request).disk_mb, facts.free_mb
    if needed <= free:
        return
    message = f"It may take {amount(needed)} on the disk, and {amount(free)} are free."
    smaller = _smaller(facts, lambda r: facts.expect(r).disk_mb <= free)
    fix = smaller or Fix("Choose Another Folder", operator="skyloop.choose_output_folder")
    yield Check("disk", "length", Severity.ERROR, message, fix)


def _memory(facts: Facts) -> Iterator[Check]:
    if facts.memory_mb is None:
        return
    needed, there = facts.expect(facts.request).memory_mb, facts.memory_mb
    if needed <= there:
        return
    message = f"It may take {amount(needed)} of memory, and there are {amount(there)}."
    yield Check(
        "memory",
        "size",
        Severity.WARNING,
        message,
        _smaller(facts, lambda r: facts.expect(r).memory_mb <= there),
    )


def _time(facts: Facts) -> Iterator[Check]:
    seconds = facts.expect(facts.request).seconds
    if seconds > LONG_S:
        message = f"It will take {about(seconds)} on this computer."
        fix = _smaller(facts, lambda r: facts.expect(r).seconds <= LONG_S)
        yield Check("time", "length", Severity.WARNING, message, fix)


def _smaller(facts: Facts, fits: Callable[[GenerateRequest], bool]) -> Fix | None:
    """The least change that makes a request fit: shorter, down to a second; else smaller, and then shorter still."""
    request = facts.request
    shortest = max(1, round(request.fps))
    if fits(replace(request, frames=min(shortest, request.frames))):
        frames = _most(lambda n: fits(replace(request, frames=n)), request.frames)
        return Fix(f"Shorten to {duration_s(frames, request.fps):.3g} s", {"frames": frames})
    for quality in reversed([q for q in QUALITIES if q.width < request.width]):
        small = replace(request, width=quality.width, height=quality.height)
        if fits(small):
            return Fix(f"Make It {quality.label} Size", {"quality": quality.id})
    least = min((q for q in QUALITIES), key=lambda q: q.width)
    small = replace(request, width=min(request.width, least.width), height=min(request.height, least.height))
    if fits(replace(small, frames=1)):
        frames = _most(lambda n: fits(replace(small, frames=n)), request.frames)
        size = {"quality": least.id} if least.width < request.width else {}
        return Fix(f"Make It Small, {frames} Frames", {**size, "frames": frames})
    return None


def _most(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to ``most`` that fits, where 1 does and everything below one that fits fits."""
    low, high = 1, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _rate(facts: Facts) -> Iterator[Check]:
    fps, scene_fps = facts.request.fps, facts.scene_fps
    if scene_fps and abs(fps - scene_fps) > 0.01 and facts.request.frames > 1:
        message = f"The scene plays {scene_fps:g} frames a second, the sky is made for {fps:g}."
        yield Check("rate", "length", Severity.INFO, message, Fix("Use the Scene's Rate", {"match_scene_fps": True}))


def _front(facts: Facts) -> Iterator[Check]:
    if facts.front_off_deg is not None and abs(facts.front_off_deg) > FAR_OFF_DEG:
        message = f"The camera looks {abs(facts.front_off_deg):.0f}° away from the middle of the sky."
        fix = Fix("Turn It to the Camera", operator="skyloop.front_from_camera")
        yield Check("front", "view", Severity.INFO, message, fix)


def about(seconds: float) -> str:
    """A time for people: about 40 s, about 3 min, about 2.5 h, about 4 days."""
    if seconds < 95:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"about {seconds / 3600:.2g} h"
    return f"about {round(seconds / 86400)} days"


def amount(megabytes: float) -> str:
    """A size for people: 30 MB, 1.4 GB."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.2g} GB"

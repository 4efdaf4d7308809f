"""Garbage in: protocol lines, events and request documents, broken in every way, against the parsers and a live server.

Nothing may be raised but a refusal, nothing may take long, and a document of which one field was spoilt must be refused
by that field's name.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from backend.protocol import Command, ErrorKind, Event, GenerateRequest, SkyloopError, camera_path
from backend.typed import parse_json

from . import live
from .garbage import DOCUMENTS, a_command, a_request, an_event, cameras, mutated, spoilt, spoilt_command
from .work import Figure, Part

WANTED = 200_000
BATCH = 2_000
BATCH_LIMIT_S = 60
LONGEST_S = 0.5  # for a line of at most some 100 kB
_ALIASES = {
    "width": ("width", "size"),
    "height": ("height", "size"),
    "fov_deg": ("fov",),
    "yaw_deg": ("yaw",),
    "pitch_deg": ("pitch",),
    "radius_deg": ("radius",),
    "roll_deg": ("roll",),
    "image_yaw_deg": ("image_yaw_deg", "image's direction"),
    "image_pitch_deg": ("image_pitch_deg", "image's direction"),
    "image_fov_deg": ("image_fov_deg", "image's direction"),
    "regions": ("region",),
}


def run(part: Part) -> list[Figure]:
    """Rounds of everything until enough was sent."""
    part.say(f"  from {part.so_far.get('cases', 0)} cases")
    while part.left_s() > 20 and part.so_far.get("cases", 0) < WANTED:
        round_of(part, BATCH)
    return figures(part)


def figures(part: Part) -> list[Figure]:
    cases, bad = part.so_far.get("cases", 0), part.list("violations")
    rate = cases / max(part.so_far.get("seconds", 0.0), 1e-9)
    kinds = ", ".join(f"{n} {name}" for name, n in sorted(part.table("kinds").items()))
    found = f"{cases} ({rate:.0f}/s): {kinds}"
    longest_s = part.so_far.get("longest_s", 0.0)
    return [
        Figure("fuzzed lines and documents", f">= {WANTED}", found, cases >= WANTED),
        Figure("crashes, unnamed fields", "0", str(len(bad)), not bad),
        Figure("the longest to be judged", f"<= {LONGEST_S:g} s", f"{longest_s:.3f} s", longest_s <= LONGEST_S),
    ]


def round_of(part: Part, size: int) -> None:
    """``size`` cases of each kind."""
    number = part.count("rounds")
    draw = random.Random(f"{part.seed} {number}")
    start = time.monotonic()
    with _no_longer_than(BATCH_LIMIT_S):
        for kind, judge, make in (
            ("commands", judge_command, lambda: mutated(draw, json.dumps(a_command(draw)))),
            ("events", judge_event, lambda: mutated(draw, an_event(draw).to_line())),
            ("documents", judge_document, lambda: mutated(draw, json.dumps(a_request(draw)))),
            ("camera paths", judge_camera, lambda: mutated(draw, json.dumps(cameras(draw)))),
            ("spoilt fields", judge_spoilt, lambda: spoilt(draw)),
            ("spoilt commands", judge_spoilt_command, lambda: spoilt_command(draw)),
        ):
            for _ in range(size):
                _judge(part, kind, judge, make())
        _invented(part, size // 4, number)
    sent = live.serve(part.scratch, size, draw, lambda text: _violation(part, f"the live server: {text}"))
    _count(part, "live lines", sent)
    part.so_far["seconds"] = part.so_far.get("seconds", 0.0) + time.monotonic() - start


def _judge(part: Part, kind: str, judge: Callable[[Any], str], case: Any) -> None:
    start = time.perf_counter()
    try:
        wrong = judge(case)
    except Exception as error:  # this is what is looked for
        wrong = f"{type(error).__name__}: {error}"
    part.so_far["longest_s"] = max(part.so_far.get("longest_s", 0.0), time.perf_counter() - start)
    _count(part, kind)
    if wrong:
        _violation(part, f"{kind}: {wrong[:300]} <- {str(case)[:300]!r}")


def _count(part: Part, kind: str, number: int = 1) -> None:
    part.count("cases", number)
    kinds = part.table("kinds")
    kinds[kind] = kinds.get(kind, 0) + number


def _violation(part: Part, text: str) -> None:
    if len(part.list("violations")) < 100:
        part.list("violations").append(text)
        part.say(f"  {text}")


# ---- judges: what is wrong with how a case was taken, or nothing


def judge_command(line: str) -> str:
    try:
        command = Command.from_line(line)
    except SkyloopError as error:
        return _refusal(error)
    return "" if Command.from_line(command.to_line()) == command else "another command when it is sent again"


def judge_event(line: str) -> str:
    try:
        event = Event.from_line(line)
    except ValueError:
        return ""
    again = Event.from_line(event.to_line())
    return "" if (again.type, again.job, again.seq) == (event.type, event.job, event.seq) else "another event when sent"


def judge_document(text: str) -> str:
    """As ``request.json`` is read: the text, the types, the values."""
    try:
        document = parse_json(text)
    except ValueError:
        return ""
    return _judge_request(document)[0]


def _judge_request(document: Any) -> tuple[str, list[str]]:
    """What is wrong with the refusal, and the reasons that it gave."""
    try:
        request = GenerateRequest.from_json(document)
    except SkyloopError as error:
        return _refusal(error), [error.message]
    problems = request.problems()
    with contextlib.suppress(UnicodeEncodeError):
        json.dumps(request.to_json(), allow_nan=False)
    return next((f"not one line: {p!r}" for p in problems if "\n" in p or not p), ""), problems


def judge_camera(text: str) -> str:
    try:
        camera_path(parse_json(text))
    except SkyloopError as error:
        return _refusal(error)
    except ValueError:
        pass
    return ""


def judge_spoilt(case: tuple[dict[str, Any], list[str]]) -> str:
    """A document that would be fine but for the field at that path."""
    document, path = case
    wrong, reasons = _judge_request(document)
    if wrong or not reasons:
        return wrong
    text = " ".join(reasons)
    unnamed = [name for name in path if not any(alias in text for alias in _ALIASES.get(name, (name,)))]
    return f"{'.'.join(path)} is not named: {text}" if unnamed else ""


def judge_spoilt_command(case: tuple[dict[str, Any], str]) -> str:
    document, name = case
    try:
        Command.from_line(json.dumps(document))
    except SkyloopError as error:
        named = name in error.message or "JSON" in error.message
        return _refusal(error) or ("" if named else f"{name} is not named: {error.message}")
    return ""


def _refusal(error: SkyloopError) -> str:
    if error.kind is not ErrorKind.BAD_REQUEST:
        return f"refused as {error.kind}"
    if not error.message or "\n" in error.message or len(error.line) > 2000:
        return f"refused with {error.message!r}"
    return ""


_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _invented(part: Part, size: int, number: int) -> None:
    """Documents that nobody meant, to all the judges."""

    @seed(part.seed * 1_000_003 + number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=_CHECKS,
    )
    @given(DOCUMENTS)
    def check(document: Any) -> None:
        text = json.dumps(document)
        for judge in (judge_command, judge_event, judge_document, judge_camera):
            _judge(part, "invented", judge, text)

    check()


@contextlib.contextmanager
def _no_longer_than(limit_s: int) -> Iterator[None]:
    """End a hang with a traceback that says where it is."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"a batch took more than {limit_s} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

"""Garbage in: protocol lines, events and request documents, broken in every way, against the parsers and a live server.

Nothing may be raised but a refusal, nothing may take long, and a document of which one field was spoilt must be refused
by that field's name.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from backend.jobs import store
from backend.protocol import (
    METHODS,
    REQUEST_TYPES,
    Command,
    ErrorKind,
    Event,
    GenerateRequest,
    SkyloopError,
    camera_path,
)
from backend.serve import stdio
from backend.typed import parse_json

from .work import Figure, Part

WANTED = 200_000
BATCH = 2_000
BATCH_LIMIT_S = 60
LONGEST_S = 0.5  # for a line of at most some 100 kB
SERVER_LIMIT_S = 30.0
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
_NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, -1e308, 1e-320,
    float("nan"), float("inf"), "", " ", "x", "\0", "\n", "\ud800", "é", "🌌" * 50, "a" * 5000, "../..", "/etc/passwd",
    "\\\\host\\share", "C:\\con", "\u202egpj.", [], [[]], {}, {"": {}}, {"__class__": "x"}, [None] * 100, "1", "NaN",
)  # fmt: skip


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
            ("camera paths", judge_camera, lambda: mutated(draw, json.dumps(_cameras(draw)))),
            ("spoilt fields", judge_spoilt, lambda: spoilt(draw)),
            ("spoilt commands", judge_spoilt_command, lambda: spoilt_command(draw)),
        ):
            for _ in range(size):
                _judge(part, kind, judge, make())
        _invented(part, size // 4, number)
    served(part, size, draw)
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


# ---- cases


def a_command(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"type": draw.choice(sorted(REQUEST_TYPES)), "job": draw.choice(("", "/a/b", "/é/🌌"))}
    return found | ({"to": draw.randrange(9)} if found["type"] == "move" else {})


def an_event(draw: random.Random) -> Event:
    data = {"name": "layout", "done": draw.randrange(9), "total": 9, "note": draw.choice(_NASTY[15:30])}
    return Event(type=draw.choice(("phase", "done", "failed", "hello")), job="/a/b", seq=draw.randrange(99), data=data)


def a_request(draw: random.Random) -> dict[str, Any]:
    """A document that is fine, with most fields in use."""
    height = 16 * draw.randint(8, 64)
    document = {
        "prompt": "a sky", "negative": draw.choice(("", "people")), "height": height, "width": 2 * height,
        "frames": draw.randint(1, 99), "fps": draw.uniform(1, 60), "loop": draw.random() < 0.5, "flat": False,
        "wrap": False, "seed": draw.randrange(2**62), "model": "builtin", "steps": draw.randint(0, 200),
        "guidance": draw.uniform(0, 30), "fov_deg": draw.uniform(40, 110), "device": "cpu", "motion": 1.0,
        "method": "skyloop", "schema": 1,
    }  # fmt: skip
    if draw.random() < 0.2:
        return document | {"flat": True, "wrap": draw.random() < 0.5, "method": draw.choice(METHODS)}
    if draw.random() < 0.7:
        document["regions"] = [_region(draw) for _ in range(draw.randint(1, 4))]
        document["camera"] = _cameras(draw)
        document |= {"image": "/a.png", "image_yaw_deg": 3.0, "image_pitch_deg": -4.5, "image_fov_deg": 60.0}
        document |= {"source": "/b", "mask_at": [10.0, -20.0, 30.0], "motion": 0.5, "motion_mask": "/c.png"}
    return document


def _region(draw: random.Random) -> dict[str, Any]:
    yaw = draw.choice((None, draw.uniform(-180, 180)))
    return {"yaw_deg": yaw, "pitch_deg": draw.uniform(-90, 90), "radius_deg": draw.uniform(1, 180), "prompt": "red"}


def _cameras(draw: random.Random) -> list[dict[str, Any]]:
    angles = {"yaw_deg": 1.0, "pitch_deg": 2.0, "fov_deg": 60.0, "aspect": 1.5, "roll_deg": 3.0}
    return [{"frame": 5 * k, **angles} for k in range(draw.randint(1, 3))]


def spoilt(draw: random.Random) -> tuple[dict[str, Any], list[str]]:
    """A fine document with one field, at any depth, set to something else, and the path of its names."""
    document = json.loads(json.dumps(a_request(draw)))
    place, path = document, []
    while True:
        key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
        path += [key] if isinstance(key, str) else []
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.3:
            break
        place = inner
    place[key] = draw.choice(_NASTY)
    return document, path


def spoilt_command(draw: random.Random) -> tuple[dict[str, Any], str]:
    """The same of a command."""
    command = a_command(draw) | {"job": "/a/b"}
    name = draw.choice((*command, "surprise"))
    return command | {name: draw.choice(_NASTY)}, name


def mutated(draw: random.Random, text: str) -> str:
    """A text that was fine, broken once or a few times."""
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        text = draw.choice(_MUTATIONS)(draw, text)
    return text[:200_000]


def _flip(draw: random.Random, text: str) -> str:
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw.randint(1, 4)):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data.decode("utf-8", errors="replace")


def _cut(draw: random.Random, text: str) -> str:
    a, b = sorted(draw.randrange(len(text) + 1) for _ in range(2))
    return draw.choice((text[:a], text[a:], text[:a] + text[b:], text[:b] + text[a:]))


def _swap(draw: random.Random, text: str) -> str:
    """Another value or name somewhere, if it is JSON still."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    place, key = [document], 0
    while isinstance(inner := place[key], dict | list) and inner and draw.random() < 0.8:  # type: ignore[index]
        place, key = inner, draw.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))  # type: ignore
    place[key] = draw.choice(_NASTY)  # type: ignore[index]
    return json.dumps(document if place is not None else None)


def _twice(draw: random.Random, text: str) -> str:
    name = draw.choice(("type", "prompt", "job", "width", "x"))
    return text.replace("{", f'{{"{name}": {json.dumps(draw.choice(_NASTY))}, ', 1)


def _nest(draw: random.Random, text: str) -> str:
    depth = draw.choice((2, 50, 5_000, 40_000))
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}")))
    return opening * depth + text + closing * draw.choice((depth, 0))


def _insert(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text) + 1)
    more = draw.choice(("1e999", "-" * 50, "9" * 5000, "\\ud800", "\0", "\ufeff", "NaN", "\u2028", '"', "}", "," * 9))
    return text[:at] + more + text[at:]


_MUTATIONS = (_flip, _flip, _cut, _swap, _swap, _swap, _twice, _nest, _insert)


# ---- what hypothesis makes up

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(_NASTY[:30])
_NAMES = st.text(max_size=5) | st.sampled_from(
    ["type", "job", "to", "prompt", "width", "height", "regions", "camera", "yaw_deg", "frame", "mask_at", "schema"]
)
_VALUES = st.recursive(_SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(_NAMES, v, max_size=5))


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
    @given(st.dictionaries(_NAMES, _VALUES, max_size=8) | _VALUES)
    def check(document: Any) -> None:
        text = json.dumps(document)
        for judge in (judge_command, judge_event, judge_document, judge_camera):
            _judge(part, "invented", judge, text)

    check()


# ---- a live server


@dataclass
class _Listener:
    """The other end of a server's pipe."""

    stream: BinaryIO
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def read(self) -> None:
        number = 0
        for line in self.stream:
            try:
                event = Event.from_line(line.decode("utf-8"))
            except ValueError as error:
                self.wrong.append(f"no event: {error}")
                continue
            if event.seq != number:
                self.wrong.append(f"event {event.seq} came as {number}")
            number = event.seq + 1
            self.counts[event.type] = self.counts.get(event.type, 0) + 1
            if "did not expect" in str(event.data.get("message")):
                self.wrong.append(str(event.data))


def served(part: Part, size: int, draw: random.Random) -> None:
    """Lines to a server that runs in this process, which must answer a question after each hundred of them."""
    jobs = [_a_job(part.scratch / f"fuzz{k}", draw) for k in range(4)]
    with _server(part) as (pipe, listener):
        for number in range(1, size + 1):
            command = a_command(draw) | ({"job": draw.choice(jobs)} if draw.random() < 0.5 else {})
            line = json.dumps(command) if draw.random() < 0.3 else mutated(draw, json.dumps(command))
            if "shutdown" not in line:
                pipe.write(line.replace("\n", " ").encode("utf-8", "surrogatepass") + b"\n")
            if number % 100 == 0:
                before, end_s = listener.counts.get("hello", 0), time.monotonic() + SERVER_LIMIT_S
                for kind in ("resume", "probe"):
                    pipe.write(Command(type=kind).to_line().encode() + b"\n")
                pipe.flush()
                while listener.counts.get("hello", 0) <= before and time.monotonic() < end_s:
                    time.sleep(0.001)
                if listener.counts.get("hello", 0) <= before:
                    _violation(part, "the live server did not answer")
                    return
        _count(part, "live lines", size)


@contextlib.contextmanager
def _server(part: Part) -> Iterator[tuple[BinaryIO, _Listener]]:
    """A server with an engine that does nothing, its pipe, and what it says; what went wrong inside is a violation."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    listener = _Listener(os.fdopen(our_in, "rb"))
    errors = _Errors()
    logger = logging.getLogger("backend")
    logger.addHandler(errors)
    propagate, logger.propagate = logger.propagate, False
    ended: list[int] = []
    streams = os.fdopen(their_in, "rb"), os.fdopen(their_out, "wb", buffering=0)
    serving = threading.Thread(target=lambda: ended.append(stdio.serve(*streams, _machinery)), daemon=True)
    reading = threading.Thread(target=listener.read, daemon=True)
    pipe = os.fdopen(our_out, "wb")
    try:
        serving.start()
        reading.start()
        yield pipe, listener
        pipe.close()
        serving.join(SERVER_LIMIT_S)
        if ended != [0]:
            _violation(part, f"the live server ended with {ended}")
    finally:
        logger.removeHandler(errors)
        logger.propagate = propagate
        for stream in (pipe, *streams):
            with contextlib.suppress(OSError):
                stream.close()
        reading.join(SERVER_LIMIT_S)
        for text in (*listener.wrong, *errors.found):
            _violation(part, f"live: {text}")


class _Errors(logging.Handler):
    """Keeps what is logged as an error: an exception that nothing was ready for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record)[:500])


def _machinery() -> stdio.Machinery:
    def generate(request: GenerateRequest, job: Path, /, *, engine: Any = None) -> Iterator[Event]:
        yield Event(type="done", data={"result": {}})

    return stdio.Machinery(generate, list, engine=type("NoEngine", (), {"unload": lambda self: None})())


def _a_job(folder: Path, draw: random.Random) -> str:
    """A job folder whose request is fine or not."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(a_request(draw))
    (folder / "request.json").write_text(draw.choice((text, mutated(draw, text))), "utf-8", "surrogatepass")
    return store.load(str(folder)).id


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

"""The garbage that the fuzzing sends: what is fine, then spoilt in one field, broken as text, or never meant at all."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import strategies as st

from backend.protocol import METHODS, REQUEST_TYPES, Event

_NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, -1e308, 1e-320,
    float("nan"), float("inf"), "", " ", "x", "\0", "\n", "\ud800", "é", "🌌" * 50, "a" * 5000, "../..", "/etc/passwd",
    "\\\\host\\share", "C:\\con", "\u202egpj.", [], [[]], {}, {"": {}}, {"__class__": "x"}, [None] * 100, "1", "NaN",
)  # fmt: skip


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
        document["camera"] = cameras(draw)
        document |= {"image": "/a.png", "image_yaw_deg": 3.0, "image_pitch_deg": -4.5, "image_fov_deg": 60.0}
        document |= {"source": "/b", "mask_at": [10.0, -20.0, 30.0], "motion": 0.5, "motion_mask": "/c.png"}
    return document


def _region(draw: random.Random) -> dict[str, Any]:
    yaw = draw.choice((None, draw.uniform(-180, 180)))
    return {"yaw_deg": yaw, "pitch_deg": draw.uniform(-90, 90), "radius_deg": draw.uniform(1, 180), "prompt": "red"}


def cameras(draw: random.Random) -> list[dict[str, Any]]:
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


# What hypothesis makes up: documents that nobody meant.
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(_NASTY[:30])
_NAMES = st.text(max_size=5) | st.sampled_from(
    ["type", "job", "to", "prompt", "width", "height", "regions", "camera", "yaw_deg", "frame", "mask_at", "schema"]
)
_VALUES = st.recursive(_SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(_NAMES, v, max_size=5))
DOCUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=8) | _VALUES

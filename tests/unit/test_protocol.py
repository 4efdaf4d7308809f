"""The protocol: what is written can be read, and whatever else is read is refused by name, never by a crash."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.protocol import (
    EVENT_TYPES,
    MAX_PROMPT_CHARS,
    REQUEST_TYPES,
    Command,
    ErrorKind,
    Event,
    GenerateRequest,
    SkyloopError,
    failed,
)

FINE = GenerateRequest(prompt="aurora over a frozen lake")
TEXT = st.text(max_size=60)
OF_TYPE = {str: TEXT, int: st.integers(), float: st.floats(allow_nan=False, allow_infinity=False), bool: st.booleans()}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELD_TYPES = {f.name: type(getattr(FINE, f.name)) for f in fields(FINE)}
requests = st.builds(GenerateRequest, **{n: OF_TYPE[kind] for n, kind in FIELD_TYPES.items() if n != "schema"})
PROMPT = {"prompt": "x"}


def wrong_values(kind: type) -> st.SearchStrategy[object]:
    """JSON values that are no ``kind``; an integer is fine where a number is asked for."""

    def fits(value: object) -> bool:
        if kind is float and type(value) is int:
            return abs(value) < 2**53
        return type(value) is kind and (kind is not float or math.isfinite(value))  # type: ignore[arg-type]

    return JSON.filter(lambda value: not fits(value))


@given(requests)
def test_a_request_survives_the_way_through_json(request: GenerateRequest) -> None:
    assert GenerateRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


@given(st.data(), st.sampled_from(sorted(FIELD_TYPES)))
def test_a_field_of_the_wrong_type_is_refused_by_name(data: st.DataObject, name: str) -> None:
    value = data.draw(wrong_values(FIELD_TYPES[name]))
    with pytest.raises(SkyloopError) as caught:
        GenerateRequest.from_json(FINE.to_json() | {name: value})
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert name in caught.value.message


@given(TEXT.filter(lambda name: name not in FIELD_TYPES))
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(SkyloopError, match="unknown request field") as caught:
        GenerateRequest.from_json(PROMPT | {name: 1})
    assert repr(name[:40]) in caught.value.message


@given(JSON)
def test_any_document_is_read_or_refused_with_a_readable_error(document: object) -> None:
    try:
        request = GenerateRequest.from_json(document)
    except SkyloopError as error:
        assert error.exit_code == 2
        assert "\n" not in error.line
    else:
        assert isinstance(request.problems(), list)


@given(requests)
def test_problems_are_single_short_lines_whatever_the_values(request: GenerateRequest) -> None:
    for text in request.problems():
        assert "\n" not in text
        assert len(text) < 600  # even where a number has hundreds of digits


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \t\n"}, "prompt is empty"),
        ({"prompt": "x" * 100_000}, "prompt has 100000 characters"),
        ({"prompt": "half \ud83c"}, "prompt is not valid"),
        ({"negative": "x" * 100_000}, "negative has 100000 characters"),
        ({"negative": "  "}, "negative is only spaces"),
        ({"width": 0, "height": 0}, "height 0"),
        ({"width": 1_000_000, "height": 500_000}, "height 500000"),
        ({"width": 1024, "height": 1024}, "size 1024x1024"),
        ({"width": -1024, "height": -512}, "height -512"),
        ({"width": 1000, "height": 500}, "height 500"),
        ({"width": 1_000_000, "height": 512, "flat": True}, "width 1000000"),
        ({"wrap": True}, "wrap belongs to flat"),
        ({"frames": 0}, "frames 0"),
        ({"frames": -1}, "frames -1"),
        ({"frames": 10**6}, "frames 1000000"),
        ({"fps": 0.0}, "fps 0"),
        ({"fps": math.nan}, "fps nan"),
        ({"seed": -1}, "seed -1"),
        ({"steps": 10**6}, "steps 1000000"),
        ({"guidance": math.inf}, "guidance inf"),
        ({"fov_deg": 180.0}, "fov 180"),
        ({"method": "magic"}, "method 'magic'"),
        ({"device": "gpu"}, "device 'gpu'"),
    ],
)
def test_each_bad_value_is_named(change: dict[str, object], named: str) -> None:
    problems = replace(FINE, **change).problems()
    assert any(named in text for text in problems), problems
    with pytest.raises(SkyloopError) as caught:
        replace(FINE, **change).validated()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("prompt", ["🌌", "🌌" * 50, "星空", "x" * MAX_PROMPT_CHARS, "a\nb", "\x00"])
def test_unusual_prompts_are_fine(prompt: str) -> None:
    assert replace(FINE, prompt=prompt).problems() == []


def test_flat_panoramas_may_have_any_shape() -> None:
    assert replace(FINE, flat=True, wrap=True, width=1600, height=256).problems() == []


EVENTS = st.builds(
    Event,
    type=st.sampled_from(sorted(EVENT_TYPES)),
    job=TEXT,
    seq=st.integers(0, 2**40),
    data=st.dictionaries(
        TEXT.filter(lambda k: k not in ("type", "seq", "job")),
        st.recursive(TEXT | st.integers() | st.booleans() | st.none(), lambda x: st.lists(x, max_size=3), max_leaves=4),
        max_size=4,
    ),
)


@given(EVENTS)
def test_an_event_survives_the_pipe_as_one_line(event: Event) -> None:
    line = event.to_line()
    assert "\n" not in line
    assert Event.from_line(line) == event


def test_data_cannot_pose_as_another_event() -> None:
    line = Event(type="phase", job="a", data={"type": "done", "job": "b", "seq": 9}).to_line()
    assert Event.from_line(line) == Event(type="phase", job="a")


def test_a_figure_that_cannot_be_measured_is_null_in_json() -> None:
    line = Event(type="done", data={"result": {"figures": [math.nan, math.inf, 1.0]}}).to_line()
    assert "NaN" not in line
    assert Event.from_line(line).data["result"] == {"figures": [None, None, 1.0]}


NEARLY = st.builds(
    lambda head, kind: json.dumps({**head, "type": kind}),
    st.dictionaries(st.sampled_from(["seq", "job", "path"]), JSON),
    st.sampled_from(sorted(EVENT_TYPES | REQUEST_TYPES)),
)


@given(TEXT | JSON.map(json.dumps) | NEARLY)
def test_any_line_is_parsed_or_refused_in_the_documented_way(line: str) -> None:
    with contextlib.suppress(ValueError):
        Event.from_line(line)
    try:
        Command.from_line(line)
    except SkyloopError as error:
        assert error.kind is ErrorKind.BAD_REQUEST
        assert "\n" not in error.line


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"type":"phase","seq":1e999}', '{"type":["phase"]}', "9" * 5000, "null"]
)
def test_hostile_lines_are_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the documented class is all that is promised)
        Event.from_line(line)
    with pytest.raises(SkyloopError):
        Command.from_line(line)


@given(st.sampled_from(sorted(REQUEST_TYPES)), TEXT.filter(bool))
def test_a_command_survives_the_pipe_as_one_line(kind: str, job: str) -> None:
    command = Command(type=kind, job=job)
    assert "\n" not in command.to_line()
    assert Command.from_line(command.to_line()) == command


@pytest.mark.parametrize("line", ['{"type":"generate"}', '{"type":"cancel","job":""}', '{"type":"generate","job":7}'])
def test_a_command_without_its_job_is_refused(line: str) -> None:
    with pytest.raises(SkyloopError, match="needs a job"):
        Command.from_line(line)


def test_exit_codes_follow_the_kind() -> None:
    codes = {kind: SkyloopError(kind, "").exit_code for kind in ErrorKind}
    assert {kind for kind, code in codes.items() if code == 2} == {ErrorKind.BAD_REQUEST, ErrorKind.MISSING_MODEL}
    assert codes[ErrorKind.CANCELLED] == 130
    assert codes[ErrorKind.DISK_FULL] == codes[ErrorKind.INTERNAL] == 1


def test_a_failure_carries_all_that_the_add_on_shows() -> None:
    event = failed(SkyloopError(ErrorKind.OUT_OF_MEMORY, "Too big.", "Go smaller."), "/x/log.txt")
    assert event.data == {"kind": "out_of_memory", "message": "Too big.", "hint": "Go smaller.", "log": "/x/log.txt"}

"""The protocol: what is written can be read, and whatever else is read is refused by name, never by a crash."""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.controls import REFINE_STRENGTH, VARIATION_STRENGTH
from backend.protocol import (
    EVENT_TYPES,
    MAX_PROMPT_CHARS,
    REQUEST_TYPES,
    CameraKey,
    Command,
    ErrorKind,
    Event,
    GenerateRequest,
    Region,
    SkyloopError,
    camera_path,
    failed,
)

FINE = GenerateRequest(prompt="aurora over a frozen lake")
TEXT = st.text(max_size=60)
WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.builds(
    CameraKey, frame=WHOLE, yaw_deg=FLOATS, pitch_deg=FLOATS, fov_deg=FLOATS, aspect=FLOATS, roll_deg=FLOATS
)
OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: WHOLE,
    float: FLOATS,
    bool: st.booleans(),
    tuple[Region, ...]: st.lists(st.builds(Region, FLOATS | st.none(), FLOATS, FLOATS, TEXT), max_size=3).map(tuple),
    tuple[CameraKey, ...]: st.lists(KEYS, max_size=3).map(tuple),
    tuple[tuple[str, float], ...]: st.lists(st.tuples(TEXT, FLOATS), max_size=3).map(tuple),
    tuple[float, float, float] | None: st.none() | st.tuples(FLOATS, FLOATS, FLOATS),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELD_TYPES = get_type_hints(GenerateRequest)
requests = st.builds(GenerateRequest, **{n: OF_TYPE[kind] for n, kind in FIELD_TYPES.items() if n != "schema"})
PROMPT = {"prompt": "x"}
ABSOLUTE = str(Path("sky.png").absolute())


def fits(kind: Any, value: object) -> bool:
    """Whether a JSON value is a ``kind``; an integer is fine where a number is asked for."""
    if kind is float and type(value) is int:
        return abs(value) < 2**53
    if kind is int and type(value) is int:
        return -(2**63) <= value < 2**63
    if kind in (str, int, float, bool):
        return type(value) is kind and (kind is not float or math.isfinite(value))  # type: ignore[arg-type]
    if kind == tuple[float, float, float] | None:
        return value is None or (isinstance(value, list) and len(value) == 3 and all(fits(float, v) for v in value))
    return value == []  # no JSON made at random has the fields of a region or a camera's key


def wrong_values(kind: Any) -> st.SearchStrategy[object]:
    """JSON values that are no ``kind``."""
    return JSON.filter(lambda value: not fits(kind, value))


@given(requests)
def test_a_request_survives_the_way_through_json(request: GenerateRequest) -> None:
    assert GenerateRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_request_of_before_there_were_controls_still_loads() -> None:
    old = {k: v for k, v in FINE.to_json().items() if k in ("prompt", "width", "height", "seed", "method", "schema")}
    assert GenerateRequest.from_json(old) == FINE


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
        ({"regions": (Region(0.0, 0.0, 30.0, "x"),) * 65}, "regions: 65 of them, use at most 64"),
        ({"regions": (Region(0.0, 0.0, 30.0, "x"), Region(500.0, 0.0, 30.0, "x"))}, "region 2: yaw 500: use -360 to"),
        ({"regions": (Region(None, 91.0, 30.0, "x"),)}, "region 1: pitch 91: use -90 to 90"),
        ({"regions": (Region(None, math.nan, 30.0, "x"),)}, "region 1: pitch nan"),
        ({"regions": (Region(0.0, 0.0, 0.0, "x"),)}, "region 1: radius 0"),
        ({"regions": (Region(0.0, 0.0, math.inf, "x"),)}, "region 1: radius inf"),
        ({"regions": (Region(0.0, 0.0, 30.0, " "),)}, "region 1: its prompt is empty"),
        ({"regions": (Region(0.0, 0.0, 30.0, "x" * 2001),)}, "region 1: prompt has 2001 characters"),
        ({"regions": (Region(0.0, 0.0, 30.0, "\ud83c"),)}, "region 1: prompt is not valid"),
        ({"regions": (Region(0.0, 0.0, 30.0, "x"),), "flat": True}, "no directions: leave regions out"),
        ({"regions": (Region(0.0, 0.0, 30.0, "x"),), "method": "multidiffusion"}, "takes no regions: use skyloop or"),
        ({"image": "sky.png"}, "image 'sky.png': use an absolute path"),
        ({"image": "/caf\udce9.png"}, "image is a file name that is not valid Unicode"),
        ({"image": "/a\0b"}, "image is a file name"),
        ({"image": ABSOLUTE, "image_fov_deg": 180.0}, "image_fov_deg 180: use 5 to 150"),
        ({"image": ABSOLUTE, "image_fov_deg": math.nan}, "image_fov_deg nan"),
        ({"image": ABSOLUTE, "image_yaw_deg": 400.0}, "image_yaw_deg 400"),
        ({"image": ABSOLUTE, "image_pitch_deg": -91.0}, "image_pitch_deg -91"),
        ({"image": ABSOLUTE, "image_fov_deg": 60.0, "flat": True}, "no directions: leave the image's direction out"),
        ({"image": ABSOLUTE, "method": "dynamicscaler"}, "takes no image: use skyloop"),
        ({"image_fov_deg": 60.0}, "but no image"),
        ({"mask": ABSOLUTE}, "give that sky as the source"),
        ({"mask_at": (0.0, 0.0, 20.0)}, "give that sky as the source"),
        ({"source": ABSOLUTE}, "source needs a mask"),
        ({"source": ABSOLUTE, "mask": ABSOLUTE, "mask_at": (0.0, 0.0, 20.0)}, "give one of them"),
        ({"source": ABSOLUTE, "mask_at": (0.0, 0.0, -1.0)}, "mask_at: radius -1"),
        ({"source": ABSOLUTE, "mask_at": (0.0, 100.0, 9.0)}, "mask_at: pitch 100"),
        ({"source": ABSOLUTE, "mask_at": (0.0, 0.0, 9.0), "flat": True}, "leave mask_at out"),
        ({"source": ABSOLUTE, "mask": ABSOLUTE, "method": "independent"}, "takes no source and no mask"),
        ({"source": ABSOLUTE, "strength": 0.01}, "strength 0.01: use 0.05 to 1"),
        ({"source": ABSOLUTE, "strength": math.nan}, "strength nan"),
        ({"strength": 0.5}, "give that sky as the source, or leave strength at 1"),
        ({"source": ABSOLUTE, "strength": 0.5, "mask": ABSOLUTE}, "leave strength at 1, or the mask out"),
        ({"source": ABSOLUTE, "strength": 0.5, "image": ABSOLUTE}, "image and source both"),
        ({"source": ABSOLUTE, "strength": 0.5, "method": "native"}, "takes no source"),
        ({"motion": 2.5}, "motion 2.5: use 0 (still) to 2"),
        ({"motion": math.nan}, "motion nan"),
        ({"motion_mask": ABSOLUTE, "method": "multidiffusion"}, "takes no motion_mask"),
        ({"camera": (CameraKey(-1, 0.0, 0.0, 50.0),)}, "camera key 1: frame -1"),
        ({"camera": (CameraKey(5, 0.0, 0.0, 50.0),) * 2}, "camera key 2: frame 5 does not come after"),
        ({"camera": (CameraKey(0, math.nan, 0.0, 50.0),)}, "camera key 1: yaw nan"),
        ({"camera": (CameraKey(0, 0.0, 0.0, 180.0),)}, "camera key 1: fov 180: use 1 to 170"),
        ({"camera": (CameraKey(0, 0.0, 0.0, 50.0, 0.0),)}, "camera key 1: aspect 0"),
        ({"camera": (CameraKey(0, 0.0, 0.0, 50.0),), "flat": True}, "leave camera out"),
        ({"camera": (CameraKey(0, 0.0, 0.0, 50.0),), "method": "dynamicscaler"}, "takes no camera"),
        ({"camera": tuple(CameraKey(i, 0.0, 0.0, 50.0) for i in range(5000))}, "camera: 5000 keys"),
    ],
)
def test_each_bad_value_is_named(change: dict[str, object], named: str) -> None:
    problems = replace(FINE, **change).problems()
    assert any(named in text for text in problems), problems
    with pytest.raises(SkyloopError) as caught:
        replace(FINE, **change).validated()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("prompt", ["🌌", "🌌" * 50, "星空", "x" * MAX_PROMPT_CHARS, "a\nb", "a\tb"])
def test_unusual_prompts_are_fine(prompt: str) -> None:
    assert replace(FINE, prompt=prompt).problems() == []


@pytest.mark.parametrize(
    "change",
    [
        {"regions": (Region(None, 90.0, 30.0, "stars"), Region(-170.0, 0.0, 180.0, "a=b 星"))},
        {"regions": (Region(0.0, 0.0, 30.0, "x"),), "motion": 0.0, "motion_mask": ABSOLUTE},
        {"image": ABSOLUTE},
        {"image": ABSOLUTE, "flat": True},
        {"image": ABSOLUTE, "image_yaw_deg": -30.0, "image_fov_deg": 60.0},
        {"source": ABSOLUTE, "mask": ABSOLUTE},
        {"source": ABSOLUTE, "mask_at": (0.0, 90.0, 25.0)},
        {"source": ABSOLUTE, "strength": REFINE_STRENGTH},
        {"source": ABSOLUTE, "strength": VARIATION_STRENGTH, "flat": True},
        {"camera": (CameraKey(0, 0.0, 0.0, 50.0), CameraKey(24, 90.0, 10.0, 35.0, 2.39, -5.0))},
    ],
)
def test_controls_within_their_ranges_are_fine(change: dict[str, Any]) -> None:
    assert replace(FINE, **change).problems() == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"regions": {}}, "regions must be a list"),
        ({"regions": ["x"]}, "regions[0] must be a JSON object"),
        ({"regions": [{"yaw_deg": 0, "radius_deg": 3, "prompt": "x"}]}, "regions[0].pitch_deg is missing"),
        ({"regions": [{"yaw": 0}]}, "regions[0] has an unknown field 'yaw'"),
        ({"regions": [asdict(Region(0, 0, 30, "x")), asdict(Region(0, "up", 30, "x"))]},  # type: ignore[arg-type]
         "regions[1].pitch_deg must be float, not 'up'"),
        ({"mask_at": [0, 0]}, "mask_at must have 3 values, not 2"),
        ({"mask_at": [0, 0, "wide"]}, "mask_at[2] must be float"),
        ({"camera": [{"frame": 1.5, "yaw_deg": 0, "pitch_deg": 0, "fov_deg": 50}]}, "camera[0].frame must be int"),
    ],
)  # fmt: skip
def test_a_control_of_the_wrong_type_is_refused_by_its_place(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SkyloopError, match=re.escape(named)) as caught:
        GenerateRequest.from_json(FINE.to_json() | change)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_camera_path_needs_no_more_than_where_it_looks() -> None:
    document = [{"frame": 0, "yaw_deg": 10, "pitch_deg": 0, "fov_deg": 50}]
    assert camera_path(document) == (CameraKey(0, 10.0, 0.0, 50.0, 16 / 9, 0.0),)
    with pytest.raises(SkyloopError, match="camera must be a list"):
        camera_path({"frame": 0})


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

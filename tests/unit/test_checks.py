"""Validation as data: what is wrong is found, said in a sentence, and gone once its fix is done."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.__main__ import load_package

load_package()
module = importlib.import_module("skyloop.blender_addon.core.checks")
protocol = importlib.import_module("skyloop.backend.protocol")
settings = importlib.import_module("skyloop.blender_addon.core.settings")
Check, Facts, Severity, checks, why_not = (
    module.Check, module.Facts, module.Severity, module.checks, module.why_not,
)  # fmt: skip
Estimate = module.Estimate
GenerateRequest, MAX_FRAMES, MAX_PROMPT_CHARS = (
    protocol.GenerateRequest, protocol.MAX_FRAMES, protocol.MAX_PROMPT_CHARS,
)  # fmt: skip

FINE = GenerateRequest(prompt="stars")


def by_the_pixel(request: Any) -> Any:
    """A computer that makes a million pixels in ten seconds, and needs a byte of disk and ten of memory for each."""
    millions = request.width * request.height * request.frames / 1e6
    return Estimate(seconds=10 * millions, memory_mb=10 * millions, disk_mb=millions, evaluations=1)


def facts(request: Any = FINE, **others: Any) -> Any:
    given = {"prompt": request.prompt, "models": ("builtin",), "expect": by_the_pixel}
    return Facts(request=request, **given | others)


def fixed(before: Any, check: Any) -> Any:
    """The facts once the button beside ``check`` was pressed, as ``skyloop.fix`` and the scene's properties do it."""
    assert check.fix and not check.fix.operator
    request, prompt = before.request, before.prompt
    values: dict[str, Any] = check.fix.settings
    for name, value in values.items():
        match name:
            case "quality" if str(value) != "CUSTOM":
                width, height = settings.size_of(value, 0)
                request = replace(request, width=width, height=height)
            case "custom_width":
                request = replace(request, width=value, height=int(value) // 2)
            case "prompt":
                prompt, request = value, replace(request, prompt=value)
            case "style":
                request = replace(request, prompt=prompt)
            case "explore.source":
                request = replace(request, source=value, strength=1.0)
            case "explore.strength":
                request = replace(request, strength=value)
            case "match_scene_fps":
                request = replace(request, fps=before.scene_fps) if value else request
            case "quality":
                pass
            case _:
                request = replace(request, **{name: value})
    return replace(before, request=request, prompt=prompt)


def only(found: list[Any], id: str) -> Any:
    [check] = [c for c in found if c.id == id]
    return check


WRONG: list[tuple[str, str, Any]] = [
    ("prompt", "prompt", facts(replace(FINE, prompt=""))),
    ("prompt", "prompt", facts(replace(FINE, prompt="   \n"))),
    ("prompt", "prompt", facts(replace(FINE, prompt="stars\x07"))),
    ("prompt", "prompt", facts(replace(FINE, prompt="x" * (MAX_PROMPT_CHARS + 1)))),
    ("prompt", "prompt", facts(replace(FINE, prompt="s" + ", x" * MAX_PROMPT_CHARS), prompt="s")),
    ("negative", "words", facts(replace(FINE, negative="  "))),
    ("negative", "words", facts(replace(FINE, negative="no\x1b sun"))),
    ("negative", "words", facts(replace(FINE, negative="no " * MAX_PROMPT_CHARS))),
    ("size", "size", facts(replace(FINE, width=1000, height=500))),
    ("size", "size", facts(replace(FINE, width=20, height=10))),
    ("size", "size", facts(replace(FINE, width=99999, height=49999))),
    ("frames", "length", facts(replace(FINE, frames=0))),
    ("frames", "length", facts(replace(FINE, frames=MAX_FRAMES + 1))),
    ("fps", "length", facts(replace(FINE, fps=240.0))),
    ("fps", "length", facts(replace(FINE, fps=0.0))),
    ("fps", "length", facts(replace(FINE, fps=math.nan))),
    ("seed", "seed", facts(replace(FINE, seed=-1))),
    ("steps", "model", facts(replace(FINE, steps=999))),
    ("guidance", "model", facts(replace(FINE, guidance=-2.0))),
    ("fov", "view", facts(replace(FINE, fov_deg=10.0))),
    ("model", "model", facts(replace(FINE, model="gone"))),
    ("model", "model", facts(replace(FINE, model=""))),
    ("strength", "start", facts(replace(FINE, source="/skies/a", strength=0.01))),
    ("source", "start", facts(replace(FINE, source="/skies/a"))),
    ("disk", "length", facts(replace(FINE, frames=240), free_mb=100.0)),
    ("disk", "length", facts(FINE, free_mb=1.0)),
    ("memory", "size", facts(replace(FINE, frames=64), memory_mb=200.0)),
    ("time", "length", facts(replace(FINE, frames=1000))),
    ("time", "length", facts(replace(FINE, width=8192, height=4096, frames=8))),
    ("rate", "length", facts(scene_fps=24.0)),
]


@pytest.mark.parametrize(("id", "place", "wrong"), WRONG, ids=[f"{w[0]}{n}" for n, w in enumerate(WRONG)])
def test_every_problem_is_said_where_it_is_and_gone_once_it_is_fixed(id: str, place: str, wrong: Any) -> None:
    check = only(checks(wrong), id)
    assert check.place == place and check.message[0].isupper() and check.message.endswith((".", "?"))
    assert check.fix and check.fix.label
    after = wrong
    for _ in range(2):  # a long prompt with a character that cannot be seen takes two presses
        if again := [c for c in checks(after) if c.id == id]:
            after = fixed(after, again[0])
    assert id not in [c.id for c in checks(after)]


def test_what_is_fine_has_nothing_to_be_said_about_it() -> None:
    assert checks(facts(free_mb=1e6, memory_mb=1e6, scene_fps=8.0, front_off_deg=10.0)) == []
    assert why_not([]) == ""


def test_errors_come_first_and_only_they_keep_from_generating() -> None:
    found = checks(facts(replace(FINE, prompt="", frames=2000), scene_fps=24.0))
    assert [c.severity for c in found] == sorted((c.severity for c in found), key=list(Severity).index)
    assert why_not(found) == found[0].message and "prompt is empty" in found[0].message
    assert why_not(checks(facts(replace(FINE, frames=2000), scene_fps=24.0))) == ""


def test_what_has_to_do_with_the_generator_comes_before_all() -> None:
    absent = Check("setup", "setup", Severity.ERROR, "It is not there.")
    assert checks(facts(replace(FINE, prompt=""), why_not=absent))[0] is absent


def test_the_camera_that_looks_away_is_offered_as_front() -> None:
    check = only(checks(facts(front_off_deg=-170.0)), "front")
    assert "170" in check.message and check.fix and check.fix.operator == "skyloop.front_from_camera"
    assert not checks(facts(front_off_deg=None))


def test_a_problem_of_the_directions_is_named_though_nothing_here_can_fix_it() -> None:
    [check] = checks(facts(replace(FINE, regions=(protocol.Region(0.0, 0.0, 20.0, ""),))))
    assert check.place == "direct" and check.severity is Severity.ERROR and "prompt is empty" in check.message


def test_a_problem_of_the_directions_is_told_once_and_in_the_scenes_own_names() -> None:
    request = replace(FINE, regions=(protocol.Region(0.0, 0.0, 20.0, ""),))
    [check] = checks(facts(request, steering=("Moon: its prompt is empty",)))
    assert check.place == "direct" and check.severity is Severity.ERROR and check.message.startswith("Moon")


def test_what_is_wrong_with_a_region_leads_to_it() -> None:
    texts = ("Moon: its prompt is empty: describe what is there", "The scene has no camera")
    region, camera = checks(facts(steering=texts, regions=("Mo", "Moon")))
    assert region.fix and region.fix.operator == "skyloop.region_select" and region.fix.arguments == {"region": "Moon"}
    assert camera.fix is None and {region.severity, camera.severity} == {Severity.ERROR}


def test_a_full_disk_is_an_error_and_another_folder_the_last_resort() -> None:
    check = only(checks(facts(free_mb=0.0)), "disk")
    assert check.severity is Severity.ERROR and check.fix
    assert check.fix.operator == "skyloop.choose_output_folder"


@given(
    frames=st.integers(1, MAX_FRAMES),
    width=st.sampled_from([q.width for q in settings.QUALITIES] + [256, 3072, 8192]),
    fps=st.floats(1, 120),
    free_mb=st.floats(0.4, 5000),
)
def test_no_fix_makes_a_sky_longer_or_larger_and_every_fix_fits(
    frames: int, width: int, fps: float, free_mb: float
) -> None:
    request = replace(FINE, frames=frames, width=width, height=width // 2, fps=fps)
    before = facts(request, free_mb=free_mb)
    for check in checks(before):
        if check.id in ("disk", "time") and check.fix and not check.fix.operator:
            after = fixed(before, check)
            assert after.request.frames <= frames and after.request.width <= width
            assert check.id not in [c.id for c in checks(after)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "about 5 s"), (41, "about 40 s"), (94, "about 95 s"), (170, "about 3 min"), (9000, "about 2.5 h")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert module.about(seconds) == text


def test_sizes_are_said_as_people_say_them() -> None:
    assert [module.amount(mb) for mb in (30.4, 999, 1400, 12345)] == ["30 MB", "999 MB", "1.4 GB", "12 GB"]

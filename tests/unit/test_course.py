"""How far a whole job is, and how long it takes yet."""

from __future__ import annotations

import importlib
from dataclasses import replace

from .sessions import REQUEST

course_module = importlib.import_module("skyloop.blender_addon.core.course")
Progress = importlib.import_module("skyloop.blender_addon.core.state").Progress
Course, Past, expected = course_module.Course, course_module.Past, course_module.expected
WORK = course_module.work_of(REQUEST)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def at(course, clock: Clock, s: float, name: str, done: int) -> None:
    clock.now_s = s
    course.note(Progress(name, done, 100, "window"))


def test_all_that_comes_counts_at_this_jobs_own_pace() -> None:
    clock = Clock()
    course = Course({"layout": 50.0, "decode": 10.0, "measure": 20.0}, clock)
    at(course, clock, 100, "layout", 0)
    assert course.left_s() is None, "nothing is known yet"
    at(course, clock, 120, "layout", 20)  # half as fast as expected: 80 s are left, and 60 s of what follows
    assert course.left_s() == 140 and abs(course.share() - 10 / 80) < 1e-9
    clock.now_s = 130
    assert course.left_s() == 130, "it counts down between two events"
    at(course, clock, 200, "layout", 100)
    assert course.left_s() == 60
    at(course, clock, 200, "decode", 50)
    assert [phase.ended for phase in course.phases] == [True, False, False]


def test_what_came_from_a_checkpoint_and_a_pause_took_no_time() -> None:
    clock = Clock()
    course = Course({"layout": 50.0}, clock)
    at(course, clock, 100, "layout", 50)
    at(course, clock, 110, "layout", 60)
    assert round(course.left_s()) == 40
    course.pause()
    clock.now_s = 1000
    assert round(course.left_s()) == 40
    at(course, clock, 1000, "layout", 60)
    at(course, clock, 1010, "layout", 70)
    assert round(course.left_s()) == 30


def test_phases_that_nobody_foresaw_or_that_do_not_come_do_no_harm() -> None:
    clock = Clock()
    course = Course({"load": 1.0, "layout": 50.0, "refine": 50.0, "decode": 10.0}, clock)
    for s, name, done in ((100, "read", 1), (101, "layout", 10), (120, "refine 1", 1), (121, "refine 2", 1)):
        at(course, clock, s, name, done)
    assert [phase.name for phase in course.phases] == ["layout", "refine 1", "refine 2", "refine", "decode"]
    at(course, clock, 150, "decode", 100)
    assert [phase.name for phase in course.phases] == ["layout", "refine 1", "refine 2", "decode"]
    assert course.share() == 1
    empty = Course({})
    assert empty.left_s() is None and empty.share() == 0


def test_an_earlier_sky_tells_what_to_expect() -> None:
    alike = Past("builtin", WORK * 2, {"load": 4.0, "refine 2": 20.0, "layout": 80.0, "refine 1": 8.0, "preview": 9.0})
    far = Past("builtin", WORK * 100, {"layout": 1.0})
    other = Past("other", WORK, {"layout": 1.0})
    found = expected(REQUEST, [other, far, alike])
    assert list(found) == ["load", "layout", "refine 1", "refine 2", "measure"]
    assert found["load"] == 4 and found["layout"] == 40 and found["refine 2"] == 10
    assert "measure" not in expected(replace(REQUEST, measure=False), [alike])
    assert list(expected(REQUEST, [])) == ["load", "layout", "decode", "light", "measure"]
    large = replace(REQUEST, width=1024, height=512)
    assert list(expected(large, [])) == ["load", "layout", "refine", "decode", "light", "measure"]

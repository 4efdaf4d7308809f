"""The stages of the set-up, and what its progress says."""

from __future__ import annotations

import importlib
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .sessions import protocol, session_module

setup = importlib.import_module("skyloop.blender_addon.core.setup")
installed = importlib.import_module("skyloop.blender_addon.core.installed")
installing = importlib.import_module("skyloop.blender_addon.core.installing")
state = importlib.import_module("skyloop.blender_addon.core.state")
State, Stage, Doing, Progress = state.State, setup.Stage, installing.Doing, state.Progress


@pytest.mark.parametrize(
    ("now", "doing", "condition", "want"),
    [
        (State.NOT_INSTALLED, None, "", Stage.LOOKING),
        (State.NOT_INSTALLED, None, "ready", Stage.LOOKING),
        (State.NOT_INSTALLED, None, "none", Stage.NONE),
        (State.NOT_INSTALLED, None, "half", Stage.HALF),
        (State.NOT_INSTALLED, None, "outdated", Stage.OUTDATED),
        (State.NOT_INSTALLED, None, "broken", Stage.BROKEN),
        (State.NOT_INSTALLED, None, "gone", Stage.GONE),
        (State.INSTALLING, Doing.INSTALL, "half", Stage.INSTALLING),
        (State.INSTALLING, Doing.REPAIR, "broken", Stage.REPAIRING),
        (State.INSTALLING, Doing.MOVE, "ready", Stage.MOVING),
        (State.INSTALLING, Doing.REMOVE, "ready", Stage.REMOVING),
        (State.READY, None, "none", Stage.READY),
        (State.RUNNING, None, "", Stage.READY),
        (State.FAILED, None, "ready", Stage.READY),
    ],
)
def test_the_stage(now: Any, doing: Any, condition: str, want: Any) -> None:
    assert setup.stage_of(now, doing, condition) is want


def test_every_condition_of_the_runtime_has_a_stage() -> None:
    for condition in ("none", "half", "outdated", "broken", "gone"):
        assert setup.stage_of(State.NOT_INSTALLED, None, condition).value == condition


def test_speed_and_time_left_are_of_the_last_seconds() -> None:
    pace, told = installing.Pace(), []
    for second in range(20):  # slow, then fast
        done = second if second < 10 else 10 + 10 * (second - 10)
        told.append(pace.of(Progress("download", done, 200, "MB"), float(second)))
    assert told[0] == told[1] == 0.0, "too early to tell"
    assert told[9] == pytest.approx(1.0) and told[19] == pytest.approx(10.0)
    assert pace.of(Progress("install", 0, 200, "MB"), 20.0) == 0.0, "another phase"


@pytest.mark.parametrize(
    ("progress", "amount", "pace"),
    [
        (Progress("download", 120, 400, "MB", 14.0), "120 of 400 MB", "14 MB/s, 0:20 left"),
        (Progress("download", 120, 400, "MB", 1.4), "120 of 400 MB", "1.4 MB/s, 3:20 left"),
        (Progress("download", 120, 0, "MB", 14.0), "120 MB", "14 MB/s"),
        (Progress("check", 120, 400, "MB"), "120 of 400 MB", ""),
        (Progress("venv", 0, 1), "", ""),
    ],
)
def test_what_a_bar_says(progress: Any, amount: str, pace: str) -> None:
    assert (progress.amount, progress.pace) == (amount, pace)


class Desk:
    """A set-up over a session whose runtime does as it is told."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.condition, self.folders, self.known = "none", [], ""
        self.surveys: list[Any] = []
        runtime = installed.InstalledRuntime(tmp_path)
        self.session = session_module.Session(runtime)
        monkeypatch.setattr(runtime, "ready", lambda: self.condition == "ready")
        monkeypatch.setattr(setup, "survey", self.survey)
        self.setup = setup.SetUp(
            self.session, switch=self.folders.append, remember=self.remember, known=lambda: self.known, skies=list
        )

    def survey(self, home: Path, **about: Any) -> Any:
        self.surveys.append(about)
        return SimpleNamespace(home=home, condition=self.condition, accelerator="Abacus")

    def remember(self, home: str) -> None:
        self.known = home

    def until(self, condition: Any) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            self.session.tick()
            self.setup.tick()
            time.sleep(0.005)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_it_looks_in_a_thread_and_again_after_every_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.setup.look()
    assert desk.setup.stage is Stage.LOOKING
    desk.until(lambda: desk.setup.facts)
    assert desk.setup.stage is Stage.NONE
    fail = protocol.SkyloopError(protocol.ErrorKind.INTERNAL, "Broken.", "Mend it.")

    def install(report: Any, cancelled: Any) -> None:
        report(Progress("download", 1, 2, "MB"))
        desk.condition = "half"
        raise fail

    monkeypatch.setattr(desk.session.runtime, "install", install)
    desk.setup.install()
    assert desk.setup.stage is Stage.INSTALLING
    desk.until(lambda: not desk.session.busy and desk.setup.stage is Stage.HALF)
    assert desk.session.problem.message == "Broken."
    assert desk.surveys[-1]["accelerator"] == "Abacus", "the graphics card is asked once"


def test_what_another_blender_made_is_noticed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "LOOK_AGAIN_S", 0.0)
    desk.until(lambda: desk.setup.facts)
    desk.condition = "ready"
    desk.until(lambda: desk.session.state is State.READY)
    assert desk.setup.stage is Stage.READY and desk.known == str(desk.session.runtime.home)


def test_a_move_switches_when_it_has_succeeded(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.condition = "ready"
    runtime = desk.session.runtime
    monkeypatch.setattr(runtime, "move", _fails)
    desk.setup.move(tmp_path / "new")
    assert desk.setup.stage is Stage.MOVING
    desk.until(lambda: not desk.session.busy)
    assert desk.folders == [] and desk.session.problem
    monkeypatch.setattr(runtime, "move", lambda chosen, report, cancelled: chosen / "Skyloop")
    desk.setup.move(tmp_path / "new")
    desk.until(lambda: not desk.session.busy)
    assert desk.folders == [tmp_path / "new" / "Skyloop"] and desk.session.problem is None


def _fails(chosen: Path, report: Any, cancelled: Any) -> Path:
    raise protocol.SkyloopError(protocol.ErrorKind.DISK_FULL, "Full.", "Free some.")


def test_one_thing_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gone_on = []
    monkeypatch.setattr(desk.session.runtime, "install", lambda report, cancelled: gone_on.append(cancelled()))
    desk.setup.install()
    with pytest.raises(protocol.SkyloopError, match="already"):
        desk.setup.repair(online=True)
    desk.until(lambda: not desk.session.busy)
    assert gone_on == [False]


def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def status(env: str, home: Path) -> dict[str, Any]:
        answers.wait(20)
        return {"ready": True}

    monkeypatch.setattr(installed.runtime, "status", status)
    monkeypatch.setattr(installed, "DISK_PATIENCE_S", 0.05)
    runtime = installed.InstalledRuntime(tmp_path)
    assert not runtime.ready()
    answers.set()
    monkeypatch.setattr(installed, "DISK_PATIENCE_S", 20.0)
    assert runtime.ready()


def test_a_runtime_that_is_a_command_has_nothing_to_set_up() -> None:
    session = session_module.Session(installed.CommandRuntime(["true"]))
    session.refresh()
    desk = setup.SetUp(session, switch=print, remember=print, known=str, skies=list)
    desk.look()
    assert desk.runtime is None and desk.facts is None and not desk.looking
    assert desk.stage is Stage.READY

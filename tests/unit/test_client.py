"""The supervisor of the backend process and the session's state machine, against a fake backend that misbehaves."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from .sessions import (
    REQUEST,
    State,
    at_work,
    client_module,
    finished,
    jobs,
    protocol,
    run_until,
    running,
    session_module,
    sessions,
)

settings = importlib.import_module("skyloop.blender_addon.core.settings")


@pytest.fixture
def make_session(tmp_path: Path):
    yield from sessions(tmp_path)


def test_a_job_runs_from_request_to_result(make_session, tmp_path: Path) -> None:
    session = make_session("ok")
    folder = session.generate(REQUEST, tmp_path / "out")
    assert json.loads((folder / "request.json").read_text())["prompt"] == REQUEST.prompt
    assert session.state is State.STARTING
    seen = set()
    run_until(session, lambda: seen.add(session.state) or not session.busy)
    assert State.RUNNING in seen
    assert session.state is State.READY and session.problem is None
    assert list(session.finished) == [folder]
    assert session.preview == folder / "preview.png"
    assert [job.folder for job in finished([tmp_path / "out"])] == [folder]


def test_the_process_serves_a_second_job(make_session, tmp_path: Path) -> None:
    session = make_session("ok")
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: not session.busy)
    pid = session.client.pid
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: not session.busy)
    assert session.client.pid == pid
    assert len(set(session.finished)) == 2


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("crash", "internal", "exit code 3"),
        ("kill", "out_of_memory", "memory"),
        ("oom", "out_of_memory", "9 GB"),
        ("old", "internal", "is older than this add-on (protocol 0, not 1). Use Repair"),
        ("new", "internal", "is newer than this add-on (protocol 99, not 1). Update the add-on"),
        ("broken", "internal", "torch cannot be loaded"),
    ],
)
def test_a_failed_job_is_told_in_plain_words(make_session, tmp_path: Path, mode: str, kind: str, words: str) -> None:
    session = make_session(mode)
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: not session.busy)
    assert session.state is State.FAILED
    assert session.problem.kind == kind and words in session.problem.line and session.problem.hint
    assert not session.finished
    assert finished([tmp_path]) == []
    if mode == "crash":
        assert "model file is damaged" in session.problem.log.read_text()
    if mode == "oom":
        assert session.problem.log == folder / "log.txt"


def test_a_silent_process_is_stopped_and_the_next_job_gets_a_new_one(make_session, tmp_path: Path) -> None:
    session = make_session("stall", silence_timeout_s=1.0)
    session.generate(REQUEST, tmp_path)
    pid = session.client.pid
    run_until(session, lambda: not session.busy)
    assert session.state is State.FAILED and "not answered" in session.problem.message
    assert not running(pid)
    session.runtime.mode = "ok"
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: not session.busy)
    assert session.state is State.READY and session.problem is None


def test_a_process_that_never_says_hello_is_given_up(make_session, tmp_path: Path) -> None:
    session = make_session("mute", hello_timeout_s=0.5)
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: not session.busy)
    assert session.state is State.FAILED and "did not answer" in session.problem.message


def test_garbage_between_the_messages_is_logged_and_passed_over(make_session, tmp_path: Path, caplog) -> None:
    session = make_session("garbage")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: not session.busy)
    assert list(session.finished) == [folder] and jobs.read(folder).finished
    assert "[1, 2" in caplog.text


def test_no_file_outside_the_job_folder_is_named(make_session, tmp_path: Path) -> None:
    session = make_session("outside")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: session.preview)
    assert session.preview.parent == folder


def test_cancel_ends_the_job_and_keeps_the_process(make_session, tmp_path: Path) -> None:
    session = make_session("slow")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session))
    pid = session.client.pid
    session.cancel()
    assert session.state is State.CANCELLING
    run_until(session, lambda: not session.busy)
    assert session.state is State.READY and session.problem is None and not session.finished
    assert session.client.pid == pid and session.client.alive
    assert not folder.exists()


def test_a_process_that_ignores_cancel_is_stopped(make_session, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(session_module, "CANCEL_PATIENCE_S", 0.3)
    session = make_session("deaf")
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session))
    pid = session.client.pid
    session.cancel()
    run_until(session, lambda: not session.busy)
    assert session.state is State.READY
    run_until(session, lambda: not running(pid))


def test_closing_ends_the_process(make_session, tmp_path: Path) -> None:
    session = make_session("slow")
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session))
    pid = session.client.pid
    session.close()
    assert not running(pid) and not session.busy


def test_installing_reports_progress_and_can_be_cancelled(make_session, tmp_path: Path) -> None:
    session = make_session("ok", installed=False)
    assert session.state is State.NOT_INSTALLED
    with pytest.raises(protocol.SkyloopError, match="not set up"):
        session.generate(REQUEST, tmp_path)
    session.install()
    with pytest.raises(protocol.SkyloopError, match="already"):
        session.install()
    run_until(session, lambda: session.progress.done > 3)
    session.cancel()
    run_until(session, lambda: not session.busy)
    assert session.state is State.NOT_INSTALLED and session.problem is None
    session.install()
    run_until(session, lambda: not session.busy)
    assert session.state is State.READY


@pytest.mark.parametrize("error", [RuntimeError("boom"), protocol.SkyloopError(protocol.ErrorKind.DISK_FULL, "boom")])
def test_a_failed_installation_is_shown(make_session, error: Exception) -> None:
    session = make_session("ok", installed=False)
    session.runtime.install_error = error
    session.install()
    run_until(session, lambda: not session.busy)
    assert session.state is State.NOT_INSTALLED and "boom" in session.problem.message


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (("download", 5, 20, "MB"), "Downloading: 5 of 20 MB"),
        (("download", 5, 0, "MB"), "Downloading: 5 MB"),
        (("layout", 24, 96, "window"), "Composing the sky: 25 %"),
        (("refine 2", 1, 4, "window"), "Refining the sky, part 2: 25 %"),
        (("load", 0, 1, "model"), "Loading the model"),
        (("something new", 1, 2, ""), "Something new: 50 %"),
    ],
)
def test_progress_is_told_in_words(progress: tuple[str, int, int, str], text: str) -> None:
    assert session_module.Progress(*progress).text == text


def test_a_missing_program_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(protocol.SkyloopError, match="could not be started"):
        client_module.BackendClient([str(tmp_path / "nothing")], cwd=tmp_path)


def test_an_output_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(protocol.SkyloopError) as caught:
        jobs.create(tmp_path / "file" / "jobs", REQUEST)
    assert caught.value.exit_code == 2 and str(tmp_path) in caught.value.line


def test_job_folders_never_collide_and_foreign_folders_are_passed_over(tmp_path: Path) -> None:
    folders = {jobs.create(tmp_path, REQUEST) for _ in range(3)}
    assert len(folders) == 3
    (tmp_path / "holiday").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "request.json").write_text("{")
    assert finished([tmp_path, tmp_path / "missing"]) == []
    with pytest.raises(protocol.SkyloopError, match="no Skyloop job"):
        jobs.read(tmp_path / "broken")


@pytest.mark.parametrize("fps", [8.0, 24.0, 23.976, 29.97, 12.5, 1.0])
def test_frame_rates_survive_blenders_two_numbers(fps: float) -> None:
    whole, base = settings.blender_fps(fps)
    assert whole / base == pytest.approx(fps, rel=1e-6)


def test_every_preset_is_a_valid_request() -> None:
    for quality in settings.QUALITIES:
        width, height = settings.size_of(quality.id, 0)
        assert protocol.GenerateRequest(prompt="sky", width=width, height=height).problems() == []
    assert settings.size_of(settings.CUSTOM, 640) == (640, 320)

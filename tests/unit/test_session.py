"""The session against a backend that dies, halts, orders its queue: what is tried again, what is kept, what is said."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .sessions import (
    REQUEST,
    State,
    at_work,
    client_module,
    idle,
    jobs,
    protocol,
    run_until,
    running,
    session_module,
    sessions,
    unfinished,
)

restarts = importlib.import_module("skyloop.blender_addon.core.restarts")
queue_module = importlib.import_module("skyloop.blender_addon.core.queue")
store = importlib.import_module("skyloop.backend.jobs.store")


@pytest.fixture
def make_session(tmp_path: Path):
    yield from sessions(tmp_path)


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("once", "Starting again after the generator stopped"),
        ("stallonce", "Starting again after the generator fell silent"),
        ("lost", "Starting again after the graphics card stopped answering"),
        ("stopped", "Starting again after the generator stopped"),
    ],
)
def test_a_job_goes_on_from_its_checkpoint_in_a_new_process(make_session, tmp_path, mode: str, words: str) -> None:
    session = make_session(mode, silence_timeout_s=1.0)
    folder, said = session.generate(REQUEST, tmp_path / "out"), set()
    pid = session.client.pid
    run_until(session, lambda: said.add(session.progress_text) or not session.busy)
    assert session.problem is None and list(session.finished) == [folder]
    assert result(folder)["begun_at_step"] == 2, "it began anew"
    assert words in said
    assert not running(pid)


def test_the_waiting_jobs_survive_the_death_of_the_process(make_session, tmp_path: Path) -> None:
    session = make_session("once")
    folders = [session.generate(REQUEST, tmp_path) for _ in range(2)]
    run_until(session, lambda: idle(session))
    assert list(session.finished) == folders and session.problem is None


def test_a_job_that_comes_no_further_is_tried_twice_and_the_next_has_its_turn(make_session, tmp_path: Path) -> None:
    session = make_session("crash+keep")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: idle(session))
    assert session.state is State.FAILED and session.problem.job == folder
    assert "It was tried 2 times. Resume goes on from the last checkpoint." in session.problem.line
    assert session.problem.log.read_text().count("model file is damaged") == 2
    assert [job.folder for job in unfinished([tmp_path])] == [folder]
    session.runtime.mode = "ok+keep"
    session.resume_job(jobs.read(folder))
    run_until(session, lambda: idle(session))
    assert list(session.finished) == [folder] and result(folder)["begun_at_step"] == 2
    assert unfinished([tmp_path]) == []


def test_restarts_are_bounded_though_each_gets_further(make_session, tmp_path: Path) -> None:
    session = make_session("creep")
    folder, other = session.generate(REQUEST, tmp_path), session.generate(REQUEST, tmp_path)
    run_until(session, lambda: session.problem)
    assert f"tried {restarts.MAX_RESTARTS + 1} times" in session.problem.hint
    assert session.problem.job == folder
    run_until(session, lambda: session.client is None)
    assert session.label == "Paused" and [t.folder for t in session.queue.waiting] == [other], "held, not lost"
    session.runtime.mode = "ok+keep"
    session.resume()
    run_until(session, lambda: idle(session))
    assert list(session.finished) == [other]


def test_a_process_of_another_version_is_not_started_twice(make_session, tmp_path: Path) -> None:
    session = make_session("old")
    started = []
    make = session.runtime.client
    session.runtime.client = lambda: started.append(1) or make()
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: idle(session))
    assert len(started) == 1 and session.state is State.FAILED
    assert [job.folder for job in unfinished([tmp_path])] == [folder], "the request is kept"


def lost(kind: str = "internal", after: str = "the generator stopped"):
    return client_module.LostError(protocol.ErrorKind(kind), "It stopped.", "", after=after)


@pytest.fixture
def task(tmp_path: Path):
    return queue_module.Task(tmp_path, REQUEST, jobs.Claim(tmp_path))


def test_three_restarts_in_ten_minutes(task) -> None:
    now = [0.0]
    budget = restarts.RestartBudget(lambda: now[0])

    def again() -> bool:
        task.note("layout", max(task.reached.values(), default=0) + 1)
        return budget.grant(task, lost())

    assert [again() for _ in range(5)] == [True, True, True, False, False]
    now[0] = restarts.PERIOD_S + 1
    assert again() and task.restarts == 4


def test_what_is_done_anew_after_a_restart_is_no_progress(task) -> None:
    budget = restarts.RestartBudget()
    task.note("load", 1)
    task.note("layout", 5)
    assert budget.grant(task, lost())
    task.note("load", 1)
    task.note("layout", 5)
    assert not budget.grant(task, lost())
    task.note("layout", 6)
    assert budget.grant(task, lost())


def test_memory_that_ran_out_is_tried_once_more(task) -> None:
    budget = restarts.RestartBudget()
    assert budget.grant(task, lost("out_of_memory"))
    task.note("layout", 1)
    assert not budget.grant(task, lost("out_of_memory"))
    assert budget.grant(task, lost())


def test_a_useless_process_is_never_tried_again(task) -> None:
    assert not restarts.RestartBudget().grant(task, lost(after=""))


def test_cancel_keeps_what_can_be_gone_on_with(make_session, tmp_path: Path) -> None:
    session = make_session("slow+keep")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session) and store.has_checkpoint(folder))
    session.cancel()
    run_until(session, lambda: idle(session))
    assert [(job.folder, job.resumable) for job in unfinished([tmp_path])] == [(folder, True)]


def test_a_cancelled_job_of_a_process_that_had_to_be_killed_leaves_nothing(make_session, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(session_module, "CANCEL_PATIENCE_S", 0.2)
    session = make_session("deaf")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session))
    session.cancel()
    run_until(session, lambda: not folder.exists())
    assert idle(session) and unfinished([tmp_path]) == []


def test_what_was_cancelled_when_blender_quits_is_not_offered_again(make_session, tmp_path: Path) -> None:
    session = make_session("deaf")
    folders = [session.generate(REQUEST, tmp_path) for _ in range(3)]
    run_until(session, lambda: at_work(session))
    session.remove(folders[1])
    session.cancel()
    session.close()
    assert [job.folder for job in unfinished([tmp_path])] == [folders[2]]


def test_a_command_that_came_too_late_does_no_harm(make_session, tmp_path: Path) -> None:
    """The backend refuses it without naming a job; that is not what a later death is explained by."""
    session = make_session("once")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session) and session.client.devices)
    error = protocol.bad_request("job 'x' does not wait.")
    session._take(protocol.failed(error))
    run_until(session, lambda: idle(session))
    assert list(session.finished) == [folder] and session.problem is None


def test_a_failed_job_is_kept(make_session, tmp_path: Path) -> None:
    session = make_session("full")
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: idle(session))
    assert session.problem.kind == "disk_full" and session.problem.job == folder
    assert session.problem.line == "The disk is full. Free some space. Resume goes on from the last checkpoint."
    assert [job.folder for job in unfinished([tmp_path])] == [folder]


def test_jobs_are_made_in_the_order_of_the_queue(make_session, tmp_path: Path) -> None:
    session = make_session("slow")
    first, second, third, fourth = (session.generate(REQUEST, tmp_path) for _ in range(4))
    run_until(session, lambda: at_work(session))
    assert session.job == first and [t.folder for t in session.queue.waiting] == [second, third, fourth]
    session.move(fourth, -1)
    session.move(second, 1)
    session.remove(third)
    assert [t.folder for t in session.queue.waiting] == [fourth, second]
    run_until(session, lambda: len(session.queue.tasks) == 3)
    assert not third.exists()
    session.cancel()
    run_until(session, lambda: session.job != first and at_work(session))
    assert session.job == fourth and [t.folder for t in session.queue.waiting] == [second]


def test_the_backends_order_is_the_truth(make_session, tmp_path: Path) -> None:
    session = make_session("slow")
    folders = [session.generate(REQUEST, tmp_path) for _ in range(3)]
    run_until(session, lambda: at_work(session))
    names = [str(folder) for folder in folders]
    data = {"running": names[1], "waiting": ["/not/mine", names[2], names[0]], "paused": False}
    session._take(protocol.Event(type="queue", data=data))
    assert session.job == folders[1] and [t.folder for t in session.queue.waiting] == [folders[2], folders[0]]
    data = {"running": "", "waiting": names, "paused": True}
    session._take(protocol.Event(type="queue", data=data))
    assert session.job is None and [t.folder for t in session.queue.waiting] == folders
    assert session.label == "Paused"


def test_a_pause_holds_everything_and_lets_go_of_memory(make_session, tmp_path: Path) -> None:
    session = make_session("ok+keep")
    folders = [session.generate(REQUEST, tmp_path) for _ in range(2)]
    session.pause()
    pid = session.client.pid
    run_until(session, lambda: all(t.sent for t in session.queue.tasks) and session.client.devices)
    assert session.label == "Paused" and not session.finished
    session.release()
    run_until(session, lambda: not running(pid))
    assert session.client is None and [t.folder for t in session.queue.waiting] == folders
    session.resume()
    run_until(session, lambda: idle(session))
    assert list(session.finished) == folders


def test_a_paused_job_can_be_cancelled_and_leaves_no_pause(make_session, tmp_path: Path) -> None:
    session = make_session("slow")
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session))
    session.pause()
    session.cancel()
    run_until(session, lambda: idle(session))
    run_until(session, lambda: not session.queue.paused)
    session.generate(REQUEST, tmp_path)
    run_until(session, lambda: at_work(session))


def test_two_blenders_let_each_others_jobs_alone(make_session, tmp_path: Path) -> None:
    mine, theirs = make_session("slow"), make_session("ok")
    folder, waiting = mine.generate(REQUEST, tmp_path), mine.generate(REQUEST, tmp_path)
    run_until(mine, lambda: at_work(mine))
    assert unfinished([tmp_path]) == []
    for job in (folder, waiting):
        with pytest.raises(protocol.SkyloopError, match="queue"):
            theirs.resume_job(jobs.read(job))
        with pytest.raises(protocol.SkyloopError, match="queue"):
            jobs.delete(job, [tmp_path])
    mine.close()
    assert {job.folder for job in unfinished([tmp_path])} == {folder, waiting}
    theirs.resume_job(jobs.read(waiting))
    run_until(theirs, lambda: idle(theirs))
    assert list(theirs.finished) == [waiting]


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")
def test_only_jobs_in_the_users_folders_can_be_deleted(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    mine, foreign = jobs.create(root, REQUEST), jobs.create(outside, REQUEST)
    (root / "holiday").mkdir()
    (root / "holiday" / "photo.jpg").write_text("")
    (root / "link").symlink_to(foreign, target_is_directory=True)
    (root / "sub").mkdir()
    deep = jobs.create(root / "sub", REQUEST)
    bad = [foreign, root / "holiday", root / "link", deep, root, root.parent, Path(), Path("/"), Path(mine.name)]
    bad += [root / ".." / "outside" / foreign.name, root / "x" / ".." / mine.name, Path("\0"), root / ("x" * 999)]
    for folder in bad:
        with pytest.raises(protocol.SkyloopError, match="is not a job"):
            jobs.delete(folder, [root])
    assert foreign.is_dir() and deep.is_dir() and (root / "holiday" / "photo.jpg").is_file()
    jobs.delete(mine, [root])
    assert not mine.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_killed_blender_takes_its_claims_along(make_session, tmp_path: Path) -> None:
    """Killed at once, with a job that runs and one that waits: both are found again, and the backend ends."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.unit.sessions import *\n"
        "s = session_module.Session(FakeRuntime('slow+keep', Path(sys.argv[2]))); s.refresh()\n"
        "[s.generate(REQUEST, Path(sys.argv[3])) for _ in range(2)]\n"
        "run_until(s, lambda: at_work(s) and jobs.store.has_checkpoint(s.job))\n"
        "print(s.client.pid, flush=True); import os; os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, str(root), str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -9, done.stderr
    end = time.monotonic() + 10
    while running(int(done.stdout)):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert sorted(job.resumable for job in unfinished([tmp_path / "out"])) == [False, True]


@pytest.mark.parametrize("mode", ["chatty", "flood"])
def test_a_process_that_writes_much_only_waits(make_session, tmp_path: Path, mode: str) -> None:
    session = make_session(mode)
    folder = session.generate(REQUEST, tmp_path)
    run_until(session, lambda: idle(session), timeout_s=60.0)
    assert list(session.finished) == [folder]
    if mode == "chatty":
        run_until(session, lambda: "warning 39999" in session.client.tail)


def test_the_end_of_a_process_that_wrote_much_is_seen(tmp_path: Path) -> None:
    """What it said last explains it, and lies behind all that nobody has read yet."""
    code = "import sys; [print('x' * 99, file=sys.stderr) for _ in range(2000)]; sys.exit('the last word')"
    client = client_module.BackendClient([sys.executable, "-c", code], cwd=tmp_path)
    while client.alive:
        time.sleep(0.02)
    assert client.drain() == [] and "exit code 1" in client.failure().message
    assert client.tail.endswith("the last word")
    client.close()


def test_a_reader_that_does_not_read_costs_no_time(tmp_path: Path) -> None:
    """Commands to a process that reads none are kept up to a bound, and then it counts as silent."""
    client = client_module.BackendClient([sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path)
    command = protocol.Command(type="generate", job="/" + "x" * 100_000)
    start = time.monotonic()
    for _ in range(40):
        client.send(command)
    assert time.monotonic() - start < 5
    assert "has not answered" in client.failure().message
    client.close(kill=True)


def test_hello_comes_twice_and_the_later_one_knows_the_devices(make_session, tmp_path: Path) -> None:
    session = make_session("ok")
    client = session.runtime.client()
    while not client.ready:
        client.drain()
    assert client.devices == []
    while not client.devices:
        client.drain()
    assert client.devices == [{"id": "cpu", "name": "CPU"}]
    client.close()


def test_patience_counts_only_time_at_work(make_session, monkeypatch) -> None:
    """The clock leaps by an hour between two ticks, as after a night's sleep or a long render in Blender."""
    now = [1000.0]
    monkeypatch.setattr(client_module.time, "monotonic", lambda: now[0])
    client = make_session("mute").runtime.client()
    for leap_s in (3600.0, -50.0, 86_400.0):
        now[0] += leap_s
        assert client.drain() == [] and client.failure() is None
    for _ in range(int(client_module.HELLO_TIMEOUT_S)):
        now[0] += 0.9
        client.drain()
    assert client.failure() is None
    for _ in range(20):
        now[0] += 0.9
        client.drain()
    assert "did not answer" in client.failure().message
    monkeypatch.undo()
    client.close(kill=True)

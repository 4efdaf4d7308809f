"""Job folders and the runner: every end of a job leaves one readable last event, and no result is lost or mixed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.jobs import runner, store
from backend.jobs.failures import as_skyloop_error
from backend.jobs.store import Status
from backend.protocol import ErrorKind, Event, GenerateRequest, SkyloopError, bad_request, phase
from backend.runtime import lock

ROOT = Path(__file__).parents[2]
REQUEST = GenerateRequest(prompt="dusk over dunes", seed=7)
DONE = Event(type="done", data={"result": {"request": REQUEST.to_json()}})


@pytest.fixture
def job(tmp_path: Path) -> store.Job:
    return store.create(tmp_path / "new" / "job", REQUEST)


def run(job: store.Job, *steps: Event | BaseException, **options: Any) -> tuple[list[Event], bool]:
    """Run an engine that yields or raises ``steps``; returns the announced events and whether it was closed."""
    closed = False

    def generate(request: GenerateRequest, path: Path, *, engine: Any = None) -> Iterator[Event]:
        nonlocal closed
        assert request == REQUEST
        try:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                yield step
        finally:
            closed = True

    announced: list[Event] = []
    last = runner.run(job, generate, announced.append, **options)
    assert announced[-1] == last
    return announced, closed


def test_a_created_job_can_be_loaded(job: store.Job) -> None:
    assert store.load(str(job.path)).request() == REQUEST
    assert sorted(p.name for p in job.path.iterdir()) == ["request.json"]


@pytest.mark.parametrize("name", ["relative", "", "/no/such/folder", "/" + "x" * 5000, "/a\0b"])
def test_a_path_that_is_no_job_folder_is_refused(name: str) -> None:
    with pytest.raises(SkyloopError) as caught:
        store.load(name)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text(json.dumps(REQUEST.to_json()), encoding="utf-8")
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        _link,
        _write(b""),
        _write(b"\xff\xfe"),
        _write(b"[" * 100_000),
        _write(b'{"prompt": "' + b"x" * 2_000_000 + b'"}'),
        _write(b'{"prompt": ""}'),
        _write(b'{"prompt": "x", "region": []}'),
    ],
    ids=["missing", "folder", "link", "empty", "not utf-8", "nested", "huge", "empty prompt", "unknown field"],
)
def test_a_request_that_cannot_be_used_is_refused(job: store.Job, spoil: Callable[[Path], object]) -> None:
    path = job.path / "request.json"
    path.unlink()
    spoil(path)
    with pytest.raises(SkyloopError) as caught:
        job.request()
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_events_are_recorded_as_they_are_announced(job: store.Job) -> None:
    announced, closed = run(job, phase("denoise", 0, 2), Event(type="preview", data={"file": "preview.png"}), DONE)
    recorded = job.events()
    assert [e.type for e in announced] == ["phase", "preview", "done"] == [e.type for e in recorded]
    assert [e.seq for e in recorded] == [0, 1, 2]
    assert {e.job for e in announced} == {job.id}
    assert recorded[-1].data == DONE.data
    assert closed


def test_events_with_unicode_line_ends_are_read_back(job: store.Job) -> None:
    text = "a\u2028b\x85c\r\nd"
    run(job, Event(type="done", data={"result": {"prompt": text}}))
    assert job.events()[-1].data["result"]["prompt"] == text


def test_of_many_steps_the_first_and_the_last_are_announced(job: store.Job) -> None:
    steps = [phase(name, i, 1000) for name in ("layout", "refine") for i in range(1001)]
    announced, _ = run(job, *steps, DONE)
    progress = [(e.data["name"], e.data["done"]) for e in announced if e.type == "phase"]
    assert {("layout", 0), ("layout", 1000), ("refine", 0), ("refine", 1000)} <= set(progress)
    assert len(progress) < 100


def test_cancel_stops_at_the_next_event_and_closes_the_engine(job: store.Job) -> None:
    asked = iter([False, True])
    announced, closed = run(job, *[phase("denoise", i, 9) for i in range(9)], DONE, cancelled=lambda: next(asked))
    assert [e.type for e in announced] == ["phase", "cancelled"]
    assert closed


def test_a_result_that_is_there_is_not_cancelled(job: store.Job) -> None:
    announced, _ = run(job, DONE, cancelled=lambda: True)
    assert [e.type for e in announced] == ["done"]


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


def _wrapped() -> RuntimeError:
    error = RuntimeError("encoder failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("tried to allocate"), ErrorKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"), ErrorKind.OUT_OF_MEMORY),
        (RuntimeError("MPS backend out of memory"), ErrorKind.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), ErrorKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), ErrorKind.OUT_OF_MEMORY),
        (MemoryError(), ErrorKind.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorKind.DISK_FULL),
        (_wrapped(), ErrorKind.DISK_FULL),
        (RuntimeError("CUDA error: device-side assert triggered"), ErrorKind.DEVICE_LOST),
        (RuntimeError("CUDA error: unspecified launch failure"), ErrorKind.DEVICE_LOST),
        (bad_request("no"), ErrorKind.BAD_REQUEST),
        (ZeroDivisionError("by zero\nand more"), ErrorKind.INTERNAL),
        (SystemExit(3), ErrorKind.INTERNAL),
    ],
    ids=lambda value: str(value)[:30],
)
def test_whatever_is_raised_becomes_one_readable_event(job: store.Job, error: BaseException, kind: ErrorKind) -> None:
    announced, _ = run(job, phase("denoise", 0, 2), error)
    data = announced[-1].data
    assert announced[-1].type == "failed"
    assert data["kind"] == kind
    assert data["message"]
    assert "\n" not in data["message"] + data["hint"]
    assert data["log"] == str(job.log)
    assert "Traceback" in job.log.read_text(encoding="utf-8")
    assert [e.type for e in job.events()] == ["phase", "failed"]


def test_ctrl_c_is_a_cancel(job: store.Job) -> None:
    announced, _ = run(job, phase("denoise", 0, 2), KeyboardInterrupt())
    assert [e.type for e in announced] == ["phase", "cancelled"]


def test_an_engine_that_ends_without_a_result_has_failed(job: store.Job) -> None:
    announced, _ = run(job, phase("denoise", 2, 2))
    assert announced[-1].data["kind"] == "internal"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_said_even_if_it_cannot_be_recorded(
    job: store.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "open_append", lambda path: Path("/dev/full").open("ab"))  # noqa: SIM115
    announced, closed = run(job, phase("denoise", 0, 2))
    assert closed
    assert announced[-1].data["kind"] == "disk_full"
    assert [e.type for e in announced] == ["failed"]


def _usage(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage(10**12, 0, free))


def test_too_little_space_is_refused_before_the_engine_starts(job: store.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    _usage(monkeypatch, store.needed_bytes(REQUEST) - 1)
    announced, closed = run(job, DONE)
    assert announced[-1].data["kind"] == "disk_full"
    assert not closed  # it was never begun
    _usage(monkeypatch, store.needed_bytes(REQUEST))
    assert run(job, DONE)[0][-1].type == "done"


def test_a_long_video_needs_room_for_its_canvas_too() -> None:
    """What a 1024x512x16 canvas takes, 30 MB, stays in memory; one of 4096 frames takes 6.4 GB more than its video."""
    short, long = (store.needed_bytes(replace(REQUEST, width=1024, height=512, frames=n)) for n in (16, 4096))
    assert short < 100 << 20
    assert long > 7 << 30


def test_a_folder_runs_one_job_at_a_time(job: store.Job) -> None:
    with job.locked():
        announced, _ = run(job, DONE)
    assert announced[-1].data["kind"] == "bad_request"
    assert "at work" in announced[-1].data["message"]
    assert run(job, DONE)[0][-1].type == "done"


def test_a_killed_process_leaves_no_lock(job: store.Job) -> None:
    code = (
        "import os, sys; from backend.jobs import store\n"
        "with store.load(sys.argv[1]).locked(): print('locked', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(job.path)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"locked"
        assert run(job, DONE)[0][-1].data["kind"] == "bad_request"
        child.kill()
        child.wait(10)
    assert run(job, DONE)[0][-1].type == "done"


def test_causes_that_point_at_each_other_end() -> None:
    a, b = RuntimeError("a"), RuntimeError("b")
    a.__cause__, b.__cause__ = b, a
    assert as_skyloop_error(a).kind is ErrorKind.INTERNAL


# how far a job is


def _checkpoint(folder: Path) -> None:
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "denoise-3.safetensors").write_bytes(b"x")


def test_a_folder_tells_how_far_its_job_is(job: store.Job) -> None:
    assert store.status(job.path) is Status.WAITING
    with job.locked():
        assert store.status(job.path) is Status.RUNNING
    assert store.status(job.path) is Status.WAITING
    job.record(phase("denoise", 0, 2))
    assert store.status(job.path) is Status.INTERRUPTED
    for kind in ("failed", "cancelled"):
        job.record(Event(type=kind))
        assert store.status(job.path) == kind
    for name in ("sky.mp4", "result.json"):
        (job.path / name).touch()
    assert store.status(job.path) is Status.DONE
    (job.path / "sky.mp4").unlink()
    assert store.status(job.path) is Status.CANCELLED


def test_asking_how_far_a_job_is_makes_no_file_and_does_not_keep_it_from_running(job: store.Job) -> None:
    store.status(job.path)
    assert sorted(p.name for p in job.path.iterdir()) == ["request.json"]
    assert run(job, phase("denoise", 0, 2), bad_request("no"))[0][-1].type == "failed"
    held = os.open(job.path / ".lock", os.O_RDONLY)
    asking = threading.Timer(0.1, os.close, (held,))
    lock._try_lock(held, shared=True)  # as status() does, for much longer than it does
    assert store.status(job.path) is Status.FAILED  # two may ask at once
    asking.start()
    assert run(job, DONE)[0][-1].type == "done"
    asking.join()


@pytest.mark.parametrize("trace", ["log.txt", "events.jsonl", "checkpoint"])
def test_a_job_that_was_begun_and_killed_is_interrupted(job: store.Job, trace: str) -> None:
    if trace == "checkpoint":
        (job.path / "checkpoint").mkdir()
        (job.path / "checkpoint" / ".half-written.part.safetensors").touch()
        assert not store.has_checkpoint(job.path)
        shutil.rmtree(job.path / "checkpoint")
        _checkpoint(job.path)
        assert store.has_checkpoint(job.path)
    else:
        (job.path / trace).touch()
    assert store.status(job.path) is Status.INTERRUPTED


GARBAGE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "empty": lambda path: path.touch(),
    "bytes": lambda path: path.write_bytes(b"\xff\n\0\n[[[[\n{}\n" * 100_000),
    "nested": lambda path: path.write_bytes(b"[" * 300_000 + b"\n" + b'{"a":' * 100_000),
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "link to itself": lambda path: path.symlink_to(path),
    "link to endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to a folder": lambda path: path.symlink_to(path.parent),
}


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
@pytest.mark.parametrize("name", ["events.jsonl", ".lock", "result.json", "sky.mp4", "checkpoint", "log.txt"])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_no_garbage_keeps_a_folder_from_telling(job: store.Job, name: str, garbage: Callable[[Path], object]) -> None:
    for other in {"sky.mp4", "result.json"} - {name}:
        (job.path / other).touch()
    garbage(job.path / name)
    lacking = name in ("sky.mp4", "result.json") and not store.is_file(job.path / name)
    assert store.status(job.path) is (Status.WAITING if lacking else Status.DONE)
    assert not store.has_checkpoint(job.path)
    assert isinstance(job.events(), list)


def test_the_last_line_counts_however_much_is_before_it(job: store.Job) -> None:
    with (job.path / "events.jsonl").open("wb") as file:
        file.write((b'{"type": "phase", "name": "' + b"x" * 1000 + b'"}\n') * 5000)
    job.record(Event(type="failed"))
    assert store.status(job.path) is Status.FAILED


def test_a_line_cut_short_spoils_neither_those_before_nor_those_after(job: store.Job) -> None:
    job.record(phase("denoise", 0, 2))
    with (job.path / "events.jsonl").open("ab") as file:
        file.write(b'{"type": "pha')
    assert store.status(job.path) is Status.INTERRUPTED
    job.record(Event(type="cancelled"))
    assert [e.type for e in job.events()] == ["phase", "cancelled"]
    assert store.status(job.path) is Status.CANCELLED


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
@pytest.mark.parametrize("name", ["events.jsonl", ".lock"])
def test_a_job_writes_through_no_link(job: store.Job, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (job.path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(SkyloopError) as caught, job.locked():
        job.record(phase("denoise", 0, 2))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert str(job.path / name) in caught.value.message
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


# locks


RUN = """
import os, sys, time
from pathlib import Path
from backend.jobs import runner, store
from backend.protocol import phase
def generate(request, job, *, engine=None):
    (job / f"ran-{os.getpid()}").touch()
    yield phase("denoise", 0, 1)
    sys.stdin.read()
    raise KeyboardInterrupt
sys.stdin.readline()
last = runner.run(store.load(sys.argv[1]), generate, lambda event: print(event.type, flush=True))
print(last.data.get("message", last.type), flush=True)
"""


def test_of_two_processes_at_once_only_one_runs_a_job(job: store.Job) -> None:
    for round in range(3):
        command = [sys.executable, "-c", RUN, str(job.path)]
        children = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for child in children:  # both are up and waiting: now at once
            child.stdin.write("go\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
        first = [child.stdout.readline().strip() for child in children]  # type: ignore[union-attr]
        ends = []
        for child in children:
            child.stdin.close()  # type: ignore[union-attr]
            ends.append(child.stdout.read().split("\n"))  # type: ignore[union-attr]
            assert child.wait(30) == 0
        assert sorted(first) == ["failed", "phase"]
        assert f"Another Skyloop is at work in {job.path}." in ends[first.index("failed")]
        assert "cancelled" in ends[first.index("phase")]
        assert len(list(job.path.glob("ran-*"))) == round + 1


def test_who_waited_for_a_lock_that_went_with_its_folder_does_not_have_it(job: store.Job) -> None:
    moved = job.path.with_name("moved")

    def waiting(_waited_s: float) -> None:
        job.path.rename(moved)  # the holder removes the folder and then lets go
        holder.close()

    holder = contextlib.ExitStack()
    holder.enter_context(job.locked())
    with pytest.raises(FileNotFoundError), lock.locked(job.path / ".lock", waiting=waiting, poll_s=0.01):
        pass


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_said_in_one_sentence(
    job: store.Job, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    job.log.touch()
    (job.path / ".lock").touch()
    monkeypatch.setattr("fcntl.flock", flock)
    announced, closed = run(job, DONE)
    assert "cannot lock files" in announced[-1].data["message"]
    assert announced[-1].data["kind"] == "bad_request"
    assert not closed
    assert store.status(job.path) is Status.INTERRUPTED


def test_a_folder_that_vanished_is_said_and_not_made_anew(job: store.Job) -> None:
    shutil.rmtree(job.path)
    announced, _ = run(job, DONE)
    assert announced[-1].data["kind"] == "bad_request"
    assert str(job.path) in announced[-1].data["message"]
    assert not job.path.exists()


def test_space_that_a_checkpoint_has_taken_is_not_asked_for_again(
    job: store.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    _checkpoint(job.path)
    (job.path / "checkpoint" / "more").write_bytes(b"x" * 999)
    _usage(monkeypatch, store.needed_bytes(REQUEST) - 1000)
    store.check_space(job.path, REQUEST)
    _usage(monkeypatch, store.needed_bytes(REQUEST) - 1001)
    with pytest.raises(SkyloopError):
        store.check_space(job.path, REQUEST)

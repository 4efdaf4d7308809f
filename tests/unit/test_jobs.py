"""Job folders and the runner: every end of a job leaves one readable last event, and no result is lost or mixed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.jobs import runner, staging, store
from backend.jobs.failures import as_skyloop_error
from backend.protocol import ErrorKind, Event, GenerateRequest, SkyloopError, bad_request, phase

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
    monkeypatch.setattr(store, "open_append", lambda path: Path("/dev/full").open("ab"))
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


def _finish(job: store.Job, text: str) -> None:
    for name in ("sky.mp4", "poster.png", "result.json"):
        (job.path / name).write_text(text, encoding="utf-8")


def _content(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.name != "request.json"}


def test_a_published_result_takes_the_place_of_an_earlier_one_as_a_whole(tmp_path: Path) -> None:
    with staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "old")
        (job.path / "preview.png").write_text("old", encoding="utf-8")
        staging.publish(job, tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "new")
        assert set(_content_of_files(tmp_path).values()) == {"old", "mine"}
        staging.publish(job, tmp_path)
    new = dict.fromkeys(("sky.mp4", "poster.png", "result.json"), "new")
    assert _content(tmp_path) == new | {"notes.txt": "mine"}


def _content_of_files(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.is_file() and p.suffix != ".json"}


def test_a_video_that_cannot_be_replaced_costs_neither_result(tmp_path: Path) -> None:
    (tmp_path / "sky.mp4").mkdir()  # as good as a file that Windows has open: it cannot be replaced
    (tmp_path / "result.json").write_text("old", encoding="utf-8")
    with pytest.raises(SkyloopError) as caught, staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "new")
        staging.publish(job, tmp_path)
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == "old"
    kept = next(tmp_path.glob("skyloop-*"))
    assert str(kept) in caught.value.hint
    assert _content(kept) == dict.fromkeys(("sky.mp4", "poster.png", "result.json"), "new")


def test_a_still_that_cannot_be_replaced_leaves_no_mixed_result(tmp_path: Path) -> None:
    (tmp_path / "poster.png").mkdir()
    (tmp_path / "result.json").write_text("old", encoding="utf-8")
    with pytest.raises(SkyloopError) as caught, staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "new")
        staging.publish(job, tmp_path)
    assert not (tmp_path / "result.json").exists()  # the video is already the new one's
    assert (tmp_path / "sky.mp4").read_text(encoding="utf-8") == "new"
    kept = next(tmp_path.glob("skyloop-*"))
    assert str(kept) in caught.value.hint
    assert (kept / "result.json").read_text(encoding="utf-8") == "new"


def test_an_unpublished_run_leaves_the_earlier_result_and_its_log(tmp_path: Path) -> None:
    with staging.staged(tmp_path, REQUEST) as job:
        _finish(job, "old")
        staging.publish(job, tmp_path)
    before = _content(tmp_path)
    with pytest.raises(KeyboardInterrupt), staging.staged(tmp_path, REQUEST) as job:
        (job.path / "sky.mp4").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert _content(tmp_path) == before
    with staging.staged(tmp_path, REQUEST) as job:
        job.log.write_text("why", encoding="utf-8")
        log = staging.keep_log(job, tmp_path)
    assert _content(tmp_path) == before | {log.name: "why"}


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    old, busy, young = (store.create(tmp_path / f".skyloop-{name}", REQUEST) for name in ("old", "busy", "young"))
    with busy.locked():
        for abandoned in (old, busy):
            os.utime(abandoned.path, (time.time() - 61,) * 2)
        with staging.staged(tmp_path, REQUEST):
            assert not old.path.exists()
            assert busy.path.exists()
            assert young.path.exists()


def test_causes_that_point_at_each_other_end() -> None:
    a, b = RuntimeError("a"), RuntimeError("b")
    a.__cause__, b.__cause__ = b, a
    assert as_skyloop_error(a).kind is ErrorKind.INTERNAL

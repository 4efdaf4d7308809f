"""The child process as its parent meets it: real pipes, a stub engine."""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.jobs import store
from backend.protocol import PROTOCOL_VERSION, Command, Event, GenerateRequest
from backend.serve import stdio

STUB = Path(__file__).with_name("stub_backend.py")
WAIT_S = 30.0
MACHINERY = stdio.Machinery(generate=lambda *_, **__: iter(()), devices=list, engine=None)


class Child:
    """The backend under test. Every line it writes must be an event, numbered without gaps."""

    def __init__(self, mode: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(STUB), mode, "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.seen: list[Event] = []
        self._events: queue.Queue[Event | Exception | None] = queue.Queue()
        self.stderr = b""
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._read, self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self._events.put(Event.from_line(line.decode("utf-8")))
            except ValueError as error:
                self._events.put(error)
        self._events.put(None)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read()

    def send(self, *lines: str | bytes) -> None:
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write((line.encode() if isinstance(line, str) else line) + b"\n")
        self.process.stdin.flush()

    def command(self, kind: str, job: str = "") -> None:
        self.send(Command(type=kind, job=job).to_line())

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event that is ``wanted``; those before it are in ``seen``."""
        deadline = time.monotonic() + WAIT_S
        while True:
            event = self._events.get(timeout=max(deadline - time.monotonic(), 0.01))
            assert isinstance(event, Event), f"{event!r} instead of an event; stderr: {self.stderr!r}"
            assert event.seq == len(self.seen)
            self.seen.append(event)
            if wanted(event):
                return event

    def until_type(self, *types: str) -> Event:
        return self.until(lambda event: event.type in types)

    def end(self) -> int:
        """Wait for the process to end by itself; the events it still wrote are in ``seen``."""
        code = self.process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
        while isinstance(event := self._events.get(timeout=WAIT_S), Event):
            self.seen.append(event)
        assert event is None
        return code


@contextmanager
def started(mode: str) -> Iterator[Child]:
    child = Child(mode)
    try:
        yield child
    finally:
        child.process.kill()
        child.process.wait(WAIT_S)
        for pipe in (child.process.stdin, child.process.stdout, child.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def job(tmp_path: Path) -> str:
    return store.create(tmp_path / "sky 🌌", GenerateRequest(prompt="aurora 🌌")).id


def test_generate_goes_from_hello_to_a_result(job: str) -> None:
    with started("ok") as child:
        hello = child.until_type("hello")
        assert hello.data["protocol"] == PROTOCOL_VERSION
        assert hello.data["devices"][0]["id"] == "cpu"
        child.command("generate", job)
        done = child.until_type("done", "failed")
        assert [e.type for e in child.seen if e.type != "heartbeat" and e.job == job][:2] == ["accepted", "phase"]
        assert "preview" in {e.type for e in child.seen}
        assert done.data["result"] == json.loads((Path(job) / "result.json").read_text()) | {"figures": {"seam": None}}
        assert (Path(job) / "sky.mp4").is_file()
        assert [e.type for e in store.load(job).events()][-1] == "done"
        child.command("shutdown")
        assert child.end() == 0


def test_jobs_wait_for_each_other_and_a_waiting_one_can_be_cancelled(tmp_path: Path) -> None:
    a, b, c = (store.create(tmp_path / name, GenerateRequest(prompt=name)).id for name in "abc")
    with started("slow") as child:
        for job in (a, b, c):
            child.command("generate", job)
        child.until(lambda e: e.type == "phase" and e.job == a)
        child.command("cancel", b)
        assert child.until_type("cancelled").job == b
        assert not any(e.type == "phase" and e.job != a for e in child.seen)
        child.command("cancel", a)
        assert child.until_type("cancelled").job == a
        child.until(lambda e: e.type == "phase" and e.job == c)
        assert not (Path(b) / "log.txt").exists()


def test_cancel_stops_a_running_job_within_one_step(job: str) -> None:
    with started("slow") as child:
        child.command("generate", job)
        child.until_type("preview")
        child.command("cancel", job)
        child.until_type("cancelled")
        assert (Path(job).parent / "closed").exists()  # the engine was told, it did not just lose its listener
        assert sorted(p.name for p in Path(job).iterdir()) == [
            ".lock", "events.jsonl", "log.txt", "preview.png", "request.json",
        ]  # fmt: skip
        child.command("cancel", job)  # once more, too late: no answer, no harm
        child.command("probe")
        assert child.until_type("hello", "failed").type == "hello"


@pytest.mark.parametrize("mode", ["slow", "ok"])
def test_the_end_of_stdin_ends_the_process(job: str, mode: str) -> None:
    with started(mode) as child:
        child.command("generate", job)
        child.until_type("phase" if mode == "slow" else "done")
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.end() == 0
        assert child.seen[-1].type == ("cancelled" if mode == "slow" else "done")


def test_the_end_of_stdin_ends_even_a_step_that_does_not_return(job: str) -> None:
    with started("deaf") as child:
        child.command("generate", job)
        child.until_type("preview")
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.end() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be caught")
def test_sigterm_cancels_and_ends(job: str) -> None:
    with started("slow") as child:
        child.command("generate", job)
        child.until_type("preview")
        child.process.send_signal(signal.SIGTERM)
        assert child.end() == 0
        assert child.seen[-1].type == "cancelled"


def test_sigterm_ends_an_idle_process() -> None:
    with started("ok") as child:
        child.until_type("hello")
        child.process.terminate()
        assert child.end() in ((0,) if os.name != "nt" else (0, 1))


def test_stray_output_does_not_reach_the_parent(job: str) -> None:
    with started("noisy") as child:
        child.command("generate", job)
        child.until_type("done")  # `until` fails on any line that is no numbered event
        child.command("unload")
        child.until(lambda e: e.type == "accepted" and not e.job)
        child.command("shutdown")
        child.end()
    for noise in (b'{"type": "done"}', b"noise below Python", b"noise of a child", b"unloaded"):
        assert noise in child.stderr


GARBAGE = [
    b"garbage", b"\xff\xfe\x00", b"[" * 100_000, b"{}", b"null", b'{"type": "explode"}', b'{"type": ["generate"]}',
    b'{"type": "generate"}', b'{"type": "generate", "job": "relative"}', b'{"type": "generate", "job": 5}',
    b'{"type": "generate", "job": "/no/such/folder"}', b'{"type": "generate", "job": "/a\\u0000b"}',
    b'{"type": "generate", "job": "\\ud800"}', b'{"type": "cancel"}', b'{"type": "probe", "path": "x"}',
    b"x" * 3_000_000,
]  # fmt: skip


def test_garbage_is_answered_and_survived(job: str) -> None:
    with started("ok") as child:
        child.until_type("hello")
        child.send(*GARBAGE)
        for _ in GARBAGE:
            failed = child.until_type("failed")
            assert failed.data["kind"] == "bad_request", failed
            assert len(failed.to_line()) < 1000
        child.send(b"", b"   ")  # blank lines are nothing
        child.command("generate", job)
        assert child.until_type("done", "failed").type == "done"


def test_a_bad_request_is_refused_at_once_while_another_job_runs(job: str, tmp_path: Path) -> None:
    with started("slow") as child:
        child.command("generate", job)
        child.until_type("phase")
        child.command("generate", job)
        assert "already" in child.until_type("failed").data["message"]
        assert child.seen[-1].job == ""  # the running job has not failed
        empty = tmp_path / "empty"
        empty.mkdir()
        child.command("generate", str(empty))
        assert "no request.json" in child.until_type("failed").data["message"]
        assert child.seen[-1].job == str(empty)


@pytest.mark.parametrize(("mode", "kind"), [("oom", "out_of_memory"), ("full", "disk_full"), ("crash", "internal")])
def test_a_failed_job_is_explained_and_the_next_one_runs(job: str, mode: str, kind: str) -> None:
    with started(mode) as child:
        for _ in range(2):
            child.command("generate", job)
            failed = child.until_type("failed", "done")
            assert (failed.type, failed.data["kind"]) == ("failed", kind)
            assert failed.data["hint"]
            assert "Traceback" in Path(failed.data["log"]).read_text(encoding="utf-8")
        assert not {"sky.mp4", "poster.png", "result.json"} & {p.name for p in Path(job).iterdir()}


def test_an_engine_that_cannot_be_loaded_is_explained() -> None:
    with started("broken") as child:
        assert child.until_type("failed").data["kind"] == "internal"
        assert child.end() == 1


def test_the_heart_beats_while_a_step_computes(job: str) -> None:
    with started("deaf") as child:
        child.command("generate", job)
        child.until_type("preview")
        child.until_type("heartbeat")
        child.until_type("heartbeat")


def test_a_parent_that_closes_its_end_of_stdout_ends_the_process(job: str) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, str(STUB), "slow", "stdio"],
        stdin=subprocess.PIPE, stdout=write, stderr=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        os.close(write)
        assert os.read(read, 1)
        os.close(read)
        assert child.stdin is not None
        child.stdin.write(Command(type="generate", job=job).to_line().encode() + b"\n")
        child.stdin.flush()
        try:
            assert child.wait(WAIT_S) == 0
        finally:
            child.kill()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_input_is_answered_line_by_line(chunks: list[bytes]) -> None:
    sent, answers = io.BytesIO(b"\n".join(chunks)), io.BytesIO()
    code = stdio.Server(sent, answers, lambda: MACHINERY).run()
    lines = [line for line in sent.getvalue().split(b"\n") if line.strip()]
    events = [Event.from_line(line) for line in answers.getvalue().decode().split("\n")[:-1]]
    assert code == 0
    assert [e.data["kind"] for e in events if e.type == "failed"] == ["bad_request"] * len(lines)

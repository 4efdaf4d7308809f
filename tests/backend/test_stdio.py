"""The child process as its parent meets it: real pipes, a stub engine."""

from __future__ import annotations

import hashlib
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
from backend.protocol import PROTOCOL_VERSION, Command, Event, GenerateRequest, phase
from backend.serve import stdio
from backend.serve.server import EXIT_STUCK, Machinery
from backend.serve.watchdog import Limits, Watchdog

STUB = Path(__file__).with_name("stub_backend.py")
WAIT_S = 30.0
MACHINERY = Machinery(generate=lambda *_, **__: iter(()), devices=list, engine=None)


class Child:
    """The backend under test. Every line it writes must be an event, numbered without gaps."""

    def __init__(self, mode: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(STUB), mode, "stdio", *options],
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

    def command(self, kind: str, job: str = "", to: int = 0) -> None:
        self.send(Command(type=kind, job=job, to=to).to_line())

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

    def until_queue(self, running: str, *waiting: str, paused: bool = False) -> Event:
        """The next event that tells of just this queue."""
        wanted = {"running": running, "waiting": list(waiting), "paused": paused}
        return self.until(lambda event: event.type == "queue" and event.data == wanted)

    def until_beats(self, count: int) -> list[Event]:
        """What comes before so many heartbeats."""
        start = len(self.seen)
        for _ in range(count):
            self.until_type("heartbeat")
        return [event for event in self.seen[start:] if event.type != "heartbeat"]

    @property
    def last(self) -> str:
        """The type of the last event about a job."""
        return next(event.type for event in reversed(self.seen) if event.job)

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
def started(mode: str, *options: str) -> Iterator[Child]:
    child = Child(mode, *options)
    try:
        yield child
    finally:
        child.process.kill()
        child.process.wait(WAIT_S)
        for thread in child._threads:  # they read to the end first: closing a pipe under a reader raises in its thread
            thread.join(WAIT_S)
        for pipe in (child.process.stdin, child.process.stdout, child.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture(autouse=True)
def signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the child logs, and where the stub engine and a test leave signs for each other."""
    folder = tmp_path / "signs"
    folder.mkdir()
    monkeypatch.setenv("SKYLOOP_HOME", str(folder))
    monkeypatch.setenv("STUB_SIGNS", str(folder))
    return folder


def exists_soon(path: Path) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.exists()


@pytest.fixture
def job(tmp_path: Path) -> str:
    return store.create(tmp_path / "sky 🌌", GenerateRequest(prompt="aurora 🌌")).id


def test_generate_goes_from_hello_to_a_result(job: str) -> None:
    with started("ok") as child:
        first, hello = child.until_type("hello"), child.until_type("hello")
        assert first.data["protocol"] == hello.data["protocol"] == PROTOCOL_VERSION
        assert first.data["devices"] == []
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
        assert child.last == ("cancelled" if mode == "slow" else "done")


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
        assert child.last == "cancelled"


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


def test_a_job_runs_where_it_was_moved_to(tmp_path: Path) -> None:
    a, b, c, d = (store.create(tmp_path / name, GenerateRequest(prompt=name)).id for name in "abcd")
    with started("slow") as child:
        for job in (a, b, c, d):
            child.command("generate", job)
        child.until_queue(a, b, c, d)
        child.command("move", d)
        child.until_queue(a, d, b, c)
        child.command("move", b, to=99)
        child.until_queue(a, d, c, b)
        child.command("move", a)
        assert "does not wait" in child.until_type("failed").data["message"]
        assert child.seen[-1].job == ""  # it runs on
        child.command("cancel", a)
        child.until_queue(d, c, b)
        child.until(lambda e: e.type == "phase" and e.job == d)


def test_a_pause_halts_the_job_and_keeps_it(job: str, tmp_path: Path) -> None:
    other = store.create(tmp_path / "other", GenerateRequest(prompt="other")).id
    with started("slow") as child:
        child.command("generate", job)
        child.command("generate", other)
        child.until_type("phase")
        child.command("pause")
        child.until_queue(job, other, paused=True)
        child.until_beats(1)
        assert child.until_beats(1) == []  # neither job moves; the heart does
        assert not (Path(job).parent / "closed").exists()
        child.command("resume")
        child.until_queue(job, other)
        assert child.until_type("phase").job == job


def test_a_paused_job_can_be_cancelled_and_the_next_one_waits_for_the_end_of_the_pause(tmp_path: Path) -> None:
    a, b = (store.create(tmp_path / name, GenerateRequest(prompt=name)).id for name in "ab")
    with started("slow") as child:
        child.command("generate", a)
        child.command("generate", b)
        child.until_type("phase")
        child.command("pause")
        child.until_queue(a, b, paused=True)
        child.command("cancel", a)
        assert child.until_type("cancelled").job == a
        child.until_queue("", b, paused=True)
        assert child.until_beats(1) == []
        child.command("resume")
        child.until_queue(b)


def test_memory_comes_back_at_once_in_a_pause_and_the_job_afterwards(job: str, tmp_path: Path) -> None:
    other = store.create(tmp_path / "other", GenerateRequest(prompt="other")).id
    with started("slow") as child:
        child.command("generate", job)
        child.command("generate", other)
        child.until_type("phase")
        child.command("pause")
        child.command("unload")
        child.until_queue("", job, other, paused=True)
        child.until(lambda e: e.type == "accepted" and not e.job)
        assert (Path(job).parent / "closed").exists()
        assert store.status(Path(job)) is store.Status.INTERRUPTED  # neither failed nor cancelled: it will go on
        child.command("resume")
        child.until_queue(job, other)
        assert child.until_type("phase").job == job
    assert b"unloaded" in child.stderr


def test_memory_comes_back_after_a_while_without_a_job(job: str, signs: Path) -> None:
    with started("ok", "--idle-unload", "0.005") as child:
        child.command("generate", job)
        child.until_type("done")
        assert exists_soon(signs / "unloaded")
        child.command("shutdown")
        assert child.end() == 0
    assert child.stderr.count(b"unloaded") == 1


def test_a_finished_job_is_announced_done_and_not_made_again(job: str, tmp_path: Path) -> None:
    with started("ok") as child:
        child.command("generate", job)
        first = child.until_type("done")
        (tmp_path / "closed").unlink()
        child.command("generate", job)
        assert child.until_type("done").data == first.data
        assert not (tmp_path / "closed").exists()
        store.create(Path(job), GenerateRequest(prompt="something else"))
        child.command("generate", job)
        assert "another request" in child.until_type("failed").data["message"]
    assert (Path(job) / "sky.mp4").read_bytes() == "sky.mp4 of aurora 🌌".encode()


def test_a_result_that_is_not_what_was_recorded_is_made_again(job: str, tmp_path: Path) -> None:
    with started("ok") as child:
        child.command("generate", job)
        child.until_type("done")
        index, movie = Path(job) / "result.json", Path(job) / "sky.mp4"
        whole, made = json.loads(index.read_text()), movie.read_bytes()
        for facts in ({"bytes": len(made) + 1}, {"bytes": len(made), "sha256": "0" * 64}, "damaged"):
            index.write_text(json.dumps(whole | {"files": {"sky.mp4": facts}}))
            (tmp_path / "closed").unlink()
            child.command("generate", job)
            child.until_type("done")
            assert (tmp_path / "closed").exists()
        facts = {"bytes": len(made), "sha256": hashlib.sha256(made).hexdigest()}
        index.write_text(json.dumps(whole | {"files": {"sky.mp4": facts}}))
        (tmp_path / "closed").unlink()
        child.command("generate", job)
        child.until_type("done")
        assert not (tmp_path / "closed").exists()


@pytest.mark.skipif(os.name == "nt", reason="making a link needs rights on Windows")
def test_a_folder_is_one_job_however_it_is_spelt(job: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(job)
    names = (f"{job}/", f"{tmp_path}/signs/../{Path(job).name}", f"{tmp_path}/link")
    with started("slow") as child:
        child.command("generate", job)
        child.until_type("phase")
        for name in names:
            child.command("generate", name)
            assert "already" in child.until_type("failed").data["message"]
        child.command("cancel", names[2])
        assert child.until_type("cancelled").job == job


def test_a_waiting_job_that_was_cancelled_says_so_in_its_folder(tmp_path: Path) -> None:
    a, b = (store.create(tmp_path / name, GenerateRequest(prompt=name)).id for name in "ab")
    with started("slow") as child:
        child.command("generate", a)
        child.command("generate", b)
        child.command("cancel", b)
        assert child.until_type("cancelled").job == b
        assert store.status(Path(b)) is store.Status.CANCELLED


def test_the_end_of_the_process_leaves_its_job_to_go_on_with(job: str) -> None:
    with started("slow") as child:
        child.command("generate", job)
        child.until_type("phase")
        child.command("shutdown")
        assert child.end() == 0
    assert store.status(Path(job)) is store.Status.INTERRUPTED


def test_hello_does_not_wait_for_the_engine(signs: Path) -> None:
    with started("late") as child:
        assert child.until_type("hello").data["devices"] == []
        child.command("unload")  # waits its turn
        (signs / "go").touch()
        assert child.until_type("hello", "accepted").data["devices"]
        child.until_type("accepted")


def test_the_first_hello_needs_no_library() -> None:
    code = (
        "import io, sys\n"
        "from backend.serve import stdio\n"
        "def load(): print(sorted({'torch', 'numpy', 'cv2', 'av', 'safetensors'} & set(sys.modules))); sys.exit()\n"
        "out = io.BytesIO()\n"
        "try: stdio.serve(io.BytesIO(), out, load)\n"
        "finally: print(out.getvalue().split(b'\\n')[0].decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=STUB.parents[2], capture_output=True, text=True, timeout=60)
    modules, hello = done.stdout.splitlines()
    assert modules == "[]", done.stderr
    assert json.loads(hello)["type"] == "hello"


def test_a_device_that_hangs_is_given_up_with_its_stack(job: str) -> None:
    with started("stuck") as child:
        child.command("generate", job)
        failed = child.until_type("failed")
        assert (failed.job, failed.data["kind"]) == (job, "device_lost")
        assert child.end() == EXIT_STUCK
    log = Path(failed.data["log"]).read_text(encoding="utf-8")
    assert "in misbehave" in log
    assert store.load(job).events()[-1].data["kind"] == "device_lost"


def test_what_counts_as_a_hang_depends_on_the_work_and_on_what_was_seen() -> None:
    def beats_until_stuck(*events: Event, on_processor: bool = False) -> int:
        watch = Watchdog(Limits(), on_processor=on_processor)
        for event in events:
            watch.heard(event)
        return next(n for n in range(1, 10_000) if watch.beat(1.0))

    layout = phase("layout", 1, 9, "window")
    assert beats_until_stuck(layout) == 121
    assert beats_until_stuck(layout, on_processor=True) == 601
    assert beats_until_stuck(phase("load", 0, 1)) == 601
    assert beats_until_stuck(layout, phase("measure", 0, 1)) == 3601
    watch = Watchdog(Limits(), on_processor=False)
    watch.heard(layout)
    assert not any(watch.beat(1.0) for _ in range(100))
    watch.heard(layout)  # a slow device, but it moves
    assert watch.limit_s == 2000


def test_a_pause_is_no_hang(job: str) -> None:
    with started("watched") as child:
        child.command("generate", job)
        child.until_type("phase")
        child.command("pause")
        child.until_queue(job, paused=True)
        child.until_beats(20)  # four times what the watchdog allows
        child.command("resume")
        child.until_type("phase")


LAUNCHER = r"""
import os, subprocess, sys, threading, time
place, command, preview, *program = sys.argv[1:]
def start():
    global child
    answers = subprocess.PIPE if place == "unread" else subprocess.DEVNULL
    child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=answers)
    child.stdin.write(command.encode() + b"\n"); child.stdin.flush()
    while not os.path.exists(preview):
        time.sleep(0.01)
    if place == "unread":
        child.stdin.write(b"?\n" * 2000); child.stdin.flush()  # more answers than the pipe holds
if place == "main":
    start()
else:
    thread = threading.Thread(target=start); thread.start(); thread.join()
holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], stdout=subprocess.DEVNULL,
                          pass_fds=[pipe.fileno() for pipe in (child.stdin, child.stdout) if pipe])
print(child.pid, holder.pid, flush=True)
child.wait()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("place", ["main", "thread", "unread"])
def test_it_ends_with_its_parent_though_another_process_holds_the_pipe(job: str, place: str) -> None:
    """Started by a thread that ends at once, it must not end with that. Unread answers must not hold it up."""
    command = Command(type="generate", job=job).to_line()
    program = [sys.executable, "-c", LAUNCHER, place, command, f"{job}/preview.png"]
    with subprocess.Popen([*program, sys.executable, str(STUB), "deaf", "stdio"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child, holder = map(int, parent.stdout.readline().split())
        try:
            assert alive(child)
            parent.kill()
            parent.wait(WAIT_S)
            deadline = time.monotonic() + WAIT_S
            while alive(child) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not alive(child)
            assert alive(holder)
        finally:
            for pid in (child, holder):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_what_a_newer_add_on_sends_is_refused_by_name() -> None:
    with started("ok") as child:
        child.send('{"type": "paint"}', '{"type": "probe", "colour": "red"}')
        for name in ("paint", "colour"):
            failed = child.until_type("failed")
            assert name in failed.data["message"]
            assert "newer" in failed.data["hint"]


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
        assert child.until_type("hello", "failed").type == "hello"
        failed = child.until_type("failed")
        assert failed.data["kind"] == "internal"
        assert "libraries cannot be loaded" in failed.data["message"]
        assert Path(failed.data["log"]).read_text(encoding="utf-8").count("Traceback")
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
    code = stdio.serve(sent, answers, lambda: MACHINERY)
    lines = [line for line in sent.getvalue().split(b"\n") if line.strip()]
    events = [Event.from_line(line) for line in answers.getvalue().decode().split("\n")[:-1]]
    assert code == 0
    assert [e.data["kind"] for e in events if e.type == "failed"] == ["bad_request"] * len(lines)

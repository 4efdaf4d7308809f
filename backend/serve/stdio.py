"""The child process that the add-on starts: commands on stdin, events on stdout, one JSON object a line.

Three threads: a reader that answers at once (accepts, cancels), a heartbeat, and the main thread, which runs the jobs
one after another. The end of stdin means that the parent is gone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from .. import __version__
from ..jobs import runner, store
from ..jobs.failures import as_skyloop_error
from ..protocol import LAST_EVENTS, PROTOCOL_VERSION, Command, Event, SkyloopError, bad_request, failed

HEARTBEAT_S = 2.0
_GRACE_S = 10.0  # how long a step may still compute after the parent is gone
_MAX_LINE_BYTES = 1 << 20
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machinery:
    """What does the work: ``pipeline.generate``, ``engine.devices``, and an ``engine.Engine``, which keeps models."""

    generate: runner.Generate
    devices: Callable[[], list[dict[str, Any]]]
    engine: Any


def main() -> int:
    """Serve this process's stdin and stdout until told to stop, or until the parent is gone. Returns the exit code."""
    commands, events = _claim_pipes()
    faulthandler.enable()  # a crash inside a library leaves its stack on stderr, which the add-on keeps
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    server = Server(commands, events, _load_machinery)
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: server.stop())
    return server.run()


def _load_machinery() -> Machinery:
    from ..engine import Engine, devices  # seconds, as it imports torch
    from ..pipeline import generate

    return Machinery(generate, devices, Engine())


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the real stdin and stdout for the protocol; what libraries print goes to stderr, and they read nothing."""
    commands = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return commands, events


class _Outbox:
    """Writes numbered events, one whole line at a time, from any thread."""

    def __init__(self, stream: BinaryIO, on_broken: Callable[[], None]) -> None:
        self._stream = stream
        self._on_broken = on_broken
        self._lock = threading.Lock()
        self._seq = 0

    def __call__(self, event: Event) -> None:
        with self._lock:
            line = store.encode_line(replace(event, seq=self._seq).to_line())
            self._seq += 1
            try:
                while line:
                    line = line[self._stream.write(line) :]
            except OSError:  # nobody reads any more
                self._on_broken()


@dataclass(frozen=True)
class _Waiting:
    """A job from its acceptance to its end."""

    job: store.Job
    cancel: threading.Event = field(default_factory=threading.Event)


class Server:
    """The state of the child process: the jobs that wait or run, and whether it is to stop."""

    def __init__(self, commands: BinaryIO, events: BinaryIO, load: Callable[[], Machinery]) -> None:
        self._commands = commands
        self._send = _Outbox(events, self.stop)
        self._load = load
        # A SimpleQueue, because its put is safe in a signal handler.
        self._work: queue.SimpleQueue[_Waiting | Command | None] = queue.SimpleQueue()
        self._jobs: dict[str, _Waiting] = {}
        self._running: _Waiting | None = None
        self._jobs_lock = threading.Lock()
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def run(self) -> int:
        """Serve until :meth:`stop`. Returns the exit code."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            return self._serve()
        finally:
            self._ended.set()

    def stop(self) -> None:
        """Cancel everything and end. Safe from any thread and from a signal handler."""
        self._stopping.set()
        self._work.put(None)

    # main thread

    def _serve(self) -> int:
        try:
            machinery = self._load()
            self._hello(machinery)
        except Exception as error:  # the request boundary of the start: say why there will be no hello
            _logger.exception("the engine cannot be loaded")
            self._send(failed(as_skyloop_error(error)))
            return 1
        while (item := self._work.get()) is not None and not self._stopping.is_set():
            if isinstance(item, _Waiting):
                self._run_job(item, machinery)
                continue
            try:
                self._do(item, machinery)
            except Exception as error:  # the request boundary of unload and probe
                _logger.exception("%s failed", item.type)
                self._send(failed(as_skyloop_error(error)))
        self._drop_waiting()
        return 0

    def _hello(self, machinery: Machinery) -> None:
        data = {"protocol": PROTOCOL_VERSION, "version": __version__, "devices": machinery.devices()}
        self._send(Event(type="hello", data=data))

    def _do(self, command: Command, machinery: Machinery) -> None:
        if command.type == "unload":
            machinery.engine.unload()
            self._send(Event(type="accepted"))
        else:
            self._hello(machinery)

    def _run_job(self, waiting: _Waiting, machinery: Machinery) -> None:
        with self._jobs_lock:
            if self._jobs.get(waiting.job.id) is not waiting:
                return  # cancelled while it waited, and said so
            self._running = waiting

        def announce(event: Event) -> None:
            if event.type in LAST_EVENTS:  # before its parent knows, so that it may send the job again
                with self._jobs_lock:
                    self._running = None
                    self._jobs.pop(waiting.job.id)
            self._send(event)

        runner.run(
            waiting.job,
            machinery.generate,
            announce,
            engine=machinery.engine,
            cancelled=lambda: waiting.cancel.is_set() or self._stopping.is_set(),
        )

    def _drop_waiting(self) -> None:
        with self._jobs_lock:
            dropped, self._jobs = list(self._jobs), {}
        for job_id in dropped:
            self._send(Event(type="cancelled", job=job_id))

    # reader thread

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while line := self._commands.readline(_MAX_LINE_BYTES):
                whole = line.endswith(b"\n")
                while not whole and (rest := self._commands.readline(_MAX_LINE_BYTES)):
                    whole = rest.endswith(b"\n")
                if line.strip():
                    self._receive(line)
        self.stop()
        if not self._ended.wait(_GRACE_S):
            os._exit(1)  # one long step of the engine must not outlive the parent for minutes

    def _receive(self, line: bytes) -> None:
        job_id = ""
        try:
            command = Command.from_line(line.decode("utf-8", errors="replace"))
            job_id = command.job
            self._obey(command)
        except SkyloopError as error:
            self._send(replace(failed(error), job=job_id))
        except Exception as error:  # the reader thread must survive whatever it is sent
            _logger.exception("cannot obey %r", line[:200])
            self._send(replace(failed(as_skyloop_error(error)), job=job_id))

    def _obey(self, command: Command) -> None:
        if command.type == "generate":
            self._accept(command)
        elif command.type == "cancel":
            self._cancel(command.job)
        elif command.type == "shutdown":
            self.stop()
        else:
            self._work.put(command)

    def _accept(self, command: Command) -> None:
        job = store.load(command.job)
        job.request()  # refuse a bad one now, not when its turn comes
        waiting = _Waiting(job)
        with self._jobs_lock:
            if job.id in self._jobs:
                # Without the job's name: the running job of that name has not failed.
                self._send(failed(bad_request(f"There is a job {job.id!r} already.", "Give each job its own name.")))
                return
            self._jobs[job.id] = waiting
        self._send(Event(type="accepted", job=job.id))
        self._work.put(waiting)

    def _cancel(self, job_id: str) -> None:
        with self._jobs_lock:
            waiting = self._jobs.get(job_id)
            waits = waiting is not None and waiting is not self._running
            if waits:
                del self._jobs[job_id]
        if waits:
            self._send(Event(type="cancelled", job=job_id))
        elif waiting:
            waiting.cancel.set()  # the runner says so once it has stopped
        else:
            _logger.info("cancel of %r: it has ended or never was", job_id)

    # heartbeat thread

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self._send(Event(type="heartbeat"))

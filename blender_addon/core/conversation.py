"""The queue of jobs and the backend process that works on it: what it says, and what is done when it is lost."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from pathlib import Path

from ...backend.jobs import store
from ...backend.media.files import open_append
from ...backend.protocol import Command, ErrorKind, Event, SkyloopError
from . import jobs
from .client import BackendClient, LostError, TickClock
from .course import Course, Past, expected
from .errands import Errands
from .installing import Runtime
from .queue import JobQueue, Task
from .restarts import RestartBudget
from .state import GENERATING, LABELS, Problem, Progress, State
from .stock import advice

log = logging.getLogger(__name__)

EVENTS_AT_ONCE = 32


class Conversation:
    """With one backend process at a time. :class:`..session.Session` is what its owner uses."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.state = State.NOT_INSTALLED
        self.progress = Progress("")
        self.course = Course({})  # of what is under way
        self.past: list[Past] = []  # what earlier skies took, newest first; the owner fills it
        self.errands = Errands()
        self.problem: Problem | None = None
        self.queue = JobQueue()
        self.preview: Path | None = None
        self.preview_edition = 0  # the preview is replaced in place; this tells one from the next
        self.finished: deque[Path] = deque()  # jobs done, for the owner to take
        self.revision = 0  # grows with every change that a user could see
        self._client: BackendClient | None = None
        self._closing: list[BackendClient] = []  # those that are on their way out
        self._unwanted: list[Path] = []  # folders of cancelled jobs
        self._complaint: SkyloopError | None = None  # of the process about itself, not about a job
        self._restarts = RestartBudget()
        self._clock = TickClock()
        self._cancel_by_s = 0.0  # by that clock

    def _follow_backend(self, end: float) -> None:
        """Take in what the process has said, until ``time.monotonic()`` is about ``end``, and what has become of it."""
        now_s = self._clock.tick()
        self._closing = [client for client in self._closing if not client.closed()]
        try:
            self._listen(end)
        except LostError as error:
            self._lose(error)
        if self.state is State.CANCELLING and self._client and now_s > self._cancel_by_s:
            self._lose(LostError(ErrorKind.INTERNAL, "The generator did not stop when it was asked to.", ""))
        if self._unwanted and not self._closing:
            self._clear_away()
        if self.queue.tasks:
            self._go_on()

    def _clear_away(self) -> None:
        """Remove the folders of cancelled jobs; to be called when no process can be at work in them."""
        unwanted, self._unwanted = self._unwanted, []
        self.errands.begin(lambda: [jobs.discard(folder) for folder in unwanted])

    def _listen(self, end: float) -> None:
        while client := self._client:
            for event in client.drain(EVENTS_AT_ONCE):
                if self._client is client:
                    self._take(event)
            if time.monotonic() > end:
                return
            if not client.more:
                break
        if self._client and (error := self._client.failure()):
            raise error

    def _take(self, event: Event) -> None:
        if event.type == "queue":
            self._follow_queue(event)
        elif task := self.queue.find(event.job):
            if event.type in ("phase", "preview") and task is not self.queue.running and not task.leaving:
                self._begin(task)
            self._take_of(task, event)
        elif event.type == "failed" and not event.job:
            error = _error_of(event)
            log.warning("the backend complains: %s", error.line)
            if self._client and not self._client.devices:  # its engine does not load; later ones are about commands
                self._complaint = error

    def _take_of(self, task: Task, event: Event) -> None:
        data, runs = event.data, task is self.queue.running
        match event.type:
            case "accepted" if runs and self.state is State.STARTING:
                self._enter(State.RUNNING)
            case "phase" if runs:
                progress = Progress.of(event)
                task.note(progress.name, progress.done)
                if self.state is not State.CANCELLING:
                    self._follow_phase(progress)
                    self._enter(State.RUNNING)
            case "preview" if runs:
                # Only the name counts: nothing outside the job folder is ever opened.
                self.preview = task.folder / Path(str(data.get("file", "preview.png"))).name
                self.preview_edition += 1
                self.revision += 1
            case "done":
                if not task.leaving:
                    self.finished.append(task.folder)
                self._end(task)
            case "cancelled":
                if task.leaving or (runs and self.state is State.CANCELLING):
                    self._discard(task)
                else:  # nobody here asked for that: the process is being ended from outside
                    task.sent = False
            case "failed":
                error = _error_of(event)
                if error.kind is ErrorKind.DEVICE_LOST and runs:
                    after = "the graphics card stopped answering"
                    raise LostError(error.kind, error.message, error.hint, after=after)
                self._fail(task, error, log_file=str(data.get("log", "")))
                if error.kind in (ErrorKind.OUT_OF_MEMORY, ErrorKind.DEVICE_LOST):
                    self._drop_client()  # only the end of the process gives a crowded device back for certain

    def _follow_queue(self, event: Event) -> None:
        before = self.queue.running
        self.queue.follow(event.data)
        if self.queue.paused:
            self.course.pause()
        if self.queue.running is None:
            self._halt()
        elif self.queue.running is not before:
            self._begin(self.queue.running)
        self.revision += 1

    def _follow_phase(self, progress: Progress) -> None:
        self.course.note(progress)
        self.progress = progress
        self.revision += 1

    def _go_on(self) -> None:
        """See that a process is at work on what is queued, unless it is paused."""
        if task := self.queue.next():
            self._begin(task)
        if self._client is None and not self.queue.paused and self.queue.tasks:
            self._start()
        for task in self.queue.tasks:
            if self._client and not task.sent and not task.leaving:
                task.sent = True
                self._send(Command(type="generate", job=task.id))

    def _start(self) -> None:
        if self._closing:
            return  # the old process may still hold the job's lock, and the device's memory
        self._complaint = None
        try:
            self._client = self.runtime.client()
        except SkyloopError as error:
            self.queue.paused = True  # the others would fare no better
            self._fail(self.queue.tasks[0], error)

    def _begin(self, task: Task) -> None:
        self.queue.running = task
        self.preview = None
        self.course = Course(expected(task.request, self.past))
        self.progress = Progress(LABELS[State.STARTING])
        self._enter(State.STARTING)

    def _halt(self) -> None:
        """Nothing runs for now."""
        self.queue.running = None
        if self.state in GENERATING:
            self._enter(State.READY)
        self.revision += 1

    def _end(self, task: Task) -> None:
        was_running = task is self.queue.running
        self.queue.end(task)
        if was_running:
            self._halt()
        if self.queue.paused and not self.queue.tasks:  # there is nothing left to hold back
            self.queue.paused = False
            self._send(Command(type="resume"))
        self.revision += 1

    def _discard(self, task: Task) -> None:
        """The end of a job that the user does not want any more; what could be gone on with stays on the disk."""
        self._end(task)
        self._unwanted.append(task.folder)

    def _lose(self, error: LostError) -> None:
        """The process is gone or useless: end it, and start it again for its job where that makes sense."""
        tail = self._client.tail if self._client else ""
        log.error("backend lost: %s\n%s", error.line, tail)
        cancelling = self.state is State.CANCELLING
        self._drop_client(kill=True)
        for task in [t for t in self.queue.tasks if t.leaving]:
            self._discard(task)
        task = self.queue.running
        if task is None or self.queue.paused:
            self._halt()
        elif cancelling:
            self._discard(task)
        elif not self._complaint and self._restarts.grant(task, error):
            self._note_in_log(task, error, tail)
            self._begin(task)
            self.progress = Progress(f"Starting again after {error.after}")
        else:
            useless = bool(self._complaint) or not error.after
            if self.queue.waiting and (useless or not self._restarts.spend()):
                self.queue.paused = True  # else the next job may fare better
            self._fail(task, self._complaint or error, tail=tail)
        self.revision += 1

    def _fail(self, task: Task, error: SkyloopError, *, log_file: str = "", tail: str = "") -> None:
        file = task.folder / (Path(log_file).name or "log.txt")
        self._note_in_log(task, error, tail, file)
        log_there = file if store.is_file(file) else None
        tried = f"It was tried {task.restarts + 1} times." if task.restarts else ""
        hint = f"{advice(error.hint)} {tried}".strip()
        onward = "Resume goes on from the last checkpoint." if store.has_checkpoint(task.folder) else ""
        self.problem = Problem(error.kind, error.message, hint, log_there, task.folder, onward)
        self._end(task)
        if self.queue.running is None:
            self._enter(State.FAILED)

    def _note_in_log(self, task: Task, error: SkyloopError, tail: str, file: Path | None = None) -> None:
        """The process could not write its own last words any more."""
        if tail:
            with contextlib.suppress(OSError, SkyloopError), open_append(file or task.folder / "log.txt") as stream:
                stream.write(f"\n{error.line}\n{tail}\n".encode(errors="replace"))

    def _send(self, command: Command) -> None:
        if self._client:
            self._client.send(command)

    def _drop_client(self, *, kill: bool = False) -> None:
        """Part with the process; ``tick`` sees to its end, because Blender must not stand still."""
        if client := self._client:
            self._client = None
            client.begin_close(kill=kill)
            self._closing.append(client)
        for task in self.queue.tasks:
            task.sent = False

    def _enter(self, state: State) -> None:
        self.state = state
        self.revision += 1


def _error_of(event: Event) -> SkyloopError:
    try:
        kind = ErrorKind(event.data.get("kind", ""))
    except ValueError:
        kind = ErrorKind.INTERNAL
    message = str(event.data.get("message") or "The generator failed without saying why.")
    return SkyloopError(kind, message, str(event.data.get("hint", "")))

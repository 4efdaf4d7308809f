"""What Skyloop is doing now, as one state machine: installing, generating, cancelling, failed; and what it does next.

``tick()`` is the only thing that moves it. In Blender a timer calls it; without a window, where timers do not run, a
loop does. It never waits, so the owner's thread stays free.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from pathlib import Path

from ...backend.jobs import store
from ...backend.media.files import open_append
from ...backend.protocol import Command, ErrorKind, Event, GenerateRequest, SkyloopError
from . import jobs
from .client import BackendClient, LostError, TickClock
from .installing import Installer, Runtime
from .queue import JobQueue, Task
from .restarts import RestartBudget
from .state import GENERATING, LABELS, Problem, Progress, State

log = logging.getLogger(__name__)

CANCEL_PATIENCE_S = 20.0  # a model step may take this long on a CPU; after that the process is stopped instead
TICK_BUDGET_S = 0.004
LEFT_AFTER_S = 3.0  # earlier than this a phase's pace says little
EVENTS_AT_ONCE = 32


class Session:
    """One Blender's conversation with one backend process. All methods belong to the owner's thread."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.state = State.NOT_INSTALLED
        self.progress = Progress("")
        self._phase_began = 0.0
        self.problem: Problem | None = None
        self.queue = JobQueue()
        self.preview: Path | None = None
        self.preview_edition = 0  # the preview is replaced in place; this tells one from the next
        self.finished: deque[Path] = deque()  # jobs done, for the owner to take
        self.revision = 0  # grows with every change that a user could see
        self._client: BackendClient | None = None
        self._closing: list[BackendClient] = []
        self._complaint: SkyloopError | None = None  # of the process about itself, not about a job
        self._restarts = RestartBudget()
        self._installer: Installer | None = None
        self._clock = TickClock()
        self._cancel_by_s = 0.0  # by that clock

    @property
    def busy(self) -> bool:
        """Whether something runs, or would if it were not paused."""
        return self.installing or bool(self.queue.tasks)

    @property
    def installing(self) -> bool:
        return self.state is State.INSTALLING

    @property
    def job(self) -> Path | None:
        """The folder of the running job."""
        return self.queue.running.folder if self.queue.running else None

    @property
    def not_installed(self) -> bool:
        return self.state is State.NOT_INSTALLED

    @property
    def label(self) -> str:
        return "Paused" if self.queue.paused and self.busy else LABELS[self.state]

    @property
    def progress_text(self) -> str:
        """The present phase, how far it is and, once that can be told, how long it will take yet."""
        if self.queue.paused:
            return f"Paused. {self.progress.text}"
        elapsed_s, share = time.monotonic() - self._phase_began, self.progress.factor
        if elapsed_s < LEFT_AFTER_S or not 0.02 < share < 1.0:
            return self.progress.text
        left_s = round(elapsed_s * (1 - share) / share)
        return f"{self.progress.text}, {left_s // 60}:{left_s % 60:02d} left"

    @property
    def client(self) -> BackendClient | None:
        return self._client

    def refresh(self) -> None:
        """Look again whether the runtime is there."""
        if not self.busy and self.state is not State.FAILED:
            self._enter(State.READY if self.runtime.ready() else State.NOT_INSTALLED)

    def install(self) -> None:
        """Start making the runtime, in a thread."""
        if self.busy:
            raise SkyloopError(ErrorKind.BAD_REQUEST, f"{self.label} already.", "Wait for it or cancel it.")
        self._drop_client()
        self.problem = None
        self.progress = Progress("Preparing")
        self._enter(State.INSTALLING)  # tick begins it once the old process has let go of its files

    def generate(self, request: GenerateRequest, root: Path) -> Path:
        """Make a job folder in ``root`` and queue it. Returns the folder. Raises ``SkyloopError``."""
        self._check_installed()
        folder = jobs.create(root, request.validated())
        self._add(Task(folder, jobs.shorten(request.prompt), jobs.Claim(folder)))
        return folder

    def resume_job(self, job: jobs.Job) -> None:
        """Queue a job that ended before it was done: it goes on from its checkpoint. Raises ``SkyloopError``."""
        self._check_installed()
        claim = jobs.Claim(job.folder)
        if store.status(job.folder) is store.Status.RUNNING:
            claim.release()
            raise SkyloopError(ErrorKind.BAD_REQUEST, "Another Skyloop works on this sky.", "Wait for it to end.")
        self._add(Task(job.folder, job.title, claim))

    def pause(self) -> None:
        """Have the running job halt at its next window; waiting ones do not start."""
        self.queue.paused = True
        self._send(Command(type="pause"))
        self.revision += 1

    def resume(self) -> None:
        """Go on after :meth:`pause`, or after the queue was held because the generator does not work."""
        self.queue.paused = False
        self._phase_began = time.monotonic()
        self._send(Command(type="resume"))
        self._go_on()
        self.revision += 1

    def cancel(self) -> None:
        """Ask for an end of the installation or of the running job; ``tick`` sees it through."""
        if self.installing:
            self._cancel_installation()
        elif (task := self.queue.running) and self.state is not State.CANCELLING:
            self.progress = Progress(LABELS[State.CANCELLING])
            self._enter(State.CANCELLING)
            self._cancel_by_s = self._clock.now_s + CANCEL_PATIENCE_S
            if self._client:
                self._send(Command(type="cancel", job=task.id))
            else:  # between two processes
                self._discard(task)

    def _cancel_installation(self) -> None:
        if self._installer:
            self._installer.cancelled.set()
            self.progress = Progress(LABELS[State.CANCELLING])
            self.revision += 1
        else:
            self._enter(State.READY if self.runtime.ready() else State.NOT_INSTALLED)

    def remove(self, job: Path) -> None:
        """Take a waiting job out of the queue."""
        task = self.queue.find(str(job))
        if task is None or task is self.queue.running:
            return
        if self._client and task.sent:
            task.leaving = True
            self._send(Command(type="cancel", job=task.id))
            self.revision += 1
        else:
            self._discard(task)

    def move(self, job: Path, by: int) -> None:
        """Move a waiting job ``by`` places, towards the next to run where that is negative."""
        waiting = self.queue.waiting
        task = next((t for t in waiting if t.folder == job), None)
        if task is None:
            return
        to = min(max(0, waiting.index(task) + by), len(waiting) - 1)
        self.queue.move(task, to)
        self._send(Command(type="move", job=task.id, to=to))
        self.revision += 1

    def dismiss(self) -> None:
        """Forget the last problem."""
        self.problem = None
        if self.state is State.FAILED:
            self._enter(State.READY)
        self.refresh()

    def release(self) -> None:
        """End an idle or paused process, so that its memory is free for other work; it is started again when needed.

        A paused job becomes the next in the queue again, and goes on from its checkpoint.
        """
        if self.queue.running is None or self.queue.paused:
            self._drop_client()
            self._halt()

    def close(self) -> None:
        """Stop everything, waiting a few seconds at most. What has not ended stays on the disk as it is."""
        if self._installer:
            self._installer.cancelled.set()
        self._drop_client()
        for client in self._closing:
            client.close()
        self._closing.clear()
        for task in list(self.queue.tasks):
            self.queue.end(task)
        if self.installing or self.state in GENERATING:
            self._enter(State.READY)

    def tick(self, budget_s: float = TICK_BUDGET_S) -> None:
        """Take in what has happened since, for at most about ``budget_s`` seconds."""
        end = time.monotonic() + budget_s
        now_s = self._clock.tick()
        self._closing = [client for client in self._closing if not client.closed()]
        if self._installer:
            self._follow_installer(self._installer)
        elif self.installing and not self._closing:
            self._installer = Installer(self.runtime)
        try:
            self._listen(end)
        except LostError as error:
            self._lose(error)
        if self.state is State.CANCELLING and self._client and now_s > self._cancel_by_s:
            log.warning("the backend did not heed cancel within %.0f s and is stopped", CANCEL_PATIENCE_S)
            self._lose(LostError(ErrorKind.INTERNAL, "The generator did not stop when it was asked to.", ""))
        if self.queue.tasks:
            self._go_on()

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
            self._complaint = _error_of(event)
            log.warning("the backend complains: %s", self._complaint.line)

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
        if self.queue.running is None:
            self._halt()
        elif self.queue.running is not before:
            self._begin(self.queue.running)
        self.revision += 1

    def _follow_phase(self, progress: Progress) -> None:
        if progress.name != self.progress.name:
            self._phase_began = time.monotonic()
        self.progress = progress
        self.revision += 1

    def _follow_installer(self, installer: Installer) -> None:
        if installer.progress != self.progress and not installer.cancelled.is_set():
            self._follow_phase(installer.progress)
        if installer.is_alive():
            return
        self._installer = None
        error = installer.error
        if error and error.kind is not ErrorKind.CANCELLED:
            self.problem = Problem(error.kind, error.message, error.hint)
        self._enter(State.READY if self.runtime.ready() else State.NOT_INSTALLED)

    def _check_installed(self) -> None:
        if self.installing:
            raise SkyloopError(ErrorKind.BAD_REQUEST, f"{self.label} already.", "Wait for it or cancel it.")
        if not self.runtime.ready():
            self._enter(State.NOT_INSTALLED)
            raise SkyloopError(ErrorKind.BAD_REQUEST, "The generator is not installed.", "Press Install first.")

    def _add(self, task: Task) -> None:
        self.problem = None
        self.queue.tasks.append(task)
        self._go_on()
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
        jobs.discard(task.folder)

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
            # The next job may fare better, but for a process that is of no use or that has come and gone too often.
            self.queue.paused = bool(self._complaint) or not error.after or not self._restarts.spend()
            self._fail(task, self._complaint or error, tail=tail)
        self.revision += 1

    def _fail(self, task: Task, error: SkyloopError, *, log_file: str = "", tail: str = "") -> None:
        file = task.folder / (Path(log_file).name or "log.txt")
        self._note_in_log(task, error, tail, file)
        log_there = file if store.is_file(file) else None
        tried = f"It was tried {task.restarts + 1} times." if task.restarts else ""
        hint = f"{error.hint} {tried}".strip()
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

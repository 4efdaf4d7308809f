"""What Skyloop is doing now, as one state machine: installing, generating, cancelling, failed; and what it does next.

``tick()`` is the only thing that moves it. In Blender a timer calls it; without a window, where timers do not run, a
loop does. It never waits, so the owner's thread stays free.
"""

from __future__ import annotations

import time
from pathlib import Path

from ...backend.jobs import store
from ...backend.protocol import Command, ErrorKind, GenerateRequest, SkyloopError
from . import jobs
from .client import BackendClient
from .conversation import Conversation
from .course import Course
from .installing import DOING_LABELS, Chore, Doing, Installer, Runtime
from .queue import Task
from .state import GENERATING, LABELS, Problem, Progress, State
from .words import time_text

CANCEL_PATIENCE_S = 20.0  # a model step may take this long on a CPU; after that the process is stopped instead
STOP_PATIENCE_S = 1.0
TICK_BUDGET_S = 0.004


class Session(Conversation):
    """One Blender's jobs, and the runtime that makes them. All methods belong to the owner's thread."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.chore: Chore | None = None  # what is done to the runtime, while that is so
        self._installer: Installer | None = None

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
    def why_not(self) -> str:
        """What keeps it from taking requests, as a sentence; empty when nothing does."""
        if self.installing:
            return f"{self.label}: wait for it, or cancel it"
        return "The generator is not set up yet: press Set Up Skyloop" if self.not_installed else ""

    @property
    def label(self) -> str:
        if self.installing and self.chore:
            return DOING_LABELS[self.chore.doing]
        return "Paused" if self.queue.paused and self.busy else LABELS[self.state]

    @property
    def progress_text(self) -> str:
        """The present phase, how far it is and, once that can be told, how long the whole will take yet."""
        if self.queue.paused:
            return f"Paused. {self.progress.text}"
        return ", ".join(filter(None, (self.progress.text, self.left_text)))

    @property
    def left_text(self) -> str:
        """How long the work under way will take yet, as ``2:05 left``; empty while that cannot be told."""
        left_s = None if self.queue.paused or self.state is State.CANCELLING else self.course.left_s()
        return "" if left_s is None else f"{time_text(left_s)} left"

    @property
    def client(self) -> BackendClient | None:
        return self._client

    def refresh(self) -> None:
        """Look again whether the runtime is there."""
        if not self.busy and self.state is not State.FAILED:
            self._enter(State.READY if self.runtime.ready() else State.NOT_INSTALLED)

    def install(self) -> None:
        """Start making the runtime, in a thread. Raises ``SkyloopError`` when something else is under way."""
        self.set_up(Chore(Doing.INSTALL, self.runtime.install))

    def set_up(self, chore: Chore) -> None:
        """Start something that is done to the runtime, in a thread. Raises as :meth:`install`."""
        if self.busy:
            raise SkyloopError(ErrorKind.BAD_REQUEST, f"{self.label} already.", "Wait for it or cancel it.")
        self._drop_client()
        self.problem = None
        self.chore = chore
        self.course = Course({})
        self.progress = Progress("Preparing")
        self._enter(State.INSTALLING)  # tick begins it once the old process has let go of its files

    def generate(self, request: GenerateRequest, root: Path) -> Path:
        """Make a job folder in ``root`` and queue it. Returns the folder. Raises ``SkyloopError``."""
        self._check_installed()
        folder = jobs.create(root, request.validated())
        self._add(Task(folder, request, jobs.Claim(folder)))
        return folder

    def resume_job(self, job: jobs.Job) -> None:
        """Queue a job that ended before it was done: it goes on from its checkpoint. Raises ``SkyloopError``."""
        self._check_installed()
        claim = jobs.Claim(job.folder)
        if store.status(job.folder) is store.Status.RUNNING:
            claim.release()
            raise SkyloopError(ErrorKind.BAD_REQUEST, "Another Skyloop works on this sky.", "Wait for it to end.")
        self._add(Task(job.folder, job.request, claim))

    def pause(self) -> None:
        """Have the running job halt at its next window; waiting ones do not start."""
        self.queue.paused = True
        self.course.pause()
        self._send(Command(type="pause"))
        self.revision += 1

    def resume(self) -> None:
        """Go on after :meth:`pause`, or after the queue was held because the generator does not work."""
        self.queue.paused = False
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
            self._installer.join(STOP_PATIENCE_S)  # which takes its child processes along
        self._drop_client()
        for client in self._closing:
            client.close()
        self._closing.clear()
        cancelling = self.queue.running if self.state is State.CANCELLING else None
        for task in list(self.queue.tasks):
            if task.leaving or task is cancelling:
                self._discard(task)
            else:
                self.queue.end(task)
        self._clear_away()
        self.errands.finish()
        if self.installing or self.state in GENERATING:
            self._enter(State.READY)

    def tick(self, budget_s: float = TICK_BUDGET_S) -> None:
        """Take in what has happened since, for at most about ``budget_s`` seconds."""
        end = time.monotonic() + budget_s
        self.errands.tick()
        if self._installer:
            self._follow_installer(self._installer)
        elif self.installing and self.chore and not self._closing:
            self._installer = Installer(self.chore)
        self._follow_backend(end)

    def _follow_installer(self, installer: Installer) -> None:
        if installer.progress != self.progress and not installer.cancelled.is_set():
            self._follow_phase(installer.progress)
        if installer.is_alive():
            return
        self._installer = None
        error = installer.error
        if error and error.kind is not ErrorKind.CANCELLED:
            self.problem = Problem(error.kind, error.message, error.hint, log=getattr(error, "log", None))
        self.chore = None
        self._enter(State.READY if self.runtime.ready() else State.NOT_INSTALLED)
        if installer.chore.then and not error:
            installer.chore.then()

    def _check_installed(self) -> None:
        if self.installing:
            raise SkyloopError(ErrorKind.BAD_REQUEST, f"{self.label} already.", "Wait for it or cancel it.")
        if not self.runtime.ready():
            self._enter(State.NOT_INSTALLED)
            raise SkyloopError(ErrorKind.BAD_REQUEST, "The generator is not set up.", "Press Set Up Skyloop first.")

    def _add(self, task: Task) -> None:
        self.problem = None
        self.queue.tasks.append(task)
        self._go_on()
        self.revision += 1

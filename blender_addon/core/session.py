"""What Skyloop is doing now, as one state machine: installing, generating, cancelling, failed.

``tick()`` is the only thing that moves it. In Blender a timer calls it; without a window, where timers do not run, a
loop does. It never waits, so the owner's thread stays free.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ...backend.protocol import Command, ErrorKind, Event, GenerateRequest, SkyloopError
from . import jobs
from .client import BackendClient
from .state import GENERATING, LABELS, Problem, Progress, State

log = logging.getLogger(__name__)

CANCEL_PATIENCE_S = 20.0  # a model step may take this long on a CPU; after that the process is stopped instead
TICK_BUDGET_S = 0.004
LEFT_AFTER_S = 3.0  # earlier than this a phase's pace says little


Report = Callable[[Progress], None]


class Runtime(Protocol):
    """Where the backend process comes from."""

    def ready(self) -> bool:
        """Whether :meth:`client` can be called; cheap."""
        ...

    def install(self, report: Report, cancelled: Callable[[], bool]) -> None:
        """Make it ready; runs in a thread. Raises ``SkyloopError``."""
        ...

    def client(self) -> BackendClient:
        """Start the process. Raises ``SkyloopError``."""
        ...


class Session:
    """One Blender's conversation with one backend process. All methods belong to the owner's thread."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.state = State.NOT_INSTALLED
        self.progress = Progress("")
        self._phase_began = 0.0
        self.problem: Problem | None = None
        self.job: Path | None = None
        self.preview: Path | None = None
        self.preview_edition = 0  # the preview is replaced in place; this tells one from the next
        self.finished: deque[Path] = deque()  # jobs done, for the owner to take
        self.revision = 0  # grows with every change that a user could see
        self._client: BackendClient | None = None
        self._installer: _Installer | None = None
        self._cancel_by = 0.0

    @property
    def busy(self) -> bool:
        return self.state is State.INSTALLING or self.state in GENERATING

    @property
    def not_installed(self) -> bool:
        return self.state is State.NOT_INSTALLED

    @property
    def label(self) -> str:
        return LABELS[self.state]

    @property
    def progress_text(self) -> str:
        """The present phase, how far it is and, once that can be told, how long it will take yet."""
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
            raise SkyloopError(ErrorKind.BAD_REQUEST, f"{LABELS[self.state]} already.", "Wait for it or cancel it.")
        self._drop_client()
        self.problem = None
        self.progress = Progress("Preparing")
        self._installer = _Installer(self.runtime)
        self._enter(State.INSTALLING)

    def generate(self, request: GenerateRequest, root: Path) -> Path:
        """Make a job folder in ``root`` and send it off. Returns the folder. Raises ``SkyloopError``."""
        if self.busy:
            raise SkyloopError(ErrorKind.BAD_REQUEST, f"{LABELS[self.state]} already.", "Wait for it or cancel it.")
        if not self.runtime.ready():
            self._enter(State.NOT_INSTALLED)
            raise SkyloopError(ErrorKind.BAD_REQUEST, "The generator is not installed.", "Press Install first.")
        self.problem = None
        folder = jobs.create(root, request.validated())
        if self._client and not self._client.alive:
            self._drop_client()
        if self._client is None:
            self._client = self.runtime.client()
        self.job, self.preview = folder, None
        self.progress = Progress(LABELS[State.STARTING])
        self._client.send(Command(type="generate", job=str(folder)))
        self._enter(State.STARTING)
        return folder

    def cancel(self) -> None:
        """Ask for an end of the installation or the job; ``tick`` sees it through."""
        if self._installer and self.state is State.INSTALLING:
            self._installer.cancelled.set()
            self.progress = Progress(LABELS[State.CANCELLING])
            self.revision += 1
        elif self._client and self.state in GENERATING and self.state is not State.CANCELLING:
            self._client.send(Command(type="cancel", job=str(self.job)))
            self._cancel_by = time.monotonic() + CANCEL_PATIENCE_S
            self.progress = Progress(LABELS[State.CANCELLING])
            self._enter(State.CANCELLING)

    def dismiss(self) -> None:
        """Forget the last problem."""
        self.problem = None
        if self.state is State.FAILED:
            self._enter(State.READY)
        self.refresh()

    def release(self) -> None:
        """End an idle backend process, so that its memory is free for other work. The next job starts it again."""
        if self.state not in GENERATING:
            self._drop_client()
            self.revision += 1

    def close(self) -> None:
        """Stop everything, waiting a few seconds at most."""
        if self._installer:
            self._installer.cancelled.set()
        if self._client:
            self._client.close()
            self._client = None
        if self.busy:
            self._enter(State.READY)

    def tick(self, budget_s: float = TICK_BUDGET_S) -> None:
        """Take in what has happened since, for at most about ``budget_s`` seconds."""
        end = time.monotonic() + budget_s
        if self._installer:
            self._follow_installer(self._installer)
        try:
            while self._client and (events := self._client.drain(limit=8)):
                for event in events:
                    self._take(event)
                if time.monotonic() > end:
                    return
            if self._client and (error := self._client.failure()):
                raise error
        except SkyloopError as error:
            self._lose(error)
        if self.state is State.CANCELLING and time.monotonic() > self._cancel_by:
            log.warning("the backend did not heed cancel within %.0f s and is stopped", CANCEL_PATIENCE_S)
            self._drop_client(kill=True)
            self._drop_job()

    def _take(self, event: Event) -> None:
        """One event of the running job; those of a job given up earlier are passed over."""
        engine_failed = event.type == "failed" and not event.job  # before it could take the job on
        if self.state not in GENERATING or not (engine_failed or event.job == str(self.job)):
            return
        data = event.data
        match event.type:
            case "accepted" if self.state is State.STARTING:
                self._enter(State.RUNNING)
            case "phase" if self.state is not State.CANCELLING:
                self._follow_phase(Progress.of(event))
                self._enter(State.RUNNING)
            case "preview" if self.job:
                # Only the name counts: nothing outside the job folder is ever opened.
                self.preview = self.job / Path(str(data.get("file", "preview.png"))).name
                self.preview_edition += 1
                self.revision += 1
            case "done" if self.job:
                self.finished.append(self.job)
                self._end_job()
            case "cancelled":
                self._drop_job()
            case "failed":
                self._fail(_error_of(event), log_file=str(data.get("log", "")))

    def _follow_phase(self, progress: Progress) -> None:
        if progress.name != self.progress.name:
            self._phase_began = time.monotonic()
        self.progress = progress
        self.revision += 1

    def _follow_installer(self, installer: _Installer) -> None:
        if installer.progress != self.progress and not installer.cancelled.is_set():
            self._follow_phase(installer.progress)
        if installer.is_alive():
            return
        self._installer = None
        error = installer.error
        if error and error.kind is not ErrorKind.CANCELLED:
            self.problem = Problem(error.kind, error.message, error.hint)
        self._enter(State.READY if self.runtime.ready() else State.NOT_INSTALLED)

    def _lose(self, error: SkyloopError) -> None:
        """The process is gone or useless: end it, and tell the user if a job was under way."""
        tail = self._client.tail if self._client else ""
        log.error("backend lost: %s\n%s", error.line, tail)
        cancelling, running = self.state is State.CANCELLING, self.state in GENERATING
        self._drop_client(kill=True)
        if cancelling:
            self._drop_job()
        elif running:
            self._fail(error, tail=tail)
        self.revision += 1

    def _fail(self, error: SkyloopError, *, log_file: str = "", tail: str = "") -> None:
        file = self.job / (Path(log_file).name or "log.txt") if self.job else None
        if file and tail:
            # The process could not write its own last words any more.
            with contextlib.suppress(OSError), file.open("a", encoding="utf-8") as stream:
                stream.write(f"\n{error.line}\n{tail}\n")
        self.problem = Problem(error.kind, error.message, error.hint, file if file and file.is_file() else None)
        self.job = None
        if error.kind in (ErrorKind.OUT_OF_MEMORY, ErrorKind.DEVICE_LOST):
            self._drop_client()  # only the end of the process gives a damaged or crowded device back for certain
        self._enter(State.FAILED)

    def _drop_job(self) -> None:
        """Forget a cancelled job, and its folder with it: there is nothing in it that anybody could want."""
        if self.job:
            shutil.rmtree(self.job, ignore_errors=True)
        self._end_job()

    def _end_job(self) -> None:
        self.job = None
        self._enter(State.READY)

    def _drop_client(self, *, kill: bool = False) -> None:
        """Part with the process; it is waited for in a thread, because Blender must not stand still."""
        if client := self._client:
            self._client = None
            threading.Thread(target=client.kill if kill else client.close, name="skyloop-close").start()

    def _enter(self, state: State) -> None:
        self.state = state
        self.revision += 1


class _Installer(threading.Thread):
    """The installation, in a thread of its own; only plain attributes are read from outside."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="skyloop-install", daemon=True)
        self.progress = Progress("Preparing")
        self.error: SkyloopError | None = None
        self.cancelled = threading.Event()
        self._runtime = runtime
        self.start()

    def run(self) -> None:
        try:
            self._runtime.install(self._report, self.cancelled.is_set)
        except SkyloopError as error:
            self.error = error
        except Exception as error:
            log.exception("installation")
            self.error = SkyloopError(
                ErrorKind.INTERNAL, f"The installation failed: {error}.", "Press Install again to go on from there."
            )

    def _report(self, progress: Progress) -> None:
        self.progress = progress


def _error_of(event: Event) -> SkyloopError:
    try:
        kind = ErrorKind(event.data.get("kind", ""))
    except ValueError:
        kind = ErrorKind.INTERNAL
    message = str(event.data.get("message") or "The generator failed without saying why.")
    return SkyloopError(kind, message, str(event.data.get("hint", "")))

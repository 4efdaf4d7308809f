"""The queue of jobs: their order, the one that runs, and whether all of it is paused. Knows no engine and no transport.

Any thread may change it; one worker takes from it. It emits ``queue`` after every change, and what ends a job it never
began. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..jobs.runner import PutBack, record_cancelled
from ..jobs.store import Job
from ..protocol import Command, Event, bad_request

Emit = Callable[[Event], None]
MAX_WAITING = 1000


def _folder_of(job: Job) -> tuple[int, int] | str:
    """What tells a folder from another however it is spelt: a link to it, or ``..`` in the path, is the same one."""
    with contextlib.suppress(OSError, ValueError):
        about = os.stat(job.path)  # noqa: PTH116 (as it is all of the file system that this module touches)
        return about.st_dev, about.st_ino
    return os.path.normpath(job.path)


@dataclass(frozen=True, eq=False)
class Queued:
    """A job from its acceptance to its end."""

    job: Job
    folder: tuple[int, int] | str
    cancel: threading.Event = field(default_factory=threading.Event)


class JobQueue:
    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._lock = threading.Lock()  # also keeps the emitted events in the order of the changes
        self._waiting: list[Queued] = []
        self._running: Queued | None = None
        self._paused = False
        self._chores: deque[Command] = deque()
        self.stopping = False
        # Rung after every change; the worker then looks what there is to do. A SimpleQueue, because its put is safe in
        # a signal handler, which a lock is not.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    # for any thread

    def stop(self) -> None:
        """No job starts any more, and the running one leaves the engine. Safe in a signal handler."""
        self.stopping = True
        self._bell.put(None)

    def holds(self, job: Job) -> bool:
        """Whether the job waits or runs."""
        with self._lock:
            return self._find(job) is not None

    def add(self, job: Job) -> None:
        """Take a job on, last in the queue. Raises ``SkyloopError(bad_request)`` when it is there already."""
        queued = Queued(job, _folder_of(job))
        with self._lock:
            if self._find(job):
                raise bad_request(f"There is a job {job.id[:200]!r} already.", "Give each job a folder of its own.")
            if len(self._waiting) >= MAX_WAITING:
                raise bad_request(f"{MAX_WAITING} jobs wait already.", "Send more once some are done.")
            self._waiting.append(queued)
            self._emit(Event(type="accepted", job=job.id))
            self._tell()

    def cancel(self, job: Job) -> bool:
        """Drop a waiting job, or have the running one stop at its next window; False when there is no such job."""
        with self._lock:
            queued = self._find(job)
            if queued is None:
                return False
            queued.cancel.set()
            if queued is not self._running:
                self._waiting.remove(queued)
                record_cancelled(queued.job)
                self._emit(Event(type="cancelled", job=queued.job.id))
            self._tell()
        return True

    def move(self, job: Job, to: int) -> None:
        """Give a waiting job the place ``to``, 0 the next. Raises ``SkyloopError(bad_request)`` when it is no such."""
        with self._lock:
            queued = self._find(job)
            if queued is None or queued is self._running:
                raise bad_request(
                    f"job {job.id[:200]!r} does not wait.", "Move one that the queue event has among the waiting."
                )
            self._waiting.remove(queued)
            self._waiting.insert(to, queued)
            self._tell()

    def pause(self, paused: bool) -> None:
        with self._lock:
            self._paused = paused
            self._tell()

    def ask(self, chore: Command) -> None:
        """Have the worker do something between two jobs; ``unload`` also takes a paused job out of the engine."""
        with self._lock:
            self._chores.append(chore)
        self._bell.put(None)

    # for the worker

    def take(self, timeout_s: float | None = None) -> Queued | Command | None:
        """The next thing to do, once there is one; None at the end. Raises ``TimeoutError``."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.stopping:
            with self._lock:
                if self._chores:
                    return self._chores.popleft()
                if self._waiting and not self._paused:
                    self._running = self._waiting.pop(0)
                    self._tell()
                    return self._running
            try:
                self._bell.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError from None
        return None

    def gate(self) -> None:
        """Between two windows of the running job: waits while paused.

        Raises :class:`PutBack` when the job has to leave the engine: for good, or until the queue comes back to it.
        """
        while not self.stopping:
            with self._lock:
                if not self._paused or (self._running and self._running.cancel.is_set()):
                    return
                if any(chore.type == "unload" for chore in self._chores):
                    raise PutBack
            self._bell.get()
        raise PutBack

    def end(self, last: Event) -> None:
        """The running job has ended: ``last`` says how."""
        with self._lock:
            # In one step, so that whoever hears of the end may send the job again.
            self._running = None
            self._emit(last)
            self._tell()

    def put_back(self) -> None:
        """The running job has left the engine and is the next again."""
        with self._lock:
            if self._running:
                self._waiting.insert(0, self._running)
            self._running = None
            self._tell()

    def drop_all(self) -> None:
        """Announce the end of what will not run any more."""
        with self._lock:
            dropped, self._waiting = self._waiting, []
            for queued in dropped:
                self._emit(Event(type="cancelled", job=queued.job.id))
            self._tell()

    # with the lock held

    def _find(self, job: Job) -> Queued | None:
        folder, known = _folder_of(job), [*self._waiting, *([self._running] if self._running else [])]
        return next((q for q in known if q.job.id == job.id or q.folder == folder), None)

    def _tell(self) -> None:
        data = {
            "running": self._running.job.id if self._running else "",
            "waiting": [queued.job.id for queued in self._waiting],
            "paused": self._paused,
        }
        self._emit(Event(type="queue", data=data))
        self._bell.put(None)

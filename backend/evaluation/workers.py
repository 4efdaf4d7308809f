"""Many tasks on one machine: one after the other here, or in processes that each keep an engine with its model.

One small window leaves a graphics card idle most of the time, so several processes share it well.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from ..protocol import ErrorKind, Event, SkyloopError, failed

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
Failure = dict[str, Any]
"""Why a task failed, as in a ``failed`` event: kind, message, hint, log."""


class Work(Protocol[T_contra]):
    """Does one task. Returns None or why it failed; raises ``KeyboardInterrupt`` when it was cancelled."""

    def __call__(
        self, task: T_contra, /, engine: Any, announce: Callable[[Event], None], cancelled: Callable[[], bool]
    ) -> Failure | None: ...


def perform(
    work: Work[T],
    tasks: Sequence[T],
    make_engine: Callable[[int], Any],
    announce: Callable[[Event], None],
    workers: int = 1,
    more: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[T, Failure | None]]:
    """Do all tasks; yields each when it is finished, with why it failed or None. Closing the iterator cancels.

    No further task is begun once ``more`` says so; those at work are finished.

    ``work`` and ``make_engine`` are module-level functions, so that another process finds them by name. An engine is
    made for a process that may use so many threads, 0: as many as it likes. ``announce`` gets the events of all tasks
    at work. A process that dies fails its task only.
    """
    if not more():
        return
    if workers > 1 and len(tasks) > 1:
        yield from _in_processes(work, tasks, make_engine, announce, min(workers, len(tasks)), more)
        return
    engine = make_engine(0) if tasks else None
    for task in tasks:
        if not more():
            return
        yield task, work(task, engine, announce, lambda: False)


class _Worker:
    def __init__(self, serve: Callable[[Connection], None]) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Any = None

    def take(self, task: Any) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # it is gone already, which reading will tell
            self.connection.send(task)


def _in_processes(
    work: Work[T],
    tasks: Sequence[T],
    make_engine: Callable[[int], Any],
    announce: Callable[[Event], None],
    count: int,
    more: Callable[[], bool],
) -> Iterator[tuple[T, Failure | None]]:
    serve = _Serve(work, make_engine, max(1, (os.cpu_count() or 1) // count))
    waiting = deque(tasks)
    workers = [_Worker(serve) for _ in range(count)]
    try:
        for worker in workers:
            worker.take(waiting.popleft())
        while busy := {worker.connection: worker for worker in workers if worker.task is not None}:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    message = _lost(worker.process.exitcode)
                    workers.remove(worker)
                    worker, task = _Worker(serve) if waiting and more() else None, worker.task
                    workers += [worker] if worker else []
                else:
                    if isinstance(message, Event):
                        announce(message)
                        continue
                    task, worker.task = worker.task, None
                if worker and waiting and more():
                    worker.take(waiting.popleft())
                yield task, message
    finally:
        for worker in workers:
            worker.connection.close()  # a task at work sees that and stops at its next event
        for worker in workers:
            worker.process.join(20)
            worker.process.terminate()


class _Serve:
    """The life of a worker process: a callable that can be sent to it."""

    def __init__(self, work: Work[Any], make_engine: Callable[[int], Any], threads: int) -> None:
        self.work, self.make_engine, self.threads = work, make_engine, threads

    def __call__(self, connection: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which closes the connection
        engine = self.make_engine(self.threads)
        with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
            while True:
                task = connection.recv()
                # The parent sends nothing during a task: whatever can be read then is the end of the connection.
                connection.send(self.work(task, engine, connection.send, connection.poll))


def _lost(exit_code: int | None) -> Failure:
    text = f"The process that made it ended with code {exit_code}."
    hint = "If memory ran out, use fewer --workers; start the same command again to go on."
    return failed(SkyloopError(ErrorKind.INTERNAL, text, hint)).data

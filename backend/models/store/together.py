"""Several downloads at once: one connection rarely fills a fast line."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Check = Callable[[], None]
_LOOK_S = 0.2  # Windows hears Ctrl-C between waits only
_LEAVE_S = 1.0


class _StoppedError(Exception):
    pass


def together(jobs: Sequence[Callable[[Check], T]], at_once: int) -> list[T]:
    """What the jobs return, in their order; ``at_once`` of them run at a time, in threads.

    Each is given a function to call often, which raises as soon as another job failed or the caller is interrupted. The
    first failure is raised here. A thread that hangs in a read is not waited for: it ends silently when that does.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise _StoppedError

    def work() -> None:
        while not stop.is_set():
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((index, jobs[index](check)))
            except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the caller
                ended.put((index, error))

    for index in range(len(jobs)):
        waiting.put(index)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(jobs)))]
    for thread in threads:
        thread.start()
    found: dict[int, T] = {}
    try:
        while len(found) < len(jobs):
            try:
                index, value = ended.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(value, BaseException):
                raise value
            found[index] = value
    finally:
        stop.set()
        for thread in threads:
            thread.join(_LEAVE_S / len(threads))
    return [found[index] for index in range(len(jobs))]

"""Many tasks in processes of their own: all are done, one that dies takes no other with it, closing stops them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from backend.evaluation.workers import perform
from backend.protocol import Event, phase


# Module-level, so that another process finds them.
def square(task: int, engine: str, announce: Callable[[Event], None], cancelled: Callable[[], bool]) -> Any:
    if task == 13:
        os._exit(9)
    announce(phase("square", task, 20))
    while task == 99 and not cancelled():
        time.sleep(0.01)
    return {"message": f"{engine} {task * task}"} if task % 2 else None


def make_word(threads: int) -> str:
    return f"made for {threads > 0}"


def test_worker_processes_do_every_task_and_survive_the_death_of_one() -> None:
    seen: list[int] = []
    found = dict(perform(square, [1, 13, 2, 3], make_word, lambda e: seen.append(e.data["done"]), workers=2))
    lost = found.pop(13)
    assert lost
    assert "ended with code 9" in lost["message"]
    assert found == {1: {"message": "made for True 1"}, 2: None, 3: {"message": "made for True 9"}}
    assert sorted(seen) == [1, 2, 3]


def test_no_task_is_begun_when_there_is_no_time_for_more() -> None:
    for workers in (1, 2):
        more = iter([True, True, True, False, False, False]).__next__
        found = dict(perform(square, [2, 4, 6, 8, 10], make_word, lambda event: None, workers, more))
        assert 2 <= len(found) <= 4
        assert set(found.values()) == {None}  # those at work were finished


def test_one_worker_is_this_process() -> None:
    found = list(perform(square, [1, 2], lambda threads: f"{os.getpid()} {threads}", lambda event: None))
    assert found == [(1, {"message": f"{os.getpid()} 0 1"}), (2, None)]


def test_closing_stops_the_workers() -> None:
    running = perform(square, [2, 99, 4], make_word, lambda event: None, workers=2)
    next(running)
    started_s = time.monotonic()
    running.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started_s < 10

"""Frames of a film as numbered files, counted from 0 as the option ``frame`` does."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..media.files import writing
from ..protocol import Event, phase
from ..sequence import check_room
from .film import Film
from .request import ExportRequest

_MOST_AT_ONCE = 8
# What frames at work may take together, and one of them for each pixel: linear light and what it is computed from.
_MOST_BYTES, _BYTES_PER_PIXEL = 4 << 30, 64


def chosen(film: Film, request: ExportRequest, kind: str) -> range:
    """The numbers of the frames that the request's option ``frame`` means, once it is sure that they are there and
    that files of that ``kind`` (a suffix) fit on the disk. Raises ``SkyloopError``: bad_request, disk_full."""
    numbers = film.numbers(int(request.number("frame")))
    check_room(Path(request.out), len(numbers) * film.width * film.height, kind)
    return numbers


def visit(
    film: Film, numbers: range, take: Callable[[int, np.ndarray], None], name: str = "frames"
) -> Generator[Event, None, None]:
    """Give each of those frames, (height, width, 3) uint8 RGB, to ``take``; a phase of that name tells how far it is,
    also while the frames before them are passed over."""
    with contextlib.closing(film.read()) as frames:
        for number, frame in zip(range(numbers.stop), frames, strict=False):
            if number in numbers:
                take(number, frame)
            yield phase(name, number + 1, numbers.stop, "frame")


def spread(film: Film, numbers: range, take: Callable[[int, np.ndarray], None]) -> Generator[Event, None, None]:
    """As :func:`visit`, but ``take`` is called for several frames at once, each in a thread, in no order: for what
    frames do not share. Closing it waits for those that have begun."""
    waiting, done = deque[Future[None]](), 0
    room = max(1, _MOST_BYTES // (_BYTES_PER_PIXEL * film.width * film.height))
    workers = min(_MOST_AT_ONCE, os.cpu_count() or 1, room)
    with contextlib.closing(film.read()) as frames, contextlib.ExitStack() as pools:
        pool = ThreadPoolExecutor(workers)
        pools.callback(pool.shutdown, cancel_futures=True)
        for number, frame in zip(range(numbers.stop), frames, strict=False):
            if number in numbers:
                waiting.append(pool.submit(take, number, frame))
            if len(waiting) > workers:
                waiting.popleft().result()
            if number + 1 - len(waiting) > done:
                done = number + 1 - len(waiting)
                yield phase("frames", done, numbers.stop, "frame")
        while waiting:
            waiting.popleft().result()
            yield phase("frames", numbers.stop - len(waiting), numbers.stop, "frame")


def put(path: Path, data: bytes) -> None:
    """Write a file of a staged folder, which becomes the export only when it is whole. Raises ``SkyloopError``."""
    with writing(path):
        path.write_bytes(data)


def named(stem: str, number: int, kind: str) -> str:
    """``stem_0007.kind``: four digits, or as many as it takes."""
    return f"{stem}_{number:04d}.{kind}"


def at_rate(film: Film, last: str, first: str) -> str:
    """How to play the files, for a README."""
    return f"Play {film.fps:g} frames a second" + (f"; in a loop, {last} leads into {first}." if film.loops else ".")

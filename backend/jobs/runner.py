"""Run one job: iterate the engine, record and announce its events, and turn whatever is raised into one last event."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from ..protocol import ErrorKind, Event, GenerateRequest, SkyloopError, failed
from .failures import as_skyloop_error
from .store import Job, check_space

_MIN_PHASE_INTERVAL_S = 0.1
_logger = logging.getLogger(__name__)


class Generate(Protocol):
    """The engine: ``pipeline.generate``. Closing the iterator cancels the work."""

    def __call__(self, request: GenerateRequest, job: Path, /, *, engine: Any = None) -> Iterator[Event]: ...


def run(
    job: Job,
    generate: Generate,
    announce: Callable[[Event], None],
    *,
    engine: Any = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Event:
    """Run ``job`` to its end; every event, also the last, is recorded in the folder and then announced.

    ``cancelled`` is asked between two events of the engine. Returns the last event: done, failed or cancelled.
    """
    try:
        with job.locked(), _logging_to(job.log):
            last = _run_logged(job, generate, _Recorder(job, announce), engine, cancelled)
    except (SkyloopError, OSError) as error:  # the folder itself is busy or gone: there is no place for a log
        _logger.exception("job %s cannot use its folder", job.id)
        last = failed(as_skyloop_error(error))
    last = replace(last, job=job.id)
    announce(last)
    return last


def _run_logged(job: Job, generate: Generate, recorder: _Recorder, engine: Any, cancelled: Callable[[], bool]) -> Event:
    try:
        last = _iterate(job, generate, recorder, engine, cancelled)
    except BaseException as error:  # the request boundary: nothing may leave a job without a last event
        readable = as_skyloop_error(error)
        if readable.kind is ErrorKind.CANCELLED:
            last = Event(type="cancelled")
        else:
            _logger.exception("job %s failed", job.id)
            last = failed(readable, str(job.log))
    with contextlib.suppress(SkyloopError):  # a full disk must not keep the last event from being announced
        recorder.record(last)
    return last


def _iterate(job: Job, generate: Generate, recorder: _Recorder, engine: Any, cancelled: Callable[[], bool]) -> Event:
    request = job.request()
    check_space(job.path, request)
    (job.path / "events.jsonl").unlink(missing_ok=True)
    _logger.info("job %s: %s", job.id, request)
    events = cast("Generator[Event]", generate(request, job.path, engine=engine))
    with contextlib.closing(events):
        for event in events:
            if event.type == "done":
                return event
            if cancelled():
                return Event(type="cancelled")
            recorder(event)
    raise RuntimeError("the engine ended without a result")


class _Recorder:
    """Records events and announces them, but of a phase's many only the first, the last and some ten a second."""

    def __init__(self, job: Job, announce: Callable[[Event], None]) -> None:
        self._job = job
        self._announce = announce
        self._seq = 0
        self._phase = ""
        self._next_s = 0.0

    def __call__(self, event: Event) -> None:
        if event.type == "phase" and not self._due(event):
            return
        self.record(event)
        self._announce(replace(event, job=self._job.id))

    def record(self, event: Event) -> None:
        self._job.record(replace(event, job=self._job.id, seq=self._seq))
        self._seq += 1

    def _due(self, event: Event) -> bool:
        now_s, data = time.monotonic(), event.data
        due = now_s >= self._next_s or data["name"] != self._phase or data["done"] >= data["total"]
        if due:
            self._phase, self._next_s = data["name"], now_s + _MIN_PHASE_INTERVAL_S
        return due


class _JobLog(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Say nothing: a log that cannot be written, as on a full disk, is no reason to print a traceback."""


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = _JobLog(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()

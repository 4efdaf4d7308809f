"""Run one job: iterate the engine, record and announce its events, and turn whatever is raised into one last event."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from ..media.files import open_read, writing
from ..protocol import ErrorKind, Event, GenerateRequest, SkyloopError, bad_request, failed
from .failures import as_skyloop_error
from .logs import logging_to
from .store import Job, check_space, recorded, result_in

_MIN_PHASE_INTERVAL_S = 0.1
_MAX_MOVIE_BYTES = 1 << 40
_logger = logging.getLogger(__name__)


class Generate(Protocol):
    """The engine: ``pipeline.generate``. Closing the iterator cancels the work."""

    def __call__(self, request: GenerateRequest, job: Path, /, *, engine: Any = None) -> Iterator[Event]: ...


class PutBack(BaseException):
    """The job leaves the engine without an end: it stays begun, and its checkpoint brings it back."""


def run(
    job: Job,
    generate: Generate,
    announce: Callable[[Event], None],
    *,
    engine: Any = None,
    cancelled: Callable[[], bool] = lambda: False,
    between: Callable[[Event], None] = lambda event: None,
) -> Event:
    """Run ``job`` to its end; every event, also the last, is recorded in the folder and then announced.

    A job that is finished already is announced done. After each event of the engine ``between`` is called, which may
    wait, as in a pause; then ``cancelled`` is asked. Returns the last event: done, failed or cancelled. Lets
    :class:`PutBack` through, which ``between`` may raise; such a job has no last event.
    """
    try:
        with job.locked():
            last = finished(job)
            if last is None:
                recorder = _Recorder(job, announce)
                with logging_to(job.log):
                    last = _ended(job, lambda: _iterate(job, generate, recorder, engine, cancelled, between))
                with contextlib.suppress(SkyloopError):  # a full disk must not keep the last event from being announced
                    recorder.record(last)
    except (SkyloopError, OSError) as error:  # the folder itself is busy or gone: there is no place for a log
        _logger.exception("job %s cannot use its folder", job.id)
        last = failed(as_skyloop_error(error))
    last = replace(last, job=job.id)
    announce(last)
    return last


def finished(job: Job) -> Event | None:
    """``done`` with the result that the folder holds; None when it holds none. A checkpoint has then served its time.

    Raises ``SkyloopError(bad_request)`` when the result is of another request: running this one would destroy it.
    """
    result = result_in(job.path)
    if result is None or not _as_recorded(job.path, result):  # what is damaged is no result: it is made again
        return None
    if recorded(job.path) != job.request():
        text = f"{job.path} holds the finished sky of another request."
        raise bad_request(text, "Give the new request a folder of its own.")
    shutil.rmtree(job.path / "checkpoint", ignore_errors=True)  # of a run that was killed just after its result
    return Event(type="done", job=job.id, data={"result": result})


def _as_recorded(folder: Path, result: dict[str, Any]) -> bool:
    """Whether the movie is there, and as long and of the digest that the result says, if it does."""
    try:
        facts = result.get("files", {}).get("sky.mp4")
        with open_read(folder / "sky.mp4", _MAX_MOVIE_BYTES) as movie:
            if facts is None:  # a result of before digests were kept
                return True
            same_length = movie.seek(0, io.SEEK_END) == facts["bytes"]
            movie.seek(0)
            return same_length and hashlib.file_digest(movie, "sha256").hexdigest() == facts["sha256"]
    except (OSError, SkyloopError, AttributeError, LookupError, TypeError):
        return False


def record_cancelled(job: Job) -> None:
    """Note in the folder of a job that does not run that it was cancelled; as far as that can be written."""
    with contextlib.suppress(SkyloopError, OSError), job.locked():
        job.record(Event(type="cancelled", job=job.id, seq=len(job.events())))


def _ended(job: Job, work: Callable[[], Event]) -> Event:
    """What ``work`` returns, or an event for whatever it raises but :class:`PutBack`."""
    try:
        return work()
    except PutBack:
        raise
    except BaseException as error:  # the request boundary: nothing may leave a job without a last event
        readable = as_skyloop_error(error)
        if readable.kind is ErrorKind.CANCELLED:
            return Event(type="cancelled")
        _logger.exception("job %s failed", job.id)
        return failed(readable, str(job.log))


def _iterate(
    job: Job,
    generate: Generate,
    recorder: _Recorder,
    engine: Any,
    cancelled: Callable[[], bool],
    between: Callable[[Event], None],
) -> Event:
    request = job.request()
    check_space(job.path, request)
    with writing(job.path / "events.jsonl"):
        (job.path / "events.jsonl").unlink(missing_ok=True)
    _logger.info("job %s: %s", job.id, request)
    events = cast("Generator[Event]", generate(request, job.path, engine=engine))
    with contextlib.closing(events):
        for event in events:
            if event.type == "done":
                return event
            between(event)
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

"""The backend process without its transport: takes commands from any thread, emits events, runs one job at a time.

The main thread runs the jobs, since libraries load best there. A heartbeat says that the process lives and watches
whether the engine still moves; a guard watches whether the parent lives, and whether an end that was asked for comes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..jobs import runner, store
from ..jobs.failures import as_skyloop_error
from ..media.files import open_append
from ..models.catalogue import check_given
from ..protocol import LAST_EVENTS, PROTOCOL_VERSION, Command, ErrorKind, Event, SkyloopError, failed
from .parent import Parent
from .queue import Emit, JobQueue, Queued
from .watchdog import Limits, Watchdog

HEARTBEAT_S = 2.0
IDLE_UNLOAD_S = 600.0
EXIT_STUCK = 75  # the process ended itself because the device hung: start it again, and send its jobs again
_GRACE_S = 10.0  # how long a step may still compute once the process is to end
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machinery:
    """What does the work: ``pipeline.generate``, ``engine.devices``, and an ``engine.Engine``, which keeps models."""

    generate: runner.Generate
    devices: Callable[[], list[dict[str, Any]]]
    engine: Any


def load_machinery() -> Machinery:
    from ..engine import Engine, devices  # seconds, as it imports torch
    from ..pipeline import generate

    return Machinery(generate, devices, Engine())


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``idle_unload_s``: after so long without a job the model's memory is given back. ``log``: of this process."""

    idle_unload_s: float = IDLE_UNLOAD_S
    limits: Limits = Limits()
    beat_s: float = HEARTBEAT_S
    log: Path | None = None


class Server:
    """``emit`` gets every event, from any thread. ``locate`` finds the job that a command names.

    ``parent``: the process to end with, if any.
    """

    def __init__(
        self,
        emit: Emit,
        load: Callable[[], Machinery] = load_machinery,
        *,
        locate: Callable[[str], store.Job] = store.load,
        parent: Parent | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._emit = emit
        self._load = load
        self._locate = locate
        self._parent = parent
        self._settings = settings or Settings()
        self._queue = JobQueue(emit)
        self._devices: list[dict[str, Any]] = []
        self._watched: tuple[Queued, Watchdog] | None = None
        self._ended = threading.Event()

    def greet(self) -> None:
        """Say hello, before any command is taken in and anything heavy is loaded."""
        self._hello([])

    def run(self) -> int:
        """Serve until :meth:`stop`, in the main thread. Returns the exit code."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._guard, name="guard", daemon=True).start()
        try:
            return self._serve()
        finally:
            self._ended.set()

    def stop(self) -> None:
        """End: no job starts any more, and the running one is left as it is. For any thread and signal handler."""
        self._queue.stop()

    def obey(self, command: Command) -> None:
        """Do what does not need the engine at once, and note the rest; the answer comes in events.

        For any thread. Raises ``SkyloopError(bad_request)``.
        """
        match command.type:
            case "generate":
                job = self._locate(command.job)
                request = job.request()  # refuse a bad one now, not when its turn comes
                check_given(request.model, image=bool(request.image))
                self._queue.add(job)
            case "cancel":
                if not self._queue.cancel(self._named(command.job)):
                    _logger.info("cancel of %r: it has ended or never was", command.job)
            case "move":
                self._queue.move(self._named(command.job), command.to)
            case "pause" | "resume":
                self._queue.pause(command.type == "pause")
            case "shutdown":
                self.stop()
            case _:
                self._queue.ask(command)

    def refusal(self, command: Command | None, error: BaseException) -> Event:
        """The event that says why ``command`` cannot be obeyed.

        It names the job only where that has failed with it: not one that runs or waits already.
        """
        new = command and command.type == "generate" and not self._queue.holds(self._named(command.job))
        return replace(self._failed(error), job=command.job if command and new else "")

    def _failed(self, error: BaseException) -> Event:
        return failed(as_skyloop_error(error), str(self._settings.log or ""))

    def _named(self, name: str) -> store.Job:
        """The job that is or was called so; its folder may be gone."""
        with contextlib.suppress(SkyloopError):
            return self._locate(name)
        return store.Job(Path(name.replace("\0", "")), name)

    # main thread

    def _serve(self) -> int:
        try:
            machinery = self._load()
            self._hello(machinery.devices())
        except Exception as error:  # the request boundary of the start: say why there will be no devices
            _logger.exception("the engine cannot be loaded")
            self._emit(self._failed(_unloadable(error)))
            self._queue.drop_all()
            return 1
        self._work(machinery)
        self._queue.drop_all()
        return 0

    def _work(self, machinery: Machinery) -> None:
        idle_s: float | None = None  # until memory is given back; nothing is loaded yet
        while not self._queue.stopping:
            try:
                item = self._queue.take(idle_s)
            except TimeoutError:
                _logger.info("idle: the model's memory is given back")
                self._guarded(machinery.engine.unload)
                idle_s = None
                continue
            if isinstance(item, Queued):
                self._run_job(item, machinery)
                idle_s = self._settings.idle_unload_s
            elif item and item.type == "probe":
                self._guarded(lambda: self._hello(machinery.devices()))
            elif item and self._guarded(machinery.engine.unload):
                self._emit(Event(type="accepted"))

    def _hello(self, devices: list[dict[str, Any]]) -> None:
        self._devices = devices
        data = {"protocol": PROTOCOL_VERSION, "version": __version__, "devices": devices}
        self._emit(Event(type="hello", data=data))

    def _guarded(self, act: Callable[[], None]) -> bool:
        """Do something with the engine between two jobs; returns whether that went well, or says why not."""
        try:
            act()
        except Exception as error:  # the request boundary of unload and probe
            _logger.exception("the engine does not answer")
            self._emit(self._failed(error))
            return False
        return True

    def _run_job(self, queued: Queued, machinery: Machinery) -> None:
        watch = Watchdog(self._settings.limits, on_processor=self._on_processor(queued.job))

        def between(event: Event) -> None:
            watch.heard(event)
            with watch.resting():
                self._queue.gate()

        def announce(event: Event) -> None:
            if event.type in LAST_EVENTS:
                self._watched = None
                self._queue.end(self._with_log(event))
            else:
                self._emit(event)

        self._watched = queued, watch
        try:
            runner.run(
                queued.job,
                machinery.generate,
                announce,
                engine=machinery.engine,
                cancelled=queued.cancel.is_set,
                between=between,
            )
        except runner.PutBack:
            self._watched = None
            self._queue.put_back()

    def _on_processor(self, job: store.Job) -> bool:
        best = self._devices[0]["id"] if self._devices else "cpu"
        with contextlib.suppress(SkyloopError, OSError):
            device = job.request().device
            return (best if device == "auto" else device) == "cpu"
        return True

    def _with_log(self, event: Event) -> Event:
        """A failure without a log of the job has this process's."""
        if event.type != "failed" or event.data.get("log"):
            return event
        return replace(event, data={**event.data, "log": str(self._settings.log or "")})

    # threads that look after the process

    def _beat(self) -> None:
        beat_s = self._settings.beat_s
        while not self._ended.wait(beat_s):
            self._emit(Event(type="heartbeat"))
            if (watched := self._watched) and watched[1].beat(beat_s):
                self._give_up(*watched)

    def _guard(self) -> None:
        """Sees to the end of the process. Emits nothing, as that waits where nobody reads."""
        beat_s, stopping_s = self._settings.beat_s, 0.0
        while not self._ended.wait(beat_s):
            if self._parent and self._parent.gone():
                self.stop()
            if self._queue.stopping:
                stopping_s += beat_s
                if stopping_s > _GRACE_S:
                    os._exit(1)  # one long step of the engine must not outlive the parent for minutes

    def _give_up(self, queued: Queued, watch: Watchdog) -> None:
        """The engine is stuck where no exception can reach it: say so and end the process, which frees the device."""
        threading.Timer(_GRACE_S, os._exit, (EXIT_STUCK,)).start()  # also where nobody reads what is said here
        job = queued.job
        error = SkyloopError(
            ErrorKind.DEVICE_LOST,
            f"The device has not answered for {watch.silent_s:.0f} seconds.",
            "Start again: the sky goes on where it was; if it stays so, update the driver or use the CPU.",
        )
        _logger.error("job %s: %s", job.id, error.message)
        with contextlib.suppress(SkyloopError, OSError), open_append(job.log) as log:
            faulthandler.dump_traceback(log, all_threads=True)
        last = replace(failed(error, str(job.log)), job=job.id)
        with contextlib.suppress(SkyloopError, OSError):
            job.record(replace(last, seq=len(job.events())))
        self._emit(last)
        os._exit(EXIT_STUCK)


def _unloadable(error: Exception) -> Exception:
    """Libraries that cannot be imported, or lack a part, in words: only a new installation helps."""
    if not isinstance(error, ImportError | OSError | AttributeError):
        return error
    reason = " ".join(str(error).split())[:200]
    return SkyloopError(
        ErrorKind.INTERNAL,
        f"The generator's libraries cannot be loaded ({reason}).",
        "Use Repair in the Skyloop preferences, or remove the folder of its runtime.",
    )

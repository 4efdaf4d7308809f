"""The one session of a running Blender: made by ``register``, moved by a timer, ended by ``unregister``.

``current()`` is for panels and operators; ``step()`` is the timer's work, for scripts without a window to call, where
timers never run.
"""

import logging
import threading
import time
from pathlib import Path

import bpy
import bpy.utils.previews
from bpy.app.handlers import persistent

from ..backend.jobs.store import is_file
from ..backend.protocol import ErrorKind, GenerateRequest, SkyloopError
from . import places
from .core import jobs
from .core.estimate import free_mb
from .core.installed import InstalledRuntime
from .core.session import Session
from .core.setup import SetUp
from .core.state import Problem, State

log = logging.getLogger(__name__)

BUSY_PERIOD_S, IDLE_PERIOD_S = 0.1, 1.0
IDLE_RELEASE_S = 600.0  # an unused generator gives its memory back after this long

ICONS = {
    State.NOT_INSTALLED: "IMPORT",
    State.INSTALLING: "IMPORT",
    State.READY: "CHECKMARK",
    State.STARTING: "TIME",
    State.RUNNING: "RENDER_ANIMATION",
    State.CANCELLING: "X",
    State.FAILED: "ERROR",
}


class BlenderSession(Session):
    """The session together with what Blender shows of it: previews, history, and where a finished sky goes."""

    def __init__(self) -> None:
        super().__init__(InstalledRuntime())
        self.fresh = True  # nothing has been looked up yet: during ``register`` Blender's data cannot be read
        self.images = bpy.utils.previews.new()
        self.targets: dict[Path, int] = {}  # by job, the session_uid of the scene that asked for it
        self._made_in: set[Path] = set()
        self.history: list[jobs.Listed] = []
        self.unfinished: list[jobs.Listed] = []
        self.candidates: list[jobs.Listed] = []  # finished, newest first
        self.free_mb: float | None = None  # where new skies go, at the last scan
        self.just_done: Path | None = None  # finished but not applied: offered by the panel
        self._scan: _HistoryScan | None = None
        self._drawn = -1
        self._queued: list[Path] = []
        self._idle_since = time.monotonic()
        self.setup = SetUp(
            self,
            switch=places.use_runtime_home,
            remember=places.remember_home,
            known=places.known_home,
            skies=places.roots,
        )

    @property
    def status_icon(self) -> str:
        return ICONS[self.state]

    def generate_for(
        self, scene: bpy.types.Scene, request: GenerateRequest, purpose: jobs.Purpose = jobs.Purpose.SKY
    ) -> Path:
        """Queue a job for ``scene``; returns its folder. A candidate is never applied: it joins ``candidates``.

        Raises ``SkyloopError``.
        """
        sky = purpose is jobs.Purpose.SKY
        folder = self.generate(request, places.output_root() if sky else places.candidates_root())
        self._made_in.add(folder.parent)
        if sky:
            self.targets[folder], self.just_done = scene.session_uid, None
        return folder

    def roots(self) -> list[Path]:
        """The folders whose jobs a button may touch: those of this file and user, and where this Blender made some."""
        return [*places.roots(), *places.candidates_roots(), *self._made_in]

    def resume_for(self, scene: bpy.types.Scene, job: jobs.Job) -> None:
        self.resume_job(job)
        if jobs.Purpose.of(job.folder) is jobs.Purpose.SKY:
            self.targets[job.folder], self.just_done = scene.session_uid, None
        self._forget(job.folder)

    def delete(self, folder: Path) -> None:
        """Remove a job's files. Raises ``SkyloopError``."""
        if any(world.skyloop.job == str(folder) for world in bpy.data.worlds):
            raise SkyloopError(
                ErrorKind.BAD_REQUEST, "A World of this file shows this sky.", "Remove that World first."
            )
        jobs.delete(folder, self.roots())
        self._forget(folder)
        self.scan_history()

    def _forget(self, folder: Path) -> None:
        """Until the next scan: this job is not to be offered any more."""
        self.unfinished = [job for job in self.unfinished if job.folder != folder]
        self.candidates = [job for job in self.candidates if job.folder != folder]
        if self.problem and self.problem.job == folder:
            self.dismiss()
        if self.just_done == folder:
            self.just_done = None
        self.revision += 1

    @property
    def period_s(self) -> float:
        """When the timer should come again."""
        return BUSY_PERIOD_S if self.busy or self._closing else IDLE_PERIOD_S

    def chosen(self) -> jobs.Listed | None:
        """The finished job that is selected in the list."""
        index = bpy.context.window_manager.skyloop.history_index
        return self.history[index] if 0 <= index < len(self.history) else None

    def scan_history(self) -> None:
        """Look for skies on the disk, done and unfinished, in a thread; ``step`` takes the answer."""
        self._scan = _HistoryScan(places.roots(), places.candidates_roots())

    def picture(self, file: Path | None, edition: int = 0) -> int:
        """The icon of an image file, 0 when there is none. Another ``edition`` of the file is read anew."""
        if file is None or bpy.app.background:
            return 0
        key = f"{file}?{edition}"
        if key not in self.images:
            if not is_file(file):  # nor a link or a pipe, in a folder that came from somewhere else
                return 0
            for old in [k for k in self.images if k.startswith(f"{file}?")]:
                del self.images[old]
            self.images.load(key, str(file), "IMAGE")
        return self.images[key].icon_id

    def step(self) -> None:
        """One turn of the timer: take in events, hand over finished skies, redraw what has changed."""
        self.tick()
        if self.setup.tick():
            self.revision += 1
        if self._scan and not self._scan.is_alive():
            self.history, self.unfinished = self._scan.finished, self._scan.unfinished
            self.candidates, self.free_mb = self._scan.candidates, self._scan.free_mb
            self._scan = None
            _fill_history(self.history)
            self.revision += 1
        # Never an operator while the scan runs: bpy.ops lets go of Python's lock meanwhile, and Blender 5.0 was seen to
        # crash (at least 3 of 48 times) when another thread was busy in Python just then.
        if self.finished and not self._scan and not self.setup.looking and not _user_is_dragging():
            self._deliver(self.finished.popleft())
        if self.busy:
            self._idle_since = time.monotonic()
        elif self.client and time.monotonic() - self._idle_since > IDLE_RELEASE_S:
            self.release()
        queued = [task.folder for task in self.queue.tasks]
        if queued != self._queued:
            self._queued = queued
            self.scan_history()  # what left the queue undone is among the unfinished now
        if self._drawn != self.revision:
            self._drawn = self.revision
            _redraw()

    def _deliver(self, job: Path) -> None:
        """Apply a finished sky to the scene that asked for it, or offer it when that scene is gone."""
        if jobs.Purpose.of(job) is jobs.Purpose.CANDIDATE:
            return
        self.just_done = job
        uid = self.targets.pop(job, None)  # of this file's scenes only: an opened file's have new ones
        scene = next((s for s in bpy.data.scenes if s.session_uid == uid), None)
        if scene is None or not scene.skyloop.auto_apply:
            return
        window = next((w for w in bpy.context.window_manager.windows if w.scene == scene), None)
        with bpy.context.temp_override(**({"window": window} if window else {"scene": scene})):
            try:
                # True: an operator called from Python makes no undo step of its own otherwise.
                bpy.ops.skyloop.apply_world("EXEC_DEFAULT", True, job=str(job))
            except RuntimeError as error:
                log.error("apply: %s", error)
                self.problem = Problem(ErrorKind.INTERNAL, str(error).strip().removeprefix("Error: "), "")

    def end(self) -> None:
        self.close()
        bpy.utils.previews.remove(self.images)


class _HistoryScan(threading.Thread):
    """Reads job folders without holding up Blender."""

    def __init__(self, roots: list[Path], candidates_roots: list[Path]) -> None:
        super().__init__(name="skyloop-history", daemon=True)
        self.finished: list[jobs.Listed] = []
        self.unfinished: list[jobs.Listed] = []
        self.candidates: list[jobs.Listed] = []
        self.free_mb: float | None = None
        self._roots, self._candidates_roots = roots, candidates_roots
        self.start()

    def run(self) -> None:
        try:
            self.finished = jobs.history(self._roots)
            self.unfinished = jobs.unfinished(self._roots)
            self.candidates = jobs.history(self._candidates_roots)
            self.free_mb = free_mb(self._roots[0])
        except OSError:
            log.exception("history")


_current: BlenderSession | None = None


def current() -> BlenderSession:
    """The session of this Blender. Only valid between ``register`` and ``unregister``."""
    assert _current is not None
    if _current.fresh:
        _current.fresh = False
        runtime_moved()
        _current.scan_history()
    return _current


def runtime_moved() -> None:
    """The preferences name another runtime folder."""
    now = current()
    if now.busy:
        return
    now.release()
    now.runtime = InstalledRuntime(places.runtime_home())
    now.refresh()
    now.setup.forget()


def _timer() -> float | None:
    """Never raises: Blender would drop the timer, and with it every running job, without a word."""
    if _current is None:
        return None
    try:
        current().step()
    except Exception:
        log.exception("tick")
    return _current.period_s


@persistent
def _after_load(*_arguments: object) -> None:
    if _current:
        bpy.context.window_manager.skyloop.history.clear()  # whatever the file brought along
        _current.refresh()
        _current.scan_history()


def wake() -> None:
    """Make the timer's next turn come soon."""
    if not bpy.app.background and bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
        bpy.app.timers.register(_timer, first_interval=BUSY_PERIOD_S, persistent=True)


def register() -> None:
    global _current
    _current = BlenderSession()
    bpy.app.handlers.load_post.append(_after_load)
    if not bpy.app.background:  # where timers never run
        bpy.app.timers.register(_timer, first_interval=IDLE_PERIOD_S, persistent=True)


def unregister() -> None:
    global _current
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    bpy.app.handlers.load_post.remove(_after_load)
    if _current:
        _current.end()
    _current = None


def _user_is_dragging() -> bool:
    """Whether a transform is under way, into which an undo step must not fall."""
    return any(
        operator.bl_idname.startswith("TRANSFORM_OT")
        for window in bpy.context.window_manager.windows
        for operator in window.modal_operators
    )


def _fill_history(found: list[jobs.Listed]) -> None:
    shown = bpy.context.window_manager.skyloop
    shown.history.clear()
    for job in found:
        shown.history.add().name = job.title
    shown.history_index = 0


def _redraw() -> None:
    """Redraw the panels only: a viewport that renders must not start anew for a progress bar."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in {("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW")}:
                    region.tag_redraw()

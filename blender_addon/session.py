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

from ..backend.protocol import ErrorKind, GenerateRequest
from . import places
from .core import jobs
from .core.installed import InstalledRuntime
from .core.session import Session
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
        self.target = ""  # the scene that asked for the running job; empty once another file was opened
        self.just_done: Path | None = None  # finished but not applied: offered by the panel
        self._scan: _HistoryScan | None = None
        self._drawn = -1
        self._idle_since = time.monotonic()

    @property
    def status_icon(self) -> str:
        return ICONS[self.state]

    def generate_for(self, scene: bpy.types.Scene, request: GenerateRequest) -> Path:
        folder = self.generate(request, places.output_root())
        self.target, self.just_done = scene.name, None
        return folder

    def scan_history(self) -> None:
        """Look for finished skies on the disk, in a thread; ``step`` takes the answer."""
        self._scan = _HistoryScan([places.output_root(), places.home_root()])

    def picture(self, file: Path | None, edition: int = 0) -> int:
        """The icon of an image file, 0 when there is none. Another ``edition`` of the file is read anew."""
        if file is None or bpy.app.background:
            return 0
        key = f"{file}?{edition}"
        if key not in self.images:
            for old in [k for k in self.images if k.startswith(f"{file}?")]:
                del self.images[old]
            self.images.load(key, str(file), "IMAGE")
        return self.images[key].icon_id

    def step(self) -> None:
        """One turn of the timer: take in events, hand over finished skies, redraw what has changed."""
        self.tick()
        if self._scan and not self._scan.is_alive():
            _fill_history(self._scan.found)
            self._scan = None
            self.revision += 1
        # Never an operator while the scan runs: bpy.ops lets go of Python's lock meanwhile, and Blender 5.0 was seen to
        # crash (at least 3 of 48 times) when another thread was busy in Python just then.
        if self.finished and not self._scan and not _user_is_dragging():
            self._deliver(self.finished.popleft())
            self.scan_history()
        if self.busy:
            self._idle_since = time.monotonic()
        elif self.client and time.monotonic() - self._idle_since > IDLE_RELEASE_S:
            self.release()
        if self._drawn != self.revision:
            self._drawn = self.revision
            _redraw()

    def _deliver(self, job: Path) -> None:
        """Apply a finished sky to the scene that asked for it, or offer it when that scene is gone."""
        self.just_done = job
        scene = bpy.data.scenes.get(self.target) if self.target else None
        self.target = ""
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

    def __init__(self, roots: list[Path]) -> None:
        super().__init__(name="skyloop-history", daemon=True)
        self.found: list[jobs.Job] = []
        self._roots = roots
        self.start()

    def run(self) -> None:
        try:
            self.found = jobs.history(self._roots)
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


def _timer() -> float | None:
    """Never raises: Blender would drop the timer, and with it every running job, without a word."""
    if _current is None:
        return None
    try:
        current().step()
    except Exception:
        log.exception("tick")
    return BUSY_PERIOD_S if _current.busy else IDLE_PERIOD_S


@persistent
def _before_load(*_arguments: object) -> None:
    """A running job goes on, but its sky no longer belongs to the scene on the screen."""
    if _current:
        _current.target = ""


@persistent
def _after_load(*_arguments: object) -> None:
    if _current:
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
    bpy.app.handlers.load_pre.append(_before_load)
    bpy.app.handlers.load_post.append(_after_load)
    bpy.app.timers.register(_timer, first_interval=IDLE_PERIOD_S, persistent=True)


def unregister() -> None:
    global _current
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    bpy.app.handlers.load_pre.remove(_before_load)
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


def _fill_history(found: list[jobs.Job]) -> None:
    shown = bpy.context.window_manager.skyloop
    shown.history.clear()
    for job in found:
        item = shown.history.add()
        item.name, item.folder, item.prompt = job.title, str(job.folder), job.request.prompt
        request = job.request
        item.detail = f"{request.width} x {request.height}, {request.frames} frames, seed {request.seed}"
    shown.history_index = 0


def _redraw() -> None:
    """Redraw the panels only: a viewport that renders must not start anew for a progress bar."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in {("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW")}:
                    region.tag_redraw()

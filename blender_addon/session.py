"""The one session of a running Blender: made by ``register``, moved by a timer, ended by ``unregister``.

``current()`` is for panels and operators; ``step()`` is the timer's work, for scripts without a window to call, where
timers never run.
"""

import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import bpy
import bpy.utils.previews
from bpy.app.handlers import persistent

from ..backend.jobs.store import is_file
from ..backend.protocol import ErrorKind, GenerateRequest, SkyloopError
from . import delivery, places, redraw
from .core import archive, jobs
from .core.archive import Archive
from .core.installed import InstalledRuntime
from .core.session import Session
from .core.setup import SetUp
from .core.state import Problem, State

log = logging.getLogger(__name__)

BUSY_PERIOD_S, IDLE_PERIOD_S = 0.1, 1.0
IDLE_RELEASE_S = 600.0  # an unused generator gives its memory back after this long
REDRAW_S = 0.25  # a sidebar takes Blender longer to draw than all of this
NOTICE_S, OFFER_S = 10.0, 60.0  # how long the status bar tells of a sky that was applied, or can be

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
        self.archive = Archive()  # as found at the last scan
        self.just_done: Path | None = None  # the newest one: the panel shows it, and offers it unless it is applied
        self.waits_for = ""  # what keeps it from being applied just now
        self.notice_until_s = 0.0  # the status bar tells of it until then
        self._scan: object | None = None  # the latest request for one, until it is answered
        self._drawn, self._drawn_s = -1, 0.0
        self._in_view: tuple[int, Path | None] = (0, None)
        self._queued: list[Path] = []
        self._idle_since = time.monotonic()
        self.moved = False  # to another runtime folder, while something was under way
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

    @property
    def history(self) -> list[jobs.Listed]:
        """The finished skies, newest first."""
        return self.archive.finished

    @property
    def unfinished(self) -> list[jobs.Listed]:
        return self.archive.unfinished

    @property
    def candidates(self) -> list[jobs.Listed]:
        """The finished quick candidates, newest first."""
        return self.archive.candidates

    @property
    def free_mb(self) -> float | None:
        """The free space where new skies go."""
        return self.archive.free_mb

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
        self._forget([job.folder])

    def delete(self, folder: Path) -> None:
        """Remove a job's files. Raises ``SkyloopError``."""
        if _key(folder) in self.in_use():
            raise SkyloopError(
                ErrorKind.BAD_REQUEST,
                "A World of this file shows this sky, or a sky in the queue is made from it.",
                "Remove that World first.",
            )
        jobs.delete(folder, self.roots())
        self._forget([folder])
        self.scan_history()

    def listed(self, folder: Path) -> jobs.Listed | None:
        """What is known of a job on the disk, since the last scan."""
        return next((job for job in self.archive.all if job.folder == folder), None)

    def to_free(self, keep_bytes: float) -> list[jobs.Listed]:
        """What :meth:`free` would delete."""
        return archive.to_free(self.archive, keep_bytes, self.in_use())

    def free(self, keep_bytes: float) -> None:
        """Delete old skies, in a thread, until the rest takes at most ``keep_bytes``."""
        goes, roots = self.to_free(keep_bytes), self.roots()
        self._forget([job.folder for job in goes])
        self.errands.begin(lambda: archive.free(goes, roots), self._freed)

    def _freed(self, refusals: list[str] | None) -> None:
        if refusals:
            self.problem = Problem(ErrorKind.BAD_REQUEST, refusals[0], "Try again later.")
        self.scan_history()

    def pin(self, folder: Path, pinned: bool) -> None:
        """Mark a sky as a favourite, which is never pruned. Raises ``SkyloopError``."""
        archive.pin(folder, pinned)
        skies = self.archive.finished
        finished = [replace(one, pinned=pinned) if one.folder == folder else one for one in skies]
        self.archive = replace(self.archive, finished=finished)
        self.revision += 1

    def in_use(self) -> set[Path]:
        """The job folders that Worlds and images of this file show, and those that queued skies are made from."""
        shown = [Path(world.skyloop.job) for world in bpy.data.worlds if world.skyloop.job]
        films = [image for image in bpy.data.images if image.source in ("MOVIE", "SEQUENCE") and image.filepath]
        shown += [places.absolute(image.filepath, image).parent for image in films]
        sources = [Path(file) for task in self.queue.tasks for file in task.request.files.values()]
        found = [*shown, *(folder.parent for folder in shown), *sources, *(file.parent for file in sources)]
        return {_key(folder) for folder in found}

    def _forget(self, gone: list[Path]) -> None:
        """Until the next scan: these jobs are not to be offered any more."""
        self.archive = self.archive.without(gone)
        if self.problem and self.problem.job in gone:
            self.dismiss()
        if self.just_done in gone:
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
        roots, candidates_roots, before = places.roots(), places.candidates_roots(), self.archive
        self._scan = asked = object()

        def take(found: Archive | None) -> None:
            if self._scan is asked:  # else a newer one is on its way
                self._scan = None
                if found and found != self.archive:
                    chosen = self.chosen()
                    self.archive = found
                    _fill_history(found.finished, chosen)
                    self.revision += 1
                self.past = self.archive.past

        self.errands.begin(lambda: archive.look(roots, candidates_roots, before), take)

    def picture(self, file: Path | None, edition: int = 0) -> int:
        """The icon of an image file, 0 when there is none. Another ``edition`` of the file is read anew."""
        loaded = self._image(file, edition)
        return loaded.icon_id if loaded else 0

    def preview_picture(self) -> bpy.types.ImagePreview | None:
        """The latest picture of the sky that is being made, small; None when there is none yet."""
        return self._image(self.preview, self.preview_edition)

    def _image(self, file: Path | None, edition: int) -> bpy.types.ImagePreview | None:
        if file is None or bpy.app.background:
            return None
        key = f"{file}?{edition}"
        if key not in self.images:
            if not is_file(file):  # nor a link or a pipe, in a folder that came from somewhere else
                return None
            for old in [k for k in self.images if k.startswith(f"{file}?")]:
                del self.images[old]
            self.images.load(key, str(file), "IMAGE")
        return self.images[key]

    def step(self) -> None:
        """One turn of the timer: take in events, hand over finished skies, redraw what has changed."""
        self.tick()
        if self.setup.tick():
            self.revision += 1
        if self.moved and not self.busy:
            runtime_moved()
        if self.finished:
            self._hand_over(self.finished[0])
        now_s = time.monotonic()
        if self.busy:
            self._idle_since = now_s
        elif self.client and now_s - self._idle_since > IDLE_RELEASE_S:
            self.release()
        queued = [task.folder for task in self.queue.tasks]
        if queued != self._queued:
            self._queued = queued
            self.scan_history()  # what left the queue undone is among the unfinished now
        if 0 < self.notice_until_s < now_s:
            self.notice_until_s = 0.0
            self.revision += 1
        in_view = (self.preview_edition, self.job)
        if in_view != self._in_view:
            self._in_view = in_view
            if bpy.context.window_manager.skyloop.show_preview:
                redraw.viewports()
        if self._drawn != self.revision and now_s - self._drawn_s > REDRAW_S:
            self._drawn, self._drawn_s = self.revision, now_s
            redraw.panels()

    def _hand_over(self, job: Path) -> None:
        """Apply a finished sky to the scene that asked for it when that disturbs nothing, or leave it to be offered."""
        if jobs.Purpose.of(job) is jobs.Purpose.CANDIDATE:
            self.finished.popleft()
            self.archive = self.archive.with_candidate(job)
            self.revision += 1
            return
        scene = self.target(job)
        wanted = scene is not None and scene.skyloop.auto_apply
        waits_for = delivery.obstacle() if wanted else ""
        if self.just_done != job or self.waits_for != waits_for:
            self.just_done, self.waits_for = job, waits_for
            self.notice_until_s = time.monotonic() + (NOTICE_S if wanted and not waits_for else OFFER_S)
            self.revision += 1
        if wanted and (waits_for or self.errands.busy or self.setup.looking):
            return  # no operator from a timer while a thread is at work: see core/errands.py
        if scene and wanted and delivery.prepare(scene, job):
            return
        self.finished.popleft()
        self.targets.pop(job, None)
        if scene and wanted and (error := delivery.apply(scene, job)):
            self.problem = Problem(ErrorKind.INTERNAL, error, "")

    def hide_notice(self) -> None:
        """The status bar need not tell of the sky that is ready any more."""
        self.notice_until_s = 0.0
        self.revision += 1

    def target(self, job: Path | None) -> bpy.types.Scene | None:
        """The scene that asked for a job, if it is in the open file: another file's scenes have other numbers."""
        uid = self.targets.get(job) if job else None
        return next((s for s in bpy.data.scenes if s.session_uid == uid), None)

    def end(self) -> None:
        self.close()
        bpy.utils.previews.remove(self.images)


def _key(folder: Path) -> Path:
    """One spelling for every way to write a path, as lists have it."""
    return Path(os.path.realpath(folder))


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
    """The preferences name another runtime folder: it is used as soon as nothing runs from the old one."""
    now = current()
    now.moved = now.busy
    if now.moved:
        return
    if now.state is State.FAILED:  # there, not here
        now.dismiss()
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
        _fill_history(_current.history, None)
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


def _fill_history(found: list[jobs.Listed], chosen: jobs.Listed | None) -> None:
    """As many lines as there are skies: what they show is in the session. The chosen one stays chosen."""
    shown = bpy.context.window_manager.skyloop
    while len(shown.history) > len(found):
        shown.history.remove(len(shown.history) - 1)
    while len(shown.history) < len(found):
        shown.history.add()
    for item, job in zip(shown.history, found, strict=True):
        if item.name != job.title:
            item.name = job.title
    places_of = {job.folder: place for place, job in enumerate(found)}
    shown.history_index = places_of.get(chosen.folder, 0) if chosen else 0

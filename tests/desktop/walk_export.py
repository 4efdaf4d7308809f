"""A sky is exported from the panel with the real generator, and once more from the history, as a new user goes."""

import tempfile
from pathlib import Path
from typing import Any

import bpy
import walking as w


def walk() -> w.Walk:
    session, work = w.part("blender_addon.session").current(), w.part("blender_addon.export.work")
    session.runtime = w.part("blender_addon.core.installed").CommandRuntime(["false"])
    session.refresh()
    tempfile.tempdir = str(w.OUT)  # else in the Debian's own, where the host's generator does not look
    work.backend_command = lambda *words, home: [*w.ARGS["backend"], *words]
    places = w.part("blender_addon.places")
    places.preferences().output_folder = str(Path(w.ARGS["job"]).parent)
    bpy.ops.skyloop.apply_world(job=w.ARGS["job"])
    settings = bpy.context.scene.skyloop.export
    settings.target, settings.folder = "web", str(w.OUT / "page")
    yield from w.open_tab("Skyloop")
    yield from w.click("World")  # closed, so that there is room
    yield from w.click("Export")
    yield from w.show("choices")
    settings.target, settings.stills_frame, settings.folder = "stills", -1, str(w.OUT / "pictures")
    w.view3d().tag_redraw()
    yield from w.seen("Pictures")
    yield from pressed(work)
    yield from w.show("made")
    settings.target, settings.scene_beside, settings.folder = "scene", "hdr", str(w.OUT / "both")
    w.view3d().tag_redraw()
    yield from w.seen("Blender stands still")
    yield from pressed(work)
    w.note(files=sorted(path.relative_to(w.OUT / "both").as_posix() for path in (w.OUT / "both").rglob("*")))
    yield from from_history(session, settings, work)


def pressed(work: Any) -> w.Walk:
    """The button, until the export is done."""
    yield from w.click("Export Sky")
    yield from w.until(lambda: work.current() or work.made() or work.problem(), 10.0, "the button did nothing")
    if work.current():
        yield from w.show("running")
    yield from w.until(lambda: not work.current(), 120.0, "not exported")
    if error := work.problem():
        raise RuntimeError(f"{error.message} {error.hint}")
    yield 1.0


def from_history(session: Any, settings: Any, work: Any) -> w.Walk:
    settings.target, settings.folder = "cubemap", str(w.OUT / "cube")
    session.scan_history()
    yield from w.until(lambda: session.history, 30.0, "nothing in the history")
    yield from w.click("Export")  # closed
    yield from w.click("History")
    yield from w.click("Export...")
    yield 1.0
    yield from w.show("dialog", "")
    w.xdotool("key", "Return")
    yield from w.until(lambda: work.current() or not work.made(), 10.0, "the dialog did nothing")
    yield from w.until(lambda: not work.current(), 120.0, "not exported")
    w.note(cube=sorted(path.name for path in (w.OUT / "cube").iterdir()), problem=work.problem())


w.start(walk())

"""The export that is under way: the backend's command line does it, as a child of Blender's."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import bpy

from ...backend.exports.folder import sweep
from ...backend.exports.request import ExportRequest
from ...backend.protocol import ErrorKind, SkyloopError
from .. import places, work
from ..core.exporting import command_words, with_scene
from ..core.tool import Tool, backend_command
from . import look, scene
from .words import error_in_words


@dataclass
class Work(work.Work):
    """``out`` is the folder that the export becomes, ``what`` the target's title; ``kept`` holds the scene that goes
    along, as long as it lasts."""

    out: Path
    what: str
    kept: TemporaryDirectory[str] | None

    def follow(self) -> SkyloopError | None:
        look.forget()
        if error := self.tool.error:
            return error_in_words(error)
        if not self.tool.document:
            return SkyloopError(ErrorKind.INTERNAL, "The generator did not say what it wrote.", "Export again.")
        return None

    def close(self) -> None:
        if self.kept:
            self.kept.cleanup()
        if not self.tool.document:  # ended before it could clean up
            sweep(self.out)


works = work.Works[Work]("export")
current, last, problem, why_not, step = works.current, works.last, works.problem, works.why_not, works.step
cancel, dismiss, end = works.cancel, works.dismiss, works.end


def start(request: ExportRequest, of: bpy.types.Scene | None, *, wait: bool) -> None:
    """Export; with the scene ``of``, which is written first. Raises ``SkyloopError``, while waiting also later."""

    def begun() -> Work:
        home = places.runtime_home()
        command = backend_command(*command_words(request), home=home)
        with contextlib.ExitStack() as undo:
            kept = None
            if of:
                kept = TemporaryDirectory(prefix="skyloop-scene-")
                undo.callback(kept.cleanup)
                file = Path(kept.name) / "scene.glb"
                scene.write(of, file)
                command = backend_command(*command_words(with_scene(request, file)), home=home)
            made = Work("Exporting", Tool(command), Path(request.out), request.about.title, kept)
            undo.pop_all()
        return made

    works.begin(begun, wait=wait)


def made() -> Path | None:
    """The folder of the last export, until it is dismissed or another is started."""
    ended = last()
    return ended.out if ended and ended.tool.document else None

"""One export, from a request to a folder, on one page."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..protocol import Event
from . import film as films
from .archive import archived
from .film import Film
from .folder import check_place, staged, written
from .gltf import check_scene
from .limits import fitting_height
from .orientation import turn
from .request import ExportRequest

README = "README.txt"
Steps = Generator[Event, None, "Written"]


@dataclass(frozen=True)
class Written:
    """What a target says of what it wrote: ``use`` are the lines of the README, at most five; ``open`` is the file to
    begin with; ``notes`` what the user should know besides. ``archive``: the name of a .zip that gets all of it."""

    use: tuple[str, ...]
    open: str
    notes: tuple[str, ...] = ()
    archive: str = ""


class Writes(Protocol):
    """A target's module."""

    def check(self, film: Film, request: ExportRequest) -> None:
        """Raises ``SkyloopError(bad_request)`` for what cannot be written, before anything is."""
        ...

    def write(self, film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
        """Write into the empty ``folder``, yielding phases. The engine is to show the frame's centre at ``yaw_deg`` to
        the right of its forward. Close the iterator to cancel."""
        ...


def export(request: ExportRequest) -> Generator[Event, None, dict[str, Any]]:
    """Do what is wanted: yields phases, returns the document of the command line. Close it to cancel: nothing is left.

    Raises ``SkyloopError``: bad_request, disk_full, internal.
    """
    request.validated()
    out, sky = Path(request.out), request.sky
    check_place(out, force=request.force)
    if request.gltf:
        check_scene(Path(request.gltf))
    film = films.open_film(Path(request.source))
    wanted = turn(sky.about.engine, sky.facing, sky.front_deg, prerotate=sky.prerotate)
    film = films.fitted(film, fitting_height(request, film.height), wanted.roll_deg)
    module = writer(request)
    module.check(film, request)
    with staged(out) as folder:
        done = yield from module.write(film, request, wanted.yaw_deg, folder)
        notes = (*film.notes, *done.notes)
        (folder / README).write_text(_readme(film, request, done.use, notes), encoding="utf-8")
        if done.archive:
            yield from archived(folder, done.archive)
    files = written(out)
    return {
        "target": request.target,
        "folder": str(out.absolute()),
        "open": done.open,
        "width": film.width,
        "height": film.height,
        "frames": film.frames,
        "fps": film.fps,
        "yaw_deg": wanted.yaw_deg,
        "notes": list(notes),
        "bytes": sum(files.values()),
        "files": files,
    }


def writer(request: ExportRequest) -> Writes:
    """The module of the request's target."""
    return importlib.import_module(request.about.module)  # type: ignore[return-value]  # its functions are the protocol


def _readme(film: Film, request: ExportRequest, use: tuple[str, ...], notes: tuple[str, ...]) -> str:
    facts = f"{film.width}x{film.height}, {film.frames} frames, {film.fps:g} a second, a loop of {film.seconds:.4g} s"
    lines = [f"A sky by Skyloop for {request.about.title}: {facts}.", ""]
    lines += [f"{number}. {line}" for number, line in enumerate(use, 1)]
    if notes:
        lines += ["", *(f"Note: {note}" for note in notes)]
    return "\n".join(lines) + "\n"

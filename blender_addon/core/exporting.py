"""An export as the panel sees it: where it goes, what comes out, what stands against it, and the command that does it.

:func:`look` reads the disk, which may take its time: only for a thread. All else is pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...backend.exports.folder import MANIFEST, check_place
from ...backend.exports.limits import fitting_height
from ...backend.exports.orientation import ENGINES
from ...backend.exports.request import ExportRequest
from ...backend.exports.targets import TARGETS, Option, Target
from ...backend.protocol import SkyloopError, bad_request
from . import mp4
from .state import Progress

MOST_NAMES = 1000


@dataclass(frozen=True)
class Place:
    """What is to be looked at: the film or job folder ``source``, and the folder that the export is to become. Where
    that is not chosen, it is a new one of the name ``name`` or, as that may be taken, one like it, in ``parent``."""

    source: Path
    chosen: Path | None
    parent: Path
    name: str


@dataclass(frozen=True)
class Found:
    """What a look found. ``film`` is None for one that is no mp4; ``problem`` why ``out`` or the film is no good;
    ``earlier``: an earlier export is in ``out``, which may be replaced."""

    out: Path
    film: mp4.Facts | None = None
    problem: SkyloopError | None = None
    earlier: bool = False


def look(place: Place) -> Found:
    """Look at film and folder. Never raises."""
    out = place.chosen or free_name(place.parent, place.name)
    film = place.source / "sky.mp4" if place.source.is_dir() else place.source
    if not film.is_file():
        return Found(out, problem=bad_request(f"The film {film} is missing.", "Choose another one."))
    earlier, problem = (out / MANIFEST).is_file(), None
    if not earlier:
        try:
            check_place(out, force=False)
        except SkyloopError as error:
            problem = error
    return Found(out, mp4.facts(film), problem, earlier)


def free_name(parent: Path, name: str) -> Path:
    """A folder in ``parent`` that is not there yet: ``name``, ``name-2``, ``name-3`` …"""
    for number in range(2, MOST_NAMES):
        tried = parent / (name if number == 2 else f"{name}-{number - 1}")
        if not tried.exists():
            return tried
    return parent / name


def problems(request: ExportRequest, found: Found) -> list[SkyloopError]:
    """Every reason why this cannot be exported, each with what would be right; empty when fine."""
    told = [bad_request(text) for text in request.problems()]
    if found.problem:
        told.append(found.problem)
    if found.earlier and not request.force:
        hint = "Switch Replace on, or choose a new or empty folder."
        told.append(bad_request(f"{found.out} holds an earlier export.", hint))
    if not told:
        try:
            height_of(request, found.film)
        except SkyloopError as error:
            told.append(error)
        if found.film and (frame := one_frame(request)) is not None and frame >= found.film.frames:
            hint = f"Use 0 to {found.film.frames - 1}, or -1 for all."
            told.append(bad_request(f"frame {frame}: the film has {found.film.frames} frames.", hint))
    return told


def height_of(request: ExportRequest, film: mp4.Facts | None) -> int:
    """The height in pixels that comes out, 0 where nobody knows it. Raises ``SkyloopError`` where it is too large."""
    height = fitting_height(request, film.width // 2 if film else 16)
    return height if film or request.height else 0


def one_frame(request: ExportRequest) -> int | None:
    """The number of the one frame that is exported; None when all are."""
    sky = request.sky
    frame = int(sky.number("frame")) if sky.about.option("frame") else -1
    return frame if frame >= 0 else None


def outcome(request: ExportRequest, film: mp4.Facts | None) -> str:
    """What will come out, in words: size and frames; of a request without problems."""
    height = height_of(request, film)
    size = f"{2 * height} x {height}" if height else "As large as the film, or as the target plays"
    if one_frame(request) is not None:
        return f"{size}, one frame"
    return f"{size}, {film.frames} frames" if film else size


def is_smaller(request: ExportRequest, film: mp4.Facts | None) -> bool:
    """Whether the film is made smaller because the target plays no larger one, or was advised not to."""
    return bool(film and not request.height and height_of(request, film) < film.width // 2)


def turns(target: Target, beside: str = "") -> bool:
    """Whether turning the pixels makes a difference there: not where there is no engine to turn the sky."""
    engine = TARGETS[beside].engine if beside in TARGETS else target.engine
    return engine in ENGINES and engine != "film"


def option_key(target: Target, option: Option) -> str:
    """The name of the property that holds an option of a target."""
    return f"{target.name}_{option.name}"


def command_words(request: ExportRequest) -> list[str]:
    """The words for the command line that do ``request``."""
    words = ["export", request.source, "--target", request.target, "--out", request.out]
    words += [f"--facing={request.facing}", f"--front={request.front_deg:.6g}"]
    if request.height:
        words += ["--size", f"{2 * request.height}x{request.height}"]
    if request.gltf:
        words += ["--gltf", request.gltf]
    for name in ("prerotate", "force"):
        words += [f"--{name}"] if getattr(request, name) else []
    for name, value in request.options.items():
        words.append(f"--{name}={value}")
    return words


def amount_left(progress: Progress) -> str:
    """How much of a phase is left: "12 frames left"; empty where nobody knows, and of what is counted otherwise."""
    left = progress.total - progress.done
    return f"{left} frames left" if progress.unit == "frame" and left > 0 else ""


def advised(text: str, title: Callable[[str], str]) -> str:
    """A sentence of the command line's with what options are called in the panel; ``title`` tells that of a name."""
    text = re.sub(r"--size \d+x(\d+)", lambda found: f"{title('size')} {found[1]}", text)
    return re.sub(r"--([a-z]+)", lambda found: title(found[1]), text)


def with_scene(request: ExportRequest, scene: Path) -> ExportRequest:
    """``request`` with a glTF scene, under which the sky stands as in Blender."""
    return replace(request, gltf=str(scene), facing="blender")

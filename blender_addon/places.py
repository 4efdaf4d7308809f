"""Where things are on this machine, from the preferences: the runtime, new skies, the device that computes."""

from operator import attrgetter
from pathlib import Path

import bpy

from ..backend import runtime
from .core.jobs import CANDIDATES

PACKAGE = str(__package__).rpartition(".")[0]
_origin = attrgetter("library")


def is_linked(owner: bpy.types.ID) -> bool:
    """Whether it is from another .blend, and so not ours to change."""
    return _origin(owner) is not None


def absolute(path: str, owner: bpy.types.ID) -> Path:
    """A path that ``owner`` holds; one that begins with ``//`` is relative to the .blend that ``owner`` is from."""
    return Path(bpy.path.abspath(path, library=_origin(owner)))


def preferences() -> bpy.types.AddonPreferences | None:
    """This add-on's preferences; None while it is enabled without being entered in Blender's preferences."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def device() -> str:
    found = preferences()
    return found.device if found else "auto"


def runtime_home() -> Path | None:
    """The chosen runtime folder; None for the default one.

    Never one relative to the .blend: a file from somewhere else would bring the program that is run.
    """
    found = preferences()
    chosen = found.runtime_folder if found else ""
    return Path(chosen) if not chosen.startswith("//") and Path(chosen).is_absolute() else None


def use_runtime_home(home: Path) -> None:
    """Enter another runtime folder in the preferences; the default one as no choice at all."""
    if found := preferences():
        found.runtime_folder = "" if home == runtime.home() else str(home)


def known_home() -> str:
    """The folder in which the runtime was last seen whole."""
    found = preferences()
    return found.known_home if found else ""


def remember_home(home: str) -> None:
    if found := preferences():
        found.known_home = home


def output_root() -> Path:
    """Where new job folders go."""
    found = preferences()
    if found and found.output_folder:
        return Path(bpy.path.abspath(found.output_folder))
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "skyloop"
    return home_root()


def roots() -> list[Path]:
    """All folders whose job folders are ours to list, resume and delete."""
    return [output_root(), home_root()]


def candidates_root() -> Path:
    """Where new quick candidates go, out of the way of the skies."""
    return output_root() / CANDIDATES


def candidates_roots() -> list[Path]:
    """All folders whose candidates are ours to list and delete."""
    return [root / CANDIDATES for root in roots()]


def home_root() -> Path:
    """Where job folders go while nothing is chosen and the .blend has no place yet."""
    return Path.home() / "Skyloop"

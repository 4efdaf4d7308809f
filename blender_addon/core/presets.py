"""Presets: settings under a name, a JSON file each, in a folder of the user's; and those that come with Skyloop.

A file that is not what it should be is named and said what is wrong with it; it never keeps the others from loading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...backend.media.files import atomic_write, private_folder, read_bytes, writing
from ...backend.protocol import SkyloopError, bad_request
from ...backend.typed import parse_json
from .settings import CUSTOM, QUALITIES
from .styles import CUSTOM as CUSTOM_STYLE
from .styles import NONE, STYLES

Value = str | int | float | bool
VERSION = 1
MAX_NAME_CHARS = 60
_MAX_FILE_BYTES = 64 << 10
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no file names on Windows

# What a preset may set, with the type; where only some values are right, these.
FIELDS: dict[str, type | tuple[str, ...]] = {
    "prompt": str,
    "negative": str,
    "style": (NONE, *(s.id for s in STYLES), CUSTOM_STYLE),
    "style_text": str,
    "model": str,
    "quality": (*(q.id for q in QUALITIES), CUSTOM),
    "custom_width": int,
    "frames": int,
    "fps": float,
    "match_scene_fps": bool,
    "loop": bool,
    "fov_deg": float,
    "steps": int,
    "guidance": float,
}
WITHOUT_PROMPT = tuple(name for name in FIELDS if name != "prompt")


@dataclass(frozen=True)
class Preset:
    """Settings under a name. ``file`` is None for one that comes with Skyloop."""

    name: str
    settings: Mapping[str, Value]
    description: str = ""
    file: Path | None = None


@dataclass(frozen=True)
class Broken:
    """A file in the folder of presets that is none, and why."""

    file: Path
    reason: str


@dataclass(frozen=True)
class Shelf:
    """The user's presets by name, and the files that are none."""

    presets: tuple[Preset, ...] = ()
    broken: tuple[Broken, ...] = ()

    def find(self, name: str) -> Preset | None:
        """One that comes with Skyloop, or of the user's."""
        return next((p for p in (*BUILT_IN, *self.presets) if p.name == name), None)


_PLAIN: dict[str, Value] = {"fps": 8.0, "match_scene_fps": False, "loop": True, "steps": 0, "guidance": 0.0}
BUILT_IN = (
    Preset("Preview", {**_PLAIN, "quality": "PREVIEW", "frames": 16}, "Small and short: see what the prompt gives"),
    Preset("Standard", {**_PLAIN, "quality": "STANDARD", "frames": 16}, "For light, reflections, a soft background"),
    Preset("Final", {**_PLAIN, "quality": "FINAL", "frames": 32}, "Large and 4 seconds long, to be seen sharply"),
    Preset("Still", {**_PLAIN, "quality": "FINAL", "frames": 1, "loop": False}, "One large picture that does not move"),
)


def load(folder: Path) -> Shelf:
    """What is in ``folder``, which need not exist. Never raises."""
    presets, broken = [], []
    try:
        files = sorted(f for f in folder.glob("*.json") if not f.name.startswith("."))
    except OSError as error:
        return Shelf(broken=(Broken(folder, f"The folder cannot be read ({error.strerror or error})."),))
    for file in files:
        try:
            presets.append(read(file))
        except SkyloopError as error:
            broken.append(Broken(file, error.message))
    return Shelf(tuple(sorted(presets, key=lambda p: p.name.casefold())), tuple(broken))


def read(file: Path) -> Preset:
    """The preset in ``file``. Raises ``SkyloopError(bad_request)`` that says what is wrong with it."""
    try:
        document = parse_json(read_bytes(file, _MAX_FILE_BYTES))
    except OSError as error:
        raise bad_request(f"{file.name} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise bad_request(f"{file.name} is not JSON.", str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise bad_request(f"{file.name} has no settings.")
    if document.get("skyloop_preset") != VERSION:
        raise bad_request(f"{file.name} is of another version of Skyloop.")
    name = document.get("name")
    if not isinstance(name, str) or name_problem(name):
        raise bad_request(f"{file.name} has no name that can be shown.")
    return Preset(name, checked(document["settings"], file.name), file=file)


def checked(settings: Mapping[str, Any], where: str) -> dict[str, Value]:
    """``settings`` when all are known and of the right type. Raises ``SkyloopError(bad_request)``."""
    found: dict[str, Value] = {}
    for name, value in settings.items():
        want = FIELDS.get(name)
        if want is None:
            raise bad_request(f"{where} has the unknown setting {name[:40]!r}.")
        if want is float and type(value) is int:
            value = float(value)
        right = value in want if isinstance(want, tuple) else type(value) is want
        if not right:
            raise bad_request(f"{where} has {str(value)[:40]!r} for {name}.")
        found[name] = value
    return found


def name_problem(name: str) -> str:
    """What is wrong with the name of a new preset; empty when nothing is."""
    if not name.strip():
        return "Give the preset a name."
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        return f"Use up to {MAX_NAME_CHARS} characters that can be seen for the name of a preset."
    return ""


def save(folder: Path, name: str, settings: Mapping[str, Value], *, overwrite: bool = False) -> Path:
    """Keep ``settings`` as a file in ``folder``. Raises ``SkyloopError`` when the name is taken, empty or built in, or
    when the file cannot be written."""
    name = name.strip()
    if problem := name_problem(name):
        raise bad_request(problem)
    if any(p.name.casefold() == name.casefold() for p in BUILT_IN):
        raise bad_request(f"{name} comes with Skyloop and stays as it is.", "Choose another name.")
    old = next((p for p in load(folder).presets if p.name == name), None)
    if old and not overwrite:
        raise bad_request(f"There is a preset {name} already.", "Press the disk beside it to overwrite it.")
    file = old.file if old and old.file else _free_file(private_folder(folder), name)
    document = {"skyloop_preset": VERSION, "name": name, "settings": checked(settings, name)}
    atomic_write(file, json.dumps(document, ensure_ascii=False, indent=1).encode())
    return file


def delete(folder: Path, name: str) -> None:
    """Remove the user's preset of that name, or the broken file of that name. Raises ``SkyloopError``."""
    if any(p.name == name for p in BUILT_IN):
        raise bad_request(f"{name} comes with Skyloop and stays.")
    shelf = load(folder)
    files = {b.file.name: b.file for b in shelf.broken if b.file != folder}
    files |= {p.name: p.file for p in shelf.presets if p.file}
    if name not in files:
        raise bad_request(f"There is no preset {name[:MAX_NAME_CHARS]!r}.", "It may have been deleted already.")
    with writing(files[name]):
        files[name].unlink(missing_ok=True)


def _free_file(folder: Path, name: str) -> Path:
    stem = re.sub(r"[^\w -]", "_", name).strip()[:MAX_NAME_CHARS]
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    number, file = 1, folder / f"{stem}.json"
    while file.exists():
        number += 1
        file = folder / f"{stem}-{number}.json"
    return file

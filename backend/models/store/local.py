"""Models and files of the user's own: used where they lie, never copied, changed or removed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from ...media.files import open_input, writing
from ...protocol import ErrorKind, bad_request
from ...runtime.lock import locked
from ..catalogue import Entry
from ..catalogue import entry as entry_of
from ..header import MAX_FILE_BYTES
from . import licences, places, record
from .check import PICKLED, check_folder, check_weights
from .getting import busy
from .meter import Meter, Progress, Tell
from .record import File, Own, Record

_PIECE = 1 << 20


def add(model_id: str, path: Path, progress: Progress, home: Path | None = None, part: str = "") -> Record:
    """Use the user's folder (in diffusers' layout), or single file (.safetensors, .gguf) of the denoiser, as a model.

    With a file the rest has to be downloaded. ``part``: which denoiser, where there are two. Everything is read once,
    for its sha256. Raises ``SkyloopError(bad_request)`` for what cannot be that model.
    """
    entry = entry_of(model_id)
    if entry.family == "builtin":
        raise bad_request("The built-in model comes with Skyloop.", "Name another model: models list.")
    licences.require(entry, home)
    path = path.expanduser().absolute()
    at = places.ready_root(home)
    with writing(at / places.LOCK), locked(at / places.LOCK, waiting=busy):
        known = record.read(at / model_id)
        if path.is_dir():
            made = _folder(entry, path, known, Meter(progress))
        else:
            made = _file(entry, path, known, part or entry.architecture.denoisers[0], Meter(progress))
        record.write(at / model_id, made)
        return made


def _folder(entry: Entry, path: Path, known: Record | None, meter: Meter) -> Record:
    if known and not known.local:
        text = f"{entry.name} is here already, or begun."
        raise bad_request(text, f"To use {path} instead, first: models remove {entry.id}.")
    singles = [s for s in entry.single if (path / s.file).is_file()]
    alone = {part for s in singles for part in s.parts}
    weights = check_folder(path, entry, without=alone, kind=ErrorKind.BAD_REQUEST)
    for single in singles:
        check_weights(path / single.file, ErrorKind.BAD_REQUEST)
    weights += [path / s.file for s in singles]
    if absent := [lora.file for lora in entry.lora if not (path / lora.file).is_file()]:
        raise bad_request(f"{path} has no {absent[0]}, which {entry.name} needs.", "Copy it there, then try again.")
    weights += [path / lora.file for lora in entry.lora]
    described = [f for part in sorted(path.iterdir()) if part.is_dir() for f in sorted(part.glob("*.json"))]
    files = list(dict.fromkeys([*weights, *described]))
    total, done, found = sum(f.stat().st_size for f in files), 0, []
    for file in files:
        measured = _measured(file, file.relative_to(path).as_posix(), meter.of("checking", total, done))
        done += measured.size
        found.append(measured)
    return Record(entry.id, record.READY, tuple(found), local=str(path))


def _file(entry: Entry, path: Path, known: Record | None, part: str, meter: Meter) -> Record:
    if part not in entry.architecture.denoisers:
        raise bad_request(
            f"{entry.name} has no part {part[:40]!r}.", f"Use {' or '.join(entry.architecture.denoisers)}."
        )
    if known and known.local:
        raise bad_request(
            f"{entry.name} is your own folder.", f"To use a file instead, first: models remove {entry.id}."
        )
    check_file(path)
    file = _measured(path, str(path), meter.of("checking", path.stat().st_size))
    known = known or Record(entry.id)
    others = tuple(own for own in known.own if own.part != part)
    return replace(known, own=(*others, Own(part, file)))


def check_file(path: Path) -> None:
    """Raise ``bad_request`` unless this is a whole .safetensors file, or a .gguf one by its first bytes."""
    if path.suffix in PICKLED:
        text = f"{path.name} is a pickle file, which can run programs when it is read."
        raise bad_request(text, "Skyloop reads .safetensors and .gguf only: get the file in one of these formats.")
    with open_input(path, MAX_FILE_BYTES) as file:
        first = file.read(4)
    if path.suffix == ".gguf" and first == b"GGUF":
        return
    if path.suffix != ".safetensors":
        raise bad_request(f"{path.name} is no .safetensors or .gguf file.", "Give such a file, or a folder.")
    check_weights(path, ErrorKind.BAD_REQUEST)


def _measured(path: Path, name: str, tell: Tell) -> File:
    """A file with its size and sha256."""
    sha256, done = hashlib.sha256(), 0
    with open_input(path, MAX_FILE_BYTES) as stream:
        while piece := stream.read(_PIECE):
            sha256.update(piece)
            tell(done := done + len(piece))
    return File(name, done, sha256.hexdigest())

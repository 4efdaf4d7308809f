"""Looking after models that are there: verify, remove, move to another disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...media.files import writing
from ...protocol import ErrorKind, SkyloopError, bad_request
from ...runtime.lock import locked
from ...runtime.places import MOVED, write_json
from ..catalogue import entry as entry_of
from . import fetch, licences, places, record
from .getting import busy
from .meter import Meter, Progress, Tell

_SUBFOLDER = "Skyloop models"
_PIECE = 8 << 20


def verify(model_id: str, progress: Progress, home: Path | None = None) -> list[str]:
    """Read every file of a model and say what is wrong with which, as sentences; empty when all is as it was.

    A model with something wrong is not loaded until it was downloaded again. Raises ``missing_model`` when there is
    none.
    """
    entry, at = entry_of(model_id), places.ready_root(home)
    folder = at / model_id
    with writing(at / places.LOCK), locked(at / places.LOCK, waiting=busy):
        known = record.read(folder)
        if known is None:
            text = f"{entry.name} is not on this computer."
            raise SkyloopError(ErrorKind.MISSING_MODEL, text, f"Get it with: models download {model_id}.")
        if known.state == record.PARTIAL:
            text = f"{entry.name} is not all here."
            raise SkyloopError(ErrorKind.MISSING_MODEL, text, f"Go on with: models download {model_id}.")
        files, meter = known.all(folder), Meter(progress)
        total, done = sum(f.size for _, f in files), 0
        found: list[str] = []
        for path, file in files:
            if not record.whole(path, file):
                found.append(f"{file.path} {'has another size' if path.is_file() else 'is missing'}.")
            elif fetch.digest(path, file, meter.of("checking", total, done)) is None:
                found.append(f"{file.path} has changed.")
            done += file.size
        record.write(folder, replace(known, state=record.DAMAGED if found else record.READY))
        return found


def remove(model_id: str, home: Path | None = None) -> int:
    """Remove a model, or only the word of one that is the user's own folder; the bytes freed.

    Raises ``missing_model`` when there is none, ``bad_request`` for the built-in one.
    """
    entry = entry_of(model_id)
    if entry.family == "builtin":
        raise bad_request("The built-in model belongs to Skyloop.", "It cannot be removed.")
    at = places.ready_root(home)
    folder = at / model_id
    with writing(folder), locked(at / places.LOCK, waiting=busy):
        if not folder.is_dir():
            text = f"{entry.name} is not on this computer."
            raise SkyloopError(ErrorKind.MISSING_MODEL, text, "There is nothing to remove.")
        freed = sum(about.st_size for p in _files(folder) if (about := os.lstat(folder / p)).st_nlink == 1)
        (folder / record.NAME).unlink(missing_ok=True)  # first: half-removed must not look whole
        _discard(folder, f"{entry.name} is only partly removed.")
    return freed


def move(to: Path, progress: Progress, home: Path | None = None) -> Path:
    """Move all models to the folder ``to`` (into a new one in it, if others' files are there); where they are now.

    What is in use goes on being found: word of the new place stays in the old one. Cancelled, the models are where they
    were, and moving again goes on. Raises ``SkyloopError``: bad_request, disk_full, internal.
    """
    old, to = places.ready_root(home), to.expanduser().absolute()
    new = to if _is_ours(to) else to / _SUBFOLDER
    if new == old or (new.exists() and new.samefile(old)):
        raise bad_request(f"The models are in {new} already.", "Choose another folder.")
    if old in new.parents or new in old.parents:
        raise bad_request("One of the folders is inside the other.", "Choose a folder elsewhere.")
    with writing(new), locked(old / places.LOCK, waiting=busy), locked(new / places.LOCK, waiting=busy):
        _Move(old, new, Meter(progress)).copy()
        first = places.origin(home)
        if new == first:
            (new / MOVED).unlink(missing_ok=True)
        else:
            write_json(first / MOVED, {"to": str(new)})
        for path in _ours(old):
            _discard(path, f"The models are in {new} now.")
    return new


def _discard(path: Path, so_far: str) -> None:
    """Remove a file or folder. Raises ``SkyloopError``: Windows refuses as long as something is open."""
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        text = f"{so_far} {path} cannot be removed ({error.strerror})."
        raise SkyloopError(ErrorKind.INTERNAL, text, "Close other Blenders, then remove it.") from error


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a place for models and nothing else: it is empty or missing, or was used so before."""
    return not folder.is_dir() or not any(folder.iterdir()) or (folder / places.LOCK).is_file()


def _ours(root: Path) -> list[Path]:
    folders = [p.parent for p in sorted(root.glob(f"*/{record.NAME}"))]
    return [*folders, *(p for p in (root / places.TEXTS, root / licences.NAME) if p.exists())]


def _files(folder: Path) -> Iterator[Path]:
    for base, _, names in os.walk(folder):
        yield from ((Path(base) / name).relative_to(folder) for name in names)


@dataclass
class _Move:
    """Copies what is ours from ``old`` to ``new``; with links on one disk, and where two models share a file."""

    old: Path
    new: Path
    meter: Meter

    def copy(self) -> None:
        paths = [top.relative_to(self.old) / p for top in _ours(self.old) if top.is_dir() for p in _files(top)]
        paths += [top.relative_to(self.old) for top in _ours(self.old) if top.is_file()]
        # The record last: a part of a copy must not look whole.
        paths.sort(key=lambda path: path.name == record.NAME)
        sizes = {path: os.lstat(self.old / path).st_size for path in paths}
        self._check_space(sizes)
        total, done = sum(sizes.values()), 0
        known: dict[tuple[int, int], Path] = {}
        for path in paths:
            about = os.lstat(self.old / path)
            twin = known.setdefault((about.st_dev, about.st_ino), path)
            self._place(path, twin, self.meter.of("copying", total, done))
            done += sizes[path]
            self.meter.tell("copying", done, total)

    def _check_space(self, sizes: dict[Path, int]) -> None:
        if self.old.stat().st_dev == self.new.stat().st_dev:
            return
        inodes = {os.lstat(self.old / path).st_ino: (path, size) for path, size in sizes.items()}
        need = sum(size for path, size in inodes.values() if not (self.new / path).is_file())
        if need > (free := shutil.disk_usage(self.new).free):
            text = f"The models need {need / 1e9:.1f} GB, and {self.new} has {free / 1e9:.1f} GB free."
            raise SkyloopError(ErrorKind.DISK_FULL, text, "Free some space, or choose another disk.")

    def _place(self, path: Path, twin: Path, tell: Tell) -> None:
        source, target = self.old / path, self.new / path
        small = path.name in (record.NAME, licences.NAME)
        if target.is_file() and not small and target.stat().st_size == source.stat().st_size:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.moving")
        part.unlink(missing_ok=True)
        for same in (source, self.new / twin):
            if not small and not source.is_symlink() and same.is_file() and same != target:
                try:
                    os.link(same, part)
                    break
                except OSError:  # another disk, or one without links
                    continue
        else:
            _copy(source, part, tell)
        part.replace(target)


def _copy(source: Path, target: Path, tell: Tell) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    with source.open("rb") as reader, target.open("wb") as writer:
        while piece := reader.read(_PIECE):
            writer.write(piece)
            tell(writer.tell())
        writer.flush()
        os.fsync(writer.fileno())
    shutil.copystat(source, target)

"""Getting a model: which files, what of them is here already, is there room, the rest; and when all is checked, ready.

Going on after anything is doing it again: what is there stays. Files that another model has, or the Hugging Face cache,
get a second name (a hard link, else a symbolic one) and take no room; where the disk has neither, they are copied.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ...media.files import writing
from ...protocol import ErrorKind, SkyloopError, bad_request
from ...runtime.lock import locked
from ..catalogue import Entry
from ..catalogue import entry as entry_of
from . import fetch, hub, licences, places, record
from .check import check_folder, check_weights
from .meter import Meter, Progress, Tell
from .record import File, Record
from .together import Check, together

_AT_ONCE = 4
_PATIENCE_S = 5.0
_SPARE_BYTES = 1 << 30
_TELL_CHECK_BYTES = 200 << 20  # smaller files are checked in a blink


def download(model_id: str, progress: Progress, home: Path | None = None) -> Path:
    """The folder of a model, all of it downloaded and checked. A second call goes on where the first one stopped.

    ``progress`` gets ``phase`` events: ``downloading`` and ``checking``, in MB. Raises ``SkyloopError``: bad_request
    (unknown, licence not accepted, no access), disk_full, internal (the network), missing_model (its disk is gone).
    """
    entry = entry_of(model_id)
    if entry.family == "builtin":
        raise bad_request("The built-in model comes with Skyloop.", "There is nothing to download.")
    licences.require(entry, home)
    hub.quiet()
    at = places.ready_root(home)
    with writing(at / places.LOCK), locked(at / places.LOCK, waiting=busy):
        return _Job(entry, at, Meter(progress)).run()


def busy(seconds: float) -> None:
    """Give up waiting for another who changes the models."""
    if seconds > _PATIENCE_S:
        text = "Another Skyloop is downloading or moving models."
        raise SkyloopError(ErrorKind.INTERNAL, text, "Wait until it is done, or cancel it.")


@dataclass
class _Job:
    entry: Entry
    root: Path
    meter: Meter

    @property
    def folder(self) -> Path:
        return self.root / self.entry.id

    def run(self) -> Path:
        known = record.read(self.folder) or Record(self.entry.id)
        if known.local:
            text = f"{self.entry.name} is your own folder {known.local}."
            raise bad_request(text, f"To download it instead, first: models remove {self.entry.id}.")
        if gone := [own.file.path for own in known.own if not record.whole(Path(own.file.path), own.file)]:
            text = f"{gone[0]}, which you added to {self.entry.name}, is gone or changed."
            raise bad_request(text, f"Put it back, or first: models remove {self.entry.id}.")
        if not known.files:
            known = replace(known, files=self._plan(known))
        suspect = known.state == record.DAMAGED
        record.write(self.folder, replace(known, state=record.PARTIAL))
        left = [f for f in known.files if not self._is_here(f, suspect)]
        left = self._reused(left)
        self._check_space(left)
        digests = self._fetch(left)
        files = tuple(replace(f, sha256=f.sha256 or digests.get(f.path, "")) for f in known.files)
        alone = {part for single in self.entry.single for part in single.parts} | {own.part for own in known.own}
        check_folder(self.folder, self.entry, without=alone)
        for name in [*(s.file for s in self.entry.single), *(lora.file for lora in self.entry.lora)]:
            check_weights(self.folder / name, ErrorKind.MISSING_MODEL)
        record.write(self.folder, replace(known, state=record.READY, files=files))
        return self.folder

    def _plan(self, known: Record) -> tuple[File, ...]:
        """The files to get, without the weights that the user has as a file."""
        own = tuple(f"{each.part}/" for each in known.own)
        needless = (*hub.WEIGHTS, ".index.json")
        found = hub.listing(self.entry, self.meter.wait)
        return tuple(f for f in found if not (own and f.path.startswith(own) and f.path.endswith(needless)))

    def _is_here(self, file: File, suspect: bool) -> bool:
        path = self.folder / file.path
        if not record.whole(path, file):
            return False
        return not suspect or fetch.digest(path, file, self._checking(file)) is not None

    def _reused(self, files: list[File]) -> list[File]:
        """Those that no other place on this machine has; the others get their place here."""
        have = {f.sha256: path for folder in self.root.iterdir() if folder != self.folder
                and (other := record.read(folder)) for path, f in other.all(folder) if f.sha256}  # fmt: skip
        left: list[File] = []
        for file in files:
            for source in (have.get(file.sha256), cached(file)):
                if source and fetch.digest(source, file, self._checking(file)) is not None:
                    link(source, self.folder / file.path)
                    break
            else:
                left.append(file)
        return left

    def _check_space(self, files: list[File]) -> None:
        parts = [self.folder / f"{f.path}.part" for f in files]
        have = sum(p.stat().st_size for p in parts if p.is_file())
        need, free = sum(f.size for f in files) - have, shutil.disk_usage(self.root).free
        if files and need + _SPARE_BYTES > free:
            raise SkyloopError(
                ErrorKind.DISK_FULL,
                f"{self.entry.name} needs {need / 1e9:.1f} GB more, and {self.root} has {free / 1e9:.1f} GB free: "
                f"{(need + _SPARE_BYTES - free) / 1e9:.1f} GB are missing.",
                "Free some space, or keep the models on another disk: models move FOLDER.",
            )

    def _fetch(self, files: list[File]) -> dict[str, str]:
        """Download; the sha256 of each, by path."""
        total, have = sum(f.size for f in files), dict.fromkeys((f.path for f in files), 0)

        def bring(file: File, check: Check) -> str:
            def got(count: int) -> None:
                check()
                have[file.path] = count
                self.meter.tell("downloading", sum(have.values()), total)

            return fetch.fetch(self.entry, file, self.folder / file.path, got, lambda s: self.meter.wait(s, check))

        found = together([partial(bring, file) for file in files], _AT_ONCE)
        return dict(zip(have, found, strict=True))

    def _checking(self, file: File) -> Tell:
        return self.meter.of("checking", file.size) if file.size >= _TELL_CHECK_BYTES else lambda _: None


def cached(file: File) -> Path | None:
    """The file in the Hugging Face cache, whichever commit brought it there; its content is not checked."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=file.repo, repo_type="model")
    blob = folder / "blobs" / (file.sha256 or file.git)
    if blob.is_file():
        return blob.resolve()
    found = try_to_load_from_cache(file.repo, file.name, revision=file.commit)  # no blobs where links are impossible
    return Path(found).resolve() if isinstance(found, str) else None


def link(source: Path, target: Path) -> None:
    """Give ``source`` a second name, or copy it. Raises ``SkyloopError`` as :func:`.media.files.writing`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with writing(target):
        part.unlink(missing_ok=True)
        if not (_linked(os.link, source, part) or _linked(os.symlink, source, part)):
            shutil.copyfile(source, part)
        part.replace(target)


def _linked(make: Callable[[Path, Path], None], source: Path, target: Path) -> bool:
    try:
        make(source, target)
    except OSError:  # another disk, one without links, or Windows without the right to make some
        return False
    return True

"""All skies of this user on the disk, looked up in one go; for a thread, as the disk may be slow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ...backend.jobs import folders, store
from ...backend.jobs.index import card_of
from ...backend.jobs.job_library import Entry, Library
from ...backend.protocol import SkyloopError
from . import jobs
from .course import Past
from .estimate import free_mb
from .jobs import Listed

log = logging.getLogger(__name__)

MOST_PAST = 12  # of the newest skies tell what the next one takes


@dataclass(frozen=True)
class Archive:
    """What was found, newest first."""

    finished: list[Listed] = field(default_factory=list)
    unfinished: list[Listed] = field(default_factory=list)
    candidates: list[Listed] = field(default_factory=list)
    past: list[Past] = field(default_factory=list)
    free_mb: float | None = None  # where new skies go

    @property
    def all(self) -> list[Listed]:
        return [*self.finished, *self.unfinished, *self.candidates]

    @property
    def used_bytes(self) -> int:
        return sum(job.bytes for job in self.all)

    def with_candidate(self, folder: Path) -> Archive:
        """With a candidate that has just been finished, so that it is seen before all is looked up again."""
        if (card := card_of(folder)) is None or folder in [job.folder for job in self.candidates]:
            return self
        listed = Listed(folder, card, resumable=False, created_s=card.written_ns / 1e9, poster=folder / "poster.png")
        return replace(self, candidates=[listed, *self.candidates])

    def without(self, gone: Collection[Path]) -> Archive:
        """The same but for these folders."""
        kept = (
            [job for job in jobs if job.folder not in gone]
            for jobs in (self.finished, self.unfinished, self.candidates)
        )
        finished, unfinished, candidates = kept
        return replace(self, finished=finished, unfinished=unfinished, candidates=candidates)


class Order(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    LARGEST = "largest"
    PROMPT = "prompt"


_KEYS: dict[Order, Callable[[Listed], Any]] = {
    Order.NEWEST: lambda job: -job.created_s,
    Order.OLDEST: lambda job: job.created_s,
    Order.LARGEST: lambda job: -job.bytes,
    Order.PROMPT: lambda job: job.card.prompt.casefold(),
}


def look(roots: Sequence[Path], candidates_roots: Sequence[Path], before: Archive) -> Archive:
    """What the folders hold now. What was known ``before`` of a finished sky is not read again. Never raises."""
    known = {job.folder: job for job in before.all if job.done}
    skies = _listed(jobs.entries(roots), known)
    finished = [job for job in skies if job.done][: jobs.MAX_HISTORY]
    quick = _listed(jobs.entries(candidates_roots), known)
    candidates = [job for job in quick if job.done][: jobs.MAX_HISTORY]
    past = [Past(job.card.model, _work(job), dict(job.card.seconds)) for job in finished[:MOST_PAST]]
    unfinished = [job for job in skies if jobs.left_behind(job)][: jobs.MAX_HISTORY]
    return Archive(finished, unfinished, candidates, past, free_mb(roots[0]) if roots else None)


def matching(listed: Sequence[Listed], words: str, order: Order, *, pinned_only: bool) -> list[int]:
    """The places in ``listed`` of those that match every one of ``words``, in the wanted order."""
    wanted = words.casefold().split()
    found = [
        place
        for place, job in enumerate(listed)
        if (job.pinned or not pinned_only) and all(word in job.searched for word in wanted)
    ]
    return sorted(found, key=lambda place: _KEYS[order](listed[place]))


def to_free(archive: Archive, keep_bytes: float, in_use: Collection[Path]) -> list[Listed]:
    """What goes so that the rest takes at most ``keep_bytes``: quick candidates first, then skies, the oldest first.

    What is pinned, unfinished or in a folder of ``in_use`` always stays.
    """
    used, goes = archive.used_bytes, []
    for job in [*reversed(archive.candidates), *reversed(archive.finished)]:
        if used <= keep_bytes:
            break
        if not job.pinned and job.folder not in in_use:
            goes.append(job)
            used -= job.bytes
    return goes


def free(goes: Iterable[Listed], roots: Sequence[Path]) -> list[str]:
    """Delete these; returns a line for each that has to stay. For a thread."""
    refusals = []
    for job in goes:
        try:
            jobs.delete(job.folder, roots)
        except SkyloopError as error:
            refusals.append(error.message)
    return refusals


def pin(folder: Path, pinned: bool) -> None:
    """Keep a sky from being pruned, or no longer. Raises ``SkyloopError``."""
    Library(folder.parent).pin(folder.name, pinned)


def _listed(found: Iterable[Entry], known: dict[Path, Listed]) -> list[Listed]:
    return [_read(entry, known.get(entry.folder)) for entry in found]


def _read(entry: Entry, known: Listed | None) -> Listed:
    if known and known.card.stamp == entry.card.stamp:
        return replace(known, pinned=entry.pinned)
    time.sleep(0)  # a long history must not keep Python's lock from Blender
    folder = entry.folder
    poster = folder / "poster.png"
    return Listed(
        folder,
        entry.card,
        resumable=store.has_checkpoint(folder),
        status=entry.status,
        pinned=entry.pinned,
        created_s=entry.created_s,
        bytes=folders.usage_bytes(folder),
        poster=poster if store.is_file(poster) else None,
    )


def _work(job: Listed) -> int:
    return job.card.width * job.card.height * job.card.frames

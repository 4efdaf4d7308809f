"""Job folders as the add-on sees them: making one, reading it back, listing, deleting. :mod:`..backend.jobs` does it.

Several Blenders may share them. A running job is known by the lock of the backend at work in it, one that waits by
the :class:`Claim` of the Blender that has it in its queue: both are let alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from ...backend.jobs import folders, store
from ...backend.jobs.index import Card, is_job
from ...backend.jobs.job_library import Entry, Library
from ...backend.jobs.store import Status
from ...backend.media.files import is_real_folder
from ...backend.protocol import GenerateRequest, SkyloopError, bad_request
from ...backend.runtime.lock import is_held, locked

CANDIDATES = "candidates"
MAX_HISTORY = 2000  # more than anyone looks through; what a tick of Blender takes grows with it
_CLAIM_WAIT_S = 0.5  # who only asks whether it is held holds it for a moment


class Purpose(StrEnum):
    """What a job is made for. Its folder says so, so that it is known after a restart and in another Blender."""

    SKY = "sky"
    CANDIDATE = "candidate"
    """A quick one, to choose among; it lies in a folder ``candidates`` of a folder of skies."""

    @staticmethod
    def of(folder: Path) -> Purpose:
        """The purpose of the job in ``folder``, which need not exist."""
        return Purpose.CANDIDATE if folder.parent.name == CANDIDATES else Purpose.SKY


@dataclass(frozen=True)
class Job:
    """One generation, however far it is, read from its folder."""

    folder: Path
    request: GenerateRequest

    @property
    def finished(self) -> bool:
        return store.status(self.folder) is Status.DONE

    @property
    def movie(self) -> Path:
        return self.folder / "sky.mp4"

    @property
    def title(self) -> str:
        return shorten(self.request.prompt)


@dataclass(frozen=True)
class Listed:
    """One generation as lists show it; all there is to know was looked up when the list was made."""

    folder: Path
    card: Card
    resumable: bool  # it has a checkpoint to go on from; else it would begin anew
    status: Status = Status.DONE
    pinned: bool = False
    created_s: float = 0.0  # since 1970
    bytes: int = 0  # on the disk
    poster: Path | None = None

    @property
    def title(self) -> str:
        return shorten(self.card.prompt)

    @property
    def done(self) -> bool:
        return self.status is Status.DONE

    @property
    def took_s(self) -> float:
        """How long it took, 0 where no record says."""
        return sum(seconds for _, seconds in self.card.seconds)

    @cached_property
    def searched(self) -> str:
        """What a search looks in, in small letters."""
        card = self.card
        return "\n".join((card.prompt, card.model, card.method, str(card.seed), self.folder.name)).casefold()


def shorten(text: str, length: int = 48) -> str:
    """``text`` on one line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def create(root: Path, request: GenerateRequest) -> Path:
    """Make a new job folder in ``root`` with its ``request.json``. Raises ``SkyloopError`` when that fails."""
    return Library(root.resolve()).add(request).path


def read(folder: Path) -> Job:
    """The job in ``folder``, or the results of the command line. Raises ``SkyloopError`` when there is neither."""
    if (request := store.recorded(folder)) is None:
        raise bad_request(f"There is no Skyloop job in {folder}.", "It may have been moved or deleted.")
    return Job(folder, request)


def left_behind(job: Listed) -> bool:
    """Whether it ended before it was done, and no Blender has it in its queue.

    One that the user cancelled counts while it has a checkpoint.
    """
    if job.status in (Status.DONE, Status.RUNNING) or is_held(job.folder / store.QUEUED):
        return False
    return job.resumable or job.status is not Status.CANCELLED


def entries(roots: Iterable[Path]) -> list[Entry]:
    """All jobs in ``roots``, however far they are, newest first."""
    found: list[Entry] = []
    for root in {root.resolve() for root in roots}:
        with contextlib.suppress(SkyloopError):  # one that cannot be read must not hide the others
            found += Library(root).list()
    return sorted(found, key=lambda entry: (entry.created_s, entry.name), reverse=True)


def known(folder: Path, roots: Iterable[Path]) -> Path:
    """``folder``, when it is a job's and lies directly in one of ``roots``; whoever deletes or runs a job asks first.

    The path may come from a file that somebody else made. Raises ``SkyloopError(bad_request)``.
    """
    with contextlib.suppress(OSError, ValueError):
        own = folder.name not in ("", "..") and not folder.name.startswith(".")
        inside = any(folder.parent in (root, root.resolve()) for root in roots)
        if own and inside and is_real_folder(folder) and is_job(folder):
            return folder.resolve()
    raise bad_request(f"{folder} is not a job of Skyloop's in your folder of skies.", "It may have been moved.")


def delete(folder: Path, roots: Iterable[Path]) -> None:
    """Remove a job with all its files. Raises ``SkyloopError`` when it is none, is in use, or cannot be removed."""
    folder = known(folder, roots)
    Library(folder.parent).delete(folder.name)


def discard(folder: Path) -> None:
    """Remove a cancelled job unless there is something in it to go on from, or to see. Never raises.

    A quick candidate is not worth going on with.
    """
    worth = store.has_checkpoint(folder) and Purpose.of(folder) is Purpose.SKY
    if not worth and store.status(folder) not in (Status.DONE, Status.RUNNING):
        with contextlib.suppress(SkyloopError):
            folders.remove(folder)


class Claim:
    """Says to other Blenders that a job is in this one's queue. It ends with this process, however that ends."""

    def __init__(self, folder: Path) -> None:
        """Raises ``SkyloopError(bad_request)`` when another has claimed ``folder``."""
        self._file = folder / store.QUEUED
        self._held = contextlib.ExitStack()

        def busy(waited_s: float) -> None:
            if waited_s > _CLAIM_WAIT_S:
                raise bad_request(f"{folder.name} is in a queue already.", "Perhaps another Blender has it.")

        with contextlib.suppress(OSError):  # a disk without locks: then nobody can tell
            self._held.enter_context(locked(self._file, waiting=busy, poll_s=0.05))

    def release(self) -> None:
        self._held.close()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

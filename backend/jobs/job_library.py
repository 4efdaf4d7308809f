"""A folder of job folders as a library: list, search, add, delete, pin, and keep to a size. Standard library only.

The folders are the truth. An index beside them (:mod:`.index`) spares reading every request; it may be lost any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ..media.files import is_real_folder, open_regular, private_folder, write_error
from ..protocol import GenerateRequest, SkyloopError, bad_request
from ..runtime.lock import is_held
from . import folders, index
from .index import Card
from .store import QUEUED, Job, Status, create, has_checkpoint, is_file, recorded, status

PIN = "pinned"
_TIME_FORMAT = "%Y%m%d-%H%M%S"
_TIME = re.compile(r"\d{8}-\d{6}(?![0-9])")
_SLUG_CHARS = 32
_ENDED = (Status.FAILED, Status.CANCELLED, Status.INTERRUPTED)


@dataclass(frozen=True)
class Entry:
    """A job of a library: its folder, what the index says of its request, and how far it is."""

    folder: Path
    card: Card
    status: Status
    pinned: bool
    created_s: float
    """When it was made, seconds since 1970: what the folder's name says, else when the request was written."""

    @property
    def name(self) -> str:
        return self.folder.name

    def matches(self, words: str) -> bool:
        """Whether every one of ``words`` is in the prompt, model, method, seed or name, in any case of letters."""
        card = self.card
        text = "\n".join((card.prompt, card.model, card.method, str(card.seed), self.name)).casefold()
        return all(word in text for word in words.casefold().split())


Entries = list[Entry]  # inside the class, `list` is something else


class Library:
    """The jobs in the folder ``root``, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def list(self, only: Status | None = None, words: str = "") -> Entries:
        """The jobs, newest first: those of status ``only``, and those that :meth:`Entry.matches` ``words``.

        Links and hidden folders are passed over. Raises ``SkyloopError(bad_request)`` when ``root`` cannot be read; one
        that does not exist is an empty library.
        """
        known = index.read(self.root)
        cards: dict[str, Card] = {}
        found: Entries = []
        for folder in self._folders():
            if card := index.card_of(folder, known.get(folder.name)):
                cards[folder.name] = card
                entry = _entry(folder, card)
                if entry.matches(words) and only in (None, entry.status):
                    found.append(entry)
        index.write(self.root, cards, known)
        return sorted(found, key=lambda e: (e.created_s, e.card.written_ns, e.name), reverse=True)

    def get(self, name: str) -> Entry:
        """The job in the folder of that name. Raises ``SkyloopError(bad_request)`` without one that can be read."""
        folder = self._folder(name)
        if (card := index.card_of(folder)) is None:
            raise _unreadable(name)
        return _entry(folder, card)

    def request(self, name: str) -> GenerateRequest:
        """The settings of a job, to use them again. Raises ``SkyloopError(bad_request)`` when they cannot be read."""
        if (request := recorded(self._folder(name))) is None:
            raise _unreadable(name)
        return request

    def add(self, request: GenerateRequest) -> Job:
        """A new job folder, named after the time and the prompt; it appears with its request in it, or not at all.

        Raises ``SkyloopError`` (bad_request, disk_full, internal).
        """
        folders.sweep_scraps(private_folder(self.root))
        scrap = create(folders.scrap_name(self.root), request).path
        slug = "-".join(re.findall(r"[a-z0-9]+", request.prompt.lower()))[:_SLUG_CHARS].strip("-") or "sky"
        name = f"{time.strftime(_TIME_FORMAT)}-{slug}"
        folder = _rename_to_free(scrap, self.root / name)
        folders.flush_names(self.root)
        return Job(folder, str(folder))

    def delete(self, name: str) -> None:
        """Remove a job with all its files. Raises ``SkyloopError`` when it is being worked on or has to stay."""
        folders.sweep_scraps(self.root)
        _delete(self._folder(name))

    def pin(self, name: str, pinned: bool = True) -> None:
        """Keep a job from being pruned, or no longer. Raises ``SkyloopError`` (bad_request, disk_full, internal)."""
        mark = self._folder(name) / PIN
        try:
            if pinned:
                os.close(open_regular(mark, os.O_WRONLY | os.O_CREAT))
            else:
                mark.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(error, mark) from error

    def usage_bytes(self) -> int:
        """What all jobs take on the disk."""
        return sum(folders.usage_bytes(folder) for folder in self._folders() if index.is_job(folder))

    def prune(self, budget_bytes: int, in_use: Collection[Path] = ()) -> Entries:
        """Remove jobs, the oldest first, until the rest takes at most ``budget_bytes``; returns those removed.

        What is pinned, waits, runs, can be gone on with or lies in a folder of ``in_use`` always stays, whatever it
        takes.
        """
        folders.sweep_scraps(self.root)
        kept = {_same(path) for path in in_use}
        entries = [(entry, folders.usage_bytes(entry.folder)) for entry in self.list()]
        total, removed = sum(size for _, size in entries), []
        for entry, size in reversed(entries):
            if total <= budget_bytes:
                break
            if _disposable(entry) and _same(entry.folder) not in kept:
                with contextlib.suppress(SkyloopError):  # it stays: somebody began to work on it, or the disk refuses
                    _delete(entry.folder)
                    removed.append(entry)
                    total -= size
        return removed

    def rebuild(self) -> int:
        """Make the index anew from the folders; returns how many jobs there are. Raises like :meth:`list`."""
        index.forget(self.root)
        return len(self.list())

    def _folder(self, name: str) -> Path:
        """The folder of a job, which need not be one that can be read."""
        own = name and Path(name).name == name and not name.startswith(".")
        if not (own and is_real_folder(self.root / name) and index.is_job(self.root / name)):
            raise bad_request(f"There is no job {name[:80]!r} in {self.root}.", "See: jobs list")
        return self.root / name

    def _folders(self) -> list[Path]:
        try:
            with os.scandir(self.root) as found:
                names = [e.name for e in found if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = error.strerror or str(error)
            raise bad_request(
                f"{self.root} cannot be read ({reason}).", "Choose a folder that you may read."
            ) from error
        return [folder for name in names if is_real_folder(folder := self.root / name)]


def _rename_to_free(scrap: Path, wanted: Path) -> Path:
    """Give a folder the name ``wanted``, with a number if that is taken; returns it."""
    folder, number = wanted, 1
    while True:
        if not os.path.lexists(folder):
            try:
                return scrap.rename(folder)
            except OSError as error:
                if not os.path.lexists(folder):  # else another took the name just now
                    raise write_error(error, folder) from error
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")


def _unreadable(name: str) -> SkyloopError:
    return bad_request(f"The request of {name} cannot be read.", "It may be of a newer Skyloop: update.")


def default_root() -> Path:
    """Where the add-on puts skies while nothing else is chosen. Raises ``SkyloopError(bad_request)`` without one."""
    root = Path.home() / "Skyloop"
    if not root.is_dir():
        raise bad_request(f"There is no {root}.", "Say with --root where the job folders are.")
    return root


def _entry(folder: Path, card: Card) -> Entry:
    return Entry(folder, card, status(folder), is_file(folder / PIN), _created_s(folder.name, card))


def _created_s(name: str, card: Card) -> float:
    if match := _TIME.match(name):
        with contextlib.suppress(ValueError, OverflowError):
            return time.mktime(time.strptime(match[0], _TIME_FORMAT))
    return card.written_ns / 1e9


def _disposable(entry: Entry) -> bool:
    ended = entry.status is Status.DONE or (entry.status in _ENDED and not has_checkpoint(entry.folder))
    return ended and not entry.pinned


def _delete(folder: Path) -> None:
    if is_held(folder / QUEUED):
        raise bad_request(f"{folder.name} waits in a queue.", "Cancel it first.")
    lock = folder / ".lock"
    lockable = is_file(lock) or not os.path.lexists(lock)  # with a link or pipe of that name, nobody can be at work
    with Job(folder, str(folder)).locked() if lockable else contextlib.nullcontext():
        if os.name != "nt":  # where a folder with an open file keeps its name
            folders.remove(folder)
    if os.name == "nt":
        folders.remove(folder)


def _same(path: Path) -> str:
    """One spelling for every way to write a path."""
    return os.path.normcase(os.path.realpath(path))

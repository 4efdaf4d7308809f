"""What an environment should hold, by the lists its packages brought along, and what of it is missing or changed."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RECORD = "RECORD"


@dataclass(frozen=True)
class Entry:
    """One file of a package. ``size`` is -1 and ``sha256`` empty where its list does not say."""

    path: Path
    sha256: str
    size: int


def normal(name: str) -> str:
    """A package's name as indexes compare it: ``Foo.bar_baz`` and ``foo-bar-baz`` are one."""
    return name.lower().replace("_", "-").replace(".", "-")


def packages(site: Path) -> dict[str, Path]:
    """The ``.dist-info`` folders of a ``site-packages`` folder, by normal name."""
    return {normal(folder.name.split("-")[0]): folder for folder in sorted(site.glob("*.dist-info"))}


def entries(info: Path) -> list[Entry] | None:
    """The files of the package with this ``.dist-info`` folder; None where its list is missing or cannot be read."""
    try:
        with (info / RECORD).open(encoding="utf-8", newline="") as file:
            return [_entry(info.parent, *row) for row in csv.reader(file) if row]
    except (OSError, ValueError, TypeError):
        return None


def _entry(site: Path, name: str, sha256: str, size: str) -> Entry:
    return Entry(site / name, sha256.removeprefix("sha256="), int(size) if size else -1)


def damaged(site: Path, want: dict[str, str], on_bytes: Callable[[int], None]) -> dict[str, str]:
    """Which of the packages ``want`` (normal name: version) are not as they were installed, and why.

    Reads every file; ``on_bytes(n)`` is told the bytes read so far and may raise to stop.
    """
    have, found, read = packages(site), {}, 0
    for name, version in want.items():
        info = have.get(name)
        listed = entries(info) if info else None
        if info is None or listed is None:
            found[name] = "is missing"
        elif info.name.removesuffix(".dist-info").partition("-")[2] != version:
            found[name] = f"is not version {version}"
        else:
            for entry in listed:
                if reason := _wrong(entry):
                    found[name] = f"{entry.path.name} {reason}"
                    break
                read += max(0, entry.size)
                on_bytes(read)
    return found


def listed_bytes(site: Path) -> int:
    """The bytes that :func:`damaged` will read of everything there."""
    return sum(max(0, entry.size) for entry in _all(site))


def _all(site: Path) -> Iterator[Entry]:
    for info in packages(site).values():
        yield from entries(info) or ()


def _wrong(entry: Entry) -> str:
    """Why a file is not as it was installed; empty when it is."""
    try:
        if entry.size < 0 or not entry.sha256:  # the list itself, and what Python compiles
            return "" if entry.path.exists() or entry.path.suffix == ".pyc" else "is missing"
        if entry.path.stat().st_size != entry.size:
            return "has another size"
        with entry.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == entry.sha256 else "has changed"

"""The index of a library: what its jobs ask for, so that listing a thousand does not read a thousand requests.

An entry holds while the files that it was read from have the same times, sizes and numbers. A file that was written
less than two seconds before it was read may change once more without any of these changing, so it is read again next
time (Git calls such entries racy). An index that is missing, damaged, of another version or cannot be written costs
time, nothing else. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import stat
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..media.files import atomic_write, read_bytes
from ..protocol import SkyloopError
from ..typed import field_types, parse_json, typed
from .store import recorded, result_in

NAME = ".skyloop.index.json"  # hidden, and of a name that cannot be anyone else's
_VERSION = 2
_MAX_BYTES = 64 << 20
_RACY_NS = 2 * 10**9


@dataclass(frozen=True)
class Card:
    """What is known of a job without reading its request."""

    prompt: str
    model: str
    method: str
    seed: int
    width: int
    height: int
    frames: int
    stamp: tuple[int, ...]
    """Time (ns), size and number of ``request.json``, then of ``result.json``; zeros for one that is not there."""
    fps: float = 0.0
    loop: bool = True
    steps: int = 0
    """As asked for: 0 is the model's own number."""
    seconds: tuple[tuple[str, float], ...] = ()
    """By phase, of a finished job; what follows is empty or 0 too where none is finished."""
    evaluations: int = 0
    device: str = ""
    peak_memory_mb: int = 0
    """Of the device, or where it has no memory of its own, of the host."""

    @property
    def written_ns(self) -> int:
        """When the request was written, or where there is only a result, that."""
        return self.stamp[0] or self.stamp[3]


def card_of(folder: Path, known: Card | None = None) -> Card | None:
    """The card of the job in ``folder``, ``known`` if it still holds; None where there is no request to be read."""
    stamp = _stamp(folder)
    if not any(stamp):
        return None
    if known and known.stamp == stamp:
        return known
    if (request := recorded(folder)) is None:
        return None
    asked = (request.prompt, request.model, request.method, request.seed)
    shape = (request.width, request.height, request.frames)
    return Card(*asked, *shape, stamp, request.fps, request.loop, request.steps, **_cost(folder))


def _cost(folder: Path) -> dict[str, Any]:
    """What a finished job took, as fields of its card; nothing where that is not told, or not as numbers."""
    result = result_in(folder) or {}
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        peak = result["peak_memory_mb"]
        found: dict[str, Any] = {
            "seconds": tuple((str(name)[:40], float(value)) for name, value in list(result["seconds"].items())[:32]),
            "evaluations": result["evaluations"],
            "device": result["device"][:200],
            "peak_memory_mb": peak.get("device", peak.get("host", 0)),
        }
        types = field_types(Card)
        return {name: typed(name, types[name], value) for name, value in found.items()}
    return {}


def is_job(folder: Path) -> bool:
    """Whether there is a request in ``folder``, or a result that holds one; it may be one that cannot be read."""
    return any(_stamp(folder))


def _stamp(folder: Path) -> tuple[int, ...]:
    found = [0, 0, 0, 0, 0, 0]
    for at, name in ((0, "request.json"), (3, "result.json")):
        with contextlib.suppress(OSError, ValueError):
            about = (folder / name).lstat()
            if stat.S_ISREG(about.st_mode):
                found[at : at + 3] = about.st_mtime_ns, about.st_size, about.st_ino % 2**63
    return tuple(found)


def read(root: Path) -> dict[str, Card]:
    """The cards by folder name; those that are no cards are left out."""
    found: dict[str, Card] = {}
    with contextlib.suppress(OSError, ValueError, SkyloopError):
        document = parse_json(read_bytes(root / NAME, _MAX_BYTES))
        if (
            isinstance(document, dict)
            and document.get("version") == _VERSION
            and isinstance(document.get("jobs"), dict)
        ):
            for name, card in document["jobs"].items():
                with contextlib.suppress(ValueError):
                    found[name] = typed("card", Card, card)
    return found


def write(root: Path, cards: Mapping[str, Card], known: Mapping[str, Card]) -> None:
    """Keep the cards that can be trusted, if they are others than ``known``. Never raises."""
    latest_ns = time.time_ns() - _RACY_NS
    kept = {name: card for name, card in cards.items() if max(card.stamp[0], card.stamp[3]) < latest_ns}
    if kept != known:
        document: dict[str, Any] = {"version": _VERSION, "jobs": {name: asdict(card) for name, card in kept.items()}}
        with contextlib.suppress(SkyloopError, OSError):
            atomic_write(root / NAME, json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace"))


def forget(root: Path) -> None:
    """Remove the index. Never raises."""
    with contextlib.suppress(OSError):
        (root / NAME).unlink(missing_ok=True)

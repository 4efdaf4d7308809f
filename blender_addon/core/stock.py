"""What of the models is on this computer, as one look at the disk found it; and what they need, in words.

:func:`look` reads the disk, which may take its time: only for a thread. All else is pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...backend.models.catalogue import Entry, entries
from .estimate import free_mb

READY, PARTIAL, DAMAGED, NONE = "ready", "partial", "damaged", "none"
BUILT_IN = "builtin"
# What the command line advises, as what there is to press here.
_COMMAND = re.compile(
    r"(?<!\w)models (download|remove|move|add|list)(?!\w)|--accept-licence|HF_TOKEN|HF_ENDPOINT|--device"
)
_PRESS = {
    "download": "Press Get Model.",
    "remove": "Press Remove Model first.",
    "move": "Free some space, or move the models to another disk in the preferences.",
    "add": "Use a folder of your own instead, or update Skyloop.",
    "list": "Close other programs, or choose a smaller model.",
    "--accept-licence": "Press Get Model again, read the licence and accept it.",
    "--device": "Close other programs, or choose a smaller model.",
    "HF_ENDPOINT": "Start again later; if it goes on, look at the mirror in the preferences.",
}
_PAGE = re.compile(r"https://\S+[^\s.,]")


@dataclass(frozen=True)
class Held:
    """What is here of one model. ``condition`` as the store says; ``mb`` of its files, wherever they are; ``own``: the
    user's own folder or files that it is made of, which are never removed; ``accepted``: the licence is."""

    condition: str = NONE
    mb: float = 0.0
    own: tuple[str, ...] = ()
    accepted: bool = False

    @property
    def ready(self) -> bool:
        return self.condition == READY


@dataclass(frozen=True)
class Stock:
    """What one look found. ``home`` is of the runtime, None the default one; ``folder`` holds the models."""

    home: Path | None
    folder: Path
    free_mb: float | None
    held: Mapping[str, Held] = field(default_factory=dict)

    def of(self, model_id: str) -> Held:
        """What is here of one model; nothing of one that was not looked for."""
        return self.held.get(model_id, Held())

    @property
    def used_mb(self) -> float:
        """Of what Skyloop keeps; files that models share count for each."""
        return sum(held.mb for held in self.held.values() if not held.own)


def look(home: Path | None) -> Stock:
    """Look at all models. Raises ``OSError`` where the disk cannot be read."""
    from ...backend.models import store  # which takes longer to import than all else here
    from ...backend.models.store import record

    root, held = store.root(home), {}
    for entry in entries():
        folder = store.folder(entry.id, home)
        found = None if entry.id == BUILT_IN else record.read(folder)
        mb, own = 0.0, ()
        if found:
            own = tuple(filter(None, (found.local, *(each.file.path for each in found.own))))
            mb = sum(file.size for _, file in found.all(folder)) / 1e6
        held[entry.id] = Held(store.condition(entry.id, home), mb, own, store.accepted(entry, home))
    return Stock(home, root, free_mb(root), held)


def known() -> dict[str, Entry]:
    """All models there are, by id, those to try first in front."""
    return {entry.id: entry for entry in entries()}


def name_of(model_id: str) -> str:
    """How a model is called; one that is not in the catalogue by its id."""
    entry = known().get(model_id)
    return entry.name if entry else model_id[:40]


def gigabytes(mb: float) -> str:
    """A size for people, as disks and cards are sold: "850 MB", "3.9 GB", "126 GB"."""
    if mb < 995:
        return f"{mb:.0f} MB"
    return f"{mb / 1000:.1f} GB" if mb < 99_500 else f"{mb / 1000:.0f} GB"


def needs(entry: Entry) -> str:
    """The memory that a model asks for, as long as nobody knows the card."""
    memory = entry.memory
    if memory.comfortable_gb <= memory.min_gb:
        return f"{memory.min_gb:g} GB or more"
    return f"{memory.min_gb:g} GB or more; with {memory.comfortable_gb:g} GB it is faster"


def fits(entry: Entry, kind: str, memory_mb: float) -> tuple[bool, str]:
    """Whether a model is for what computes here, and what there is to say about it.

    ``kind`` is ``cpu``, ``cuda`` or ``mps``; ``memory_mb`` the device's.
    """
    least, comfortable = entry.memory.min_gb, entry.memory.comfortable_gb
    if entry.id == BUILT_IN:
        return True, "It runs on any computer."
    if kind == "cpu":
        return False, "Without a graphics card it takes hours or days for a sky."
    has = f"{memory_mb / 1000:.0f}"
    held = entry.memory.on(memory_mb)
    if not held:
        return False, f"It needs a graphics card with {least:g} GB; this one has {has}."
    if held == "parts":
        return True, f"It fits this graphics card ({has} GB) a part at a time; with {comfortable:g} GB it is faster."
    return True, f"It fits this graphics card ({has} GB) as a whole."


def advice(hint: str) -> str:
    """A hint of the command line's, as what to do in Blender."""
    found = _COMMAND.search(hint)
    if found is None:
        return hint
    if found[0] == "HF_TOKEN":
        if pages := _PAGE.findall(hint):
            return f"Accept its conditions at {pages[0]}, then enter the token of your account in the preferences."
        return "Enter the token of your account in the preferences."
    return _PRESS[found[1] or found[0]]


def made_with(model_id: str, stock: Stock | None) -> str:
    """With which model an earlier sky was made, and whether it could be made again."""
    name = name_of(model_id)
    if model_id not in known():
        return f"Made with {name}, a model that is not known here"
    if stock and not stock.of(model_id).ready:
        return f"Made with {name}, which is not on this computer"
    return f"Made with {name}"

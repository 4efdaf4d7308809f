"""Which licences the user has agreed to, and when: ``licences.json`` beside the models."""

from __future__ import annotations

import datetime
from pathlib import Path

from ...protocol import bad_request
from ...runtime.places import read_document, write_json
from ..catalogue import Entry
from . import places

NAME = "licences.json"


def accepted(entry: Entry, home: Path | None = None) -> bool:
    """Whether nothing stands in the way: the licence asks for nothing, or was agreed to for this model."""
    return not entry.licence.accept or _read(home).get(entry.id, {}).get("licence") == entry.licence.name


def accept(entry: Entry, home: Path | None = None) -> None:
    """Remember that the user agreed now. Raises ``SkyloopError`` when that cannot be written."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    at = places.ready_root(home)
    write_json(at / NAME, _read(home) | {entry.id: {"licence": entry.licence.name, "accepted": now}})


def require(entry: Entry, home: Path | None = None) -> None:
    """Raise ``bad_request`` that tells the licence's limits unless it was agreed to."""
    if not accepted(entry, home):
        text = f"{entry.name} comes with the {entry.licence.name}, which you have not accepted: {entry.licence.limits}"
        where = f" at {entry.licence.link}" if entry.licence.link else ""
        raise bad_request(text, f"Read it{where}; if you agree, add --accept-licence.")


def _read(home: Path | None) -> dict[str, dict[str, str]]:
    found = read_document(places.root(home) / NAME) or {}
    return {key: value for key, value in found.items() if isinstance(value, dict)}

"""Base models behind one protocol (:mod:`.base`): the built-in one (:mod:`.builtin`), and those of :mod:`.families`.

:mod:`.catalogue` says which there are, :mod:`.store` keeps them on the disk. Importing this is cheap.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .catalogue import Entry, entries


def catalogue(home: Path | None = None) -> list[dict[str, Any]]:
    """What can be generated with, as plain values, those to try first in front. ``home``: of the runtime.

    ``{id, name, family, licence, size_mb, ready, summary, needs}``, and besides: ``condition`` (``ready``,
    ``partial``, ``damaged`` or ``none``), ``folder``, ``task``, ``takes``, ``parameters_b``, ``extends``, ``gated``,
    ``licence_limits``, ``licence_link``, ``accepted``, ``memory``, ``window`` and ``preset`` (see :class:`.Entry`).
    """
    return [_about(entry, home) for entry in entries()]


def _about(entry: Entry, home: Path | None) -> dict[str, Any]:
    from . import store  # what it takes to download is not needed to name models

    condition = store.condition(entry.id, home)
    return {
        "id": entry.id,
        "name": entry.name,
        "family": entry.family,
        "licence": entry.licence.name,
        "size_mb": entry.size_mb or _builtin_mb(),
        "ready": condition == "ready",
        "summary": entry.summary,
        "needs": entry.needs,
        "condition": condition,
        "folder": str(store.folder(entry.id, home)),
        "task": entry.task,
        "takes": list(entry.takes),
        "parameters_b": entry.parameters_b,
        "extends": entry.extends,
        "gated": entry.gated,
        "licence_limits": entry.licence.limits,
        "licence_link": entry.licence.link,
        "accepted": store.accepted(entry, home),
        "memory": asdict(entry.memory),
        "window": asdict(entry.window),
        "preset": asdict(entry.preset),
    }


def _builtin_mb() -> float:
    from .store.places import WEIGHTS

    return round(sum(f.stat().st_size for f in WEIGHTS.glob("*.safetensors")) / 1e6, 1)

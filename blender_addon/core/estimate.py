"""What a sky will take before it is made: time, memory and disk; from what earlier ones took on this computer."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...backend.estimate import LATEST, Estimate, estimate, kind_of
from ...backend.jobs.index import Card
from ...backend.protocol import GenerateRequest

__all__ = ["Estimate", "device_kind", "expected", "free_mb"]


def device_kind(chosen: str, devices: Sequence[dict[str, Any]], past: Sequence[Card]) -> str:
    """``cpu``, ``cuda`` or ``mps``: what will compute. Where the choice is the generator's, the best ``devices`` it has
    found; before it was started, what made the latest of the ``past`` skies, newest first."""
    if chosen != "auto":
        return chosen
    if devices:
        return str(devices[0].get("id", "cpu")).partition(":")[0]
    return next((kind_of(card.device) for card in past if card.device), "cpu")


def expected(request: GenerateRequest, device: str, past: Sequence[Card]) -> Estimate:
    """The estimate for a device of that kind, from the ``past`` skies, newest first."""
    told = tuple(card for card in past if card.evaluations and kind_of(card.device) == device)
    return _expected(request, device, told[:LATEST])


@lru_cache(maxsize=256)  # a panel asks several times whenever it is drawn
def _expected(request: GenerateRequest, device: str, past: tuple[Card, ...]) -> Estimate:
    return estimate(request, device, past)


def free_mb(folder: Path) -> float | None:
    """Free space on the disk of ``folder``, which need not exist yet; None where it cannot be told."""
    for existing in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(existing).free / 1e6
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None

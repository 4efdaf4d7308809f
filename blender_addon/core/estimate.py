"""What a sky will take before it is made: time, memory and disk; from what earlier ones took."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...backend.jobs.store import needed_bytes
from ...backend.protocol import GenerateRequest


@dataclass(frozen=True)
class Estimate:
    seconds: float
    memory_mb: float
    disk_mb: float


def device_kind(chosen: str, devices: Sequence[dict[str, Any]]) -> str:
    """``cpu``, ``cuda`` or ``mps``: what computes, of those that the generator has found, best first."""
    if chosen != "auto":
        return chosen
    return str(devices[0].get("id", "cpu")).partition(":")[0] if devices else "cpu"


def expected(request: GenerateRequest, device: str, past: Sequence[Any] = ()) -> Estimate:
    pixels = request.width * request.height * request.frames
    seconds = 10 + 30 * pixels / (512 * 256 * 16) * (request.steps or 12) / 12 * (2 if request.measure else 1)
    return Estimate(seconds, 900 + 300 * pixels / (1024 * 512 * 16), needed_bytes(request) / 1e6)


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

"""Quality figures of panoramic videos, and how they are shown. Importing this package loads neither numpy nor torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def evaluate_file(path: Path) -> dict[str, Any]:
    """The quality figures of a video file, ours or not. Raises ``SkyloopError(bad_request)`` when it is not a video."""
    from .files import evaluate_file as evaluate

    return evaluate(path)

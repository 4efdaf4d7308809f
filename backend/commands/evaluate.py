"""``evaluate PATH``: the quality figures of an equirectangular video."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..protocol import bad_request
from .inside import enter_runtime
from .progress import Progress


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Print the figures as a table, or return them for ``--json``."""
    path = _video(options.path)
    enter_runtime(argv)
    progress = Progress(sys.stderr)
    from ..evaluation import evaluate_file, report

    progress.note("Measuring")
    try:
        figures = evaluate_file(path)
    finally:
        progress.clear()
    if not options.json:
        print(report.table(figures))
    return figures


def _video(path: Path) -> Path:
    """The video at ``path``, which may be a job folder. Raises ``SkyloopError(bad_request)`` when it cannot be read."""
    try:
        if path.is_dir():
            path = path / "sky.mp4"
        with path.open("rb") as file:
            if not file.read(1):
                raise bad_request(f"{path} is empty.", "Give an equirectangular video.")
    except OSError as error:
        reason = error.strerror or str(error)
        raise bad_request(f"{str(path)[:200]} cannot be read ({reason}).", "Give an equirectangular video.") from error
    return path

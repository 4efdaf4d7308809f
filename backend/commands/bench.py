"""``bench``: how fast this machine is, in figures that can be compared."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..models import store
from ..models.catalogue import entry
from ..protocol import Event
from .inside import enter_runtime
from .progress import Progress
from .tables import print_table

_WORDS = {
    "engine_over_bare": "engine over bare model",
    "memory_8192_over_1024": "peak memory at 8192x4096 over 1024x512",
    "small_sky_s": "512x256, 16 frames, s",
    "help_s": "--help, s",
}


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Measure and print a table, or return the document for ``--json``. Raises ``SkyloopError``."""
    store.required(entry(options.model).id)
    enter_runtime(argv)
    from ..bench.anywhere import bench

    progress, work = Progress(sys.stderr), bench(options.model, options.device)
    while True:
        try:
            progress(next(work))
        except StopIteration as finished:
            document = finished.value
            break
    progress(Event(type="done"))
    if not options.json:
        print_table(_rows(document))
    return document


def _rows(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    figures, goals = document["figures"], document["goals"]
    rows = [("figure", document["device"], "goal")]
    for key, words in _WORDS.items():
        if key in figures:
            rows.append((words, f"{figures[key]:.2f}", f"{goals[key]:g}" if key in goals else ""))
    return [*rows, *((f"evaluations, {name}", str(count), "") for name, count in figures["evaluations"].items())]

"""``models``: what can generate, and what of it is on this computer."""

from __future__ import annotations

import argparse
from typing import Any

from .. import models
from .tables import print_table

_STATES = {"ready": "ready", "partial": "not all here", "damaged": "damaged", "none": ""}


def run_list(options: argparse.Namespace, _argv: list[str]) -> list[dict[str, Any]]:
    """Print a table of the models, or return them for ``--json``."""
    found = models.catalogue()
    if not options.json:
        print_table([("id", "", "size", "memory", "licence", "summary"), *map(_row, found)])
    return found


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    size, memory = f"{model['size_mb'] / 1000:.1f} GB", f"{model['memory']['min_gb']:g} GB"
    return model["id"], _STATES[model["condition"]], size, memory, model["licence"], model["summary"]

"""``models list``: what can generate."""

from __future__ import annotations

import argparse
from typing import Any

from .. import models


def run(options: argparse.Namespace, _argv: list[str]) -> list[dict[str, Any]]:
    """Print a table of the models, or return them for ``--json``."""
    found = models.catalogue()
    if not options.json:
        names = list(found[0])
        rows = [names, *([str(model[name]) for name in names] for model in found)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return found

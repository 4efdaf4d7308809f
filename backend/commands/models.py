"""``models list``: what can generate."""

from __future__ import annotations

import argparse
from typing import Any

from .. import models
from .tables import print_table


def run(options: argparse.Namespace, _argv: list[str]) -> list[dict[str, Any]]:
    """Print a table of the models, or return them for ``--json``."""
    found = models.catalogue()
    if not options.json:
        names = list(found[0])
        print_table([names, *([model[name] for name in names] for model in found)])
    return found

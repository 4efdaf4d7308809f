"""``stdio``: serve a parent process."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .inside import enter_runtime


def run(options: argparse.Namespace, argv: list[str]) -> NoReturn:
    """Serve until stdin ends; see :mod:`backend.serve.stdio`."""
    enter_runtime(argv)
    from ..serve import stdio
    from ..serve.server import Settings

    raise SystemExit(stdio.main(Settings(idle_unload_s=options.idle_unload * 60)))

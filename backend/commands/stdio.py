"""``stdio``: serve a parent process."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .. import runtime


def run(_options: argparse.Namespace, argv: list[str]) -> NoReturn:
    """Serve until stdin ends; see :mod:`backend.serve.stdio`."""
    runtime.enter("backend", argv)
    from ..serve import stdio

    raise SystemExit(stdio.main())

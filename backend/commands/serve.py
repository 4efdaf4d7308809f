"""``serve``: the generator for another machine, over HTTP."""

from __future__ import annotations

import argparse
from typing import Any

from .inside import enter_runtime


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Serve until told to stop; see :mod:`backend.serve.http`. Raises ``SkyloopError``."""
    enter_runtime(argv)
    from ..serve import remote
    from ..serve.server import Settings

    settings = Settings(idle_unload_s=options.idle_unload * 60)
    raise SystemExit(
        remote.main(options.host, options.port, root=options.root, token_file=options.token_file, settings=settings)
    )

"""Going on inside the private runtime, once the request has been checked."""

from __future__ import annotations

from .. import runtime


def enter_runtime(argv: list[str]) -> None:
    """Make the runtime if it is missing and run this command anew inside it; returns only when already there.

    Raises ``SkyloopError`` when it cannot be made.
    """
    # By itself `enter` would report a failure on stderr and exit; `--json` has to report it on stdout.
    if not runtime.inside():  # a child of Blender's is, in a home that only Blender's preferences name
        runtime.ensure("backend", progress=runtime.console_progress())
    runtime.enter("backend", argv)

"""What a command raises when it failed and there is a log to point to, and advice as it is typed in a terminal."""

from __future__ import annotations

import re

from ..protocol import SkyloopError


class FailedError(Exception):
    """A failed command: the readable error, and the file that tells more (empty when there is none)."""

    def __init__(self, error: SkyloopError, log: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.log = log


_ACTION = re.compile(r"(?<!backend )\bmodels (?=(list|download|add|verify|remove|move)\b)")


def typed(advice: str) -> str:
    """``advice`` with the commands for models written out, so that they can be copied: "models list" becomes
    "python3 -m backend models list"."""
    return _ACTION.sub("python3 -m backend models ", advice)

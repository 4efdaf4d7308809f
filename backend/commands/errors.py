"""What a command raises when it failed and there is a log to point to."""

from __future__ import annotations

from ..protocol import SkyloopError


class FailedError(Exception):
    """A failed command: the readable error, and the file that tells more (empty when there is none)."""

    def __init__(self, error: SkyloopError, log: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.log = log

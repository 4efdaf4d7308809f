"""A child process that does not outlive its parent, even where another process holds the pipe between them open.

Linux kills it with the parent; elsewhere, and as a second net, the heartbeat asks :meth:`Parent.gone`. On Windows the
parent puts its child into a job object.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_logger = logging.getLogger(__name__)


class Parent:
    """The process that started this one; make it early."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    def gone(self) -> bool:
        """Whether the parent has ended. Always False on Windows, where a process keeps its parent's number."""
        return sys.platform != "win32" and os.getppid() != self._pid

    def bind(self) -> None:
        """Have the system kill this process when the parent dies (Linux)."""
        if sys.platform != "linux" or not self._started_us_from_its_main_thread():
            return
        try:
            if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")
        except (OSError, AttributeError) as error:
            _logger.info("not bound to the parent: %s", error)

    def _started_us_from_its_main_thread(self) -> bool:
        """The signal comes when the *thread* ends that started us, and one may end long before its process does."""
        try:
            children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        except OSError:
            return False
        return str(os.getpid()) in children.split()

"""Making the private runtime, in a thread: it takes minutes, and Blender goes on meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from ...backend.protocol import ErrorKind, SkyloopError
from .client import BackendClient
from .state import Progress

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]


class Runtime(Protocol):
    """Where the backend process comes from."""

    def ready(self) -> bool:
        """Whether :meth:`client` can be called; cheap."""
        ...

    def install(self, report: Report, cancelled: Callable[[], bool]) -> None:
        """Make it ready; runs in a thread. Raises ``SkyloopError``."""
        ...

    def client(self) -> BackendClient:
        """Start the process. Raises ``SkyloopError``."""
        ...


class Installer(threading.Thread):
    """The installation, in a thread of its own; only plain attributes are read from outside."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="skyloop-install", daemon=True)
        self.progress = Progress("Preparing")
        self.error: SkyloopError | None = None
        self.cancelled = threading.Event()
        self._runtime = runtime
        self.start()

    def run(self) -> None:
        try:
            self._runtime.install(self._report, self.cancelled.is_set)
        except SkyloopError as error:
            self.error = error
        except Exception as error:
            log.exception("installation")
            self.error = SkyloopError(
                ErrorKind.INTERNAL, f"The installation failed: {error}.", "Press Install again to go on from there."
            )

    def _report(self, progress: Progress) -> None:
        self.progress = progress

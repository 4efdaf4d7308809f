"""What is done to the private runtime, in a thread: it takes minutes, and Blender goes on meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from ...backend.protocol import ErrorKind, SkyloopError
from .client import BackendClient
from .state import Progress

log = logging.getLogger(__name__)

SPEED_OVER_S = 6.0

Report = Callable[[Progress], None]
Cancelled = Callable[[], bool]


class Doing(StrEnum):
    """What can be done to the runtime."""

    INSTALL = "install"
    REPAIR = "repair"
    MOVE = "move"
    REMOVE = "remove"


DOING_LABELS = {
    Doing.INSTALL: "Setting up the generator",
    Doing.REPAIR: "Repairing the generator",
    Doing.MOVE: "Moving the generator",
    Doing.REMOVE: "Removing files",
}


@dataclass(frozen=True)
class Chore:
    """One thing to do: ``act`` runs in a thread and may raise ``SkyloopError``; ``then``, once it has succeeded, in the
    session's own."""

    doing: Doing
    act: Callable[[Report, Cancelled], None]
    then: Callable[[], None] | None = None


class Runtime(Protocol):
    """Where the backend process comes from."""

    def ready(self) -> bool:
        """Whether :meth:`client` can be called; cheap."""
        ...

    def install(self, report: Report, cancelled: Cancelled) -> None:
        """Make it ready; runs in a thread. Raises ``SkyloopError``."""
        ...

    def client(self) -> BackendClient:
        """Start the process. Raises ``SkyloopError``."""
        ...


class Installer(threading.Thread):
    """A chore under way; only plain attributes are read from outside."""

    def __init__(self, chore: Chore) -> None:
        super().__init__(name="skyloop-install", daemon=True)
        self.chore = chore
        self.progress = Progress("Preparing")
        self.error: SkyloopError | None = None
        self.cancelled = threading.Event()
        self._pace = Pace()
        self.start()

    def run(self) -> None:
        try:
            self.chore.act(self._report, self.cancelled.is_set)
        except SkyloopError as error:
            self.error = error
        except Exception as error:
            log.exception("set-up")
            self.error = SkyloopError(
                ErrorKind.INTERNAL,
                f"{DOING_LABELS[self.chore.doing]} failed: {error}.",
                "Try again to go on from there.",
            )

    def _report(self, progress: Progress) -> None:
        self.progress = replace(progress, speed=self._pace.of(progress, time.monotonic()))


class Pace:
    """How fast a phase goes just now."""

    def __init__(self) -> None:
        self._name = ""
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, progress: Progress, now_s: float) -> float:
        """Units a second over the last few seconds; 0 while nobody can tell."""
        if progress.name != self._name:
            self._name = progress.name
            self._seen.clear()
        self._seen.append((now_s, progress.done))
        while len(self._seen) > 2 and now_s - self._seen[1][0] > SPEED_OVER_S:
            self._seen.popleft()
        then, elapsed_s = self._seen[0][1], now_s - self._seen[0][0]
        return max(0.0, (progress.done - then) / elapsed_s) if elapsed_s > 1.0 else 0.0

"""The real backend: the process that the private runtime starts, made by the runtime installer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...backend import runtime
from .client import BackendClient
from .installing import Report
from .state import Progress

ROOT = Path(__file__).resolve().parents[2]


class InstalledRuntime:
    """The runtime in ``home`` (None: the default folder of this user)."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home

    def ready(self) -> bool:
        return bool(runtime.status("backend", home=self.home)["ready"])

    def install(self, report: Report, cancelled: Callable[[], bool]) -> None:
        if self.ready():  # asked for although it is there: make it anew
            runtime.remove("backend", home=self.home)
        runtime.ensure(
            "backend", home=self.home, progress=lambda event: report(Progress.of(event)), cancelled=cancelled
        )

    def client(self) -> BackendClient:
        python = runtime.ensure("backend", home=self.home)  # ready already, so this only says where it is
        return BackendClient([str(python), "-m", "backend", "stdio"], cwd=ROOT)


class CommandRuntime:
    """A backend process that is started by a command of the caller's; nothing to install."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def ready(self) -> bool:
        return True

    def install(self, report: Report, cancelled: Callable[[], bool]) -> None:
        """Nothing to do."""

    def client(self) -> BackendClient:
        return BackendClient(self.command, cwd=ROOT)

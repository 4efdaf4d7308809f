"""Sessions with a fake backend process, for tests of the add-on's side without Blender."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blender_addon.__main__ import load_package

load_package()
client_module = importlib.import_module("skyloop.blender_addon.core.client")
session_module = importlib.import_module("skyloop.blender_addon.core.session")
jobs = importlib.import_module("skyloop.blender_addon.core.jobs")
archive = importlib.import_module("skyloop.blender_addon.core.archive")
protocol = importlib.import_module("skyloop.backend.protocol")

State = session_module.State
FAKE = Path(__file__).parents[1] / "blender" / "fake_backend.py"
REQUEST = protocol.GenerateRequest(prompt="Northern lights, über all", width=512, height=256, frames=8)


class FakeRuntime:
    """The runtime as the session wants it, with the fake backend instead of the real one."""

    def __init__(self, mode: str, fixtures: Path, *, installed: bool = True, **timeouts: float) -> None:
        self.mode, self.fixtures, self.installed, self.timeouts = mode, fixtures, installed, timeouts
        self.install_error: Exception | None = None

    def ready(self) -> bool:
        return self.installed

    def install(self, report, cancelled) -> None:
        for done in range(50):
            if cancelled():
                raise protocol.SkyloopError(protocol.ErrorKind.CANCELLED, "Cancelled.")
            report(session_module.Progress("download", done, 50, "MB"))
            time.sleep(0.01)
        if self.install_error:
            raise self.install_error
        self.installed = True

    def client(self):
        return client_module.BackendClient(
            [sys.executable, str(FAKE), self.mode, str(self.fixtures)], cwd=self.fixtures, **self.timeouts
        )


def sessions(tmp_path: Path) -> Iterator[Any]:
    """Makes sessions with the fake backend in some mode, which share one folder of skies, as two Blenders would."""
    fixtures = tmp_path / "fixtures"
    fixtures.mkdir()
    for name in ("sky.mp4", "poster.png"):
        (fixtures / name).write_bytes(name.encode())
    made = []

    def make(mode: str, **timeouts):
        session = session_module.Session(FakeRuntime(mode, fixtures, **timeouts))
        session.refresh()
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


def run_until(session, condition, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"still {session.state} {session.progress}"
        session.tick()
        time.sleep(0.005)


def at_work(session) -> bool:
    return session.state is State.RUNNING and session.progress.name == "denoise"


def running(pid: int) -> bool:
    """Whether the process lives, or has not been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def idle(session) -> bool:
    return not session.busy


def finished(roots: list[Path]) -> list[Any]:
    return archive.look(roots, [], archive.Archive()).finished


def unfinished(roots: list[Path]) -> list[Any]:
    return archive.look(roots, [], archive.Archive()).unfinished

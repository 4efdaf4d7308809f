"""A real Blender with a window, on a screen that nobody sees; left out, with the reason, where that cannot be."""

from __future__ import annotations

import pytest

from tests.sid import Sid

from .screen import Screen, install


@pytest.fixture(scope="session")
def screen(sid: Sid, tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """A screen with a Blender that has the extension."""
    return Screen(sid, install(sid, tmp_path_factory.mktemp("install")))

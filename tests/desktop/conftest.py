"""A real Blender with a window, on a screen that nobody sees; left out, with the reason, where that cannot be."""

from __future__ import annotations

import pytest

from .screen import Screen, install
from .sid import Sid, make, why_not


@pytest.fixture(scope="session")
def sid() -> Sid:
    """The Debian that has Blender, the screen and the headset; made at first."""
    if reason := why_not():
        pytest.skip(reason)
    return Sid(make())


@pytest.fixture(scope="session")
def screen(sid: Sid, tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """A screen with a Blender that has the extension."""
    return Screen(sid, install(sid, tmp_path_factory.mktemp("install")))

"""What an artist sees, from the first look on, in a real Blender window."""

from __future__ import annotations

from pathlib import Path

from .screen import Screen


def test_the_first_panel_asks_to_install_the_generator(screen: Screen, tmp_path: Path) -> None:
    seen = screen.walk("walk_setup.py", tmp_path).text("setup")
    assert "Install Generator" in seen and "online access" in seen

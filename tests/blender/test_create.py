"""Asking for a sky: the panel, its checks and their fixes, presets, seeds, and settings that come back."""

from __future__ import annotations

from .conftest import Blender


def test_smoke(blender: Blender) -> None:
    found = blender.ask("create:smoke")
    for k, v in found.items():
        print(k, "::", v)

"""Every operator that changes the file is one step, which undo takes back whole and redo brings again."""

from __future__ import annotations

from pathlib import Path

from .conftest import Blender


def test_every_change_can_be_undone_and_redone(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("undo:there_and_back", root=tmp_path)
    assert [name for name, what in found.items() if what == "no scenario"] == []
    for name, what in found.items():
        assert what["changed"], name
        assert what["undo"] == [], name
        assert what["redo"] == [], name

"""What was made before: listed, searched, marked, made once more, deleted, pruned."""

from __future__ import annotations

from pathlib import Path

from .conftest import Blender


def test_earlier_skies_are_found_in_all_folders_and_used_again(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("run:history", root=tmp_path / "skies")
    assert found["listed"] == [True, True, False, True] and found["lines"]
    assert "Its picture is missing" in found["bare"] and "storm" in found["bare"] and "seed 2" in found["bare"]
    for button in ("[Apply to World]", "[Reuse]", "[New Seed]", "[Vary]", "[Free Space...]"):
        assert button in found["bare"]
    assert found["pinned"] is True and found["unpinned"] is False and found["still_chosen"]
    assert found["search"] == ["dawn over hills"] and found["favourites"] == ["dawn over hills"]
    assert found["again"] == ["dawn over hills", True, 256, "dawn over hills", True]
    assert "no Skyloop job" in found["gone"] or "missing" in found["gone"]
    assert "is not a job" in found["gone_again"]
    assert found["after_open"] == [True, False] and found["lines_after_open"]


def test_freeing_space_says_first_what_goes_and_keeps_what_is_wanted(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("run:space", root=tmp_path / "skies")
    assert found["goes"][0] == "quick" and set(found["goes"]) == {"quick", "old", "new"} and found["all"] == []
    assert "This cannot be undone" in found["said"] and "old" in found["said"] and "MB" in found["said"]
    assert all("shows this sky" in text for text in found["refused"].values()), found["refused"]
    assert found["left"] == ["image", "liked", "source", "world"]
    assert not {"quick", "new"} & set(found["listed"])

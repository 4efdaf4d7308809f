"""Four quick skies to choose among: made, chosen, looked at, made in full; found again; and variations of one."""

from __future__ import annotations

from pathlib import Path

from .conftest import Blender


def test_four_are_tried_and_one_becomes_the_sky(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:explore", root=tmp_path)
    assert "prompt is empty" in found["refused"] and found["none"] == ""
    asked = found["asked"]
    assert len(asked) == 4 == len({a["seed"] for a in asked})
    for request in asked:
        assert (request["width"], request["height"], request["measure"]) == (512, 256, False)
        assert request["steps"] <= 8 and request["prompt"] == "stars, thick mist, hazy and misty"
    made = found["running"].count("[Choose]")
    assert found["running"].count("Waiting") == 3 - made and "Making" in found["running"], "none is out of sight"
    assert found["done"].count("[Choose]") == 4 and "Choose one" in found["done"]
    assert found["world"] == "Mine", "a candidate is no World until somebody says so"
    other, mine = ["something else", "NONE", True, False], ["stars", "MISTY", False, True]
    assert found["choosing"] == [other, mine, other, mine]
    assert found["chosen seed"] == found["third"]
    assert "[Make This One (about" in found["chosen"] and "[Show as World]" in found["chosen"]
    assert found["shown"] and found["full world"]
    full, folder = found["full"], found["folder"]
    assert full["source"] == folder and full["strength"] < 1 and full["measure"] and full["seed"] == found["third"]
    assert (full["width"], full["frames"], full["steps"]) == (1024, 16, 30)
    longer = found["longer"]
    assert longer["image"] == str(Path(folder) / "poster.png") and longer["frames"] == 32 and not longer["source"]
    assert "[Keep This One]" in found["whole"]
    assert found["kept"] == [str(tmp_path), True, True]
    assert [m["prompt"] for m in found["more"]] == ["stars, thick mist, hazy and misty"] * 2
    assert not {m["seed"] for m in found["more"]} & {a["seed"] for a in asked} and found["six"] == 6
    assert found["left"] == [True], "what a sky was made of stays"


def test_variations_of_a_sky(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:vary", root=tmp_path)
    assert "no sky of Skyloop's" in found["no sky"] and "is not a job" in found["foreign"]
    assert "[Four Variations]" in found["main"]
    assert len(found["asked"]) == 4 == len({a["seed"] for a in found["asked"]})
    for request in found["asked"]:
        assert request["source"] == found["source"] and 0 < request["strength"] < 1
        assert (request["width"], request["frames"]) == (256, 16)
    assert found["one"] == found["more"] == [found["source"]]
    assert found["panel"].count("[Choose]") == 5


def test_what_cannot_be_done_is_said_and_nothing_is_touched(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:misuse", root=tmp_path)
    assert found.pop("untouched")
    assert all(found.values()), found
    for name, text in found.items():
        want = {"none": "No candidate is chosen", "sky": "no finished candidate", "undone": "no finished candidate"}
        assert want.get(name.rpartition(" ")[2], "") in text, name
    assert "on the disk" in found["full"]


def test_another_file_in_the_middle_and_another_blender_later(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:open_meanwhile", root=tmp_path)
    assert "Making" in found["meanwhile"] and found["world"] == "Other"
    assert found["back"].count("[Choose]") == 3
    later = blender.ask("create:find_candidates", root=tmp_path)
    assert later["words"].count("[Choose]") == 3 and later["world"] == "Skyloop: stars"


def test_two_scenes_see_their_own(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:explore_two_scenes", root=tmp_path)
    first, second = found["before"]
    assert "Making" in first and first.count("Waiting") == 1
    assert "Making" not in second and second.count("Waiting") == 2
    assert "Waiting" in found["after"][0] and "stars" not in found["after"][0]
    assert found["left"] == []

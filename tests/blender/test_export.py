"""Taking a sky elsewhere from Blender: chosen, checked, written in the background, with the scene where it fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import FRAMES, Blender


def tight(text: str) -> str:
    """Without spaces: long paths are broken where a panel ends."""
    return "".join(text.split())


def test_the_sky_shown_is_exported_to_a_new_folder_each_time(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:run", root=tmp_path)
    before, after = found["words"]
    assert "288 x 144, one frame" in before and f"Into{tmp_path}/storm-over-the-sea-cubemap" in tight(before)
    assert "[Export Sky]" in before and "Exported to" not in before
    assert f"Exportedto{tmp_path}/storm-over-the-sea-cubemap-2" in tight(after) and "It was stretched." in after
    assert "[Open Folder]" in after and "[Open]" in after
    first, second, page, inside = found["ran"]
    assert first[:2] == ["export", str(next((tmp_path / "skies").iterdir()) / "sky.mp4")]
    assert {"--facing=blender", "--front=40", "--size", "288x144", "--order=opengl", "--frame=3"} <= set(first)
    assert "--gltf" not in first and "--force" not in first
    assert [ran[ran.index("--out") + 1] for ran in (first, second, page, inside)] == [
        str(tmp_path / name)
        for name in ("storm-over-the-sea-cubemap", "storm-over-the-sea-cubemap-2", "page", "inside")
    ]
    assert page[1] == str(next((tmp_path / "skies").iterdir()))
    assert not any(word.startswith(("--order", "--frame")) for word in page)
    names = ["inside", "page", "shot.blend", "storm-over-the-sea-cubemap", "storm-over-the-sea-cubemap-2"]
    assert found["files"] == names
    assert "Exported to" not in found["dismissed"] and not found["can_open"]


def test_of_an_unsaved_file_it_goes_beside_the_sky(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:unsaved", root=tmp_path)
    assert found["beside"] == ["storm-over-the-sea-stills"]
    for text in (found["words"], found["refused"]):
        assert "The file is not saved" in text and "choose another folder" in text


@pytest.mark.once
def test_any_sky_or_film_can_be_chosen(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:sources", root=tmp_path)
    for source in ("SHOWN", "HISTORY"):
        assert Path(found[source][0]).name == "sky.mp4" and Path(found[source][-1]).name.startswith("storm-over")
    assert found["FILE"][0] == str(tmp_path / "my film.mp4") and Path(found["FILE"][-1]).name == "my-film-web"
    for text in found["gone"]:
        assert "gone.mp4ismissing" in tight(text)
    assert "No film is chosen" in found["none"] and "sky.mp4 is missing" in found["lost"]
    for text in found["no sky"]:
        assert "is not a Skyloop sky" in text and "choose another source" in text
    assert "[Export...]" in found["history"]


def test_what_stands_against_it_is_said_before(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:problems", root=tmp_path)
    for text in found["taken"]:
        assert "has other files in it, such as thesis.txt" in text and "new or empty folder" in text
    for text in found["earlier"]:
        assert "holds an earlier export" in text and "Switch Replace on" in text and "--force" not in text
    assert "Replace" in found["earlier"][0] and "earlier export." not in found["replaced"]
    assert "height 100: use a multiple of 16" in found["height"]
    assert "8192x4096 is too large for Web Page" in found["large"] and "at most 4096x2048" in found["large"]
    for text in found["frame"]:
        assert f"frame 16: the film has {FRAMES} frames. Use 0 to {FRAMES - 1}" in text
    assert f"256 x 128, {FRAMES} frames" in found["fine"] and found["ran"] == 0


def test_each_target_shows_its_own_options_and_no_others(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:options", root=tmp_path)
    assert "Codec" in found["video360"] and "Repeat" in found["video360"]
    for target, words in found.items():
        shown = f" {words} "
        assert (" Codec " in shown) == (target == "video360"), target
        assert (" Playback " in shown) == (target == "godot"), target
        assert (" Boost " in shown) == (target in ("hdr", "usd")), target
        assert (" With the Scene " in shown) == (target in ("web", "godot")), target
        assert (" Facing " in shown) == (target != "scene"), target
        assert (" Turn the Pixels " in shown) == (target in ("web", "godot", "unity", "unreal", "usd", "scene")), target
        assert "[Export Sky]" in words and "missing" not in words, target
    assert "Blender stands still while the scene is written." in found["scene"]


@pytest.mark.once
@pytest.mark.parametrize("mode", ["slow", "deaf"])
def test_while_it_goes_on_blender_stays_usable_and_a_cancel_leaves_nothing(
    blender: Blender, tmp_path: Path, mode: str
) -> None:
    found = blender.ask("export:under_way", root=tmp_path, mode=mode, end="cancel")
    for words in (found["words"], found["main"]):
        assert "Exporting: Pictures" in words and " %" in words and "frames left" in words and "[Cancel]" in words
    assert "wait for it, or cancel it" in found["another"]
    assert found["part"] == [".out.0123abcd.part"] and found["other file"]
    assert found["left"] == ["shot.blend"]
    assert "[Cancel]" not in found["after"] and "Exported to" not in found["after"]


def test_switching_the_extension_off_ends_it(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:under_way", root=tmp_path, mode="deaf", end="disable")
    assert found["after"] and found["left"] == ["shot.blend"]


@pytest.mark.once
def test_a_failure_is_told_where_it_happened_with_its_log(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:failures", root=tmp_path)
    assert "stopped unexpectedly (exit code 77)" in found["crash"][0]
    assert "There is no room. Free some space." in found["full"][0]
    assert "did not say what it wrote" in found["garbage"][0]
    assert "There is no room." in found["panel"] and "[Show Log]" in found["panel"]
    assert found["log"] == "where it happened" and "There is no room." not in found["dismissed"]
    assert found["left"] == ["garbage", "skyloop.log"]


def test_a_script_that_is_interrupted_leaves_nothing(blender: Blender, tmp_path: Path) -> None:
    assert blender.ask("export:interrupted", root=tmp_path) == {"raised": True, "ended": True, "left": []}


def test_the_disk_is_looked_at_in_a_thread(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:looking", root=tmp_path)
    assert "Looking for the film" in found["first"] and "256 x 128" in found["then"]
    assert "is missing" in found["gone"]


def test_the_scene_goes_along_as_it_is_seen_and_stays_as_it_was(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:with_scene", root=tmp_path)
    assert "Blender stands still while the scene is written." in found["words"] and "Facing" not in found["words"]
    assert found["same"] and not found["temporary"] and found["asked"] == ["--facing=blender", "--front=0"]
    assert {"Ball", "Boxed", "Eye", "Lamp"} <= set(found["nodes"])
    assert not {"Hidden", "Elsewhere"} & set(found["nodes"])
    assert found["animated"] and found["cameras"]
    assert found["lights"]["directional"] == 3.0  # as in the scene: no lux, in which it would outshine the sky
    assert found["applied"] == 2 * 24 and found["ball"] == [0.0, 1.0, -5.0]  # +Y up: what is ahead is at -Z
    for text in found["off"]:
        assert "glTF add-on is switched off" in text
    assert "[Switch It On]" in found["off"][0]


def test_the_real_generator_writes_what_the_panel_promised(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("export:really", root=tmp_path)
    document = found["document"]
    assert f"Exportedto{tmp_path}/pictures" in tight(found["words"]) and document["frames"] == FRAMES
    pictures = [name for name in document["files"] if name.endswith(".png")]
    assert len(pictures) >= FRAMES and document["open"] in document["files"]
    for name in pictures:
        assert (tmp_path / "pictures" / name).is_file()
    assert "that was just made" in found["words"] and "new or empty folder" not in found["words"]
    assert found["again"] and "was changed since it was exported" in found["changed"]
    assert {"scene.glb", "scene-and-sky.zip", "sky/README.txt"} <= set(found["both"])
    assert "no film.mp4" in found["no film"]
    assert found["left"] == ["both", "no film.mp4", "pictures"]
    manifest = json.loads((tmp_path / "pictures" / "skyloop-export.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == set(document["files"]) - {"skyloop-export.json"}

"""Asking for a sky: the panel, its checks and their fixes, presets, seeds, and settings that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Blender

FIXABLE = (
    "prompt", "prompt spaces", "prompt bell", "prompt style", "negative", "size", "model", "disk", "time", "source",
    "rate", "front",
)  # fmt: skip
HARMLESS = {"time", "rate", "front"}  # said, and no hindrance


def test_the_panel_is_simple_at_first_sight_and_says_what_it_will_take(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:panels", root=tmp_path)
    empty, fine, wrong = found["empty"], found["fine"], found["wrong"]
    assert empty["main"].split("]")[0] == "Prompt [Use an Example" and "prompt is empty" not in empty["main"]
    assert "Takes about" in fine["main"] and "memory" in fine["main"] and "[Try Four (about" in fine["main"]
    assert "Use an Example" not in fine["main"] and "Avoid" not in fine["main"]
    for word in (
        "Style",
        "Avoid",
        "Seed",
        "[Copy Seed]",
        "Duration",
        "Frames",
        "Frame Rate",
        "Loop",
    ):
        assert word in fine["settings"], word
    assert "[Preview]" in fine["presets"] and "[Final]" in fine["presets"] and "Delete" not in fine["presets"]
    assert fine["explore"] == "" and "[northern lights over a frozen lake]" in fine["examples"]
    assert "Small and stylised" in fine["model"] and "Steps" in fine["model"] and "LoRA" not in fine["model"]
    assert "Built-in" in fine["main"] and "[Built-in]" in fine["models"]
    assert "Width" in wrong["main"] and "1000 pixels" in wrong["main"] and "[Make It 992]" in wrong["main"]
    assert "not on this computer" in wrong["main"]
    assert "Starts From" in wrong["settings"] and "[Start from the Prompt Alone]" in wrong["settings"]


def test_every_problem_is_gone_once_its_button_was_pressed(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:fixes", root=tmp_path, names=FIXABLE)
    assert "nothing to set right" in found.pop("nothing")
    for name, states in found.items():
        before, after = states["before"], states["after"]
        assert before["said"], name
        assert before["can"] is (name in HARMLESS), name
        assert after == {"said": "", "can": True}, name
        assert states["undone"] == before["said"] and states["redone"] == "", name
        if name != "prompt":  # an empty field says what it is for itself
            folded = before["panels"]["settings"]
            assert any(before["said"] in words for words in (before["panels"]["main"], folded)), name


def test_a_region_without_a_prompt_is_selected(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:region", root=tmp_path)
    assert "its prompt is empty" in found["words"] and "[Select Region]" in found["words"]
    assert found["selected"] and found["can"] == [False, True] and "Select Region" not in found["after"]


def test_a_full_disk_is_answered_with_another_folder(blender: Blender, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    found = blender.ask("create:choose_folder", root=tmp_path, other=other)
    assert found["operator"] == "skyloop.choose_output_folder" and found["can"] == [False, True]
    assert "is no folder" in found["missing"] and Path(found["folder"]) == other and found["free_mb"] > 0


def test_presets_are_saved_applied_overwritten_and_deleted(blender: Blender) -> None:
    found = blender.ask("create:presets")
    assert found["applied"] == found["redone"] == found["values"]
    assert found["preview"] == ["PREVIEW", 16, 8.0, "MISTY"], "a preset leaves alone what it does not keep"
    assert found["undone"] == found["values"] | {"quality": "PREVIEW", "frames": 16, "fps": 8.0}
    assert found["prompt"] == ["another", "kept apart"]
    refused = found["refused"]
    assert "already" in refused["twice"] and "Give the preset a name" in refused["nameless"]
    assert "comes with Skyloop" in refused["built in"] and "comes with Skyloop" in refused["delete built in"]
    assert "no preset" in refused["unknown"] and "not JSON" in refused["spoilt"]
    assert "[Mine] [Save Preset] [Delete Preset]" in found["shown"]
    assert "bad.json is not JSON" in found["shown"] and "unknown setting 'colour'" in found["shown"]
    assert found["left"] == [] and found["inside"]


def test_a_later_blender_has_the_preset(blender: Blender) -> None:
    blender.ask("create:keep_preset")
    assert blender.ask("create:find_preset") == 77


def test_a_seed_is_drawn_until_it_is_locked_and_comes_by_the_clipboard(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:seeds", root=tmp_path)
    *drawn, locked, again = found["asked"]
    assert len(set(drawn)) == 3 and drawn[-1] == locked == again
    assert found["drawn"] != locked and found["locked"]
    assert found["waiting"] == found["asked"] and found["copied"] == "42"
    pasted = found["pasted"]
    assert pasted["4711"] == [4711, False] and pasted[" 12\n"] == [12, False]
    for text in ("", "moon", "-3", "2147483648", "99999999999999999999", "٣", "1.5"):
        seed, random, line = pasted[text]
        assert (seed, random) == (1, True) and "clipboard" in line, text


def test_seconds_and_frames_are_tied_by_the_rate(blender: Blender) -> None:
    found = blender.ask("create:length")
    assert found == {
        "first": [16, 8.0, 2.0],
        "five seconds": [40, 8.0, 5.0],
        "32 frames": [32, 8.0, 4.0],
        "of the scene": [96, 23.976, 4.004],
        "scene faster": [96, 47.952, 2.002],
        "one second": [48, 47.952, 1.001],
        "own again": [8, 8.0, 1.0],
        "longest": [4096, 8.0, 512.0],
        "shortest": [1, 8.0, 0.125],
    }


def test_each_small_step_can_be_undone(blender: Blender) -> None:
    found = blender.ask("create:small_steps")
    for name, (before, done, undone, redone) in found.items():
        assert before == undone and done == redone and done != before, name


REQUESTS: list[dict[str, Any]] = [
    {"prompt": "stars"},
    {"prompt": "stars, thick mist, hazy and misty", "negative": "sun, moon"},
    {"prompt": "a, b", "width": 512, "height": 256, "frames": 48, "fps": 23.976, "loop": False, "seed": 2**31 - 1},
    {"prompt": "wide", "width": 1536, "height": 768, "steps": 30, "guidance": 4.5, "fov_deg": 70.0},
    {"prompt": "largest", "width": 8192, "height": 4096, "frames": 1, "fps": 120.0, "model": "another"},
    {"prompt": "out of another", "source": "/skies/one", "strength": 0.25, "width": 2048, "height": 1024},
    {"prompt": ", thick mist, hazy and misty"},
    {
        "prompt": "steered", "motion": 1.75, "image": "/photos/a.jpg", "image_yaw_deg": -170.0, "image_pitch_deg": 12.5,
        "image_fov_deg": 70.0, "regions": [
            {"yaw_deg": -120.0, "pitch_deg": 30.0, "radius_deg": 20.0, "prompt": "moon"},
            {"yaw_deg": None, "pitch_deg": -45.0, "radius_deg": 45.0, "prompt": "sea"},
            {"yaw_deg": 179.5, "pitch_deg": -5.25, "radius_deg": 9.75, "prompt": "moon"},
        ],
    },
    {"prompt": "of a whole picture", "image": "/photos/pano.png"},
]  # fmt: skip


def test_use_these_settings_restores_everything(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:recall", root=tmp_path, requests=REQUESTS)
    assert found["lost"] == [{}] * len(REQUESTS)
    assert "larger than Blender's fields hold" in found["large"]


def test_two_scenes_have_their_own_settings(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:two_scenes", root=tmp_path)
    first, second = found["scenes"]
    assert first == ["of the first", "STANDARD", True, False]
    assert second == ["northern lights over a frozen lake", "FINAL", False, True]


def test_what_is_set_wrong_in_the_middle_never_keeps_the_panel_from_drawing(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("create:fixes", root=tmp_path, names=["size"])
    assert "[Generate Sky]" in found["size"]["before"]["panels"]["main"]


@pytest.mark.parametrize("name", ["prompt", "size"])
def test_a_fix_is_named_in_what_it_does(blender: Blender, tmp_path: Path, name: str) -> None:
    label = {"prompt": "[Use an Example]", "size": "[Make It 992]"}[name]
    found = blender.ask("create:fixes", root=tmp_path, names=[name])
    assert label in found[name]["before"]["panels"]["main"]

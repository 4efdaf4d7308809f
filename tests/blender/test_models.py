"""Choosing a model in Blender, getting it, looking after it, and the files that change it."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pytest

from .conftest import Blender


def test_a_model_is_got_with_one_button_and_used(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:get", home=tmp_path)
    check, can, words = found["before"]
    assert check == ["error", "Get the model first: Wan 2.1 1.3B is not on this computer.", "Get It (17.6 GB)"]
    assert not can and "[Get It (17.6 GB)]" in words["main"]
    assert "Natural motion" in words["model"] and "Free to use" in words["model"]
    assert "6 GB or more; with 10 GB" in words["model"] and "[Use My Own...]" in words["model"]
    assert "[Wan 2.1 1.3B: 17.6 GB, card from 6 GB]" in words["models"] and "[Built-in]" in words["models"]
    check, can, words = found["after"]
    assert check is None and can and "Get It" not in words["main"]
    assert "[Verify]" in words["model"] and "[Remove Model]" in words["model"] and "[Get Model]" not in words["model"]
    assert "[Wan 2.1 1.3B]" in words["models"]
    assert found["made"] and found["removed"][0] == "error"
    assert found["ran"] == [["download", "wan21-1.3b"], ["verify", "wan21-1.3b"], ["remove", "wan21-1.3b"]]


@pytest.mark.once
def test_a_download_says_how_far_it_is_is_cancelled_and_goes_on(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:under_way", home=tmp_path)
    during, after = found["during"], found["after"]
    assert "of 17600 MB" in during["words"] and "[Cancel]" in during["words"]
    assert during["check"] == ["error", "Wait for Wan 2.1 1.3B: it is being downloaded.", ""]
    assert "wait for it, or cancel it" in during["another"]
    assert after["check"][1:] == ["Get the model first: Wan 2.1 1.3B is not all on this computer yet.", "Go On"]
    assert after["problem"] and "[Go On]" in after["words"] and not found["cancel"]


def test_what_stands_in_the_way_is_said_in_blenders_words(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:refusals", home=tmp_path)
    assert (
        "hub.example.org/it" in found["gated"]
        and "enter the token of your account" in found["gated"]
        and "HF_" not in found["gated"]
    )
    assert "move the models to another disk in the preferences" in found["full"]
    assert "There is no room." in found["panel"] and found["dismissed"]
    assert "Tencent Hunyuan Community License, which you have not accepted" in found["licence"]
    assert found["accepted"] == ["download", "hunyuan15", "--accept-licence"]
    assert "There is no model" in found["unknown"]
    can, words = found["offline"]
    assert not can and "for this download only" in words and "[Allow Online Access]" in words


@pytest.mark.once
def test_the_token_goes_to_the_child_alone(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:environment", home=tmp_path)
    assert "ftp://mirror is no address" in found["wrong"]
    assert found["given"] == ["hf_secret", "https://mirror.example.org"]
    assert not found["in_blend"] and not found["in_command"] and found["subtype"] == "PASSWORD"


@pytest.mark.once
def test_a_folder_of_the_users_is_used_where_it_lies(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:own_folder", home=tmp_path)
    assert "is not there" in found["missing"]
    assert found["ran"] == [["add", "wan21-1.3b", str(tmp_path / "mine")]]
    assert "Your Own" in found["words"] and str(tmp_path / "mine")[:20] in found["words"]
    assert "model" not in found["checks"]


def test_size_and_length_follow_the_model_unless_set_by_hand(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:follow", home=tmp_path)
    assert found["first"] == found["builtin"] == ["STANDARD", 16, 8.0]
    assert found["wan21-1.3b"] == ["FINAL", 80, 16.0] and found["fastwan22-5b"] == ["FINAL", 120, 24.0]
    assert found["preset"] == ["PREVIEW", 33, 5.0]
    assert found["by hand"] == ["FINAL", 40, 8.0]
    assert found["recalled"] == ["builtin", "CUSTOM", 16, 8.0, 256]


def test_what_does_not_suit_a_model_is_said_with_what_would(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:hints", home=tmp_path)
    assert set(found["fine"]) - {"time"} == {"model"}
    for name, number in (("steps", "3 steps"), ("guidance", "guidance of 1")):
        before, after = found[name]
        assert before[0] == "warning" and number in before[1] and after is None, name
    before, after, frames = found["odd"]
    assert before[0] == "warning" and "2 times as long" in before[1] and after is None and frames == 120
    before, after, frames = found["short"]
    assert f"loops of {frames} frames or more: 16 take as long" in before[1] and after is None and 16 < frames <= 120
    before, after, quality = found["small"]
    assert before[0] == "info" and after is None and quality == "FINAL"
    assert found["picture"][0] == "error" and found["picture"][2] == "Choose a Picture" and not found["with picture"]
    assert found["with photo"]


def test_lora_files_go_along_and_come_back(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:loras", home=tmp_path)
    both = [["mist.safetensors", 0.6], ["pano.safetensors", 1.0]]
    assert found["built-in"] == [] and found["wan"] == both and found["one"] == both[:1] and found["none"] == []
    assert found["recalled"] == both and found["listed"] == 2
    assert found["relative"] == [both, ""]
    assert found["gone"] == ["error", "gone.safetensors is not there.", "Leave Them Out"] and not found["fixed"]
    assert found["left"] == ["pano"] and "No LoRA file was chosen" in found["empty"]


def test_history_says_when_a_model_is_gone(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:gone", home=tmp_path)
    assert "Made with" not in found["shown"]["builtin"]
    assert "Made with Wan 2.1 1.3B, which is not" in found["shown"]["wan21-1.3b"]
    assert "Made with wan99, a model that is not" in found["shown"]["wan99"]
    assert found["unlooked"] == "Made with Wan 2.1 1.3B"


def test_the_preferences_say_where_models_are_and_move_them(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("models:preferences", home=tmp_path)
    for word in (
        "Kept In",
        str(tmp_path)[:20],
        "Free There",
        "Wan 2.1 1.3B, 0 MB",
        "Access Token",
        "Mirror",
        "[Move...]",
    ):
        assert word in found["words"], word
    assert found["ran"] == ["move", str(tmp_path / "other")]


def weights(values: int = 4) -> bytes:
    """A small .safetensors file."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


def wan(folder: Path) -> Path:
    """A folder laid out as Wan 2.1 1.3B is, with weights of a few bytes."""
    about = {"in_channels": 16, "num_attention_heads": 12, "num_layers": 30}
    parts = {"transformer": "WanTransformer3DModel", "vae": "AutoencoderKLWan", "text_encoder": "UMT5EncoderModel"}
    for name, kind in parts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps({"_class_name": kind, **about}), encoding="utf-8")
        (folder / name / "model.safetensors").write_bytes(weights())
    for name in ("tokenizer", "scheduler"):
        (folder / name).mkdir()
    return folder


def test_the_real_manager_takes_a_folder_in_and_lets_it_go(blender: Blender, tmp_path: Path) -> None:
    folder, wrong = wan(tmp_path / "mine"), tmp_path / "wrong"
    wrong.mkdir()
    found = blender.ask(
        "models:really", home=tmp_path / "home", python=sys.executable, model="wan21-1.3b", folder=folder, wrong=wrong
    )
    assert f"{wrong} has no folder transformer" in found["wrong"]
    assert found["added"] == ["ready", [str(folder)]] and found["removed"] == ["none", []]
    assert (folder / "vae" / "model.safetensors").read_bytes() == weights()

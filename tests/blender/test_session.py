"""Pressing Generate inside Blender, with a backend that does well or misbehaves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .conftest import Blender


def test_a_sky_is_made_and_becomes_the_world(blender: Blender) -> None:
    found = blender.ask("generate", mode="ok")
    assert found["problem"] is None and found["state"] == "ready"
    assert {"starting", "running"} <= set(found["states"])
    assert found["world"] == "Skyloop: northern lights"
    assert found["second"] == "Skyloop: a second sky"


@pytest.mark.once
def test_garbage_on_the_pipe_does_no_harm(blender: Blender) -> None:
    found = blender.ask("generate", mode="garbage")
    assert found["problem"] is None and found["world"] == "Skyloop: northern lights"


@pytest.mark.once
@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("crash", "internal", "stopped unexpectedly"),
        ("kill", "out_of_memory", "memory"),
        ("oom", "out_of_memory", "9 GB"),
        ("stall", "internal", "has not answered"),
        ("mute", "internal", "did not answer"),
        ("old", "internal", "protocol"),
    ],
)
def test_blender_lives_on_and_says_what_happened(blender: Blender, mode: str, kind: str, words: str) -> None:
    found = blender.ask("generate", mode=mode, timeouts={"silence_timeout_s": 1.0, "hello_timeout_s": 2.0})
    assert found["state"] == "failed"
    assert found["problem"][0] == kind and words in found["problem"][1] and found["problem"][2]
    assert found["world"] == "Mine", "a failed job must not touch the World"
    assert found["second"] == "Skyloop: a second sky" and found["second_problem"] is None
    if mode == "crash":
        assert found["can_show_log"] and "model file is damaged" in found["log"]


def test_another_file_is_never_touched(blender: Blender) -> None:
    found = blender.ask("open_other_file")
    assert found["state_after_load"] == "running"
    assert found["world"] == "Other"
    assert found["can_be_opened"] and found["offered"]


def test_each_scene_gets_the_sky_that_was_asked_for_in_it(blender: Blender) -> None:
    found = blender.ask("queue_of_two_scenes")
    assert found["order"] == ["of nobody", "of the second"]
    assert found["can"] == {"pause": False, "go_on": True}
    assert found["worlds"]["Renamed"] == "Skyloop: of the second"
    assert "Skyloop: of the first" in found["worlds"].values()
    assert found["worlds"]["Doomed"] == "", "a new scene of an old name has asked for nothing"
    assert [title for title, made in found["made"].items() if not made] == ["not wanted"] and not found["kept"]


def test_a_candidate_is_neither_applied_nor_mixed_with_the_skies(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("run:candidates", root=tmp_path)
    assert found["world"] == "Mine" and found["offered"] is None and found["world_after_sky"] == "Skyloop: whole"
    assert Path(found["made"]).parent == Path(found["root"])
    assert found["candidates"] == [found["made"]] and "whole" in found["history"]
    assert "quick" not in found["history"] and "quick" not in found["unfinished"]
    assert not found["left"] and not found["there"]


def test_what_was_left_unfinished_is_offered_again(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("unfinished", root=tmp_path / "root")
    assert {"goes on", "is deleted"} <= set(found["offered"]) and "last checkpoint" in found["line"]
    assert "Unfinished" in found["history"] and "[Resume]" in found["history"]
    assert "unfinished: see History" in found["main"]
    assert "[Resume]" in found["main"] and "disk is full" in found["main"]
    assert found["world"] == "Skyloop: goes on"
    assert not {"goes on", "is deleted"} & set(found["left"])
    assert len(found["folders"]) == 1
    *foreign, in_use = found["refusals"]
    assert len(foreign) == 18 and all("is not a job" in text for text in foreign), foreign
    assert "A World of this file shows this sky" in in_use


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")
def test_a_hostile_file_makes_nothing_happen(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("hostile_file", root=tmp_path)
    assert not found["victim_listed"] and found["busy"] is False
    assert not [folder for folder in found["known"] if folder.startswith(str(tmp_path))]
    assert {"request.json", "sky.mp4", "result.json"} <= set(found["victim"])
    assert found["runtime"] == str(tmp_path / "runtime")


@pytest.mark.once
@pytest.mark.parametrize("mode", ["once", "stallonce", "lost"])
def test_a_backend_that_dies_is_started_again(blender: Blender, mode: str) -> None:
    found = blender.ask("generate", mode=mode, timeouts={"silence_timeout_s": 1.0})
    assert found["problem"] is None and found["state"] == "ready"
    assert found["world"] == "Skyloop: northern lights"


def test_switching_the_extension_off_ends_the_process(blender: Blender) -> None:
    found = blender.ask("unregister_stops")
    assert found["alive"] is False
    with pytest.raises(ProcessLookupError):
        os.kill(found["pid"], 0)


def test_a_button_that_cannot_be_pressed_says_why(blender: Blender) -> None:
    found = blender.ask("greyed_out")
    assert found["installed"] is False and "not set up" in found["not_installed"]
    assert "prompt is empty" in found["empty"]
    assert "multiple of 32" in found["odd"]
    assert found["fine"] == ""
    assert found["busy"] == "", "another sky can be asked for meanwhile"
    assert "Setting up" in found["installing"]
    assert found["online"] is False and found["can_install"] is False


def test_every_situation_can_be_drawn_and_says_what_it_is(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("draw_all", root=tmp_path)
    main = {situation: panels["main"] for situation, panels in found.items()}
    assert "[Set Up Skyloop]" in main["not_installed"] and "[Allow Online Access]" in main["not_installed"]
    assert "[Generate Sky]" in main["idle"] and "Prompt" not in main["not_installed"]
    assert "Denoise" in main["running"] and "[Cancel]" in main["running"] and "[Add to Queue]" in main["running"]
    assert "1 waiting:" in main["waiting"] and "another sky [Move] [Move] [Remove]" in main["waiting"]
    assert "[Pause]" in main["waiting"] and "[Go On]" not in main["waiting"]
    assert "Paused" in main["paused"] and "[Go On]" in main["paused"] and "[Release Memory]" in main["paused"]
    assert "Cancelling" in main["cancelling"]
    assert "this is the World now" in main["done"]
    assert "stopped unexpectedly" in main["failed"] and "[Show Log]" in main["failed"]
    assert found["not_installed"]["settings"] == "" and "Seed" in found["idle"]["settings"]
    assert "[Restore Previous World]" not in found["idle"]["world"]
    assert "[Restore Previous World]" in found["done"]["world"]
    assert "Finished skies appear here" in found["idle"]["history"]
    assert "northern lights" in found["done"]["history"] and "[Apply to World]" in found["done"]["history"]
    assert "[Set Up Skyloop]" in found["not_installed"]["preferences"]


def test_a_sky_that_is_ready_disturbs_nobody(blender: Blender) -> None:
    found = blender.ask("run:waiting")
    for waits, said, done, after in (found[:4], found[4:]):
        assert waits == {"world": waits["world"], "offered": True} and waits["world"].startswith("Mine")
        assert "is ready and is applied once the render has ended [Apply Now]" in said["status"]
        assert "It is applied once the render has ended." in said["panel"]
        assert done["world"].startswith("Skyloop: northern lights") and done["made"] == 1 and done["waits"] == ""
        assert "is the World now" in after["status"]


def test_what_a_sky_waits_for(blender: Blender) -> None:
    found = blender.ask("run:obstacles")
    free = ("nothing", "posing", "looking around")
    assert [found.pop(name) for name in free] == ["", "", ""]
    assert found == {
        "render": "once the render has ended",
        "bake": "once the render has ended",
        "moving": "once the tool in use has ended",
        "stroke": "once the tool in use has ended",
        "playing": "once playback stops",
        "editing": "once you are back in Object Mode",
        "sculpting": "once you are back in Object Mode",
    }


def test_a_world_that_changed_before_the_result_came(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("run:changed_meanwhile", root=tmp_path)
    for name, (world, problem, restored) in found.items():
        assert world.startswith("Skyloop: northern lights") and problem is None, name
        assert restored == {"renamed": "Renamed", "deleted": None, "linked": "Linked"}[name]


def test_switched_off_in_mid_job_the_work_is_kept(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("run:off_and_on", root=tmp_path)
    assert found["gone"] == [] and found["job"] in found["offered"] and found["world"] == "Skyloop: goes on"


def test_the_status_bar_tells_of_each_situation(blender: Blender) -> None:
    found = blender.ask("run:told")
    assert found["idle"] == found["later"] == found["dismissed"] == ""
    assert "Skyloop: Denoise" in found["running"] and "[Cancel]" in found["popover"]
    assert "Denoise: 0 %" in found["popover"] and "Writing the movie" in found["popover"]
    assert "Skyloop: Paused" in found["paused"]
    assert "Skyloop: the sky is ready [Apply Now]" in found["ready"]
    assert "stopped unexpectedly" in found["failed"] and "[Resume]" in found["failed_popover"]


def test_the_preview_in_the_viewport_is_no_part_of_the_file(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("run:shown_while_made", root=tmp_path)
    assert found["first"] and found["after_undo"]
    assert found["added"] == found["saved"] == 0
    hidden = ("before", "second", "flat", "switched_off", "in_another_file", "ended")
    assert not any(found[situation] for situation in hidden), found

"""Setting up inside Blender: what the panel says and offers at every stage, and what its buttons do."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from .conftest import Blender


@pytest.fixture(scope="module")
def way_through(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return blender.ask("setup:way_through", root=tmp_path_factory.mktemp("way"))


@pytest.fixture(scope="module")
def after(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return blender.ask("setup:after", root=tmp_path_factory.mktemp("after"))


def test_offline_it_says_why_it_asks_and_the_button_allows_it(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("setup:offline", root=tmp_path)
    before, after = found["before"], found["after"]
    assert before["stage"] == "none" and found["online"] == [False, True]
    assert "Blender is set to stay offline" in before["main"] and "[Allow Online Access]" in before["main"]
    assert not before["can"]["install"] and after["can"]["install"]
    assert "[Allow Online Access]" not in after["main"]
    for fact in ("Download 400 MB", "Takes 1.3 GB", "Free There", "Computes On Processor", "[Set Up Skyloop]"):
        assert fact in before["main"] and fact in before["preferences"], fact
    assert "download the generator once" in found["tooltip"]


def test_before_it_is_set_up_there_is_only_what_can_be_used(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("setup:panels", root=tmp_path)
    assert found["new"] == ["main"]
    assert found["sky"] == ["main", "vr", "world"]
    assert found["history"] == ["history", "main"]
    assert found["ready"] == [
        "camera",
        "directions",
        "export",
        "history",
        "main",
        "model",
        "part",
        "settings",
        "vr",
        "world",
    ]


def test_too_little_room_is_said_before_and_after_pressing(way_through: dict[str, Any]) -> None:
    little, none = way_through["little_room"], way_through["no_room"]
    assert "Free There 500 MB" in little["main"] and "There is not enough room: 2.0 GB" in little["main"]
    assert "has 0.5 GB free" in none["main"] and "[Try Again]" in none["main"] and none["stage"] == "none"


def test_without_network_the_panel_says_so_and_offers_what_helps(way_through: dict[str, Any]) -> None:
    found = way_through["no_network"]
    assert "package index cannot be reached" in found["main"] and "nothing is lost" in found["main"]
    for button in ("[Try Again]", "[Show Log]", "[Copy Report]"):
        assert button in found["main"] and button in found["preferences"]
    assert found["log"].endswith("install.log") and found["log"] not in found["main"]


def test_half_a_download_is_gone_on_with_and_nothing_comes_twice(way_through: dict[str, Any]) -> None:
    assert "3 of 5: Downloading" in way_through["downloading"]["main"]
    assert "[Cancel]" in way_through["downloading"]["main"]
    for name in ("half", "half_later"):
        half = way_through[name]
        assert half["stage"] == "half" and "[Continue Set-up]" in half["main"]
        assert "[Try Again]" not in half["main"]
    torch = [asked for file, asked in way_through["fetched"] if file.startswith("torch")]
    assert torch == ["", "bytes=100000-"]
    assert [file.split("-")[0] for file, _ in way_through["fetched"]].count("thing") == 1
    assert way_through["calls"].count("plan") == 2, "the failed one and one more"


def test_ready_it_gives_way_to_the_request(way_through: dict[str, Any]) -> None:
    ready = way_through["ready"]
    assert ready["stage"] == "ready" and "[Generate Sky]" in ready["main"] and "Set Up" not in ready["main"]
    for text in ("Generator", "Downloads", "Skies", "[Move...]", "[Repair]", "[Remove...]"):
        assert text in ready["preferences"]
    assert ready["can"]["repair"] and ready["can"]["move_generator"]


@pytest.mark.once
def test_damage_is_found_by_the_next_start_and_only_that_is_brought_back(after: dict[str, Any]) -> None:
    broken, repaired = after["broken"], after["repaired"]
    assert broken["stage"] == "broken" and "missing or damaged" in broken["main"] and "[Repair]" in broken["main"]
    assert not broken["can"]["generate"]
    assert repaired["stage"] == "ready" and repaired["fetched"] == ["thing"]


@pytest.mark.once
def test_a_generator_that_does_not_start_can_be_repaired_where_that_is_said(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("setup:does_not_start", root=tmp_path)
    assert "cannot be loaded" in found["failed"]["main"] and "[Repair]" in found["failed"]["main"]
    assert "[Repair]" not in found["after"]["main"] and "cannot be loaded" not in found["after"]["main"]


def test_moved_to_another_disk(after: dict[str, Any]) -> None:
    assert after["moving"]["stage"] == "move" and "stays in use where it is" in after["moving"]["main"]
    moved = after["moved"]
    assert moved["stage"] == "ready" and moved["folder"].endswith(str(Path("disk two") / "Skyloop"))
    assert moved["left"] == ["moved.json"] and "Moved To" not in moved["preferences"]


@pytest.mark.once
def test_another_folder_chosen_by_hand_can_be_where_it_is_moved_to(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("setup:other", root=tmp_path)
    chosen = found["chosen"]
    assert chosen["stage"] == "none" and "The generator is still in" in chosen["main"]
    assert "[Move It Here]" in chosen["main"] and "[Use It There]" in chosen["main"]
    assert found["there"]["stage"] == "ready" and found["there"]["folder"] == ""
    here = found["here"]
    assert here["stage"] == "ready" and here["folder"] == str(tmp_path / "chosen") and here["fetched"] == []
    assert found["default"]["stage"] == "ready" and "Moved To" in found["default"]["preferences"]


@pytest.mark.once
def test_a_folder_chosen_while_a_sky_is_made_counts_afterwards(blender: Blender) -> None:
    found = blender.ask("setup:chosen_meanwhile")
    assert found["meanwhile"] == ["running", True]
    assert found["home"] == found["folder"] and found["stage"] == "none"


def test_a_disk_that_is_unplugged_and_plugged_in_again(after: dict[str, Any]) -> None:
    gone, back = after["gone"], after["back"]
    assert gone["stage"] == "gone" and "disktwo" in gone["main"].replace(" ", "") and "Connect its disk" in gone["main"]
    assert "[Look Again]" in gone["main"] and "[Set Up Anew]" in gone["main"]
    assert back["stage"] == "ready"


def test_an_update_keeps_the_old_one_until_the_new_one_works(after: dict[str, Any]) -> None:
    assert after["outdated"]["stage"] == "outdated" and "[Update Generator]" in after["outdated"]["main"]
    for place in ("main", "preferences"):
        assert "[Remove 5 MB of an Older Version]" in after["updated"][place]
        assert "Older Version" not in after["only_new"][place]
    assert after["only_new"]["stage"] == "ready" and after["only_new"]["left"] == 1
    assert after["removed"]["stage"] == "none" and after["removed"]["left"] == 0


@pytest.mark.once
def test_two_blenders_at_once_make_it_once(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("setup:second", root=tmp_path)
    assert "Another Blender is setting it up just now" in found["beside"]["main"]
    assert "This one uses it as soon as it is ready" in found["waiting"]["main"]
    assert found["after"]["stage"] == "ready" and found["first"] == 0
    assert found["calls"] == ["venv", "plan", "install", "install", "self-test"]
    assert sorted(found["fetched"]) == ["thing", "torch"]


def test_nothing_is_written_into_the_extension(blender: Blender, extension_zip: Path, tmp_path: Path) -> None:
    blender.ask("setup:after", root=tmp_path)
    folder = blender.resources / "extensions" / "user_default" / "skyloop"
    with zipfile.ZipFile(extension_zip) as archive:
        shipped = {name for name in archive.namelist() if not name.endswith("/")}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in there if "__pycache__" not in name} == shipped

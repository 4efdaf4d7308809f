"""The VR preview as far as it goes without a window; ``tests/desktop/test_vr.py`` wears the headset."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from .conftest import Blender


def test_without_a_window_it_says_so_and_changes_nothing(blender: Blender) -> None:
    found = blender.ask("vr:refusals")
    assert len(found["errors"]) == 3
    assert "without a window" in found["errors"][0] and "without a window" in found["errors"][2]
    assert "No VR preview is running" in found["errors"][1]
    assert not found["ours"] and not found["running"]


@pytest.fixture(scope="module")
def chosen(blender: Blender) -> dict[str, Any]:
    return blender.ask("vr:settings", camera=[1, 2, 3, 50], heading_deg=20, front_deg=30)


def test_every_engine_shows_the_world(chosen: dict[str, Any]) -> None:
    shading = chosen["shading"]
    assert shading["BLENDER_EEVEE"] == {
        "type": "RENDERED",
        "use_scene_world_render": True,
        "use_scene_lights_render": True,
    }
    for engine in ("CYCLES", "BLENDER_WORKBENCH"):
        assert shading[engine] == {"type": "MATERIAL", "use_scene_world": True, "use_scene_lights": True}


@pytest.mark.parametrize(
    ("base", "place", "yaw_deg"),
    [
        ("CENTRE", (0, 0, 1.2), 50),  # the front of the sky and the heading
        ("CAMERA", (1, 2, 3), 70),  # where the camera looks and the heading
        ("DOWN", (1, 2, 3), 20),  # no heading of its own
        ("CENTIMETRES", (0, 0, 120), 50),
        ("NO_CAMERA", (0, 0, 120), 50),
    ],
)
def test_where_the_wearer_stands_and_looks(
    chosen: dict[str, Any], base: str, place: tuple[float, ...], yaw_deg: float
) -> None:
    location, angle = chosen["poses"][base]
    assert location == pytest.approx(place, abs=1e-4)
    assert math.degrees(angle) == pytest.approx(-yaw_deg, abs=1e-3)


def test_blenders_own_vr_settings_come_back(blender: Blender) -> None:
    found = blender.ask("vr:put_back")
    assert found["during"] != found["before"]
    assert found["during"][0] == "CUSTOM" and found["during"][4:] == [True, False]
    assert found["moved"] == pytest.approx(1.0), "the pose can be changed while it runs"
    assert found["after"] == found["before"] and not found["ours"]


def test_the_panel_says_what_would_spoil_it(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("vr:words", root=tmp_path)
    assert "[Preview in VR]" in found["no_sky"] and "no sky of Skyloop's" in found["no_sky"]
    assert "no sky of Skyloop's" not in found["sky"] and "stutter" not in found["sky"]
    assert "256 pixels wide and may stutter" in found["wide"]
    assert "No headset answers" in found["failed"] and "SteamVR" in found["failed"]
    assert "No headset answers" not in found["dismissed"]
    assert "[Stop VR]" in found["running"] and "[Preview in VR]" not in found["running"]
    assert "Eye Height" in found["running"] and "Eye Height" not in found["camera"]

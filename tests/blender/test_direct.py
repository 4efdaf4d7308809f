"""How a scene steers its sky: regions, the photo, the camera, masks; what a request says of it, what is refused."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Blender

PLACES = {"ahead": (0, 10, 0), "right": (7, 0, 0), "behind": (0, -3, 0), "high": (0, 5, 5), "above": (0, 0, 9)}
AT = {"ahead": (0, 0), "right": (90, 0), "behind": (180, 0), "high": (0, 45), "above": (0, 90)}


def turned(yaw: float, front: float) -> float:
    return (yaw - front + 180) % 360 - 180


def test_a_region_is_where_its_empty_is_seen(blender: Blender) -> None:
    fronts = [0.0, 90.0, -35.0, 400.0]
    found = blender.ask("direct:placed", places=PLACES, fronts=fronts)
    for front in fronts:
        *circles, stars, mist = found[str(front)]
        assert [prompt for *_, prompt in circles] == list(PLACES)
        for yaw, pitch, radius, name in circles:
            assert (pitch, radius) == (pytest.approx(AT[name][1], abs=1e-3), 20), name
            off = turned(yaw, turned(AT[name][0], front))
            assert off == pytest.approx(0, abs=1e-2) or name == "above", (name, front)
        assert stars == [None, 90, 40, "stars"] and mist == [None, 0, 10, "mist"]
    seen_from = {prompt: (yaw, pitch) for yaw, pitch, _, prompt in found["seen_from"]}
    assert seen_from["right"][0] == pytest.approx(math.degrees(math.atan2(7, 5)), abs=1e-2)
    assert seen_from["behind"] == (pytest.approx(0, abs=1e-2), pytest.approx(0, abs=1e-2))
    assert found["problems"] == []


def test_a_new_region_is_where_the_camera_looks(blender: Blender) -> None:
    looks = [(0, 0, 0), (90, 20, 0), (-150, -40, 30), (10, 80, -100)]
    found = blender.ask("direct:looked", looks=looks)
    for (yaw, pitch, _), seen in zip(looks, found, strict=True):
        assert seen == [pytest.approx(yaw, abs=0.01), pytest.approx(pitch, abs=0.01)]


def test_regions_are_handled_like_anything_else(blender: Blender) -> None:
    found = blender.ask("direct:handled")
    assert found["added"] == ["a", "b", "c"]
    assert found["undone"] == ["a", "b"] and found["redone"] == ["a", "b", "c"]
    assert found["moved"] == ["a", "c", "b"] and found["active"] == "b"
    assert found["copied"] == ["a", "c", "copy of b", "b"] or found["copied"] == ["a", "c", "b", "copy of b"]
    assert found["off"] == ["a", "c", "b"] and found["index"] == "a"
    assert found["dragged"] == [pytest.approx(90, abs=1e-3), pytest.approx(30, abs=1e-3), 12, "a"]
    assert found["removed"] == ["c", "b"] and found["next"] == "c"
    assert found["deleted by hand"] == ["c"]


def test_what_is_wrong_is_said_with_what_to_do(blender: Blender, tmp_path: Path, film: Path) -> None:
    found = blender.ask("direct:wrong", root=tmp_path, picture=film / "poster.png")
    (no_camera,), added, placed = found["no camera"]
    assert "no active camera" in no_camera and "Add a camera" in added and "camera" in placed
    assert "no perspective camera" in found["panoramic"][0]
    assert "prompt is empty" in found["empty"][0] and "prompt is empty" in found["panel"]
    assert "move it away" in found["centre"][0][0] and found["centre"][1] == []
    assert found["off"] == []
    assert "two degrees" in found["thin"]
    assert "no such.png is not there" in found["no photo"]
    assert "choose a PNG" in found["no picture"]
    assert found["a picture"] == ["", "SKY"]
    assert "rolled by 10°" in found["rolled"] and "Level" in found["rolled"]
    assert "Select one" in found["none active"]


def test_a_photo_at_the_camera(blender: Blender, film: Path) -> None:
    found = blender.ask("direct:photo", picture=film / "poster.png")  # 2:1, as the render is
    here, there, sky = found["0"], found["100"], found["sky"]
    assert here["image"] == str(film / "poster.png")
    assert here["image_yaw_deg"] == pytest.approx(70, abs=1e-2)
    assert here["image_pitch_deg"] == pytest.approx(12, abs=1e-2)
    assert here["image_fov_deg"] == pytest.approx(50, abs=1e-2)
    assert there["image_yaw_deg"] == pytest.approx(-30, abs=1e-2)
    assert sky == {"image": here["image"]}


PAN: dict[str, Any] = {"range": [1, 40], "front_deg": 30.0, "keys": [(1, (-60, 5, 0)), (40, (60, -10, 8))]}
TALL = {"resolution_x": 600, "resolution_y": 1000}


@pytest.mark.parametrize(
    "lens",
    [
        {"render": {"resolution_x": 1600, "resolution_y": 900}},
        {"render": TALL},
        {"render": TALL, "camera": {"sensor_fit": "HORIZONTAL"}},
        {"camera": {"sensor_fit": "VERTICAL", "sensor_height": 30, "lens": 20}},
        {"render": {"pixel_aspect_x": 2.0}, "camera": {"lens": 85}},
    ],
    ids=["wide", "tall", "horizontal", "vertical", "pixels"],
)
def test_the_keys_are_blenders_own_projection(blender: Blender, tmp_path: Path, lens: dict[str, Any]) -> None:
    asked = {**PAN, **lens, "look_at": [1, 20, 40]}
    found = blender.ask("direct:shot", root=tmp_path, **asked)
    assert found["problems"] == [] and found["before"] == found["after"]
    for shown in found["corners"]:
        key = at_frame(found["keys"], shown["frame"] - 1)
        for x, y, *ahead in shown["seen"]:
            assert projected(key, ahead, PAN["front_deg"]) == pytest.approx((x, y), abs=0.005), (key, x, y)


def test_a_shot_follows_what_carries_the_camera(blender: Blender, tmp_path: Path) -> None:
    """Its parent is in no scene, and the range begins in the middle of a loop."""
    asked = {"range": [101, 140], "front_deg": 0.0, "keys": [(101, (0, 0, 0)), (140, (40, 0, 0))]}
    found = blender.ask("direct:shot", root=tmp_path, **asked, parent_turn_deg=70, look_at=[101, 140])
    assert found["before"] == found["after"], "nothing of the file has changed, also what is not keyed yet"
    assert [key["frame"] for key in found["keys"]][0] == 100 % 16 and found["keys"][-1]["frame"] == 100 % 16 + 39
    assert [found["keys"][i]["yaw_deg"] for i in (0, -1)] == [pytest.approx(70, abs=0.1), pytest.approx(110, abs=0.1)]
    assert found["share"] == pytest.approx(88 * 27 / 41253, rel=0.15), "two pictures wide, with a margin"
    still = blender.ask("direct:shot", root=tmp_path, range=[1, 40], front_deg=0.0, keys=[(1, (5, 5, 0))], look_at=[])
    assert len(still["keys"]) == 1 and still["keys"][0]["frame"] == 0


def test_cuts_between_cameras_are_followed(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("direct:cuts", root=tmp_path)
    assert found["ours"] == found["blenders"] == 9 * ["CutA"] + 11 * ["CutB"]
    assert [found["yaw"][str(frame)] for frame in (0, 8, 9, 19)] == [
        pytest.approx(y, abs=0.1) for y in (0, 0, 120, 120)
    ]
    assert "CutB is no perspective camera" in found["problem"][0]


def at_frame(keys: list[dict[str, float]], frame: float) -> dict[str, float]:
    """As the backend reads keys: even movement between, rest outside."""
    import numpy as np

    at = [key["frame"] for key in keys]
    return {name: float(np.interp(frame, at, [key[name] for key in keys])) for name in keys[0]}


def projected(key: dict[str, float], ahead: list[float], front_deg: float) -> tuple[float, float]:
    """Where in a key's picture a direction of the world is: 0 to 1 to the right and up. By rotations, step by step."""
    x, y, z = ahead
    for angle, axes in ((key["yaw_deg"] + front_deg, "xy"), (key["pitch_deg"], "zy"), (-key["roll_deg"], "xz")):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        if axes == "xy":
            x, y = c * x - s * y, s * x + c * y
        elif axes == "zy":
            z, y = c * z - s * y, s * z + c * y
        else:
            x, z = c * x + s * z, c * z - s * x
    across = math.tan(math.radians(key["fov_deg"]) / 2)
    return 0.5 + x / y / across / 2, 0.5 + z / y / across * key["aspect"] / 2


@pytest.mark.parametrize("front_deg, direction", [(0.0, (0, 0)), (90.0, (130, 35)), (-35.0, (-170, -50))])
def test_a_mask_is_where_it_was_painted(
    blender: Blender, tmp_path: Path, front_deg: float, direction: tuple[float, float]
) -> None:
    yaw, pitch = direction
    found = blender.ask("direct:painted", root=tmp_path, front_deg=front_deg, direction=direction)
    sky_yaw = turned(yaw, front_deg)
    assert found["uv"] == [pytest.approx(0.5 + sky_yaw / 360, abs=1e-3), pytest.approx(0.5 + pitch / 180, abs=1e-3)]
    reroll, edit, quick = found["requests"]
    assert reroll["source"] == edit["source"] == quick["source"] == found["source"]
    mask = picture(Path(reroll["mask"]))
    rows, columns = np.nonzero(mask > 127)
    assert mask.shape == (512, 1024) and 300 < len(rows) < 2000
    assert rows.mean() == pytest.approx(512 * (0.5 - pitch / 180), abs=1.5), "the top is up"
    around = np.angle(np.exp(2j * np.pi * (columns + 0.5) / 1024).mean()) / (2 * np.pi) % 1 * 1024
    assert around == pytest.approx(1024 * (0.5 + sky_yaw / 360) % 1024, abs=1.5)
    assert reroll["prompt"] == "aurora" and edit["prompt"] == "full moon" and reroll["seed"] != 7
    assert quick["mask_at"] == [pytest.approx(sky_yaw, abs=0.01), pytest.approx(pitch, abs=0.01), 20]
    for request in (reroll, edit, quick):
        assert (request["width"], request["frames"], request["strength"]) == (256, 16, 1.0)


MAKE = """
import json, sys
from pathlib import Path
from backend.pipeline import generate
from backend.protocol import GenerateRequest
folder = Path(sys.argv[2])
folder.mkdir()
(folder / "request.json").write_text(sys.argv[1])
list(generate(GenerateRequest.from_json(json.loads(sys.argv[1])), folder))
"""


@pytest.mark.once
def test_what_was_painted_is_what_changes(
    blender: Blender, tmp_path: Path, backend_python: Path, repository: Path
) -> None:
    """With the real engine, from the brush to the rendered World, the sky turned."""
    front, direction = -35.0, (100.0, 20.0)

    def make(request: dict[str, Any], name: str) -> Path:
        command = [backend_python, "-c", MAKE, json.dumps(request), tmp_path / name]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return tmp_path / name

    sky = {"prompt": "night, stars", "width": 256, "height": 128, "frames": 4, "steps": 3, "seed": 3, "measure": False}
    source = make(sky, "source")
    asked = {
        "front_deg": front,
        "direction": direction,
        "radius": 0.12,
        "prompt": "bright desert, noon",
        "root": tmp_path,
    }
    found = blender.ask("direct:painted", **asked, source=source)
    edited = make({**found["requests"][1], "steps": 3}, "edited")
    beside = [(100.0 - 180, -20.0), (100.0, -50.0), (30.0, 20.0), (170.0, 20.0)]
    directions = [direction, *beside]
    before, after = blender.ask("direct:compare", front_deg=front, jobs=[source, edited], directions=directions)
    apart = np.abs(np.array(before) - after).mean(1)
    assert apart[0] > 25 and (apart[1:] < 6).all(), apart


def picture(path: Path) -> np.ndarray:
    """The pixels (H, W) of a grey PNG."""
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


def test_painting_begins_and_ends_cleanly(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("direct:paint_and_leave", root=tmp_path)
    before = found["before"]
    assert before["mode"] == "EDIT_MESH" and before["left"] == [[], [], []]
    assert "Generate or apply one" in found["no sky"]
    painting = found["painting"]
    assert painting["mode"] == "PAINT_TEXTURE" and painting["selected"] == [painting["object"]]
    assert painting["painting"] == "EDIT" and painting["left"] == [["Skyloop Mask"]] * 3
    assert "painted already" in found["twice"] and "Paint something first" in found["nothing painted"]
    assert found["discarded"] == before
    assert found["done"] == {**before, "painted": True}
    assert found["saved"] == [1, 1, 0], "what is painted is in the .blend"
    assert found["undone"]["left"] == [[], [], []] and found["undone"]["painting"] == ""
    assert found["redone"]["painting"] == "MOTION" and found["redone"]["mode"] == "PAINT_TEXTURE"
    assert found["done again"]["left"] == [[], [], []] and found["done again"]["mode"] == "OBJECT"
    assert found["done again"]["object"] == "Cube" and not found["done again"]["kept"]
    assert "no longer" in found["source gone"] and "Generate it again" in found["source gone"]
    assert "not a sky" in found["no sky any more"]


def test_what_is_painted_on_plays_as_the_world_does(blender: Blender, tmp_path: Path) -> None:
    runs = [("1", False), ("0.5", True), ("4", False)]
    found = blender.ask("direct:plays_alike", root=tmp_path, runs=runs, frames=[1, 2, 7, 12])
    for run, (world, sphere) in zip(runs, found, strict=True):
        assert np.allclose(world, sphere, atol=0.02), run
        assert len({round(red, 3) for red, _, _ in world}) == 4, "nothing moves"


def test_how_much_moves_where(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("direct:motion", root=tmp_path)
    assert found["half"] == [{"motion": 0.5}, {}]
    assert "Paint something first" in found["empty"]
    moves, still = (picture(Path(found[name]["motion_mask"])) for name in ("moves", "still"))
    assert moves[128, 256] == 255 and moves[400, 256] == moves[128, 700] == 0
    assert (still == 255 - moves).all()
    assert found["none"] == {} and "Skyloop Motion Mask" not in found["left"]


def test_regions_of_other_files_and_scenes(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("direct:elsewhere", root=tmp_path)
    linked, keyed = found["linked and keyed"]
    assert linked[3] == "from the library" and keyed[3] == "keyed"
    assert keyed[0] == pytest.approx(45, abs=0.01), "as it stands at the current frame"
    assert len(found["errors"]) == 2 and all("linked from another file" in text for text in found["errors"])
    assert found["constrained"][0] == pytest.approx(-90, abs=0.01)
    assert found["other scene"] == {} and found["other's own"] == ["of the other"]
    assert found["still"] == ["from the library", "keyed"]


def test_nothing_is_left_when_it_is_switched_off(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("direct:switched_off", root=tmp_path)
    assert {"pack_painted", "_after_undo", "draw_header"} <= set(found["on"]) and found["drawn"] == 2
    assert found["off"] == [] and found["left drawn"] == 0
    assert found["done"] == ["FINISHED"] and found["mode"] == "OBJECT"


def test_the_panels_say_what_is_so(blender: Blender, tmp_path: Path, film: Path) -> None:
    found = blender.ask("direct:panels", root=tmp_path, picture=film / "poster.png")
    assert "a storm ahead" in found["empty"]["directions"] and "not a sky" in found["empty"]["part"]
    unmeasured, full = found["unmeasured"], found["full"]
    assert "30° right of front, 10° up" in unmeasured["directions"]
    assert "[Measure the Saving]" in unmeasured["camera"]
    assert "About" in full["camera"] and "% of the sky is refined" in full["camera"] and "soft" in full["camera"]
    assert "[Measure the Saving]" in found["stale"]["camera"]
    assert "[Done] [Discard]" in found["painting"]["part"] and "[Re-roll Painted Part]" not in found["painting"]["part"]
    assert "[Re-roll Painted Part]" in full["part"] and "[Edit Painted Part]" in full["part"]
    assert "Yaw °" in full["picture"] and "Yaw °" not in unmeasured["picture"]

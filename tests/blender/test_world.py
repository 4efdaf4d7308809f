"""From a movie to the World: what is rendered, what is kept, what one undo takes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .conftest import FRAMES, LANDMARKS, Blender, coded_frame, frame_colour
from .pictures import linear, save_exr, save_png, srgb

CODEC_ERROR = 8  # of 255: H.264 in 4:2:0 and an 8 bit render


def close(seen: list[int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= CODEC_ERROR for a, b in zip(seen, wanted, strict=True))


def test_the_saved_sky_plays_and_loops(blender: Blender, tmp_path: Path) -> None:
    made = blender.ask("apply_and_save", root=tmp_path, front_deg=0.0)
    assert made["world"].startswith("Skyloop: aurora")
    assert made["path"].startswith("//"), "a saved file names its movie by a relative path"
    assert made["fps"] == 24 and made["frames"] == 250, "the scene's timing is the user's own"
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    frames = [1, 1 + FRAMES // 2, 1 + FRAMES, FRAMES, 0]
    seen = blender.ask("render_saved", blend=moved / "scene.blend", shots=[[f, 0.0, 89.0] for f in frames])
    for frame, colour in zip(frames, seen, strict=True):
        assert close(colour, frame_colour((frame - 1) % FRAMES)), (frame, colour)
    assert not close(seen[0], tuple(seen[1])), "frame 1 and the middle one look alike"
    assert close(seen[0], tuple(seen[2])), "the loop does not close"


@pytest.mark.parametrize("front_deg", [0.0, 90.0, -35.0])
def test_the_frames_centre_is_where_front_points(blender: Blender, tmp_path: Path, front_deg: float) -> None:
    blender.ask("apply_and_save", root=tmp_path, front_deg=front_deg)
    shots = [[1, front_deg + yaw, 0.0] for yaw in LANDMARKS]
    seen = blender.ask("render_saved", blend=tmp_path / "scene.blend", shots=shots)
    for (yaw, colour), pixel in zip(LANDMARKS.items(), seen, strict=True):
        assert close(pixel, colour), f"{yaw}° to the right of front is {pixel}, not {colour}"


def test_up_is_up(blender: Blender, tmp_path: Path, film: Path) -> None:
    blender.ask("apply_and_save", root=tmp_path, front_deg=0.0)
    high, low = blender.ask("render_saved", blend=tmp_path / "scene.blend", shots=[[1, 0.0, 50.0], [1, 0.0, 75.0]])
    assert close(high, LANDMARKS[0.0]) and close(low, frame_colour(0))


def test_the_old_world_comes_back_after_reload(blender: Blender, tmp_path: Path) -> None:
    blender.ask("apply_and_save", root=tmp_path, front_deg=0.0)
    found = blender.ask("restore_after_reload", blend=tmp_path / "scene.blend")
    assert found["world"] == "Mine" and found["fake_user"] is False and found["again"] is False
    assert found["record"]["prompt"] == "aurora" and found["record"]["seed"] == "7"
    assert Path(found["record"]["job"]).parent == tmp_path


def test_the_old_world_is_kept_when_the_sky_is_not(blender: Blender, tmp_path: Path) -> None:
    kept = blender.ask("replaced_by_hand", root=tmp_path)
    assert "Mine" in kept and "Third" in kept


def test_applying_is_one_undo_step(blender: Blender, tmp_path: Path) -> None:
    before, applied, undone, redone = blender.ask("undo_apply", root=tmp_path)
    assert before["world"] == "Mine" and before["movies"] == []
    assert applied["world"].startswith("Skyloop: ") and applied["movies"] == ["sky.mp4"]
    assert undone == before
    assert redone == applied


def test_no_turn_of_the_timer_does_all_of_it(blender: Blender, tmp_path: Path) -> None:
    """Applied or not, groups that nothing uses, whether Blender has opened the film: it does where that is shown."""
    found = blender.ask("sky:turns", root=tmp_path)
    ahead, applied = [False, 1, False], [True, 0, False]
    assert found["plain"] == [ahead, applied]
    assert found["undone"] == [ahead, [False, 0, False], ahead, applied]
    assert found["broken"] == [ahead, [False, 0, False]]


def test_what_cannot_be_applied_changes_nothing(blender: Blender, tmp_path: Path) -> None:
    missing, broken, nothing = blender.ask("refuse", root=tmp_path)
    assert "is missing" in missing
    assert "cannot" in broken and "sky.mp4" in broken
    assert "no Skyloop job" in nothing


def test_front_from_the_camera_turns_the_sky(blender: Blender, tmp_path: Path) -> None:
    ahead, right, left_behind, down = blender.ask("front", root=tmp_path)
    assert ahead == [0.0, 0.0, ""]
    assert right == [90.0, 90.0, ""]
    assert left_behind == [-135.0, -135.0, ""]
    assert down[:2] == left_behind[:2] and "straight up or down" in down[2]


# Speed, backwards, film frames ahead.
RUNS = [("1", False, 5), ("0.25", False, 3), ("0.5", True, -2), ("2", False, 0), ("4", True, 1), ("1", True, 0)]
TIMES = [-3, 0, 1, 2, 3, 8, 16, 17, 32, 33, 65]


def film_frame(colour: list[float]) -> int:
    """Which frame of the coded film a linear colour is of."""
    return round((srgb(colour[0]) - frame_colour(0)[0]) / (frame_colour(1)[0] - frame_colour(0)[0]))


@pytest.mark.parametrize(
    ("engine", "runs", "times"),
    [("CYCLES", RUNS, TIMES), pytest.param("EEVEE", RUNS[1:3], [-3, 1, 17, 33], marks=pytest.mark.once)],
)
def test_every_speed_keeps_the_loop(
    blender: Blender, tmp_path: Path, engine: str, runs: list[tuple[str, bool, int]], times: list[int]
) -> None:
    found = blender.ask("sky:plays", root=tmp_path, engine=engine, runs=runs, frames=times, repeats=3)
    for (speed, reverse, offset), run in zip(runs, found, strict=True):
        step = -float(speed) if reverse else float(speed)
        wanted = [int(np.floor((time - 1) * step + offset)) % FRAMES for time in times]
        assert [film_frame(colour) for colour in run["colours"]] == wanted, (speed, reverse, offset)
        assert not run["python"], "a driver needs permission to run Python"
        assert run["range"] == [1, 3 * round(FRAMES / float(speed)), 8]


def test_eevee_shows_the_sky_as_cycles_does(blender: Blender, tmp_path: Path) -> None:
    shots = [[20.0 + yaw, 0.0] for yaw in (0.0, 90.0, -90.0)] + [[20.0, 75.0]]
    asked = {"root": tmp_path, "shots": shots, "sliders": [{"Front": np.radians(20.0)}]}
    (eevee,) = blender.ask("sky:looks", engine="EEVEE", **asked)
    wanted = [LANDMARKS[0.0], LANDMARKS[90.0], LANDMARKS[-90.0], frame_colour(0)]
    for pixel, colour in zip(eevee, wanted, strict=True):
        assert close([round(srgb(part)) for part in pixel], colour)
    (cycles,) = blender.ask("sky:looks", engine="CYCLES", **asked)
    assert np.allclose(eevee, cycles, atol=0.02)


def test_the_sliders_do_what_they_say(blender: Blender, tmp_path: Path) -> None:
    sets = [{}, {"Strength": 2.0}, {"Strength": 1.0, "Saturation": 0.0}]
    sets += [{"Saturation": 1.0, "Tint": [0.5, 1.0, 0.0, 1.0]}, {"Tint": [1.0] * 4, "Lighting": 7.0}]
    found = blender.ask("sky:looks", root=tmp_path, engine="CYCLES", shots=[[0.0, 0.0], [0.0, 89.0]], sliders=sets)
    plain, strong, grey, tinted, lit = np.array(found)
    assert np.allclose(strong, 2 * plain, rtol=0.01)
    luma = plain @ [0.2126, 0.7152, 0.0722]
    assert np.allclose(grey, luma[:, None].repeat(3, 1), rtol=0.02)
    assert np.allclose(tinted, plain * [0.5, 1.0, 0.0], rtol=0.01, atol=1e-4)
    assert np.allclose(lit, plain, rtol=0.01), "what the camera sees is the picture, however strong it lights"


@pytest.mark.parametrize("engine", ["CYCLES", pytest.param("EEVEE", marks=pytest.mark.once)])
def test_the_horizon_is_blurred_and_nothing_else(blender: Blender, tmp_path: Path, engine: str) -> None:
    picture = np.zeros((128, 256, 3), np.uint8)
    picture[:64] = 255
    save_png(tmp_path / "half.png", picture)
    shots = [[0.0, pitch] for pitch in (-40.0, -5.0, 5.0, 40.0)]
    sharp, soft = blender.ask(
        "sky:looks",
        engine=engine,
        samples=64,
        still=tmp_path / "half.png",
        shots=shots,
        sliders=[{}, {"Horizon Blur": np.radians(12.0)}],
    )
    assert np.allclose([pixel[0] for pixel in sharp], [0.0, 0.0, 1.0, 1.0], atol=0.02)
    # The rest of a triangle of chance 12 degrees wide, thinner away from the horizon.
    reach = np.sin(np.radians(12.0)) * (1 - np.sin(np.radians(5.0)) / (2 * np.sin(np.radians(12.0))))
    over = (1 - np.sin(np.radians(5.0)) / reach) ** 2 / 2
    assert np.allclose([pixel[0] for pixel in soft], [0.0, over, 1 - over, 1.0], atol=0.04)


def test_the_boost_keeps_to_the_sun(blender: Blender, tmp_path: Path) -> None:
    picture = np.full((128, 256, 3), 255, np.uint8)
    picture[:, :32] = 100
    save_png(tmp_path / "white.png", picture)
    shots = [[60.0, 20.0], [60.0, 25.0], [-60.0, 20.0], [-175.0, 20.0]]
    sun = {"Boost": 3.0, "Sun Yaw": np.radians(60.0), "Sun Pitch": np.radians(20.0), "Sun Size": np.radians(20.0)}
    asked = {"still": tmp_path / "white.png", "engine": "CYCLES", "shots": shots}
    everywhere, focused = blender.ask("sky:looks", sliders=[sun, {"Sun Focus": 1.0}], **asked)
    dark = linear(100)
    assert np.allclose([pixel[0] for pixel in everywhere], [8.0, 8.0, 8.0, dark], rtol=0.02)
    near = 2 ** (3 * (1 - 0.25**2 * (3 - 2 * 0.25)))
    assert np.allclose([pixel[0] for pixel in focused], [8.0, near, 1.0, dark], rtol=0.05)


def test_an_exr_is_linear(blender: Blender, tmp_path: Path) -> None:
    save_exr(tmp_path / "linear.exr", np.full((32, 64, 3), [4.0, 0.5, 0.02], np.float32))
    found = blender.ask("sky:linear_picture", still=tmp_path / "linear.exr")
    assert np.allclose(found["seen"], [4.0, 0.5, 0.02], rtol=0.01)
    assert found["share"] == pytest.approx(0.2126 * 4.0 + 0.7152 * 0.5 + 0.0722 * 0.02, rel=0.01)


def test_a_chain_of_skies_leads_back_to_the_users_world(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("sky:chains", root=tmp_path)
    assert found["first"] == ["Mine, renamed", True], "the second scene's sky still needs it"
    assert found["second"] == ["Mine, renamed", False]
    assert found["deleted"] == [True, ["FINISHED"]] and found["then"] == ""
    assert found["linked"] == ["Theirs", True]


def test_a_group_of_an_older_version_is_made_anew(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("sky:upgrades", root=tmp_path)
    assert found["version"] == 1
    assert np.allclose(found["kept"], [2.0, 1.0, 1.0])
    assert film_frame([value / 2.0 for value in found["colour"]]) == 5, "it plays as before"


def test_a_missing_film_is_noticed_and_found(blender: Blender, tmp_path: Path) -> None:
    found = blender.ask("sky:missing_film", root=tmp_path)
    assert found["before"][0] is False and "missing" not in found["before"][1]
    assert found["gone"][0] is True
    assert all(words in found["gone"][1] for words in ("is missing", "[Find]", "[Choose File...]", "[Restore Previous"))
    assert "was not found" in found["not_found"] and "Choose the file" in found["not_found"]
    assert found["found"] == [False, "moved", True] and found["job"] == "moved"
    assert "cannot read" in found["bad"] and found["kept"].endswith("sky.mp4")
    assert [film_frame(colour) for colour in found["chosen"]] == [2, 2]


def test_the_film_as_numbered_pictures(blender: Blender, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for frame in range(FRAMES):
        save_png(pictures / f"frame_{frame + 7:04d}.png", coded_frame(frame))
    tool = Path(__file__).with_name("fake_frames.py")
    found = blender.ask("sky:pictures", root=tmp_path, tool=tool, pictures=pictures, shots=[2, 18, 0, 9])
    assert found["command"] == ["frames", "--out", "--format", "png"]
    assert found["source"] == "SEQUENCE"
    assert [film_frame(colour) for colour in found["frames"]] == [1, 1, 15, 8]
    assert [film_frame(colour) for colour in found["double"]] == [2, 2, 14, 0]
    assert "no room" in found["refused"] and found["still_shown"] == "SEQUENCE"
    source, colour, left = found["movie"]
    assert source == "MOVIE" and film_frame(colour) == 1 and left == []


def test_a_sky_becomes_an_asset(blender: Blender, tmp_path: Path) -> None:
    theirs = "VERSION 1\n\n11111111-2222-3333-4444-555555555555:Trees/Oaks:Trees-Oaks\n"
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "blender_assets.cats.txt").write_text(theirs, encoding="utf-8")
    found = blender.ask("sky:asset", root=tmp_path, library=tmp_path / "library")
    assert found["can"] == [False, True]
    assert found["untouched"], "saving an asset changes nothing in the open file"
    names = ("aurora-2", "aurora")
    made = [f"Skyloop/{name}/{file}" for name in names for file in (f"{name}.blend", "poster.png", "sky.mp4")]
    assert sorted(found["files"]) == sorted([*made, "blender_assets.cats.txt"])
    catalogues = (tmp_path / "library" / "blender_assets.cats.txt").read_text(encoding="utf-8")
    assert catalogues.startswith(theirs) and catalogues.count("Skyloop/Skies") == 1
    assert f"{found['catalogue']}:Skyloop/Skies:" in catalogues
    assert found["tags"] == ["aurora", "loop", "seed 7", "sky"] and found["author"] == ""
    assert found["preview"] and found["preview"][0] > 0
    assert not found["previous"] and "Mine" not in found["worlds"]
    assert film_frame([value / 1.5 for value in found["colour"]]) == 4

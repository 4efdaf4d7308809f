"""From a movie to the World: what is rendered, what is kept, what one undo takes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import FRAMES, LANDMARKS, Blender, frame_colour

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

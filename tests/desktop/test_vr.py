"""A sky in a headset: the real session of a real Blender, in the simulated headset of Monado."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..blender.conftest import FRAMES, LANDMARKS, film, frame_colour  # noqa: F401
from .screen import MONADO_RUNTIME, Screen, Walked, finished_job

HEADSET = (640, 360)  # pixels of the window that shows both eyes
SEVERAL = (1, 2, 3, 8, 16, 17, 24)


@pytest.fixture(scope="module")
def worn(screen: Screen, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:  # noqa: F811
    folder = tmp_path_factory.mktemp("vr")
    job = finished_job(film, folder / "sky")
    return screen.walk(
        "walk_vr.py",
        folder,
        size=(800, 1000),
        timeout_s=500.0,
        left_px=HEADSET[0],
        environment=MONADO_RUNTIME,
        job=job,
        headset=HEADSET,
        frames=SEVERAL,
    )


def near(seen: list[int], wanted: tuple[int, ...], within: int = 12) -> bool:
    """The lens's edges and the movie's compression cost a little of a colour."""
    return all(abs(s - w) <= within for s, w in zip(seen, wanted, strict=True))


def test_without_a_runtime_it_says_what_to_start_and_changes_nothing(worn: Walked) -> None:
    assert "No headset answers" in worn.text("no_headset") and "Monado" in worn.text("no_headset")
    assert worn.noted["refused"] == {"settings": worn.noted["before"], "ours": False, "playing": False}


def test_it_plays_and_the_head_moves(worn: Walked) -> None:
    assert worn.noted["began"] == {"playing": True, "shading": "RENDERED"}
    played = worn.noted["played"]
    assert len({moment["frame"] for moment in played}) > 3
    assert len({tuple(moment["pose"]) for moment in played}) > 3
    for moment in played:  # what the eyes see is one of the last few frames that were played
        recent = [frame_colour((moment["frame"] - 1 - late) % FRAMES) for late in range(4)]
        for eye in moment["eyes"].values():
            assert any(near(eye["all"], colour, 30) for colour in recent), moment


def test_both_eyes_see_the_film_frame_by_frame(worn: Walked) -> None:
    for frame in SEVERAL:
        for eye, seen in worn.noted["frames"][str(frame)].items():
            assert near(seen["all"], frame_colour((frame - 1) % FRAMES), 30), (frame, eye, seen)


def test_the_wearer_looks_where_the_heading_points(worn: Walked) -> None:
    for yaw_deg, turned in ((0.0, "ahead"), (90.0, "right")):
        for seen in worn.noted[turned].values():
            assert near(seen["middle"], LANDMARKS[yaw_deg]), (turned, seen)


def test_after_it_blender_is_as_it_was(worn: Walked) -> None:
    assert worn.noted["stopped"] == {"running": False, "settings": worn.noted["before"], "playing": False}
    assert "Preview in VR" in worn.text("afterwards")
    assert worn.status == 0

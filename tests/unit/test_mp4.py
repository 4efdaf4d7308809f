"""What an mp4 says of itself, read without a decoder."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.media.video import VideoWriter
from blender_addon.__main__ import load_package

load_package()
mp4 = importlib.import_module("skyloop.blender_addon.core.mp4")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "sky.mp4"
    with VideoWriter(path, 96, 48, 8.0) as writer:
        for level in range(7):
            writer.write(np.full((48, 96, 3), 30 * level, np.uint8))
    return path


def test_a_film_of_ours(film: Path) -> None:
    assert mp4.facts(film) == mp4.Facts(width=96, frames=7)


def test_a_film_with_an_end_that_nobody_gave(film: Path, tmp_path: Path) -> None:
    """The last box of an mp4 may go to the end of the file, and a long one has its length elsewhere."""
    whole = film.read_bytes()
    (tmp_path / "free.mp4").write_bytes(whole + b"\0\0\0\0free" + b"x" * 99)
    (tmp_path / "long.mp4").write_bytes(whole + b"\0\0\0\1free" + (24).to_bytes(8, "big") + b"x" * 8)
    assert mp4.facts(tmp_path / "free.mp4") == mp4.facts(tmp_path / "long.mp4") == mp4.facts(film)


def test_what_is_not_whole_or_no_film_has_none(film: Path, tmp_path: Path) -> None:
    whole = film.read_bytes()
    for number, data in enumerate((b"", b"not a movie", whole[:-1], whole[: len(whole) // 2], whole[8:], b"\0" * 999)):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(data)
        assert mp4.facts(path) is None, number
    assert mp4.facts(tmp_path / "nowhere.mp4") is None and mp4.facts(tmp_path) is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_one_is_answered(film: Path, tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(film.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    (tmp_path / "damaged.mp4").write_bytes(data)
    found = mp4.facts(tmp_path / "damaged.mp4")
    assert found is None or (found.width > 0 and found.frames > 0)

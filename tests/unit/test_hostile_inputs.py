"""Files that a request brings, at the place where they are read: refused before any work, by the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backend.inputs import check_inputs, source_frames
from backend.jobs import store
from backend.media.video import VideoWriter, probe
from backend.protocol import ErrorKind, GenerateRequest, SkyloopError
from tests.unit.test_hostile_pictures import MADE, NOISE, sparse
from tests.unit.test_hostile_videos import FRAMES

SKY = GenerateRequest(prompt="x", width=256, height=128, frames=FRAMES, mask_at=(0.0, 0.0, 30.0))


def refused(request: GenerateRequest, *names: str) -> None:
    with pytest.raises(SkyloopError) as caught:
        check_inputs(request)
        for _ in source_frames(request) if request.source else ():
            pass
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "\n" not in caught.value.line and all(name in caught.value.line for name in names)


@pytest.mark.parametrize("field", ["image", "mask", "motion_mask"])
@pytest.mark.parametrize("kind", ["png bomb", "tiff size given twice", "jpeg of a thousand scans", "text named .png"])
def test_every_picture_is_read_with_the_same_care(tmp_path: Path, field: str, kind: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(MADE[kind]())
    refused(replace(GenerateRequest(prompt="x"), **{field: str(path)}), str(path))


@pytest.fixture
def sky(tmp_path: Path) -> Path:
    """A finished sky whose video is moved out of its folder."""
    folder = tmp_path / "sky"
    store.create(folder, replace(SKY, mask_at=None))
    with VideoWriter(tmp_path / "movie.mp4", SKY.width, SKY.height, SKY.fps) as video:
        for i in range(SKY.frames):
            video.write(NOISE.repeat(4, 0)[:128].repeat(4, 1) // (i + 1))
    return folder


def test_a_sky_is_a_source(sky: Path, tmp_path: Path) -> None:
    (tmp_path / "movie.mp4").rename(sky / "sky.mp4")
    check_inputs(replace(SKY, source=str(sky)))
    assert len(list(source_frames(replace(SKY, source=str(sky))))) == FRAMES


PLACES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda path: None,
    "a link to a movie": lambda path: path.symlink_to("../movie.mp4"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a file of 2 TB": lambda path: sparse(path, 2 << 40),
}


@pytest.mark.skipif(os.name != "posix", reason="makes links and pipes")
@pytest.mark.parametrize("place", PLACES)
def test_a_source_is_a_movie_in_its_own_folder(sky: Path, place: str) -> None:
    PLACES[place](sky / "sky.mp4")
    refused(replace(SKY, source=str(sky)), str(sky))


@pytest.mark.skipif(os.name != "posix", reason="makes links and pipes")
@pytest.mark.parametrize("name", ["request.json", "result.json"])
def test_a_record_that_is_a_pipe_is_not_waited_for(sky: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "movie.mp4").rename(sky / "sky.mp4")
    (sky / name).unlink(missing_ok=True)
    os.mkfifo(sky / name)
    check_inputs(replace(SKY, source=str(sky)))


def test_a_source_that_ends_before_it_says_is_refused(sky: Path, tmp_path: Path) -> None:
    data = (tmp_path / "movie.mp4").read_bytes()
    start = data.rindex(b"mdat") + 4
    (sky / "sky.mp4").write_bytes(data[: start + (len(data) - start) // 2])
    assert probe(sky / "sky.mp4")["frames"] == FRAMES
    refused(replace(SKY, source=str(sky)), "sky.mp4")

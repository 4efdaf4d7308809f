"""Pictures that viewers take for a panorama, and that look as the film does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.exports.film import open_film
from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.media.stills import read_image
from backend.protocol import ErrorKind, SkyloopError
from tests import calibration
from tests.sid import Sid

FRAMES, WIDTH = 5, 512


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=WIDTH, fps=12)


def exported(film: Path, out: Path, **wanted: Any) -> dict[str, Any]:
    """The document of the export; the target's options go in as ``options``."""
    steps = export(ExportRequest(source=str(film), target="stills", out=str(out), **wanted))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_every_frame_is_the_films(film: Path, tmp_path: Path) -> None:
    png = exported(film, tmp_path / "ü", options={"format": "png", "frame": -1})
    jpeg = exported(film, tmp_path / "jpeg", options={"frame": -1})
    assert png["open"] == "sky_0000.png" and jpeg["open"] == "sky_0000.jpg"
    for number, frame in enumerate(open_film(film).read()):
        assert np.array_equal(read_image(tmp_path / "ü" / f"sky_{number:04d}.png"), frame)
        packed = read_image(tmp_path / "jpeg" / f"sky_{number:04d}.jpg")
        assert packed.shape == frame.shape
        assert calibration.number_in(calibration.on_frame(packed)) == number
        assert max(calibration.color_errors(calibration.on_frame(packed)).values()) <= 3


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_exiftool_knows_the_panorama(film: Path, tmp_path: Path, sid: Sid, kind: str) -> None:
    forward = exported(film, tmp_path / "forward", options={"format": kind, "frame": 3})
    exported(film, tmp_path / "turned", facing="blender", front_deg=-90.0, options={"format": kind, "frame": 3})
    exported(film, tmp_path / "small", height=128, options={"format": kind})
    name = {"jpeg": "poster.jpg", "png": "poster.png"}[kind]
    assert forward["open"] == name and name in forward["files"]
    files = [str(tmp_path / folder / name) for folder in ("forward", "turned", "small")]
    listed = " ".join(files)
    done = sid.run(
        f"exiftool -json -G1 -n -a {listed}; exiftool -validate {listed} >&2", shares=[tmp_path], timeout_s=60
    )
    assert done.returncode == 0 and done.stderr.count(": OK") == 3, done.stderr
    wanted = ((512, 0), (512, 270), (256, 0))
    for about, path, (width, heading) in zip(json.loads(done.stdout), files, wanted, strict=True):
        assert about["XMP-GPano:ProjectionType"] == "equirectangular"
        assert about["XMP-GPano:FullPanoWidthPixels"] == about["XMP-GPano:CroppedAreaImageWidthPixels"] == width
        assert about["XMP-GPano:FullPanoHeightPixels"] == about["XMP-GPano:CroppedAreaImageHeightPixels"] == width // 2
        assert about["XMP-GPano:CroppedAreaLeftPixels"] == about["XMP-GPano:CroppedAreaTopPixels"] == 0
        assert about["XMP-GPano:PoseHeadingDegrees"] == 0 and about["XMP-GPano:UsePanoramaViewer"] in (True, "True")
        assert about["XMP-GPano:InitialViewHeadingDegrees"] == heading, "a viewer begins at the film's front"
        assert about["ExifIFD:ColorSpace"] == 1 if kind == "jpeg" else about["PNG:SRGBRendering"] == 0
        assert about["File:FileType"] == kind.upper()
        sample = calibration.on_frame(read_image(Path(path)))
        if width == WIDTH:
            assert max(calibration.color_errors(sample, turned_deg=(heading + 180) % 360 - 180).values()) <= 3
            assert calibration.number_in(sample, yaw=heading) == 3


def test_a_frame_that_is_not_there_is_refused_with_what_is(film: Path, tmp_path: Path) -> None:
    with pytest.raises(SkyloopError) as caught:
        exported(film, tmp_path / "out", options={"frame": 5})
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert caught.value.message == "frame 5: the film has 5 frames." and "0 to 4" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    exported(film, tmp_path / "out", options={"frame": 4})
    assert calibration.number_in(calibration.on_frame(read_image(tmp_path / "out" / "poster.jpg"))) == 4

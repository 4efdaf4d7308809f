"""Any equirectangular film becomes one that loops cleanly, and what was changed is told."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from backend.exports import film as films
from backend.exports.film import Film, fitted, open_film
from backend.protocol import SkyloopError
from tests import calibration

WIDTH = 256


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=12, width=WIDTH, fps=12)


def film_of(
    path: Path,
    *,
    times: list[int] | None = None,
    size: tuple[int, int] = (WIDTH, WIDTH // 2),
    codec: str = "libx264",
    sound: bool = False,
    b_frames: int = 0,
    clock: int = 600,
) -> Path:
    """Somebody else's film: frames at ``times``, in ticks of 1/``clock`` s (default: 12 frames, 12 a second)."""
    times = times if times is not None else [n * clock // 12 for n in range(12)]
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=12, options={"bf": str(b_frames), "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, clock)
        voice: Any = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number, time in enumerate(times):
            rgb = np.ascontiguousarray(calibration.frame(number, WIDTH)[: size[1], : size[0]])
            if rgb.shape[:2] != (size[1], size[0]):
                rgb = np.resize(rgb, (size[1], size[0], 3))
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, clock)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if voice:
            beep = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
            beep.sample_rate = 48000
            container.mux(voice.encode(beep))
            container.mux(voice.encode(None))
    return path


def numbers(film: Film) -> list[int]:
    return [calibration.number_in(calibration.on_frame(frame)) for frame in film.read()]


def test_ours_is_taken_as_it_is(ours: Path) -> None:
    film = open_film(ours)
    assert (film.width, film.height, film.frames, film.fps, film.seconds) == (WIDTH, WIDTH // 2, 12, 12.0, 1.0)
    assert film.clean and film.notes == ()
    assert numbers(film) == list(range(12))


def test_a_job_folder_is_its_film_and_one_that_is_no_loop_says_so(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "sky.mp4").write_bytes(ours.read_bytes())
    assert open_film(tmp_path).notes == ()
    (tmp_path / "request.json").write_text(json.dumps({"prompt": "x", "loop": False}), encoding="utf-8")
    assert "not made as a loop" in open_film(tmp_path).notes[0]


def test_sound_is_left_out_and_said(tmp_path: Path) -> None:
    film = open_film(film_of(tmp_path / "sound.mp4", sound=True))
    assert "sound" in film.notes[0] and not film.clean
    assert numbers(film) == list(range(12))


def test_b_frames_come_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    path = film_of(tmp_path / "b.mp4", b_frames=3)
    with av.open(path) as container:
        assert any(packet.pts != packet.dts for packet in container.demux(video=0) if packet.size)
    film = open_film(path)
    assert not film.clean and numbers(film) == list(range(12))


def test_a_clock_of_milliseconds_is_no_varying_rate(tmp_path: Path) -> None:
    path = film_of(tmp_path / "ms.mkv", clock=1000)
    film = open_film(path)
    assert film.fps == pytest.approx(12, rel=0.01) and film.notes == ()
    assert numbers(film) == list(range(12))


def test_varying_times_become_steady_ones(tmp_path: Path) -> None:
    # Frames 0 to 5 at once come 12 a second, then each stays twice as long: 5 + 1 + 6 * 2 twelfths.
    times = [n * 50 for n in range(6)] + [300 + n * 100 for n in range(6)]
    film = open_film(film_of(tmp_path / "vfr.mp4", times=times))
    assert "varying times" in film.notes[0]
    seen = numbers(film)
    assert seen == sorted(seen) and set(seen) == set(range(12))
    assert film.seconds == pytest.approx(18 / 12, abs=1.5 / film.fps)
    shown = {n: seen.count(n) / film.fps for n in (2, 3, 8, 9)}
    assert all(abs(shown[n] - (1 if n < 6 else 2) / 12) <= 1 / film.fps for n in shown)


def test_a_film_that_is_cut_short_is_used_as_far_as_it_goes(ours: Path, tmp_path: Path) -> None:
    with av.open(ours) as container:
        ninth = [packet.pos or 0 for packet in container.demux(video=0) if packet.size][8]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(ours.read_bytes()[: ninth + 5])
    film = open_film(cut)
    assert "8 of 12 frames" in film.notes[0] and not film.clean
    assert numbers(film) == list(range(8))


def test_a_film_without_its_end_in_another_order_is_refused(tmp_path: Path) -> None:
    path = film_of(tmp_path / "index-last.mp4")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SkyloopError, match="cannot be read as a video"):
        open_film(path)


@pytest.mark.parametrize("size", [(256, 96), (128, 128), (256, 160)])
def test_what_is_no_whole_sky_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(SkyloopError, match=f"{size[0]}x{size[1]}: a film of the whole sky is twice as wide as high"):
        open_film(film_of(tmp_path / "flat.mp4", size=size))


def test_nearly_two_to_one_is_stretched_and_said(tmp_path: Path) -> None:
    film = fitted(open_film(film_of(tmp_path / "near.mp4", size=(256, 126))), 128, 0)
    assert "stretched" in film.notes[0] and not film.clean
    assert next(film.read()).shape == (128, 256, 3)


@pytest.mark.parametrize("height", [64, 256])
def test_another_size_has_no_seam(ours: Path, height: int) -> None:
    film = fitted(open_film(ours), height, 0)
    assert f"made {2 * height}x{height}" in film.notes[-1] and not film.clean
    frame = next(film.read()).astype(int)
    assert frame.shape == (height, 2 * height, 3)
    # The film's left half stands where its right half does, so that the seam shows what is elsewhere in the frame.
    source = next(open_film(ours).read())
    elsewhere = films._resized(np.roll(source, WIDTH // 2, axis=1), 2 * height, height)
    assert np.array_equal(np.roll(elsewhere, -height, axis=1), frame)


@pytest.mark.parametrize(("roll_deg", "seen_at"), [(0, 0), (90, 90), (-45, -45), (180, 180)])
def test_turned_pixels_show_the_centre_elsewhere(tmp_path: Path, roll_deg: float, seen_at: float) -> None:
    film = fitted(open_film(calibration.write(tmp_path / "c.mp4", frames=1)), 256, roll_deg)
    errors = calibration.color_errors(calibration.on_frame(next(film.read())), turned_deg=seen_at)
    assert len(errors) == 26 and max(errors.values()) < 3
    assert film.clean == (roll_deg == 0)


def test_one_frame_and_none(ours: Path) -> None:
    film = open_film(ours)
    assert calibration.number_in(calibration.on_frame(film.one(7))) == 7
    with pytest.raises(SkyloopError, match=r"frame 12: the film has 12 frames\. ?"):
        film.one(12)


def test_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no film")
    for path in (tmp_path / "x.mp4", tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(SkyloopError):
            open_film(path)

"""The whole method on a model whose latents are four frames each: lengths, loops, resuming, and all that a request may
know of its sky beforehand."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.controls import CameraKey
from backend.engine import Engine
from backend.media.stills import write_png
from backend.media.video import VideoWriter, probe, read_frames
from backend.pipeline import generate
from backend.protocol import METHODS, Event, GenerateRequest
from tests.backend.test_resume import Always, essence, interrupt
from tests.temporal import Temporal

SMALL = GenerateRequest(prompt="anything", width=256, height=128, frames=12, steps=3, seed=7, measure=False)


class TemporalEngine(Engine):
    """The engine with a temporal model loaded."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.temporal = Temporal(**changes)

    def model(self, model_id: str, device: str, loras: Any = ()) -> Temporal:
        return self.temporal


def events(request: GenerateRequest, job: Path, engine: Engine | None = None) -> Generator[Event, None, None]:
    job.mkdir(exist_ok=True)
    yield from generate(request, job, engine=engine or TemporalEngine(), pace=Always())


def film(job: Path) -> np.ndarray:
    return np.stack(list(read_frames(job / "sky.mp4"))).astype(float)


@pytest.mark.parametrize(("frames", "loop"), [(1, True), (1, False), (3, True), (6, True), (5, False), (22, False)])
def test_a_movie_has_the_frames_that_were_asked_for(frames: int, loop: bool, tmp_path: Path) -> None:
    engine = TemporalEngine()
    done = list(events(replace(SMALL, frames=frames, loop=loop, steps=2), tmp_path, engine))[-1].data["result"]
    assert probe(tmp_path / "sky.mp4")["frames"] == frames
    assert len(engine.temporal.shapes) == 1
    assert done["evaluations"] > 0
    assert engine.temporal.decoding == 0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    write_png(folder / "still.png", rng.integers(0, 255, (128, 256, 3), np.uint8))
    with VideoWriter(folder / "sky.mp4", 256, 128, 8.0) as video:
        for _ in range(12):
            video.write(rng.integers(0, 255, (128, 256, 3), np.uint8))
    return folder


def cases(files: Path) -> dict[str, tuple[GenerateRequest, dict[str, Any]]]:
    still, movie = str(files / "still.png"), str(files / "sky.mp4")
    large = replace(SMALL, width=512, height=256, steps=4)
    camera = (CameraKey(0, 10.0, 5.0, 60.0),)
    methods = {name: (replace(SMALL, method=name), {"solver": "renoise"}) for name in METHODS}
    return methods | {
        "refined": (large, {"solver": "renoise", "decode_noise": 0.1}),
        "guided to the end": (replace(large, guidance=2.0), {"guided_above": 0.1, "start": 0.9}),
        "long": (replace(SMALL, frames=30, loop=False), {}),
        "long paper": (replace(SMALL, frames=30, loop=False, method="dynamicscaler"), {}),
        "image": (replace(SMALL, image=still, motion=0.5), {"solver": "renoise"}),
        "image, no loop": (replace(SMALL, image=still, loop=False), {}),
        "edit": (replace(SMALL, source=movie, mask_at=(20.0, 10.0, 30.0)), {}),
        "variation": (replace(SMALL, source=movie, strength=0.6, loop=False), {}),
        "grown": (replace(large, source=movie, strength=0.7), {}),
        "camera": (replace(large, camera=camera), {}),
        "panorama": (replace(large, camera=camera, image=still), {"panorama": (6, 12), "solver": "renoise"}),
        "still": (replace(SMALL, motion=0.0), {"solver": "renoise"}),
    }


@pytest.mark.parametrize("name", list(cases(Path())))
def test_an_interrupted_job_ends_as_an_undisturbed_one(name: str, tmp_path: Path, files: Path) -> None:
    request, changes = cases(files)[name]
    total = len(list(events(request, tmp_path / "whole", TemporalEngine(**changes))))
    rng = random.Random(name)
    for after in sorted(rng.randrange(1, total - 1) for _ in range(3)):
        engine = TemporalEngine(**changes)
        interrupt(events(request, tmp_path / "cut", engine), after)
        assert engine.temporal.decoding == 0
    list(events(request, tmp_path / "cut", TemporalEngine(**changes)))
    assert essence(tmp_path / "cut") == essence(tmp_path / "whole")


def test_what_shall_not_move_does_not(tmp_path: Path) -> None:
    list(events(replace(SMALL, motion=0.0), tmp_path))
    frames = film(tmp_path)
    # Within a latent the model's pictures fade, by as much in each.
    assert np.abs(frames - np.roll(frames, 4, 0)).mean() < 1


def test_an_edit_keeps_what_it_shall_and_a_variation_is_like_its_source(tmp_path: Path, files: Path) -> None:
    smooth = tmp_path / "smooth"
    list(events(replace(SMALL, seed=1), smooth))
    before = film(smooth)
    apart = []
    for strength in (0.2, 0.9):
        job = tmp_path / f"varied {strength}"
        list(events(replace(SMALL, source=str(smooth), strength=strength), job))
        varied = film(job)
        assert len(varied) == len(before)
        apart.append(np.corrcoef(varied.mean(-1).ravel(), before.mean(-1).ravel())[0, 1])
    assert apart[0] > apart[1]
    assert apart[0] > 0.5


def test_figures_are_measured_against_films_of_windows(tmp_path: Path) -> None:
    figures = list(events(replace(SMALL, measure=True, steps=2), tmp_path))[-1].data["result"]["figures"]
    assert figures["seam"] > 0
    assert figures["loop"] > 0

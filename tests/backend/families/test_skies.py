"""Every family through the whole engine, from a request to a movie; and interrupted, to the same movie."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.checkpoints import Pace
from backend.engine import Engine
from backend.models.sparing import Sparing
from backend.pipeline import generate
from backend.protocol import Event, GenerateRequest

pytest.importorskip("diffusers")

FAMILIES = ("wan", "wan22", "ltx", "ltx2", "animatediff", "svd", "kandinsky5", "hunyuan15", "cogvideox")
SKY = GenerateRequest(prompt="a bad bag", width=256, height=128, frames=5, loop=False, steps=2, measure=False)


class Always(Pace):
    """Grants every checkpoint."""

    def due(self, size_bytes: int) -> bool:
        return True


class OneModel(Engine):
    """Has one model, tiny and random."""

    def __init__(self, family: str) -> None:
        super().__init__()
        module = importlib.import_module(f"tests.backend.families.test_{family}")
        name = next(name for name in sorted(vars(module)) if name.startswith("Test"))
        self.one = getattr(module, name).make().model

    def model(self, model_id: str, device: str, loras: Sequence[tuple[Path, float]] = ()) -> Any:
        return Sparing(self.one)


def events(job: Path, engine: Engine) -> Generator[Event, None, None]:
    job.mkdir(exist_ok=True)
    return generate(SKY, job, engine=engine, pace=Always())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sky_is_made_and_an_interrupted_one_is_the_same(family: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    engine, made = OneModel(family), []
    total = len(list(events(tmp_path / "whole", engine)))
    for after in (total // 3, total // 3):  # while it is denoised, and while it is decoded
        running = events(tmp_path / "cut", engine)
        for _ in range(after):
            next(running)
        running.close()
    list(events(tmp_path / "cut", engine))
    for job in ("whole", "cut"):
        made.append(hashlib.sha256((tmp_path / job / "sky.mp4").read_bytes()).hexdigest())
    assert made[0] == made[1]

"""What must not matter does not (batches, order, where a sphere's yaw begins), and what must come out does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend import denoise as engine
from backend.charts import sphere_charts
from backend.conditioning import Prompts
from backend.denoise import Canvas, Schedule, Visit, denoise, white_noise
from backend.fields import Fields
from backend.methods import Task
from backend.methods.skyloop import compose
from backend.models.base import View
from backend.models.builtin import BuiltinModel
from backend.protocol import GenerateRequest
from tests.oracle import Oracle

REQUEST = GenerateRequest(prompt="anything", width=1024, height=512, steps=4, seed=7, guidance=1.0)


def composed(window_batch: int) -> list[Tensor]:
    """The clean charts of layout and refinement. Whole windows share a number, so that borders matter."""
    task = Task(Oracle(block=16, window_batch=window_batch), REQUEST, Prompts(["anything"], ""), Fields())
    denoising, stages = compose(task), set()
    while True:
        try:
            stages.add(next(denoising).stage)
        except StopIteration as finished:
            assert {"layout", "refine"} <= stages
            return finished.value.latents


@pytest.fixture(scope="module")
def in_fours() -> list[Tensor]:
    return composed(4)


@pytest.mark.parametrize("window_batch", [1, 16])
def test_the_size_of_batches_does_not_matter(in_fours: list[Tensor], window_batch: int) -> None:
    for mine, other in zip(composed(window_batch), in_fours, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=0)


def test_the_order_of_windows_does_not_matter(monkeypatch: pytest.MonkeyPatch, in_fours: list[Tensor]) -> None:
    shuffle, visits = torch.Generator().manual_seed(3), engine.visits

    def shuffled(*args, **kwargs) -> list[Visit]:
        found = visits(*args, **kwargs)
        return [found[i] for i in torch.randperm(len(found), generator=shuffle).tolist()]

    monkeypatch.setattr(engine, "visits", shuffled)
    for mine, other in zip(composed(4), in_fours, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_turning_the_noise_of_a_band_by_a_window_turns_the_result() -> None:
    """Also through the last step, whose windows cross-fade: four of 16 on 60 columns lie 15 apart in every step."""
    band = sphere_charts(60, 16)[:1]
    noise = white_noise(band, 2, 16, torch.Generator().manual_seed(0))[0]

    def result(start: Tensor) -> Tensor:
        model = Oracle(block=16)
        canvas = Canvas(band, [start.clone()], True, 0.125)
        list(denoise(model, canvas, Prompts(["anything"], ""), Schedule(model.sigmas(8), [1.0] * 8)))
        return canvas.latents[0]

    straight = result(noise)
    torch.testing.assert_close(result(noise.roll(15, -1)), straight.roll(15, -1), atol=1e-5, rtol=0)
    assert (result(noise.roll(7, -1)) - straight.roll(7, -1)).abs().max() > 0.1  # what is no window step shows


def test_the_built_in_model_sees_a_window_as_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.models.builtin.compute_dtype", lambda device: torch.float32)
    model, cells = BuiltinModel(), 16
    texts = model.encode_text(["clouds over the sea", "a red desert", "stars", "northern lights", ""])
    views = [View(pitch, math.pi / 2, 0.125) for pitch in (-1.5, -0.4, 0.0, 0.8)]
    noise = torch.randn(
        4, model.spec.channels, model.spec.frames, cells, cells, generator=torch.Generator().manual_seed(2)
    )
    together = model.predict(noise, 0.6, views, texts[:4], texts[4], 3.0)
    for k in (0, 3):
        alone = model.predict(noise[k : k + 1], 0.6, views[k : k + 1], texts[k : k + 1], texts[4], 3.0)
        torch.testing.assert_close(alone[0], together[k], atol=1e-4, rtol=0)

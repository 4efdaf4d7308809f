"""What must not matter does not (batches, order, where a sphere's yaw begins), and what must come out does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from backend import denoise as engine
from backend.canvas import Canvas, white_noise
from backend.charts import Chart, sphere_charts
from backend.conditioning import Prompts
from backend.denoise import Schedule, Visit, denoise
from backend.fields import Fields
from backend.methods import Task
from backend.methods.skyloop import compose, recurring_noise
from backend.models.base import View
from backend.models.builtin import BuiltinModel
from backend.protocol import GenerateRequest
from backend.windows import Span, Window
from tests.oracle import Oracle, SmoothOracle

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


@pytest.mark.parametrize(("frames", "loop"), [(24, True), (32, True), (40, True), (47, True), (12, True), (40, False)])
def test_every_window_starts_from_white_noise(frames: int, loop: bool) -> None:
    """Noise comes back in a longer clip, but never twice within a window, also where that reaches over the join."""
    request = replace(REQUEST, frames=frames, loop=loop, seed=5)
    task = Task(Oracle(), request, Prompts(["anything"], ""), Fields())
    plane = [Chart("plane", 64, 64)]
    noise = recurring_noise(task, plane, None)[0].transpose(0, 1).flatten(1)
    likeness = (noise @ noise.T / noise.shape[1]).abs()
    apart = (torch.arange(task.frames)[:, None] - torch.arange(task.frames)).abs()
    if loop:
        apart = torch.minimum(apart, task.frames - apart)
    assert likeness[(apart > 0) & (apart < 16)].max() < 0.06
    assert (likeness.diagonal() - 1).abs().max() < 0.06
    if frames in (32, 47):
        assert likeness[0, 16] > 0.6


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


# --- The oracle: a Gaussian process whose score a window knows exactly. All is linear in the noise, so that the
# responses to each cell's noise give the covariance of what comes out, without any sampling error.

# Neighbours correlate by .44. Those of the built-in model's latents do by .23 to .53, by scene (docs/engine.md).
LIKE_LATENTS = SmoothOracle(-1 / math.log(0.44), rough=True)


@dataclass(frozen=True)
class Law:
    """What a row is once denoised: the mean ``variance`` of its cells (1 in truth), and by how much the deviation of
    steps between neighbours is larger at the ``border`` of the last windows than elsewhere (1 in truth)."""

    variance: float
    border: float


def law(smooth: SmoothOracle, columns: int, wrap: bool, steps: int) -> Law:
    responses = torch.zeros(256, columns)
    responses[:columns] = torch.eye(columns)
    canvas = Canvas([Chart("plane", 16, columns, wrap=wrap)], [responses.reshape(1, 16, 16, columns)], True, 0.125)
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    schedule = Schedule((2 * times / (1 + times)).tolist(), [1.0] * steps)  # the built-in model's
    list(denoise(Oracle(smooth=smooth), canvas, Prompts(["anything"], ""), schedule))
    row = canvas.latents[0].reshape(256, columns)
    deviation = (row.roll(-1, -1) - row).square().sum(0).sqrt()
    owner = torch.stack([_weight(w.columns, columns) for w in canvas.windows]).argmax(0)
    border = owner != owner.roll(-1)
    if not wrap:
        deviation, border = deviation[:-1], border[:-1]
    ratio = float(deviation[border].mean() / deviation[~border].mean()) if bool(border.any()) else 1.0
    return Law(float(row.square().sum(0).mean()), ratio)


def _weight(span: Span, columns: int) -> Tensor:
    return torch.zeros(columns).index_add_(0, span.index, span.weight)


CANVASES = pytest.mark.parametrize(("columns", "wrap"), [(64, True), (72, False)])


@CANVASES
def test_a_row_as_rough_as_latents_keeps_its_variance(columns: int, wrap: bool) -> None:
    assert 0.98 < law(LIKE_LATENTS, columns, wrap, 48).variance < 1.02


@CANVASES
def test_windows_cost_no_variance_that_one_window_keeps(columns: int, wrap: bool) -> None:
    """With 8 steps the solver itself falls short, in a single window too; moving windows add next to nothing."""
    alone = law(LIKE_LATENTS, 16, False, 8).variance
    assert 0.98 < law(LIKE_LATENTS, columns, wrap, 8).variance / alone < 1.02


@CANVASES
@pytest.mark.parametrize("steps", [8, 48])
def test_no_border_shows(columns: int, wrap: bool, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert law(LIKE_LATENTS, columns, wrap, steps).border < 1.05
    if wrap:
        monkeypatch.setattr("backend.windows.offset", lambda step, axis: 0.0)
        monkeypatch.setattr("backend.denoise.layout", partial(_never_finishing, engine.layout))
        assert law(LIKE_LATENTS, columns, wrap, steps).border > 1.2


def test_what_windows_cannot_know_costs_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where six cells are alike, what lies outside a window of 16 tells of what is inside. Windows that move lose a
    fifth of the variance to that, with any number of steps; those that never move keep it, and have borders instead."""
    smooth = SmoothOracle(6.0)
    moving = law(smooth, 64, True, 48)
    assert moving.variance == pytest.approx(0.78, abs=0.02)
    assert moving.border < 1.05
    monkeypatch.setattr("backend.windows.offset", lambda step, axis: 0.0)
    monkeypatch.setattr("backend.denoise.layout", partial(_never_finishing, engine.layout))
    fixed = law(smooth, 64, True, 48)
    assert 0.98 < fixed.variance < 1.02
    assert fixed.border > 5


def _never_finishing(layout: Callable[..., list[Window]], *args, finishing: bool) -> list[Window]:
    return layout(*args)

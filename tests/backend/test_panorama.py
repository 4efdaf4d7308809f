"""A model that sees a whole panorama makes the layout in one window, which turns with its noise; the sky is like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.canvas import Canvas, white_noise
from backend.charts import Chart
from backend.conditioning import Prompts
from backend.denoise import Progress, Schedule, denoise
from backend.fields import Fields
from backend.methods import Task, method
from backend.models.base import View, Wrapped
from backend.models.catalogue import entry
from backend.protocol import GenerateRequest
from backend.render import decode_frames
from backend.sizes import PANORAMA_SIGMA, REFINE_SIGMA
from tests.oracle import Oracle
from tests.temporal import Temporal

SKY = GenerateRequest(prompt="x", width=256, height=128, frames=12, steps=4, guidance=1.0, seed=3)
PANORAMA = (6, 12)


def layout_of(model: Any, turned: int, later: int) -> Tensor:
    """The layout alone, from noise that is turned by so many columns, and by so many latents in time."""
    chart = Chart("erp", *PANORAMA, wrap=True)
    noise = [z.roll((later, turned), (1, 3)) for z in white_noise([chart], 2, 4, torch.Generator().manual_seed(1))]
    canvas = Canvas([chart], noise, True, 0.1)
    schedule = Schedule(model.sigmas(5), [1.0] * 5)
    for _ in denoise(model, canvas, Prompts(["x"], ""), schedule, final=False, shape=PANORAMA):
        pass
    return canvas.latents[0]


class Around(Temporal):
    """Looks at the cell to the left of each, around the window."""

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        clean = super().predict(x, sigma, views, prompts, negative, guidance)
        return clean + 0.5 * clean.roll(1, -1)


class Watched(Temporal):
    """Remembers the sizes of windows, and their noise levels."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.seen: list[tuple[tuple[int, ...], float]] = []

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        self.seen.append((tuple(x.shape[-2:]), sigma))
        return super().predict(x, sigma, views, prompts, negative, guidance)


@pytest.mark.parametrize(("turned", "later"), [(1, 0), (5, 2), (11, 3)])
def test_a_turned_layout_is_the_layout_turned(turned: int, later: int) -> None:
    still = layout_of(Around(lead_error=5.0), 0, 0)
    assert torch.equal(layout_of(Around(lead_error=5.0), turned, later), still.roll((later, turned), (1, 3)))


def progress_of(model: Any, request: GenerateRequest = SKY) -> tuple[list[Progress], Canvas]:
    denoising, found = method("skyloop")(Task(model, request, Prompts(["x"], ""), Fields())), []
    while True:
        try:
            found.append(next(denoising))
        except StopIteration as finished:
            return found, finished.value


def test_the_layout_is_one_window_and_the_sky_is_like_it() -> None:
    """Pictures of both, equirectangular, beside that of another sky."""
    model = Temporal(panorama=PANORAMA)
    found, canvas = progress_of(model)
    layout = [p for p in found if p.stage == "layout"]
    assert layout[-1].total == SKY.steps
    assert model.shapes == {(2, 4, *PANORAMA), (2, 4, 8, 8)}
    assert layout[-1].clean
    _, other = progress_of(Temporal(panorama=PANORAMA), replace(SKY, seed=4))
    before, after, another = (
        torch.tensor(next(iter(decode_frames(model, c, 24, 48, range(1)))), dtype=torch.float32).mean(-1).flatten()
        for c in (layout[-1].clean, canvas, other)
    )
    like = torch.corrcoef(torch.stack([before, after, another]))
    assert like[0, 1] > 0.3, "of independent cells hardly more is left at that noise level"
    assert like[0, 2].abs() < 0.15


def test_more_is_made_anew_after_a_panorama_than_after_a_layout() -> None:
    """Since that is coarser, and stretched near the poles."""
    starts: dict[bool, list[float]] = {}
    for panorama in (None, PANORAMA):
        model = Watched(panorama=panorama)
        progress_of(model, replace(SKY, width=512, height=256))
        levels = [sigma for shape, sigma in model.seen if shape == (8, 8)]
        starts[panorama is not None] = [b for a, b in zip([0.0, *levels], levels, strict=False) if b > a]
    assert starts[False] == [1.0, REFINE_SIGMA]
    assert starts[True] == [PANORAMA_SIGMA, REFINE_SIGMA]


def test_a_flat_panorama_and_a_sky_made_anew_have_no_such_layout() -> None:
    model = Temporal(panorama=PANORAMA)
    progress_of(model, replace(SKY, flat=True))
    assert {shape[-2:] for shape in model.shapes} == {(8, 8)}


def test_a_model_that_decodes_single_frames_may_see_all_too() -> None:
    _, canvas = progress_of(Wrapped(Oracle(), panorama=(12, 24)), replace(SKY, width=512, height=256))
    assert [chart.kind for chart in canvas.charts] == ["band", "cap", "cap"]
    assert all(bool(z.isfinite().all()) for z in canvas.latents)


def test_the_models_that_can_see_around_are_those_whose_windows_close() -> None:
    assert entry("wan21-1.3b").architecture.circular
    assert not entry("cogvideox-2b").architecture.circular

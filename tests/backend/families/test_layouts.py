"""Tiny Wan and LTX make the layout of a sky in one window that goes around, and the sky out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers")

from backend.canvas import Canvas, white_noise
from backend.charts import Chart
from backend.conditioning import Prompts, encode_prompts
from backend.denoise import Schedule, denoise
from backend.fields import Fields
from backend.methods import Task, method
from backend.models.families.family import Family
from backend.models.families.ltx import Ltx
from backend.models.families.wan import Wan
from backend.models.foundation import FoundationModel
from backend.protocol import GenerateRequest
from tests.backend.conformance import entry_of, parts_of
from tests.backend.families import test_ltx, test_wan

PANORAMA = (4, 8)


def wan() -> Family:
    return Wan(parts_of(test_wan.tiny_parts()), entry_of("wan21-1.3b", frames=5, cells=4, panorama=PANORAMA))


def ltx() -> Family:
    return Ltx(parts_of(test_ltx.tiny_parts()), entry_of("ltx-2b", frames=5, cells=2, panorama=PANORAMA))


@pytest.fixture(scope="module", params=[wan, ltx])
def model(request: pytest.FixtureRequest) -> FoundationModel:
    torch.set_num_threads(1)
    make: Callable[[], Family] = request.param
    return FoundationModel(make(), {})  # pyright: ignore[reportArgumentType]


def layout_of(model: FoundationModel, turned: int, panorama: tuple[int, int] | None = PANORAMA) -> Tensor:
    family: Any = model.family
    family.spec = replace(family.spec, panorama=panorama)
    chart = Chart("erp", *PANORAMA, wrap=True)
    noise = white_noise([chart], family.spec.channels, 4, torch.Generator().manual_seed(1))
    canvas = Canvas([chart], [z.roll(turned, 3) for z in noise], True, 0.1)
    prompts = Prompts(model.encode_text(["abc"]), None)
    for _ in denoise(model, canvas, prompts, Schedule([1.0, 0.8, 0.5], [1.0, 1.0]), final=False, shape=PANORAMA):
        pass
    return canvas.latents[0]


def test_a_turned_layout_is_the_layout_turned(model: FoundationModel) -> None:
    """By whole tokens, which in Wan are two columns; and not where the model does not know that it goes around."""

    def wrongly(panorama: tuple[int, int] | None) -> float:
        plain, turned = layout_of(model, 0, panorama), layout_of(model, 2, panorama)
        return float((plain.roll(2, 3) - turned).abs().max() / plain.abs().max())

    assert wrongly(None) > 1e-3
    assert wrongly(PANORAMA) < 1e-5


def test_a_sky_is_made_out_of_such_a_layout(model: FoundationModel) -> None:
    spec = model.spec
    width = 16 * round(4 * spec.cells * spec.ratio / 16)
    request = GenerateRequest(
        prompt="abc", width=width, height=width // 2, frames=4 * spec.time_ratio, steps=2, guidance=1.0, seed=1
    )
    denoising, stages = method("skyloop")(Task(model, request, encode_prompts(model, request), Fields())), []
    while True:
        try:
            stages.append(next(denoising).stage)
        except StopIteration as finished:
            canvas = finished.value
            break
    assert list(dict.fromkeys(stages)) == ["layout", "upsample", "refine"]
    assert all(bool(z.isfinite().all()) for z in canvas.latents)

"""A panorama set in motion by each family that takes a picture, tiny and random: every window of a loop is given it,
and what it shows matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers")

from diffusers import WanVACETransformer3DModel

from backend.canvas import Canvas
from backend.conditioning import encode_prompts
from backend.fields import Fields
from backend.media.stills import write_png
from backend.methods import Task, method
from backend.models.families.family import Family
from backend.models.families.ltx import Ltx
from backend.models.families.svd import StableVideo
from backend.models.families.wan22 import Wan22Small
from backend.models.families.wan_vace import WanVace
from backend.models.foundation import FoundationModel
from backend.protocol import GenerateRequest
from tests.backend.conformance import entry_of, parts_of
from tests.backend.families import test_ltx, test_svd, test_wan, test_wan22


def ltx() -> Family:
    return Ltx(parts_of(test_ltx.tiny_parts()), entry_of("ltx-2b", frames=5, cells=4))


def vace() -> Family:
    transformer = WanVACETransformer3DModel(**test_wan.TINY, vace_layers=[0, 1], vace_in_channels=96)
    return WanVace(
        parts_of(test_wan.tiny_parts(transformer=transformer)), entry_of("wan21-vace-1.3b", frames=5, cells=4)
    )


def small() -> Family:
    return Wan22Small(parts_of(test_wan22.small_parts()), entry_of("wan22-5b", frames=5, cells=4))


def stable() -> Family:
    return StableVideo(parts_of(test_svd.tiny_parts()), entry_of("svd-xt", frames=5, cells=8))


FAMILIES: dict[str, Callable[[], Family]] = {"ltx": ltx, "vace": vace, "5b": small, "svd": stable}


class Watched(FoundationModel):
    """Says how many windows were given a picture, of how many."""

    def __init__(self, family: Family) -> None:
        super().__init__(family, {})  # pyright: ignore[reportArgumentType]
        self.given, self.windows = 0, 0

    def predict(self, x: Tensor, sigma: float, views: Any, prompts: Any, negative: Any, guidance: float) -> Tensor:
        self.windows += len(views)
        self.given += sum(view.given is not None for view in views)
        assert bool(x.isfinite().all())
        return super().predict(x, sigma, views, prompts, negative, guidance)


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Iterator[Family]:
    torch.set_num_threads(1)
    yield FAMILIES[request.param]()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in ("one.png", "other.png"):
        write_png(folder / name, rng.integers(0, 255, (64, 128, 3), np.uint8))
    return [str(folder / name) for name in ("one.png", "other.png")]


def asked(family: Family, image: str) -> GenerateRequest:
    spec = family.spec
    width = 16 * round(4 * spec.cells * spec.ratio / 16)
    frames = spec.time_ratio * 4
    return GenerateRequest(
        prompt="abc", width=width, height=width // 2, frames=frames, steps=2, guidance=2.0, seed=1, image=image
    )


def made(family: Family, request: GenerateRequest) -> tuple[Canvas, Watched]:
    model = Watched(family)
    model.texts = {}  # pyright: ignore[reportAttributeAccessIssue]
    denoising = method("skyloop")(Task(model, request, encode_prompts(model, request), Fields()))
    while True:
        try:
            next(denoising)
        except StopIteration as finished:
            return finished.value, model


@pytest.fixture(scope="module")
def one(family: Family, pictures: list[str]) -> tuple[Canvas, Watched]:
    return made(family, asked(family, pictures[0]))


def test_every_window_of_a_loop_is_given_the_picture(one: tuple[Canvas, Watched]) -> None:
    canvas, model = one
    assert model.windows
    assert model.given == model.windows
    assert all(bool(z.isfinite().all()) for z in canvas.latents)


def test_another_picture_is_another_sky(family: Family, pictures: list[str], one: tuple[Canvas, Watched]) -> None:
    """And not only for what is dictated of it, which models that take no picture follow too."""
    assert distance(one[0], made(family, asked(family, pictures[1]))[0]) > 0.02
    spec = family.spec
    family.spec = replace(spec, takes=frozenset({"text"}))
    try:
        held = made(family, asked(family, pictures[0]))[0]
    finally:
        family.spec = spec
    assert distance(one[0], held) > 0.01


def distance(one: Canvas, other: Canvas) -> float:
    """Between two skies, in deviations."""
    pairs = zip(one.latents, other.latents, strict=True)
    return max(float((a - b).abs().mean() / a.std()) for a, b in pairs)


def test_half_a_panorama_is_enough_for_every_family(family: Family, tmp_path: Path) -> None:
    """The upper half: of what is not known the windows are given nothing, or where there must be a picture, colours."""
    import cv2

    picture = np.full((64, 128, 4), 200, np.uint8)
    picture[34:, :, 3] = 0
    picture[:34, :, 3] = 255
    cv2.imwrite(str(tmp_path / "upper.png"), picture)
    canvas, model = made(family, asked(family, str(tmp_path / "upper.png")))
    assert all(bool(z.isfinite().all()) for z in canvas.latents)
    if "text" in family.spec.takes:
        assert 0 < model.given < model.windows
    else:
        assert model.given == model.windows

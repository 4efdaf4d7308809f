"""Wan 2.1 VACE against diffusers' pipeline, on tiny random networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanVACEPipeline, WanVACETransformer3DModel
from torch import Tensor

from backend.models.base import Given, View
from backend.models.families.wan_vace import WanVace
from tests.backend.conformance import VIEW, Conformance, entry_of, parts_of
from tests.backend.families.test_wan import TINY, WanCase, solvers, tiny_parts, unipc


def tiny_case(cells: int = 8) -> WanCase:
    parts = tiny_parts(transformer=WanVACETransformer3DModel(**TINY, vace_layers=[0, 1], vace_in_channels=96))
    family = WanVace(parts_of(parts), entry_of("wan21-vace-1.3b", frames=3, cells=cells))
    return WanCase(family, WanVACEPipeline(scheduler=unipc(3.0), **parts), solvers(3.0))


class TestWanVace(Conformance):
    make = staticmethod(tiny_case)


@pytest.fixture(scope="module")
def case() -> WanCase:
    return tiny_case()


def pipelines_control(case: WanCase, video: Tensor, mask: Tensor) -> Tensor:
    """What the pipeline shows the second branch of a clip (1, 3, n, H, W) in [-1, 1] and where to paint."""
    latents = case.pipe.prepare_video_latents(video, mask, [[]])
    return torch.cat([latents, case.pipe.prepare_masks(mask, [[]])], 1)


@torch.no_grad()
def test_without_anything_given_the_control_is_the_pipelines(case: WanCase) -> None:
    video = torch.zeros(1, 3, 9, 64, 64)
    theirs = pipelines_control(case, video, torch.ones_like(video))
    assert torch.equal(case.family.control(case.noise, [VIEW]), theirs)


@torch.no_grad()
def test_a_larger_window_is_as_grey_as_the_pipelines() -> None:
    case = tiny_case(cells=20)
    video = torch.zeros(1, 3, 9, 160, 160)
    grey = pipelines_control(case, video, torch.ones_like(video))[:, :16]
    assert (case.family.grey(case.noise) - grey).abs().mean() < 0.01 * grey.std()


def picture_view(case: WanCase, known: Tensor, picture: Tensor) -> View:
    return VIEW._replace(given=Given(case.family.encode_clip(picture[None]), known, picture))


@torch.no_grad()
def test_a_given_picture_is_the_first_latent_of_the_pipelines_control(case: WanCase) -> None:
    """Of a whole picture: the later latents of the pipeline's remember it a little, ours are grey."""
    picture = torch.rand(3, 64, 64)
    ours = case.family.control(case.noise, [picture_view(case, torch.ones(8, 8), picture)])
    video, mask = torch.zeros(1, 3, 9, 64, 64), torch.ones(1, 3, 9, 64, 64)
    video[0, :, 0], mask[:, :, 0] = picture * 2 - 1, 0
    theirs = pipelines_control(case, video, mask)
    assert (ours[:, :32, 0] - theirs[:, :32, 0]).abs().max() < 1e-4
    assert torch.equal(ours[:, 16:32], theirs[:, 16:32])
    assert not ours[:, 32:, 0].any() and bool((ours[:, 32:, 1:] == 1).all())


@torch.no_grad()
def test_what_is_unknown_of_a_picture_is_grey_and_painted(case: WanCase) -> None:
    known = torch.zeros(8, 8)
    known[:, :3] = 0.8
    ours = case.family.control(case.noise, [picture_view(case, known, torch.rand(3, 64, 64))])
    nothing = case.family.control(case.noise, [VIEW])
    assert torch.equal(ours[..., 3:], nothing[..., 3:])
    assert not ours[:, 32:, 0, :, :3].any()
    shown = case.family.raw(case.noise, 500.0, texts(case), [picture_view(case, known, torch.rand(3, 64, 64))])
    assert (shown - case.family.raw(case.noise, 500.0, texts(case), [VIEW])).abs().max() > 1e-3


def texts(case: WanCase) -> list[dict[str, Any]]:
    return case.family.encode_text(["abc"])

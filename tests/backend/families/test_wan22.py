"""Wan 2.2 against diffusers' pipelines, on tiny random networks: TI2V-5B and the two experts of A14B."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image

from backend.models.base import Given, View
from backend.models.families.wan22 import Wan22Experts, Wan22Small
from backend.models.parts import Parts
from backend.solver import solver_step
from tests.backend.conformance import NEGATIVE, PROMPT, VIEW, Conformance, entry_of, parts_of
from tests.backend.families.test_wan import TINY, TINY_VAE, WanCase, solvers, tiny_parts, unipc

CELLS, FRAMES = 4, 3


def small_parts() -> dict[str, Any]:
    statistics = {"latents_mean": [0.1] * 48, "latents_std": [1.5] * 48}
    form = {"is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12, "decoder_base_dim": 8}
    return tiny_parts(
        transformer=WanTransformer3DModel(**{**TINY, "in_channels": 48, "out_channels": 48}),
        vae=AutoencoderKLWan(**{**TINY_VAE, **form, **statistics, "z_dim": 48, "scale_factor_spatial": 16}),
    )


def small_case(pipeline: Any = WanPipeline, of: type[WanCase] = WanCase, **others: Any) -> Any:
    parts = small_parts()
    family = Wan22Small(parts_of(parts), entry_of("wan22-5b", frames=FRAMES, cells=CELLS))
    pipe = pipeline(scheduler=unipc(5.0), expand_timesteps=True, **parts, **others)
    return of(family, pipe, solvers(5.0))


class OneTimestepCase(WanCase):
    """The pipeline tells every token the same timestep, the family tells it once: only rounding differs."""

    tolerance = 1e-5


class TestWan22Small(Conformance):
    @staticmethod
    def make() -> WanCase:
        return small_case(of=OneTimestepCase)


class PictureCase(WanCase):
    """With a picture of all of the window."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        side = CELLS * 16
        pixels = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
        self.picture = Image.fromarray(pixels.numpy())
        frame = pixels.permute(2, 0, 1).float() / 255
        with torch.no_grad():
            self.given = Given(self.family.encode_clip(frame[None]), torch.ones(CELLS, CELLS), frame)

    def view(self) -> View:
        return VIEW._replace(given=self.given)

    def arguments(self) -> dict[str, Any]:
        return {"image": self.picture}


class TestWan22SmallFromAPicture(Conformance):
    @staticmethod
    def make() -> PictureCase:
        return small_case(WanImageToVideoPipeline, PictureCase, image_processor=None, image_encoder=None)


@torch.no_grad()
def test_a_part_of_a_picture_holds_where_it_is_known() -> None:
    case = small_case(WanImageToVideoPipeline, PictureCase, image_processor=None, image_encoder=None)
    known = torch.zeros(CELLS, CELLS)
    known[:, :2] = 1
    view = VIEW._replace(given=case.given._replace(known=known))
    prompt, negative = case.model.encode_text([PROMPT, NEGATIVE])
    clean = case.model.predict(case.noise, 0.8, [view], [prompt], negative, 3.0)
    free = case.model.predict(case.noise, 0.8, [VIEW], [prompt], negative, 3.0)
    assert torch.equal(clean[0, :, :1, :, :2], case.given.latents[..., :2])
    assert (clean[0, :, 0, :, 2:] - case.given.latents[:, 0, :, 2:]).abs().max() > 0.1
    assert (clean[0, :, 1:] - free[0, :, 1:]).abs().max() > 1e-3  # and the rest of the clip sees it


BOUNDARY = 0.75


def experts(loaded: list[str] | None = None, **preset: Any) -> tuple[Wan22Experts, dict[str, Any]]:
    """``loaded``: gets the name of each part as it is loaded."""
    parts = tiny_parts(transformer_2=WanTransformer3DModel(**TINY))

    def load(name: str) -> Any:
        if loaded is not None:
            loaded.append(name)
        return parts[name]

    lazily = Parts({name: lambda name=name: load(name) for name in parts}, torch.device("cpu"))
    entry = entry_of("wan22-a14b", frames=FRAMES, cells=8)
    return Wan22Experts(lazily, replace(entry, preset=replace(entry.preset, boundary=BOUNDARY, **preset))), parts


class TestWan22Experts(Conformance):
    @staticmethod
    def make() -> WanCase:
        family, parts = experts(guidance_late=0.0)  # one scale for both: see below
        return WanCase(family, WanPipeline(scheduler=unipc(3.0), boundary_ratio=BOUNDARY, **parts), solvers(3.0))


def test_only_one_expert_is_loaded_at_a_time() -> None:
    loaded: list[str] = []
    family, _ = experts(loaded)
    x, text = torch.randn(1, 16, FRAMES, 8, 8), [{"states": torch.randn(3, 32)}]
    with torch.no_grad():
        outs = [family.raw(x, t, text, [VIEW]) for t in (1000.0, 750.0, 749.0, 10.0)]
    assert loaded == ["transformer", "transformer_2"]
    family.raw(x, 1000.0, text, [VIEW])
    assert loaded == ["transformer", "transformer_2", "transformer"]
    assert (outs[1] - outs[2]).abs().max() > 1e-2  # they are two networks


@torch.no_grad()
def test_each_expert_has_its_guidance_as_in_the_pipeline() -> None:
    family, parts = experts()
    case = WanCase(family, WanPipeline(scheduler=solvers(12.0)[0][1], boundary_ratio=BOUNDARY, **parts))
    case.guidance, late = family.entry.preset.guidance, family.entry.preset.guidance_late
    assert case.guidance != late
    case.arguments = lambda: {"guidance_scale_2": late}
    theirs, sigmas = case.pipeline_latents(), case.sigmas(case.pipe.scheduler)
    assert sigmas[0] > BOUNDARY > sigmas[case.steps - 1]
    prompt, negative = case.model.encode_text([PROMPT, NEGATIVE])
    x, before = case.noise, None
    for around in zip([1.0, *sigmas], sigmas, sigmas[1:], strict=False):
        clean = case.model.predict(x, around[1], [VIEW], [prompt], negative, case.guidance)
        x, before = solver_step(x, clean, before, around, "euler"), clean
    assert (x - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def test_in_four_steps_two_are_of_each_expert() -> None:
    few = entry_of("wan22-a14b-4step", frames=FRAMES, cells=8)
    family = Wan22Experts(parts_of(tiny_parts()), few)
    times = [family.levels.native(s)[1] for s in family.levels.sigmas(few.preset.steps)[:-1]]
    assert [t >= few.preset.boundary * 1000 for t in times] == [True, True, False, False]
    assert {each.part for each in few.lora} == {"transformer", "transformer_2"}


def test_guidance_that_is_asked_for_changes_both_stages() -> None:
    family, _ = experts()
    assert [family.guidance(4.0, s) for s in (0.9, 0.2)] == [4.0, 3.0]
    assert [family.guidance(7.0, s) for s in (0.9, 0.2)] == [7.0, 5.0]


@torch.no_grad()
def test_fastwan_goes_up_to_fresh_noise_between_its_three_levels() -> None:
    """As the scheduler does that it is published with."""
    family = Wan22Small(parts_of(small_parts()), entry_of("fastwan22-5b", frames=FRAMES, cells=CELLS))
    assert (family.spec.solver, family.spec.guidance) == ("renoise", 1.0)
    assert family.levels.sigmas(3) == pytest.approx([1.0, 0.757, 0.522, 0.0])
    scheduler: Any = FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)
    scheduler.set_timesteps(sigmas=[1.0, 0.757, 0.522])
    x, out = torch.randn(2, 1, 48, FRAMES, CELLS, CELLS)
    theirs = scheduler.step(out, scheduler.timesteps[0], x, generator=torch.Generator().manual_seed(4)).prev_sample
    noise = randn_tensor(x.shape, generator=torch.Generator().manual_seed(4))
    clean = family.levels.clean(out, x, 1.0)
    assert torch.allclose(solver_step(x, clean, None, (1.0, 1.0, 0.757), "renoise", noise), theirs, atol=1e-5)

"""LTX-Video against diffusers' own pipeline, on tiny random networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXConditionPipeline
from diffusers import LTXVideoTransformer3DModel as Transformer
from diffusers.pipelines.ltx.pipeline_ltx_condition import linear_quadratic_schedule
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from backend.models.base import Given
from backend.models.catalogue import entry
from backend.models.families import ltx_decoder
from backend.models.families.family import Text
from backend.models.families.ltx import Ltx
from backend.protocol import SkyloopError
from tests.backend.conformance import (
    NEGATIVE,
    PROMPT,
    VIEW,
    Case,
    Conformance,
    decoded,
    entry_of,
    parts_of,
    ready,
    t5_encoder,
    t5_tokenizer,
)
from tests.backend.families.folders import in_half_precision

C, F, SIDE = 8, 3, 4


def tiny_parts() -> dict[str, Any]:
    torch.manual_seed(0)
    vae = AutoencoderKLLTXVideo(
        latent_channels=C, block_out_channels=(8, 8, 8, 8, 8), down_block_types=("LTXVideo095DownBlock3D",) * 4,
        decoder_block_out_channels=(8, 16, 32), layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 4,
        spatio_temporal_scaling=(True,) * 4, decoder_spatio_temporal_scaling=(True,) * 3,
        decoder_inject_noise=(False,) * 4, upsample_residual=(True,) * 3, upsample_factor=(2, 2, 2),
        downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"), timestep_conditioning=True,
        spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip
    vae.latents_mean.normal_()
    vae.latents_std.uniform_(0.5, 2)
    transformer = Transformer(
        in_channels=C, out_channels=C, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32,
        num_layers=2, caption_channels=32,
    )  # fmt: skip
    return ready(transformer=transformer, vae=vae, text_encoder=t5_encoder(), tokenizer=t5_tokenizer())


def packed(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def windows(tokens: Tensor) -> Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), C, F, SIDE, SIDE)


class LtxCase(Case):
    tolerance = 1e-5  # the pipeline computes both branches together; see the test below for one that does the same

    def __init__(self, **changes: Any) -> None:
        self.parts = tiny_parts()
        family = Ltx(parts_of(self.parts), entry_of("ltx-2b", frames=F, cells=SIDE, **changes))
        pipe = LTXConditionPipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **self.parts)
        super().__init__(family, pipe, [("euler", FlowMatchEulerDiscreteScheduler())])
        self.noise = randn_tensor(self.shape, generator=torch.Generator().manual_seed(9))  # the pipeline draws its own

    def arguments(self) -> dict[str, Any]:
        return {"frame_rate": 1 / VIEW.frame_step_s}

    def set_timesteps(self, scheduler: Any) -> None:
        scheduler.set_timesteps(timesteps=linear_quadratic_schedule(self.steps) * 1000)

    def step(self, scheduler: Any, out: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return windows(
            scheduler.step(-packed(out), t, packed(x), per_token_timesteps=t.expand(1, 1), return_dict=False)[0]
        )

    def pipeline_text(self) -> list[Text]:
        states, mask, negative, negative_mask = self.pipe.encode_prompt(PROMPT, NEGATIVE)
        return [{"embeds": states[0], "mask": mask[0]}, {"embeds": negative[0], "mask": negative_mask[0]}]

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        vae, told = self.pipe.vae, torch.tensor([0.05])
        native = self.pipe._denormalize_latents(latents[None], vae.latents_mean, vae.latents_std)
        return self.pipe.video_processor.postprocess_video(vae.decode(native, told).sample, "pt")[0]


class TestLtx(Conformance):
    @staticmethod
    def make() -> LtxCase:
        return LtxCase()

    def test_it_runs_in_half_precision_from_its_folder(self, tmp_path: Path) -> None:
        in_half_precision(Ltx, tiny_parts(), entry_of("ltx-2b", frames=F, cells=SIDE), tmp_path)

    def test_its_levels_are_those_it_was_trained_on(self, case: LtxCase) -> None:
        trained = entry("ltx-2b").preset.sigmas
        assert case.model.sigmas(len(trained)) == [*trained, 0.0]
        plain = Ltx(parts_of(case.parts), entry_of("ltx-2b", frames=F, cells=SIDE, preset=undistilled()))
        assert plain.levels.sigmas(6) == [*linear_quadratic_schedule(6).tolist(), 0.0]

    def test_every_call_is_the_pipelines(self, case: LtxCase) -> None:
        calls = recorded(case)
        texts = case.model.encode_text([NEGATIVE, PROMPT])
        for given, out in calls:
            raw = case.family.raw(windows(given["hidden_states"]), float(given["timestep"][0]), texts, [VIEW] * 2)
            assert torch.equal(packed(raw), out)

    def test_a_given_picture_is_kept_as_the_pipeline_keeps_it(self, case: LtxCase) -> None:
        pixels = torch.rand(3, 32 * SIDE, 32 * SIDE)
        calls = recorded(case, image=pixels[None])
        generator, vae = torch.Generator().manual_seed(9), case.pipe.vae
        randn_tensor(case.shape, generator=generator)
        drawn = vae.encode(pixels[None, :, None] * 2 - 1).latent_dist.sample(generator)[0]
        latents = case.pipe._normalize_latents(drawn[None], vae.latents_mean, vae.latents_std)[0]
        view = VIEW._replace(given=Given(latents, torch.ones(SIDE, SIDE), pixels))
        texts = case.model.encode_text([NEGATIVE, PROMPT])
        for given, out in calls:
            x, sigma = windows(given["hidden_states"]), float(given["timestep"].max()) / 1000
            noise = (x[:, :, :1] - latents) / (0.15 * sigma**2)  # that the pipeline drew in this step
            x[:, :, :1] = (1 - sigma) * latents + sigma * noise
            raw = case.family.raw(x, 1000 * sigma, texts, [view] * 2)
            assert (packed(raw) - out).abs().max() < 1e-5
        assert torch.equal(case.family.finish(case.noise, [view])[0, :, :1], latents)

    def test_known_cells_alone_are_kept(self, case: LtxCase) -> None:
        known = torch.zeros(SIDE, SIDE)
        known[:2] = 1
        view = VIEW._replace(given=Given(torch.ones(C, 1, SIDE, SIDE), known, torch.empty(0)))
        found = case.family.finish(case.noise, [view])
        assert torch.equal(found[0, :, 0, :2], torch.ones(C, 2, SIDE))
        assert torch.equal(found[0, :, 0, 2:], case.noise[0, :, 0, 2:])
        assert torch.equal(found[:, :, 1:], case.noise[:, :, 1:])

    def test_turning_a_whole_panorama_turns_the_prediction(self, case: LtxCase) -> None:
        x, texts, family = torch.randn(1, C, F, 4, 8), case.model.encode_text([PROMPT]), case.family

        def error() -> float:
            straight, turned = (family.raw(y, 600.0, texts, [VIEW]) for y in (x, x.roll(3, -1)))
            return float((straight.roll(3, -1) - turned).abs().max())

        plain = error()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(family, "spec", replace(family.spec, panorama=(4, 8)))
            assert error() < 1e-5 < plain / 100
        assert error() == plain  # and nothing of it stays

    def test_a_long_clip_is_decoded_as_if_at_once(self, case: LtxCase) -> None:
        latents = torch.randn(C, 20, 2, 2)
        pieces = list(case.model.decode_clip(latents))
        whole = case.pipeline_frames(latents)
        assert max(len(piece) for piece in pieces) == 8 * ltx_decoder.LATENTS_AT_ONCE
        assert (torch.cat(pieces) - whole).abs().max() < 1e-5
        for length in range(1, 8):  # each is as long as it is, whatever the layers have to wait for
            whole = case.pipeline_frames(latents[:, :length])
            assert (decoded(case, latents[:, :length]) - whole).abs().max() < 1e-5

    def test_one_older_than_that_is_refused_in_a_sentence(self, case: LtxCase) -> None:
        case.pipe.vae.register_to_config(decoder_inject_noise=(True, False, False, False))
        try:
            with pytest.raises(SkyloopError, match="older than 0.9.5"):
                Ltx(parts_of(case.parts), entry_of("ltx-2b", frames=F, cells=SIDE))
        finally:
            case.pipe.vae.register_to_config(decoder_inject_noise=(False,) * 4)

    def test_a_loop_decoded_with_what_is_around_it_begins_anywhere(self, case: LtxCase) -> None:
        ring, (before, after) = torch.randn(C, 6, 2, 2), case.family.spec.around

        def loop(first: int) -> Tensor:
            frames = decoded(case, ring[:, torch.arange(first - before, first + 6 + after) % 6])
            return frames[1 + 8 * (before - 1) :][: 8 * 6]

        assert (loop(0).roll(-24, 0) - loop(3)).abs().max() < 1e-2 * float(loop(0).std())


def undistilled() -> Any:
    preset = entry("ltx-2b").preset
    return replace(preset, sigmas=())


def recorded(case: LtxCase, **arguments: Any) -> list[tuple[dict[str, Any], Tensor]]:
    """What the pipeline gives the denoiser, and what that returns."""
    calls: list[tuple[dict[str, Any], Tensor]] = []
    handle = case.pipe.transformer.register_forward_hook(
        lambda _, args, kwargs, out: calls.append((kwargs, out[0])), with_kwargs=True
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(case, "arguments", lambda: {"frame_rate": 1 / VIEW.frame_step_s, **arguments})
            case.pipeline_latents()
    finally:
        handle.remove()
    assert len(calls) == case.steps
    return calls

"""LTX-2 against diffusers' own pipeline with its sound cut off, on tiny random networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video, FlowMatchEulerDiscreteScheduler, LTX2Pipeline
from diffusers import LTX2VideoTransformer3DModel as Transformer
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.utils import DISTILLED_SIGMA_VALUES
from torch import Tensor
from transformers import ByT5Tokenizer, Gemma3Config, Gemma3ForConditionalGeneration

from backend.models.base import Given
from backend.models.families.family import Text
from backend.models.families.ltx2 import Ltx2
from tests.backend.conformance import NEGATIVE, PROMPT, VIEW, Case, Conformance, decoded, entry_of, parts_of, ready
from tests.backend.families.folders import in_half_precision

C, F, SIDE = 8, 3, 4
# What tells LTX-2.0 from 2.3.
OLD = (
    {"use_prompt_embeddings": True, "caption_channels": 16},
    {"caption_channels": 16, "text_proj_in_factor": 3, "video_connector_num_attention_heads": 2,
     "video_connector_attention_head_dim": 8, "audio_connector_num_attention_heads": 2,
     "audio_connector_attention_head_dim": 8},
)  # fmt: skip
NEW = (
    {"use_prompt_embeddings": False, "gated_attn": True, "cross_attn_mod": True, "audio_gated_attn": True,
     "audio_cross_attn_mod": True, "perturbed_attn": True, "rope_type": "split"},
    {"caption_channels": 16, "text_proj_in_factor": 3, "per_modality_projections": True, "video_hidden_dim": 32,
     "audio_hidden_dim": 16, "video_connector_num_attention_heads": 2, "video_connector_attention_head_dim": 16,
     "audio_connector_num_attention_heads": 2, "audio_connector_attention_head_dim": 8, "video_gated_attn": True,
     "audio_gated_attn": True, "rope_type": "split", "proj_bias": True},
)  # fmt: skip


def gemma() -> Any:
    """A text encoder of three states for :class:`ByT5Tokenizer`, with eyes that no test opens."""
    text = {
        "vocab_size": 400, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 2048, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 1,
    }  # fmt: skip
    eyes = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 16,
    }  # fmt: skip
    return Gemma3ForConditionalGeneration(Gemma3Config(
        text_config=text, vision_config=eyes, mm_tokens_per_image=1, image_token_index=399, boi_token_index=398,
        eoi_token_index=397,
    ))  # fmt: skip


def tiny_parts(version: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    transformer = Transformer(
        in_channels=C, out_channels=C, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32,
        audio_in_channels=4, audio_out_channels=4, audio_num_attention_heads=2, audio_attention_head_dim=8,
        audio_cross_attention_dim=16, num_layers=2, **version[0],
    )  # fmt: skip
    vae = AutoencoderKLLTX2Video(
        latent_channels=C, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 4, decoder_causal=False,
        spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip
    return ready(
        transformer=transformer, vae=vae, text_encoder=gemma(), tokenizer=ByT5Tokenizer(),
        connectors=LTX2TextConnectors(**version[1]),
    )  # fmt: skip


def packed(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def windows(tokens: Tensor) -> Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), C, F, SIDE, SIDE)


def deafened(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    return args, {**kwargs, "isolate_modalities": True}


class Ltx2Case(Case):
    tolerance = 2e-5  # the pipeline guides clean predictions, and computes both branches together

    def __init__(self, version: Any = NEW) -> None:
        self.parts = tiny_parts(version)
        sound = ready(audio_vae=AutoencoderKLLTX2Audio(
            base_channels=4, ch_mult=(1,), num_res_blocks=1, latent_channels=2, mel_bins=8
        ))  # fmt: skip
        self.parts["transformer"].register_forward_pre_hook(deafened, with_kwargs=True)
        scheduler = FlowMatchEulerDiscreteScheduler()
        pipe = LTX2Pipeline(scheduler=scheduler, vocoder=None, **self.parts, **sound)  # pyright: ignore[reportArgumentType]
        family = Ltx2(parts_of(self.parts), entry_of("ltx2.3-distilled", frames=F, cells=SIDE))
        super().__init__(family, pipe, [("euler", FlowMatchEulerDiscreteScheduler())])

    def arguments(self) -> dict[str, Any]:
        plain = {"stg_scale": 0.0, "modality_scale": 1.0, "guidance_rescale": 0.0}
        return plain | {f"audio_{name}": scale for name, scale in plain.items()} | {"frame_rate": 1 / VIEW.frame_step_s}

    def set_timesteps(self, scheduler: Any) -> None:
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / self.steps, self.steps))

    def pipeline_text(self) -> list[Text]:
        encoded = [self.pipe.encode_prompt(t, do_classifier_free_guidance=False)[:2] for t in (PROMPT, NEGATIVE)]
        connected = [self.pipe.connectors(states, mask, padding_side="left") for states, mask in encoded]
        assert all(mask.all() for _, _, mask in connected)  # which is why the family has none
        return [{"embeds": embeds[0]} for embeds, _, _ in connected]

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        return self.pipe.video_processor.postprocess_video(self.pipe.vae.decode(latents[None]).sample, "pt")[0]


class TestLtx2(Conformance):
    @staticmethod
    def make() -> Ltx2Case:
        return Ltx2Case()

    def test_it_runs_in_half_precision_from_its_folder(self, tmp_path: Path) -> None:
        in_half_precision(Ltx2, tiny_parts(NEW), entry_of("ltx2.3-distilled", frames=F, cells=SIDE), tmp_path)

    def test_its_levels_are_those_it_was_trained_on(self, case: Ltx2Case) -> None:
        assert case.model.sigmas(8) == [*DISTILLED_SIGMA_VALUES, 0.0]

    @pytest.mark.parametrize("version", [OLD, NEW], ids=["2.0", "2.3"])
    def test_every_call_is_the_pipelines(self, version: Any) -> None:
        case, calls = Ltx2Case(version), []
        case.pipe.transformer.register_forward_hook(lambda _, __, k, out: calls.append((k, out[0])), with_kwargs=True)
        case.pipeline_latents()
        texts = case.model.encode_text([NEGATIVE, PROMPT])
        assert len(calls) == case.steps
        for given, out in list(calls):  # ours are appended
            raw = case.family.raw(windows(given["hidden_states"]), float(given["timestep"][0]), texts, [VIEW] * 2)
            assert torch.equal(packed(raw), out)

    def test_a_given_picture_is_told_at_each_of_its_tokens(self, case: Ltx2Case) -> None:
        picture = torch.randn(C, 1, SIDE, SIDE)
        view = VIEW._replace(given=Given(picture, torch.ones(SIDE, SIDE), torch.empty(0)))
        calls: list[dict[str, Any]] = []
        handle = case.pipe.transformer.register_forward_hook(lambda _, __, k, ___: calls.append(k), with_kwargs=True)
        texts = case.model.encode_text([PROMPT, NEGATIVE])
        with_picture = case.family.raw(torch.cat([case.noise] * 2), 700.0, texts, [view, VIEW])
        handle.remove()
        told, first = calls[0]["timestep"], SIDE * SIDE
        assert bool((told[0, :first] == 0).all()) and bool((told[0, first:] == 700).all())
        assert bool((told[1] == 700).all()) and bool((calls[0]["sigma"] == 700).all())
        assert torch.equal(calls[0]["hidden_states"][0, :first], packed(picture[None])[0])
        alone = case.family.raw(case.noise, 700.0, texts[1:], [VIEW])
        assert (with_picture[1:] - alone).abs().max() < 1e-5

    def test_turning_a_whole_panorama_turns_the_prediction(self) -> None:
        for version in (OLD, NEW):
            case = Ltx2Case(version)
            x, texts, family = torch.randn(1, C, F, 4, 8), case.model.encode_text([PROMPT]), case.family

            def error(x: Tensor = x, texts: Any = texts, family: Any = family) -> float:
                straight, turned = (family.raw(y, 600.0, texts, [VIEW]) for y in (x, x.roll(3, -1)))
                return float((straight.roll(3, -1) - turned).abs().max())

            plain = error()
            family.spec = replace(family.spec, panorama=(4, 8))
            assert error() < 1e-5 < plain / 100

    def test_a_causal_decoder_goes_piece_by_piece_too(self) -> None:
        torch.manual_seed(0)
        parts = tiny_parts(NEW)
        parts |= ready(vae=AutoencoderKLLTX2Video(
            latent_channels=C, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 16, 32, 64),
            layers_per_block=(1,) * 5, decoder_layers_per_block=(1, 2, 1, 2, 1), decoder_causal=True,
            decoder_spatio_temporal_scaling=(True,) * 4, upsample_residual=(True, False, True, True),
            upsample_factor=(2,) * 4, decoder_inject_noise=(False,) * 5,
            upsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"), spatial_compression_ratio=32,
            temporal_compression_ratio=8,
        ))  # fmt: skip
        family = Ltx2(parts_of(parts), entry_of("ltx2.3-distilled", frames=F, cells=SIDE))
        assert family.spec.around[1] == 0
        latents = torch.randn(C, 9, 2, 2)
        whole = (parts["vae"].decode(latents[None]).sample[0] / 2 + 0.5).clamp(0, 1).transpose(0, 1)
        pieces = list(family.decode_clip(latents))
        assert len(pieces) > 3 and (torch.cat(pieces) - whole).abs().max() < 1e-5

    def test_a_loop_decoded_with_what_is_around_it_begins_anywhere(self, case: Ltx2Case) -> None:
        ring, (before, after) = torch.randn(C, 6, 2, 2), case.family.spec.around

        def loop(first: int) -> Tensor:
            frames = decoded(case, ring[:, torch.arange(first - before, first + 6 + after) % 6])
            return frames[1 + 8 * (before - 1) :][: 8 * 6]

        assert (loop(0).roll(-24, 0) - loop(3)).abs().max() < 1e-2 * float(loop(0).std())

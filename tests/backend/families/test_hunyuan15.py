"""HunyuanVideo 1.5 against diffusers' own pipeline, on tiny random networks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
)
from diffusers import HunyuanVideo15Transformer3DModel as Transformer
from torch import Tensor
from transformers import ByT5Tokenizer, Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

from backend.models.families.family import Text
from backend.models.families.hunyuan15 import Hunyuan15
from tests.backend.conformance import NEGATIVE, PROMPT, VIEW, Case, Conformance, entry_of, parts_of, ready, t5_encoder
from tests.backend.families.folders import in_half_precision

C, F, SIDE = 4, 3, 4


def qwen() -> Any:
    """A text encoder for :class:`ByT5Tokenizer`."""
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    return Qwen2_5_VLTextModel(Qwen2_5_VLTextConfig(
        vocab_size=400, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=2048, rope_parameters=rope, bos_token_id=None, eos_token_id=None,
    ))  # fmt: skip


def tiny_parts(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    transformer = Transformer(**{
        "in_channels": 2 * C + 1, "out_channels": C, "num_attention_heads": 2, "attention_head_dim": 16,
        "num_layers": 2, "num_refiner_layers": 1, "mlp_ratio": 2.0, "text_embed_dim": 16, "text_embed_2_dim": 32,
        "image_embed_dim": 12, "rope_axes_dim": (4, 6, 6), "target_size": 64, "task_type": "t2v", **changes,
    })  # fmt: skip
    sizes: Any = (8, 8, 8, 8, 8)
    vae = AutoencoderKLHunyuanVideo15(latent_channels=C, block_out_channels=sizes, layers_per_block=1)
    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return ready(
        transformer=transformer, vae=vae, text_encoder=qwen(), tokenizer=tokenizer,
        text_encoder_2=speller(), tokenizer_2=ByT5Tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5),
    )  # fmt: skip


def speller() -> Any:
    """A second one for it, of states of 32 numbers."""
    encoder = t5_encoder()
    encoder.resize_token_embeddings(400)
    return encoder


class HunyuanCase(Case):
    tolerance = 2e-5  # texts go without padding, and so without a mask

    def __init__(self, **changes: Any) -> None:
        parts = tiny_parts(**changes)
        theirs = parts | {"transformer": copy.deepcopy(parts["transformer"])}  # with its own attention
        pipe = HunyuanVideo15Pipeline(guider=ClassifierFreeGuidance(guidance_scale=self.guidance), **theirs)
        pipe.vision_num_semantic_tokens = 5
        family = Hunyuan15(parts_of(parts), entry_of("hunyuan15", frames=F, cells=SIDE))
        super().__init__(family, pipe, [("euler", FlowMatchEulerDiscreteScheduler(shift=5))])

    def set_timesteps(self, scheduler: Any) -> None:
        scheduler.set_timesteps(sigmas=np.linspace(1, 0, self.steps + 1)[:-1])

    def pipeline_text(self) -> list[Text]:
        found = [self.pipe.encode_prompt(text) for text in (PROMPT, NEGATIVE)]
        return [{"states": a[mask.bool()], "glyphs": b[shown.bool()]} for a, mask, b, shown in found]

    def pipeline_latents(self, prompt: str = PROMPT) -> Tensor:
        side = SIDE * 16
        return self.pipe(
            prompt=prompt, negative_prompt=NEGATIVE, height=side, width=side, num_frames=self.frames(F),
            num_inference_steps=self.steps, latents=self.noise, output_type="latent",
        ).frames  # fmt: skip

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        frames = self.pipe.vae.decode(latents[None] / self.pipe.vae.config.scaling_factor).sample
        return self.pipe.video_processor.postprocess_video(frames, "pt")[0]


class TestHunyuan15(Conformance):
    @staticmethod
    def make() -> HunyuanCase:
        return HunyuanCase()

    def test_it_runs_in_half_precision_from_its_folder(self, tmp_path: Path) -> None:
        in_half_precision(Hunyuan15, tiny_parts(), entry_of("hunyuan15", frames=F, cells=SIDE), tmp_path)

    def test_its_own_levels_are_the_pipelines(self, case: HunyuanCase) -> None:
        case.set_timesteps(case.pipe.scheduler)
        assert case.model.sigmas(case.steps) == pytest.approx(case.pipe.scheduler.sigmas.tolist(), abs=1e-6)

    def test_words_in_quotation_marks_are_read_by_letters(self, case: HunyuanCase) -> None:
        calls: list[Any] = []
        handle = case.pipe.transformer.register_forward_hook(lambda _, __, k, o: calls.append((k, o)), with_kwargs=True)
        quoting = 'a sign "open" there'
        case.pipeline_latents(quoting)
        handle.remove()
        text = case.model.encode_text([quoting])
        assert len(text[0]["glyphs"]) == len('Text "open". ') + 1
        (given, out), *_ = calls
        raw = case.family.raw(given["hidden_states"][:, :C], float(given["timestep"][0]), text, [VIEW])
        assert (raw - out[0]).abs().max() < 1e-5

    def test_a_step_distilled_variant_is_told_where_its_step_leads(self) -> None:
        case, calls = HunyuanCase(use_meanflow=True), []
        network = case.family.parts["transformer"]
        network.register_forward_hook(lambda _, __, k, ___: calls.append(k), with_kwargs=True)
        texts, sigmas = case.model.encode_text([PROMPT]), case.model.sigmas(case.family.spec.steps)
        for now, then in ((sigmas[0], sigmas[1]), (sigmas[7], sigmas[8]), (sigmas[-2], 0.0)):
            case.family.raw(case.noise, case.family.levels.native(now)[1], texts, [VIEW])
            assert float(calls[-1]["timestep_r"]) == pytest.approx(1000 * then, abs=1e-3)

    def test_a_clip_is_decoded_latent_by_latent_as_if_at_once(self, case: HunyuanCase) -> None:
        latents = torch.randn(C, 7, 2, 3)
        pieces = list(case.model.decode_clip(latents))
        assert [len(piece) for piece in pieces] == [1, 4, 4, 4, 4, 4, 4]
        assert (torch.cat(pieces) - case.pipeline_frames(latents)).abs().max() < 1e-5

"""Wan 2.1 against diffusers' pipeline, on tiny random networks."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from torch import Tensor

from backend.models.families.family import Text
from backend.models.families.wan import Wan
from tests.backend.conformance import (
    NEGATIVE,
    PROMPT,
    Case,
    Conformance,
    entry_of,
    floating,
    parts_of,
    ready,
    t5_encoder,
    t5_tokenizer,
)

TINY = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 2,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 32,
}
TINY_VAE = {
    "base_dim": 8,
    "z_dim": 16,
    "dim_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}


def tiny_parts(**others: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return ready(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_encoder(umt5=True),
        transformer=WanTransformer3DModel(**TINY),
        vae=AutoencoderKLWan(**TINY_VAE),
        **others,
    )


def solvers(shift: float) -> list[tuple[Any, Any]]:
    """The engine's, with the schedulers of diffusers that they equal."""
    multistep = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, final_sigmas_type="zero"
    )
    return [("euler", FlowMatchEulerDiscreteScheduler(shift=shift)), ("multistep", floating(multistep))]


def unipc(shift: float) -> Any:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


class WanCase(Case):
    def pipeline_text(self) -> list[Text]:
        found = self.pipe.encode_prompt(PROMPT, NEGATIVE, max_sequence_length=512)
        return [{"states": states[0, : int((states[0].abs().sum(-1) > 0).sum())]} for states in found]

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        mean, std = (torch.tensor(v).view(-1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
        return self.pipe.video_processor.postprocess_video(vae.decode((latents * std + mean)[None]).sample, "pt")[0]


class TestWan(Conformance):
    @staticmethod
    def make() -> WanCase:
        parts = tiny_parts()
        family = Wan(parts_of(parts), entry_of("wan21-1.3b", frames=3, cells=8))
        return WanCase(family, WanPipeline(scheduler=unipc(3.0), **parts), solvers(3.0))

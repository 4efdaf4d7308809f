"""LTX-2.x (HaCohen et al. 2026, arXiv 2601.03233), which makes sound with its pictures: here the pictures alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import LTX2Pipeline
from diffusers.pipelines.ltx2.utils import DISTILLED_SIGMA_VALUES
from torch import Tensor

from ..base import View
from ..levels import Flow
from ..parts import Parts
from .family import Text
from .ltx import Ltx, circular, pace, with_given


class Ltx2(Ltx):
    """Reference: diffusers' ``LTX2Pipeline`` with the attention between picture and sound switched off, as its guidance
    by modality does. One silent token stands for the sound, which the denoiser wants."""

    CLASSES = {
        "transformer": "diffusers:LTX2VideoTransformer3DModel",
        "vae": "diffusers:AutoencoderKLLTX2Video",
        "text_encoder": "transformers:Gemma3ForConditionalGeneration",
        "tokenizer": "transformers:AutoTokenizer",
        "connectors": "diffusers.pipelines.ltx2:LTX2TextConnectors",
    }
    TEXT_PARTS = ("text_encoder", "tokenizer", "connectors")

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        self.levels = Flow(trained=(*(entry.preset.sigmas or DISTILLED_SIGMA_VALUES), 0.0))
        if parts.config("vae").get("decoder_causal", True):
            self.spec = replace(self.spec, around=(self.spec.around[0], 0))

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """``embeds`` (1024, D), what is padding being replaced by what the connectors learned for it."""
        rest: dict[str, Any] = dict.fromkeys(("scheduler", "vae", "audio_vae", "transformer", "vocoder"))
        pipe, found = LTX2Pipeline(**rest, **{name: self.parts[name] for name in self.TEXT_PARTS}), []
        for text in texts:
            states, mask, *_ = pipe.encode_prompt(text, do_classifier_free_guidance=False, device=self.parts.device)
            embeds = pipe.connectors(states, mask, padding_side=pipe.tokenizer.padding_side)[0]
            found.append({"embeds": embeds[0].cpu()})
        return found

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        denoiser, (frames, rows, columns) = self.parts["transformer"], x.shape[2:]
        x, times = with_given(x, timestep, views)
        sigma, embeds = x.new_full((len(x),), timestep), torch.stack([t["embeds"] for t in texts]).to(denoiser.dtype)
        config = denoiser.config
        heard = config.caption_channels if config.use_prompt_embeddings else config.audio_cross_attention_dim
        place = [denoiser.rope.prepare_video_coords(1, frames, rows, columns, x.device, 1 / pace(v)) for v in views]
        all_around = (rows, columns) == self.spec.panorama
        with circular(denoiser.rope, columns, self.spec.ratio) if all_around else contextlib.nullcontext():
            out = denoiser(
                hidden_states=x.flatten(2).transpose(1, 2).to(denoiser.dtype),
                audio_hidden_states=embeds.new_zeros(len(x), 1, config.audio_in_channels),
                encoder_hidden_states=embeds,
                audio_encoder_hidden_states=embeds.new_zeros(len(x), 1, heard),
                timestep=times,
                audio_timestep=sigma,
                sigma=sigma,
                video_coords=torch.cat(place),
                audio_num_frames=1,
                isolate_modalities=True,
                return_dict=False,
            )[0]
        return out.float().transpose(1, 2).reshape(x.shape)

"""HunyuanVideo 1.5 (Tencent 2025, arXiv 2511.18870), text to video of 5 s at 24 frames a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers import HunyuanVideo15Pipeline
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor

from ..base import View
from ..levels import Flow
from ..parts import Parts
from . import hunyuan15_decoder
from .clips import pictures, video
from .family import Family, Text

# Its decoder attends to all that came before: 10 % of a frame's deviation hang on what is further back than so many
# latents (random weights).
_BEFORE = 8


class Hunyuan15(Family):
    """Reference: diffusers' ``HunyuanVideo15Pipeline``. The denoiser knows neither where a window looks nor how fast it
    plays. Texts come without padding, so that only those of one length go through it together. They attend to pictures
    as if they were at the first cell, which is why it cannot be made to see a panorama that goes around."""

    CLASSES = {
        "transformer": "diffusers:HunyuanVideo15Transformer3DModel",
        "vae": "diffusers:AutoencoderKLHunyuanVideo15",
        "text_encoder": "transformers:Qwen2_5_VLTextModel",
        "tokenizer": "transformers:AutoTokenizer",
        "text_encoder_2": "transformers:T5EncoderModel",
        "tokenizer_2": "transformers:ByT5Tokenizer",
        "scheduler": "diffusers:FlowMatchEulerDiscreteScheduler",
    }
    TEXT_PARTS = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    DECODED = hunyuan15_decoder.FRAMES
    halo = 8

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        preset = entry.preset
        shift = preset.shift or parts["scheduler"].config.shift
        self.levels = Flow(shift, (*preset.sigmas, 0.0) if preset.sigmas else ())
        self.spec = self.described(channels=parts.config("transformer")["out_channels"], around=(_BEFORE, 0))

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """``states`` (n, D) of the n tokens of each text, and ``glyphs`` (m, D2) of what it has in quotation marks,
        which shall be written in the picture."""
        (encoder, tokenizer, speller, letters), found = (self.parts[name] for name in self.TEXT_PARTS), []
        pipe, device = HunyuanVideo15Pipeline, self.parts.device
        for text in texts:
            states, mask = pipe._get_mllm_prompt_embeds(encoder, tokenizer, text, device)
            glyphs, shown = pipe._get_byt5_prompt_embeds(letters, speller, text, device)
            found.append({"states": states[mask.bool()].cpu(), "glyphs": glyphs[shown.bool()].cpu()})
        return found

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        out, sizes = torch.empty_like(x), [(len(t["states"]), len(t["glyphs"])) for t in texts]
        for size in dict.fromkeys(sizes):
            same = [k for k, each in enumerate(sizes) if each == size]
            out[same] = self._of_one_length(x[same], timestep, [texts[k] for k in same])
        return out

    def _of_one_length(self, x: Tensor, timestep: float, texts: Sequence[Text]) -> Tensor:
        network = self.parts["transformer"]
        without_mask(network)
        # Of a given picture: its latents and where they are. Here there is none, and no tokens that show it.
        seen = torch.cat([x, torch.zeros_like(x), torch.zeros_like(x[:, :1])], 1).to(network.dtype)
        states, glyphs = (torch.stack([t[name] for t in texts]).to(network.dtype) for name in ("states", "glyphs"))
        following = self.following(timestep) if network.config.use_meanflow else None
        out = network(
            hidden_states=seen,
            timestep=seen.new_full((len(x),), timestep),
            timestep_r=None if following is None else seen.new_full((len(x),), following),
            encoder_hidden_states=states,
            encoder_attention_mask=states.new_ones(states.shape[:2]),
            encoder_hidden_states_2=glyphs,
            encoder_attention_mask_2=glyphs.new_ones(glyphs.shape[:2]),
            image_embeds=states.new_zeros(len(x), 0, network.config.image_embed_dim),
            return_dict=False,
        )[0]
        return out.float()

    def following(self, timestep: float) -> float:
        """The timestep after this one in the model's own number of steps: of a variant that predicts the mean velocity
        on the way there (Geng et al. 2025, arXiv 2505.13447)."""
        steps = [self.levels.native(sigma)[1] for sigma in self.levels.sigmas(self.entry.preset.steps)]
        return next((t for t in steps if t < timestep - 1e-3), 0.0)

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        vae = self.parts["vae"]
        z = latents[None].to(vae.dtype) / vae.config.scaling_factor
        return (pictures(frames[0]) for frames in hunyuan15_decoder.decoded(vae.decoder, z))

    def encode_clip(self, frames: Tensor) -> Tensor:
        vae = self.parts["vae"]
        return vae.encode(video(frames).to(vae.dtype)).latent_dist.mode()[0].float() * vae.config.scaling_factor


class WithoutMask:
    """Attention of pictures and texts to each other, as diffusers' ``HunyuanVideo15AttnProcessor2_0`` computes it where
    nothing is padded. That one makes a mask of tokens by tokens in every layer (2.6 GB for a window of 5 s), which also
    rules out the fast attention of the card."""

    def __init__(self, before: Any) -> None:
        """``before``: the processor that it takes the place of."""
        self._attention_backend, self._parallel_config = before._attention_backend, before._parallel_config

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        def joined(pictures: Tensor, words: Tensor) -> Tensor:
            return torch.cat([pictures, words], 1)

        def heads(projected: Tensor) -> Tensor:
            return projected.unflatten(2, (attn.heads, -1))

        def turned(x: Tensor) -> Any:
            return apply_rotary_emb(x, image_rotary_emb, sequence_dim=1)  # pyright: ignore[reportArgumentType]

        pictures, words = hidden_states, encoder_hidden_states
        query = joined(
            turned(attn.norm_q(heads(attn.to_q(pictures)))), attn.norm_added_q(heads(attn.add_q_proj(words)))
        )
        key = joined(turned(attn.norm_k(heads(attn.to_k(pictures)))), attn.norm_added_k(heads(attn.add_k_proj(words))))
        value = joined(heads(attn.to_v(pictures)), heads(attn.add_v_proj(words)))
        out = dispatch_attention_fn(
            query, key, value, backend=self._attention_backend, parallel_config=self._parallel_config
        )
        pictures, words = out.flatten(2, 3).to(query.dtype).split([pictures.shape[1], words.shape[1]], 1)
        return attn.to_out[1](attn.to_out[0](pictures)), attn.to_add_out(words)


def without_mask(network: Any) -> None:
    """Have a ``HunyuanVideo15Transformer3DModel`` attend :class:`WithoutMask`."""
    for block in network.transformer_blocks:
        if not isinstance(block.attn.processor, WithoutMask):
            block.attn.set_processor(WithoutMask(block.attn.processor))

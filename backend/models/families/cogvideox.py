"""CogVideoX 1.0, 2B and 5B, text to video (Yang et al. 2024, arXiv 2408.06072)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from torch import Tensor

from ..base import View
from ..levels import VariancePreserving
from ..parts import Parts
from .family import Family, Text

TOKENS = 226
TIME_RATIO = 4
# Latents before a loop's first that are decoded to be dropped: with random weights the first frames were 1.4 % of the
# spread away from what any more give. An even number, since the decoder takes latents two by two.
BEFORE = 8


class CogVideoX(Family):
    """The denoiser returns a velocity, and its last timestep is nothing but noise ("zero terminal SNR"). Positions
    begin anew in each window: of 5B as if it were a frame of the native size, scaled to that and cut."""

    CLASSES = {
        "transformer": "diffusers:CogVideoXTransformer3DModel",
        "vae": "diffusers:AutoencoderKLCogVideoX",
        "text_encoder": "transformers:T5EncoderModel",
        "tokenizer": "transformers:AutoTokenizer",
        "scheduler": "diffusers:CogVideoXDDIMScheduler",
    }
    DECODED = 12
    halo = 8

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        self.levels = VariancePreserving(parts["scheduler"].alphas_cumprod.tolist(), "velocity")
        self._rotary: tuple[tuple[int, ...], Any] = ((), None)  # of the windows of last time
        self.spec = self.described(channels=16, around=(BEFORE, 0))

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """States of all :data:`TOKENS`, also of those that only fill: it was trained without a mask."""
        tokenizer, encoder = self.parts["tokenizer"], self.parts["text_encoder"]
        found = []
        for text in texts:
            ids = tokenizer(
                [text], padding="max_length", max_length=TOKENS, truncation=True, add_special_tokens=True,
                return_tensors="pt",
            ).input_ids  # fmt: skip
            found.append({"states": encoder(ids.to(self.parts.device))[0][0].cpu()})
        return found

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        transformer = self.parts["transformer"]
        out = transformer(
            hidden_states=x.transpose(1, 2).to(transformer.dtype),
            encoder_hidden_states=torch.stack([text["states"] for text in texts]).to(x.device, transformer.dtype),
            timestep=x.new_full((len(x),), timestep),
            image_rotary_emb=self._positions(transformer.config, x.shape[2:]),
            return_dict=False,
        )[0]
        return out.transpose(1, 2).float()

    def _positions(self, config: Any, size: Sequence[int]) -> tuple[Tensor, Tensor] | None:
        """Rotary positions of windows of (f, h, w) latents; None for 2B, which adds its own."""
        if not config.use_rotary_positional_embeddings:
            return None
        if self._rotary[0] != tuple(size):
            p = config.patch_size
            grid = (size[1] // p, size[2] // p)
            crop = get_resize_crop_region_for_grid(grid, config.sample_width // p, config.sample_height // p)
            table = get_3d_rotary_pos_embed(
                config.attention_head_dim, crop, grid, temporal_size=size[0], device=self.parts.device
            )
            self._rotary = tuple(size), table
        return self._rotary[1]

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        """Two latents at a time, three to begin with, each piece with what the decoder's convolutions remember of those
        before. As many latents as two pieces share evenly would have no single frame first: then the first latent
        comes twice, and all but its last frame is dropped."""
        count = latents.shape[1]
        z = latents[None] / self.parts["vae"].config.scaling_factor
        drop = 0
        if count % 2 == 0:
            z, drop = torch.cat([z[:, :, :1], z], 2), TIME_RATIO
        starts = [0, *range(3, z.shape[2], 2), z.shape[2]] if count > 1 else [0, 1]
        cache = None
        for start, stop in zip(starts, starts[1:], strict=False):
            vae = self.parts["vae"]
            piece = z[:, :, start:stop].to(vae.dtype)
            piece = piece if vae.post_quant_conv is None else vae.post_quant_conv(piece)
            frames, cache = vae.decoder(piece, conv_cache=cache)
            yield (frames[0, :, drop:].transpose(0, 1).float() / 2 + 0.5).clamp(0, 1)
            drop = 0

    def encode_clip(self, frames: Tensor) -> Tensor:
        vae = self.parts["vae"]
        film = (frames * 2 - 1).transpose(0, 1)[None].to(vae.dtype)
        return vae.encode(film, return_dict=False)[0].mode()[0].float() * vae.config.scaling_factor

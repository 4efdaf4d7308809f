"""Wan 2.1, text to video (Wan team 2025, arXiv 2503.20314): 1.3B and 14B, and what the rest of the family shares."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch import Tensor
from torch.nn import functional as F

from ..base import View
from ..levels import Flow
from ..parts import Parts
from . import wan_autoencoder
from .family import Family, Text

TOKENS = 512
# Frames see no latent after their own. How many before it, only trained weights can tell: random ones remember twenty.
# Those who decode such clips in pieces overlap them by two. This is twice as many, and where that should not be enough
# the loop still closes, in a fade of half a second.
AROUND, MEET = (4, 0), 2


class Wan(Family):
    """The denoiser knows neither where a window looks nor how fast it plays; its positions begin anew in each.

    Its latents have unit variance; it runs in half precision but for what diffusers keeps in float32 when it loads it
    (the embedding of the timestep, norms, modulation).
    """

    CLASSES = {
        "tokenizer": "transformers:AutoTokenizer",
        "text_encoder": "transformers:UMT5EncoderModel",
        "transformer": "diffusers:WanTransformer3DModel",
        "vae": "diffusers:AutoencoderKLWan",
    }
    FP32_PARTS = frozenset({"vae"})
    CHANNELS = 16
    DECODED = 14  # 4 at a time, and what its layers keep of those before
    halo = wan_autoencoder.HALO

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        preset = entry.preset
        self.levels = Flow(preset.shift or 5.0, (*preset.sigmas, 0.0) if preset.sigmas else ())
        self.spec = self.described(channels=self.CHANNELS, around=AROUND, meet=MEET)

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """The states of its own tokens, (n, dim) each: what follows up to :data:`TOKENS` is zero."""
        tokenizer, encoder = self.parts["tokenizer"], self.parts["text_encoder"]
        found = []
        for text in texts:
            tokens = tokenizer(
                prompt_clean(text), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
            )
            mask = tokens.attention_mask
            states = encoder(tokens.input_ids.to(encoder.device), mask.to(encoder.device)).last_hidden_state
            found.append({"states": states[0, : int(mask.sum())].cpu()})
        return found

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        return self.denoised("transformer", x, x.new_full((len(x),), timestep), texts)

    def denoised(self, part: str, x: Tensor, timesteps: Tensor, texts: Sequence[Text], **given: Tensor) -> Tensor:
        """What the denoiser ``part`` returns, float32. ``timesteps``: (N,), or one for every token, (N, tokens);
        ``given``: further arguments of it."""
        network = self.parts[part]
        states = torch.stack([F.pad(t["states"], (0, 0, 0, TOKENS - len(t["states"]))) for t in texts])
        all_around = tuple(x.shape[-2:]) == self.spec.panorama
        with circular(network.rope, x.shape[-1], x.device) if all_around else contextlib.nullcontext():
            out = network(
                hidden_states=x.to(network.dtype),
                timestep=timesteps,
                encoder_hidden_states=states.to(x.device, network.dtype),
                return_dict=False,
                **given,
            )[0]
        return out.float()

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        return wan_autoencoder.decode_clip(self.parts["vae"], latents)

    def encode_clip(self, frames: Tensor) -> Tensor:
        return wan_autoencoder.encode_clip(self.parts["vae"], frames)


@contextlib.contextmanager
def circular(rope: Any, columns: int, device: torch.device) -> Iterator[None]:
    """Within it, the positions of a ``WanRotaryPosEmbed`` go around in windows of that many ``columns`` of cells.

    Rotary attention sees how far two tokens are apart, as angles: distance times a frequency for each pair of numbers.
    If every frequency along the width makes whole turns over all columns, the last column is as near to the first as to
    the one before it, and turning the panorama turns what the denoiser says. Frequencies are rounded to the nearest
    such; those of less than half a turn become 0, and say no more where a token is than they hardly did before.
    """
    patches, width = columns // rope.patch_size[2], rope.w_dim
    before = rope.freqs_cos, rope.freqs_sin
    cos, sin = (table.to(device, copy=True) for table in before)  # where what is offloaded would be brought
    frequency = torch.atan2(sin[1, -width:], cos[1, -width:])  # the largest is one radian a patch
    turns = (frequency * (patches / (2 * math.pi))).round()
    angles = torch.arange(patches, device=device)[:, None] * turns * (2 * math.pi / patches)
    cos[:patches, -width:], sin[:patches, -width:] = angles.cos(), angles.sin()
    try:
        rope.freqs_cos, rope.freqs_sin = cos, sin
        yield
    finally:
        rope.freqs_cos, rope.freqs_sin = before

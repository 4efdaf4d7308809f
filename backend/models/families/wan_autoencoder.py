"""The video autoencoder of the Wan family (Wan team 2025, arXiv 2503.20314, section 4.1), a few frames at a time.

It is causal: each of its convolutions sees two frames of the past and none of the future. Its first latent stands for
one frame, every other for four. What diffusers keeps of the past in the autoencoder itself is here a list of our own
for each clip, so that clips can be decoded side by side, and one that is left in the middle leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify, unpatchify
from torch import Tensor, nn

TIME_RATIO = 4

# Cells around a tile. What is cut away changes a tile by 8 % of its contrast four cells from the cut, and by 4 % from
# five on, where it stays: attention in the middle of the decoder sees all of a tile. (Those of 2.1 and 2.2 at a quarter
# of their width, random weights.)
HALO = 6


def decode_clip(vae: Any, latents: Tensor) -> Iterator[Tensor]:
    """Latents (C, F, h, w) -> 4 F - 3 frames in order, RGB (1 or 4, 3, H, W) in [0, 1] float32, one latent's at a time.

    ``vae``: a diffusers ``AutoencoderKLWan``.
    """
    mean, scale = _statistics(vae, latents)
    z = vae.post_quant_conv((latents[None] / scale + mean).to(vae.dtype))
    past = _no_past(vae.decoder)
    for k in range(z.shape[2]):
        frames = vae.decoder(z[:, :, k : k + 1], feat_cache=past, feat_idx=[0], first_chunk=k == 0)
        if vae.config.patch_size is not None:
            frames = unpatchify(frames, patch_size=vae.config.patch_size)
        yield (frames[0].transpose(0, 1).float() / 2 + 0.5).clamp(0, 1)


def encode_clip(vae: Any, frames: Tensor) -> Tensor:
    """4 F - 3 frames, RGB (n, 3, H, W) in [0, 1] -> latents (C, F, h, w) float32: the mode of what the encoder says."""
    if len(frames) % TIME_RATIO != 1:
        raise ValueError(f"a clip of {len(frames)} frames has no latents: one, and so many fours")
    past, found = _no_past(vae.encoder), []
    for piece in (frames[:1], *frames[1:].split(TIME_RATIO)) if len(frames) > 1 else (frames,):
        x = (piece.transpose(0, 1)[None] * 2 - 1).to(vae.dtype)
        if vae.config.patch_size is not None:
            x = patchify(x, patch_size=vae.config.patch_size)
        found.append(vae.encoder(x, feat_cache=past, feat_idx=[0]))
    z = vae.quant_conv(torch.cat(found, 2))[:, : vae.config.z_dim].float()
    mean, scale = _statistics(vae, z)
    return ((z - mean) * scale)[0]


def _statistics(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and one over the standard deviation, of each latent channel: (1, C, 1, 1, 1)."""
    config = vae.config
    mean, std = (
        like.new_tensor(values).reshape(1, -1, 1, 1, 1) for values in (config.latents_mean, config.latents_std)
    )
    return mean, 1 / std


def _no_past(half: nn.Module) -> list[Tensor | None]:
    """Room for what each convolution of the encoder or decoder remembers: nothing yet."""
    return [None] * sum(isinstance(m, WanCausalConv3d) for m in half.modules())

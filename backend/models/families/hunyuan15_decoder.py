"""The decoder of HunyuanVideo 1.5, a latent at a time: exactly what decoding all at once gives, in memory that hardly
depends on the length.

It is causal: convolutions keep the last two frames that they were given, and its one attention what it was given of
all, which is small: it has a place for a cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# As if decoding so many frames at once, by the memory that it takes: those at work, and what its layers keep.
FRAMES = 16


def decoded(decoder: Any, latents: Tensor) -> Iterator[Tensor]:
    """Frames (1, 3, n, H, W) in [-1, 1], 1 and then 4 at a time, of ``latents`` (1, C, F, h, w) in the decoder's own
    scale. ``decoder``: of an ``AutoencoderKLHunyuanVideo15``."""
    stream = _Stream(decoder)
    for latent in latents.split(1, 2):
        yield stream(latent)


class _Stream:
    """One clip on its way through."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self._kept: dict[Any, Any] = {}

    def __call__(self, x: Tensor) -> Tensor:
        decoder = self.decoder
        x = self._conv(decoder.conv_in, x) + x.repeat_interleave(decoder.repeat, 1)
        first, *others = decoder.mid_block.resnets
        x = self._resnet(first, x)
        for attention, resnet in zip(decoder.mid_block.attentions, others, strict=True):
            x = self._resnet(resnet, self._attended(attention, x) if attention is not None else x)
        for block in decoder.up_blocks:
            for resnet in block.resnets:
                x = self._resnet(resnet, x)
            for upsampler in block.upsamplers or ():
                x = self._upsampled(upsampler, x)
        return self._conv(decoder.conv_out, decoder.conv_act(decoder.norm_out(x)))

    def _conv(self, module: Any, x: Tensor) -> Tensor:
        """The first frame is repeated ahead of the clip."""
        seen = torch.cat([self._kept[module] if module in self._kept else x[:, :, :1].expand(-1, -1, 2, -1, -1), x], 2)
        self._kept[module] = seen[:, :, -2:].clone()
        return module.conv(F.pad(seen, (*module.time_causal_padding[:4], 0, 0), mode=module.pad_mode))

    def _resnet(self, block: Any, x: Tensor) -> Tensor:
        out = self._conv(block.conv1, block.nonlinearity(block.norm1(x)))
        out = self._conv(block.conv2, block.nonlinearity(block.norm2(out)))
        return out + (x if block.conv_shortcut is None else block.conv_shortcut(x))

    def _attended(self, block: Any, x: Tensor) -> Tensor:
        """To all frames up to this one."""

        def tokens(values: Tensor) -> Tensor:
            return values.flatten(2).transpose(1, 2)[:, None]

        normal = block.norm(x)
        new = torch.stack([tokens(block.to_k(normal)), tokens(block.to_v(normal))])
        known = self._kept[block] = torch.cat([self._kept[block], new], 3) if block in self._kept else new
        out = F.scaled_dot_product_attention(tokens(block.to_q(normal)), known[0], known[1])
        return block.proj_out(out[:, 0].transpose(1, 2).reshape(x.shape)) + x

    def _upsampled(self, module: Any, x: Tensor) -> Tensor:
        """Of the first latent no time is made."""
        begins = module.conv not in self._kept
        out = self._conv(module.conv, x)
        if not module.add_temporal_upsample:
            around = x.repeat_interleave(module.repeats, 1)
            return _unfolded(module, out, 1) + _unfolded(module, around, 1)
        if begins:
            out = _unfolded(module, out, 1)
            return out[:, : out.shape[1] // 2] + _unfolded(module, x, 1).repeat_interleave(module.repeats // 2, 1)
        return _unfolded(module, out, 2) + _unfolded(module, x, 2).repeat_interleave(module.repeats, 1)


def _unfolded(module: Any, x: Tensor, frames: int) -> Tensor:
    """Channels to places."""
    return module._dcae_upsample_rearrange(x, r1=frames, r2=2, r3=2)

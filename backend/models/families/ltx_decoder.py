"""The decoder of LTX-Video (from 0.9.5 on) and of LTX-2, a few latents at a time: exactly what decoding all at once
gives, in memory that does not depend on the length.

It mixes frames in nothing but convolutions over three of them. Each keeps the last two that it was given; where it
looks ahead, what it returns comes one frame late, and what goes around it waits for as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

LATENTS_AT_ONCE = 2
# As if decoding so many frames at once, by the memory that it takes: those at work, and what its layers keep.
FRAMES = 32


def decoded(decoder: Any, latents: Tensor, timestep: Tensor | None) -> Iterator[Tensor]:
    """Frames (1, 3, n, H, W) in [-1, 1], a few at a time, of ``latents`` (1, C, F, h, w) in the decoder's own scale.

    ``decoder``: of an ``AutoencoderKLLTXVideo`` or ``AutoencoderKLLTX2Video``; ``timestep``: (1,), where it takes one.
    """
    for frames, _ in _Stream(decoder, timestep).through(latents):
        yield frames


Pieces = Iterator[tuple[Tensor, bool]]
"""Frames (1, C, n, h, w) in order, and whether they are the last."""


def _split(x: Tensor, last: bool, most: int) -> Pieces:
    parts = x.split(most, 2) if x.shape[2] else ()
    for k, part in enumerate(parts):
        yield part, last and k == len(parts) - 1


class _Stream:
    """One clip on its way through. A layer's output may be of no frame as yet."""

    def __init__(self, decoder: Any, timestep: Tensor | None) -> None:
        self.decoder = decoder
        self.causal = decoder.is_causal if hasattr(decoder, "is_causal") else decoder.conv_in.is_causal
        scale = decoder.timestep_scale_multiplier
        self.told = None if timestep is None or scale is None else timestep * scale
        self._kept: dict[Any, Tensor] = {}
        self._begun: set[Any] = set()

    def through(self, latents: Tensor) -> Pieces:
        decoder, most = self.decoder, LATENTS_AT_ONCE
        pieces = self._stage(partial(self._conv, decoder.conv_in), _split(latents, True, most), most)
        for block in (decoder.mid_block, *decoder.up_blocks):
            most *= math.prod(upsampler.stride[0] for upsampler in getattr(block, "upsamplers", None) or ())
            pieces = self._stage(partial(self._block, block), pieces, most)
        return self._stage(self._picture, pieces, most)

    def _stage(self, work: Callable[[Tensor, bool], Tensor], pieces: Pieces, most: int) -> Pieces:
        """At the end much comes out of a stage at once, of which the next is given no more than usual."""
        for x, last in pieces:
            yield from _split(work(x, last), last, most)

    def _conv(self, module: Any, x: Tensor, last: bool) -> Tensor:
        """Frames at both ends of the clip are repeated beyond them."""
        kept = self._kept.get(module)
        seen = torch.cat([x[:, :, :1]] * (2 if self.causal else 1) + [x] if kept is None else [kept, x], 2)
        if last and not self.causal:
            seen = torch.cat([seen, seen[:, :, -1:]], 2)
        self._kept[module] = seen[:, :, -2:].clone()
        if seen.shape[2] < 3:
            return seen.new_empty(1, module.out_channels, 0, *seen.shape[3:])
        return module.conv(seen)

    def _late(self, module: Any, x: Tensor, frames: int) -> Tensor:
        """What goes around a layer of which so many ``frames`` have come out: the rest waits."""
        waiting = torch.cat([self._kept[module], x], 2) if module in self._kept else x
        self._kept[module] = waiting[:, :, frames:].clone()
        return waiting[:, :, :frames]

    def _block(self, block: Any, x: Tensor, last: bool) -> Tensor:
        if getattr(block, "conv_in", None) is not None:
            x = self._resnet(block.conv_in, x, self.told, last)
        told = self._embedded(block, x)
        for upsampler in getattr(block, "upsamplers", None) or ():
            x = self._upsampled(upsampler, x, last) if x.shape[2] else x
        for resnet in block.resnets:
            x = self._resnet(resnet, x, told, last) if x.shape[2] else x
        return x

    def _embedded(self, block: Any, x: Tensor) -> Tensor | None:
        """The noise level that the decoder is told, as a block has it: (1, n, 1, 1, 1)."""
        if block.time_embedder is None or self.told is None:
            return None
        told = block.time_embedder(
            timestep=self.told, resolution=None, aspect_ratio=None, batch_size=1, hidden_dtype=x.dtype
        )
        return told.view(1, -1, 1, 1, 1)

    def _resnet(self, block: Any, x: Tensor, told: Tensor | None, last: bool) -> Tensor:
        scales: list[Any] = [None, None]
        if block.scale_shift_table is not None and told is not None:
            table = told.unflatten(1, (4, -1)) + block.scale_shift_table[None, ..., None, None, None]
            shift_1, scale_1, shift_2, scale_2 = table.unbind(1)
            scales = [(scale_1, shift_1), (scale_2, shift_2)]
        out, layers = x, ((block.norm1, block.conv1), (block.norm2, block.conv2))
        for (norm, conv), modulation in zip(layers, scales, strict=True):
            if out.shape[2]:
                out = _normal(norm, out)
                if modulation:
                    out = out * (1 + modulation[0]) + modulation[1]
                out = self._conv(conv, block.nonlinearity(out), last)
        if block.conv_shortcut is not None:
            x = block.norm3(x.movedim(1, -1)).movedim(-1, 1)
            x = getattr(block.conv_shortcut, "conv", block.conv_shortcut)(x)
        return out + self._late(block, x, out.shape[2])

    def _upsampled(self, module: Any, x: Tensor, last: bool) -> Tensor:
        out = self._conv(module.conv, x, last)
        x = self._late(module, x, out.shape[2])
        if not out.shape[2]:
            return out
        out = _unfolded(out, module.stride)
        if module.residual:
            repeats = math.prod(module.stride) // module.upscale_factor
            out = out + _unfolded(x, module.stride).repeat(1, repeats, 1, 1, 1)
        skipped = 0 if module in self._begun else module.stride[0] - 1  # the first latent is a single frame
        self._begun.add(module)
        return out[:, :, skipped:]

    def _picture(self, x: Tensor, last: bool) -> Tensor:
        decoder = self.decoder
        x, told = _normal(decoder.norm_out, x), self._embedded(decoder, x)
        if told is not None:
            table = told.unflatten(1, (2, -1)) + decoder.scale_shift_table[None, ..., None, None, None]
            x = x * (1 + table[:, 1]) + table[:, 0]
        x = self._conv(decoder.conv_out, decoder.conv_act(x), last)
        if not x.shape[2]:
            return x
        x = x.unflatten(1, (-1, decoder.patch_size_t, decoder.patch_size, decoder.patch_size))
        return x.permute(0, 1, 5, 2, 6, 4, 7, 3).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _normal(norm: nn.Module, x: Tensor) -> Tensor:
    """LTX-Video's norms expect the channels last, LTX-2's do not."""
    return norm(x) if type(norm).__name__ == "PerChannelRMSNorm" else norm(x.movedim(1, -1)).movedim(-1, 1)


def _unfolded(x: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """Channels to places: (N, c s t u, F, h, w) -> (N, c, F s, h t, w u)."""
    x = x.unflatten(1, (-1, *stride))
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)

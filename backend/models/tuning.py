"""Making a denoiser faster on a card without changing what it computes, but for rounding."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

# Of networks for which diffusers names no blocks that repeat.
_BLOCKS = ("BasicTransformerBlock", "ResnetBlock2D", "TemporalConvLayer", "SpatioTemporalResBlock",
           "TemporalBasicTransformerBlock")  # fmt: skip
# Shapes that one block is compiled for: a UNet has the same one at several widths and heights.
_MOST_SHAPES = 64


def faster(denoiser: nn.Module) -> None:
    """What costs nothing: 2-D convolutions in the layout that cards multiply in."""
    for module in denoiser.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


def can_compile(device: torch.device) -> bool:
    """Whether there is what torch makes kernels with."""
    return device.type == "cuda" and find_spec("triton") is not None


def compiled(denoiser: Any) -> None:
    """Compile the blocks that it is made of, for fixed shapes, when it is next called: that takes about a minute."""
    import torch._dynamo

    torch._dynamo.config.cache_size_limit = max(_MOST_SHAPES, torch._dynamo.config.cache_size_limit)
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks(fullgraph=True, dynamic=False)
        return
    for module in denoiser.modules():
        if type(module).__name__ in _BLOCKS:
            module.compile(dynamic=False)

"""Making a denoiser faster on a card without changing what it computes, but for rounding."""

from __future__ import annotations

import contextlib
import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ..runtime import places

# Of networks for which diffusers names no blocks that repeat.
_BLOCKS = ("BasicTransformerBlock", "ResnetBlock2D", "TemporalConvLayer", "SpatioTemporalResBlock",
           "TemporalBasicTransformerBlock")  # fmt: skip
# Shapes that one block is compiled for: a UNet has the same one at several widths and heights.
_MOST_SHAPES = 64
# What compiling takes for both shapes of a job (with guidance and without), of networks of one block that repeats and
# of UNets, which have many; the part of the time that it saves, and what of a card's matrix rate a denoiser gets
# without. On an H100 and 16 cores 5 to 22 s a shape of the former, 81 s of the latter, 17 to 31 %, and 25 to 60 %
# (docs/performance.md).
BLOCKS_S, UNET_S, SAVED, USED = 60.0, 240.0, 0.17, 0.4
# Of that, what it takes where an earlier process made the same kernels: 14 of 63 s.
AGAIN = 0.25
_KERNELS = "kernels"


def repays(operations: float, device: torch.device, *, unet: bool, again: bool = False) -> bool:
    """Whether compiling saves more time than it takes, of so many operations to come. ``again``: it was done before,
    and its kernels are on the disk."""
    if not can_compile(device):
        return False
    takes_s = (UNET_S if unet else BLOCKS_S) * (AGAIN if again else 1)
    return operations / (USED * matrix_rate(device)) * SAVED > takes_s


def was_compiled(what: str) -> bool:
    """Whether :func:`note_compiled` was told so in this environment."""
    return bool(note := _note(what)) and note.is_file()


def note_compiled(what: str) -> None:
    """For later processes: ``what`` (a denoiser, its batch, a card) has been compiled here."""
    if note := _note(what):
        with contextlib.suppress(OSError):  # then it is taken for the first time again
            note.touch()


def _note(what: str) -> Path | None:
    kernels = _kernels()
    return kernels and kernels / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.done"


def _kernels() -> Path | None:
    """Where kernels are kept: in the private environment, as they belong to its torch and go with it; elsewhere where
    torch keeps them for the time being."""
    env = places.own()
    return env and env / _KERNELS


def matrix_rate(device: torch.device) -> float:
    """Operations a second of a matrix product in half precision, in a few milliseconds."""
    n, runs = 4096, 4
    a = torch.randn(n, n, device=device, dtype=torch.float16)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.matmul(a, a)
    start.record()
    for _ in range(runs):
        torch.matmul(a, a)
    end.record()
    end.synchronize()
    return 2 * n**3 * runs / (start.elapsed_time(end) / 1000)


def can_compile(device: torch.device) -> bool:
    """Whether there is what torch makes kernels with."""
    return device.type == "cuda" and find_spec("triton") is not None


def compiled(denoiser: Any) -> None:
    """Compile the blocks that it is made of, for fixed shapes, when it is next called: that takes about a minute."""
    import torch._dynamo

    if kernels := _kernels():
        with contextlib.suppress(OSError):
            kernels.mkdir(exist_ok=True)
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kernels))
    torch._dynamo.config.cache_size_limit = max(_MOST_SHAPES, torch._dynamo.config.cache_size_limit)
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks(fullgraph=True, dynamic=False)
        return
    for module in denoiser.modules():
        if type(module).__name__ in _BLOCKS:
            module.compile(dynamic=False)


def failures() -> tuple[type[BaseException], ...]:
    """What torch raises where it cannot make kernels: no compiler, or a network that it cannot follow."""
    from torch._dynamo import exc  # which takes seconds to import

    return exc.TorchDynamoException, exc.FailOnRecompileLimitHit

"""Putting a model's parts where :mod:`.memory_plan` says, with the means of diffusers and accelerate."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from torch import nn

from .header import BITS, check_header
from .memory_plan import RESERVE_BYTES, Plan, Rung

STREAMED = {Rung.BLOCKS: "block_level", Rung.LEAVES: "leaf_level", Rung.FP8_LEAVES: "leaf_level"}
IN_8_BITS = (Rung.FP8, Rung.FP8_LEAVES)


def compute_dtype(device: torch.device) -> torch.dtype:
    """What networks run in: bfloat16 where the hardware multiplies it natively (NVIDIA from Ampere on, Apple), float16
    on older cards, float32 on a processor, whose half precision is slow and for many layers missing."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    return torch.bfloat16 if device.type == "mps" else torch.float32


def free_bytes(device: torch.device) -> tuple[int, int]:
    """Of the device and of the host, that nobody uses now; this process's own cache counts as free. An accelerator
    without memory of its own, and a processor, have the host's. A limit set with
    ``torch.cuda.set_per_process_memory_fraction`` holds."""
    host = _host_free()
    if device.type != "cuda":
        return host, host
    device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    free, total = torch.cuda.mem_get_info(device)
    mine = torch.cuda.memory_reserved(device)
    limit = int(torch.cuda.get_per_process_memory_fraction(device) * total)
    used = torch.cuda.memory_allocated(device)
    return min(free + mine, limit) - used, host


def _host_free() -> int:
    if sys.platform == "linux":
        facts = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = next((line for line in facts if line.startswith("MemAvailable:")), "")
        if found:
            return min(int(found.split()[1]) << 10, _group_free())
    try:
        import psutil

        return int(psutil.virtual_memory().available)
    except ImportError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _group_free() -> int:
    """What a control group, as containers have it, leaves; without one no limit."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return 1 << 62


def weight_bytes(folder: Path, bytes_each: int) -> int:
    """Of the safetensors files in a part's folder, at so many bytes a number; of GGUF files, their size. Raises
    ``missing_model``."""
    found = sum(file.stat().st_size for file in folder.glob("*.gguf"))
    for file in folder.glob("*.safetensors"):
        found += header_bytes(file, bytes_each)
    return found


def header_bytes(file: Path, bytes_each: int) -> int:
    """Of the numbers in a safetensors file, as loaded. Raises ``missing_model``."""
    total = 0
    for info in check_header(file.resolve()).values():
        total += (info.stop - info.start) * 8 // BITS[info.dtype] * bytes_each
    return total


def module_bytes(module: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))


class Placement:
    """Puts parts in place, for :class:`.parts.Parts`: denoisers as ``plan`` says, texts' parts as they fit, and the
    others beside the denoisers or, where they take turns, on the host until they are at work."""

    def __init__(self, device: torch.device, plan: Plan, denoisers: Sequence[str], texts: Sequence[str]) -> None:
        self.device, self.plan, self.denoisers, self.texts = device, plan, tuple(denoisers), tuple(texts)
        self.finish: Callable[[nn.Module], None] | None = None  # the last that is done to a denoiser
        self._turns: dict[str, _Turn] = {}

    def __call__(self, name: str, part: Any) -> Any:
        """The part, ready to be called."""
        return self._placed(name, part) if isinstance(part, nn.Module) else part

    def _placed(self, name: str, part: Any) -> nn.Module:
        rung = self.plan.rung
        if name in self.texts:
            if self.device.type == "cuda" and module_bytes(part) + RESERVE_BYTES > free_bytes(self.device)[0]:
                return streamed(part, self.device, "leaf_level")
            return part.to(self.device)
        if name in self.denoisers:
            if self.finish:
                self.finish(part)
            if rung in IN_8_BITS:
                part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=_most_in(part))
            if rung in STREAMED:
                return streamed(part, self.device, STREAMED[rung])
        if rung is Rung.RESIDENT:
            return part.to(self.device)
        return self._in_turn(name, part)

    def _in_turn(self, name: str, part: nn.Module) -> nn.Module:
        self._turns[name] = turn = _Turn(part, self)
        return add_hook_to_module(part, turn, append=True)

    def used(self, name: str) -> None:
        """A part is about to be used: give it the card. Called for each use, since what a family calls of an
        autoencoder need not be its ``forward``, before which the hook would do it."""
        if turn := self._turns.get(name):
            self.give(turn)

    def give(self, turn: _Turn) -> None:
        if turn.there:
            return
        for other in self._turns.values():
            other.leave()
        turn.enter(self.device)

    def forget(self, names: Iterable[str]) -> None:
        """These parts are let go."""
        for name in names:
            self._turns.pop(name, None)


def _most_in(module: nn.Module) -> torch.dtype:
    """What most of its weights are kept in: some networks keep a few, the first among them, in 32 bits."""
    numbers: Counter[torch.dtype] = Counter()
    for parameter in module.parameters():
        numbers[parameter.dtype] += parameter.numel() if parameter.is_floating_point() else 0
    return numbers.most_common(1)[0][0]


class _Turn(ModelHook):
    """Moves one part to the card and back. Its weights on the host stay there meanwhile, so that the way back costs
    nothing: they are not changed."""

    def __init__(self, part: nn.Module, placement: Placement) -> None:
        self.part, self.placement, self.there = part, placement, False
        self._host: dict[torch.Tensor, torch.Tensor] = {}

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self.placement.give(self)
        return args, kwargs

    def enter(self, device: torch.device) -> None:
        for tensor in self._tensors():
            self._host[tensor] = tensor.data
            tensor.data = tensor.data.to(device, non_blocking=True)
        self.there = True

    def leave(self) -> None:
        if not self.there:
            return
        for tensor in self._tensors():
            # What came to be on the card, a buffer that is made at first use, goes there as it is.
            tensor.data = self._host[tensor] if tensor in self._host else tensor.data.cpu()
        self._host.clear()
        self.there = False

    def _tensors(self) -> list[torch.Tensor]:
        return [*self.part.parameters(), *self.part.buffers()]


def streamed(module: nn.Module, device: torch.device, how: str) -> nn.Module:
    """A network whose weights stay on the host and come to the card as they are needed: by "block_level" or
    "leaf_level", the next one while the one before is at work."""
    from diffusers.hooks import apply_group_offloading

    cuda = device.type == "cuda"
    apply_group_offloading(
        module,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type=how,
        num_blocks_per_group=1 if how == "block_level" else None,
        use_stream=cuda,
        record_stream=cuda,
    )
    return module

"""Seconds, bytes and operations of a piece of work, on a card or a processor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

MB = 1e6


def settle(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], Any], device: torch.device, *, runs: int = 3, warm: int = 1) -> float:
    """Of one run: the median of ``runs``, after ``warm`` that do not count."""
    for _ in range(warm):
        work()
    found = []
    for _ in range(runs):
        settle(device)
        start = time.perf_counter()
        work()
        settle(device)
        found.append(time.perf_counter() - start)
    return median(found)


@contextmanager
def peaks(device: torch.device) -> Iterator[dict[str, float]]:
    """Filled at the end with the most that tensors had, and torch held, of the card within, MB; empty without one."""
    found: dict[str, float] = {}
    if device.type == "cuda":
        free(device)
        torch.cuda.reset_peak_memory_stats(device)
    try:
        yield found
    finally:
        if device.type == "cuda":
            found["peak_mb"] = round(torch.cuda.max_memory_allocated(device) / MB, 1)
            found["reserved_mb"] = round(torch.cuda.max_memory_reserved(device) / MB, 1)


def free(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def limited(device: torch.device, gigabytes: float) -> Iterator[None]:
    """Within it, torch may have no more of the card than that."""
    if device.type != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    free(device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * 1e9 / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of one large matrix product of random numbers: what the card can do at best."""
    n = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / seconds(lambda: a @ b, device, runs=10, warm=3)


def operations(work: Callable[[], Any]) -> float:
    """Multiplications and additions of matrix products, convolutions and attention, counted while they run."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())

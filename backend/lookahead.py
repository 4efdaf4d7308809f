"""Work that goes on while somebody else is waited for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def fetched(prediction: Tensor) -> Callable[[], Tensor]:
    """Start copying to the host; the result waits for the copy. The device goes on with what is queued meanwhile."""
    if prediction.device.type != "cuda":
        return prediction.cpu
    host = torch.empty(prediction.shape, dtype=prediction.dtype, pin_memory=True)
    host.copy_(prediction, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def wait() -> Tensor:
        copied.synchronize()
        return host

    return wait

"""Work that goes on while somebody else is waited for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from types import TracebackType
from typing import Any, Self

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


class Behind:
    """Does one thing at a time in another thread, behind its caller, who waits only for the one before. What that
    raises is raised by the next call, or at the end; when the body of the ``with`` fails, its own error counts."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._last: Future[Any] | None = None

    def __call__(self, work: Callable[..., Any], *args: Any) -> None:
        if self._last:
            self._last.result()
        self._last = self._pool.submit(work, *args)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last and error is None:
            self._last.result()
        elif self._last:
            wait([self._last])

"""Where canvas-sized tensors live: in memory while they are small, in files that vanish by themselves when not.

Host memory then grows neither with the length of a video nor with its size.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .jobs.store import CANVAS_IN_MEMORY_BYTES
from .media.files import writing


class Fields:
    """Allocates the canvas-sized tensors of one job.

    Those that go beyond ``memory_bytes`` are mapped from files in ``folder``, none where it is None. A file has no
    name, or loses it with the last reference to its tensor, so that nothing is left however the process ends.
    """

    def __init__(self, folder: Path | None = None, memory_bytes: int = CANVAS_IN_MEMORY_BYTES) -> None:
        self.folder, self.memory_bytes = folder, memory_bytes
        self._used = 0
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    @torch.inference_mode(False)  # so that anyone may write into it later
    def zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """A tensor of zeros on the host, float32 or uint8, with the frames, third from the end, outermost in memory, so
        that a few frames of all channels are one piece of it. Raises ``SkyloopError`` (disk_full, internal)."""
        frames, channels = shape[-3], shape[:-3]
        size = dtype.itemsize * math.prod(shape)
        stored = (frames, *channels, *shape[-2:])
        if self.folder is None or self._used + size <= self.memory_bytes:
            values = np.zeros(stored, np.uint8 if dtype == torch.uint8 else np.float32)
            self._used += size
            weakref.finalize(values, self._forget, size)
            flat = torch.from_numpy(values)
        else:
            flat = torch.frombuffer(self._mapped(self.folder, size), dtype=dtype).reshape(stored)
        return flat.movedim(0, -3)

    def _forget(self, size: int) -> None:
        self._used -= size

    def _mapped(self, folder: Path, size: int) -> mmap.mmap:
        with writing(folder / "canvas"), tempfile.TemporaryFile(dir=folder, prefix=".canvas-") as file:
            # A full disk must show now: once mapped, it would end the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            pages = mmap.mmap(file.fileno(), size)
        self._maps.add(pages)
        return pages

    def release(self) -> None:
        """Let go of the memory that mapped tensors hold; their values stay in the files. Call it every few frames."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for pages in list(self._maps):
                pages.madvise(mmap.MADV_DONTNEED)

"""Making a part of a sky anew: outside the mask the new movie shows the old one's pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch

from . import inputs
from .known import by_rows
from .protocol import GenerateRequest


class Edit:
    """Lays new frames over those of the request's source, in order, as far as its mask is white."""

    def __init__(self, request: GenerateRequest, first: int = 0) -> None:
        """``first``: the frame to begin with. Raises ``SkyloopError(bad_request)`` where the source or the mask cannot
        be read."""
        self._old: Iterator[np.ndarray] = islice(inputs.source_frames(request), first, None)
        self._weight = mask_pixels(request)
        self._free = self._weight[..., 0] > 0

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The next frame (height, width, 3) uint8; the source's own, exactly, where the mask is black."""
        result = next(self._old).copy()
        old, new = result[self._free].astype(np.float32), frame[self._free].astype(np.float32)
        result[self._free] = (old + self._weight[self._free] * (new - old)).round().astype(np.uint8)
        return result


def mask_pixels(request: GenerateRequest) -> np.ndarray:
    """How much of each of the movie's pixels is made anew, (height, width, 1) in [0, 1]."""
    return torch.cat(list(map(inputs.mask_reader(request), by_rows(request)))).numpy()[..., None]

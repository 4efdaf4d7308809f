"""Where canvas-sized tensors live."""

from __future__ import annotations

import torch
from torch import Tensor


class Fields:
    """Allocates the canvas-sized tensors of one job."""

    def zeros(self, *shape: int) -> Tensor:
        """A float32 tensor of zeros on the host."""
        return torch.zeros(shape)

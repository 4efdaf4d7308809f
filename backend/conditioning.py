"""What is wanted where: prompts by direction, as shares of every cell of a chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .charts import Chart

# A prompt with less of a window than this is not worth an evaluation of it.
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Prompts:
    """Encoded prompts: that of the whole sky first, then one for each region."""

    encoded: list[Any]
    negative: Any
    regions: tuple[Any, ...] = ()

    def shares(self, chart: Chart) -> Tensor:
        """How much each prompt counts in each cell: (prompts, rows, columns), summing to 1 over prompts."""
        return torch.ones(1, chart.rows, chart.columns)

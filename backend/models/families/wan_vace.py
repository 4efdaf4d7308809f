"""Wan 2.1 VACE (Jiang et al. 2025, arXiv 2503.07598): Wan 2.1 with a second branch that is shown what is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..base import View
from ..parts import Parts
from .family import Text
from .wan import Wan

# So many cells from its edges, an encoded clip of one colour is the same everywhere.
_EDGE = 8


class WanVace(Wan):
    """The control of a window is a clip of which some is given and the rest grey: latents of what is given (16
    channels), latents of what is there to be painted over (16, here always grey), and whether to paint, for each of the
    8 x 8 pixels of a cell (64). Where nothing is given, this is a text-to-video model."""

    CLASSES = {**Wan.CLASSES, "transformer": "diffusers:WanVACETransformer3DModel"}

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        self._greys: dict[tuple[int, int], Tensor] = {}

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        part, times = "transformer", x.new_full((len(x),), timestep)
        control = self.control(x, views).to(self.parts[part].dtype)
        return self.denoised(part, x, times, texts, control_hidden_states=control)

    def control(self, x: Tensor, views: Sequence[View]) -> Tensor:
        """(N, 96, F, h, w) for windows ``x``. A given picture is their first latent, where more of a cell is known than
        is not. It is masked as latents, which spares encoding it anew for every window."""
        grey, found = self.grey(x), []
        for view in views:
            shown, paint = grey.clone(), x.new_ones(self.spec.ratio**2, *x.shape[2:])
            if view.given:
                held = view.given.known.to(x.device) > 0.5
                shown[:, 0] = torch.where(held, view.given.latents[:, 0].to(x.device), shown[:, 0])
                paint[:, 0] = (~held).float()
            found.append(torch.cat([shown, grey, paint]))
        return torch.stack(found)

    def grey(self, x: Tensor) -> Tensor:
        """Latents (16, F, h, w) of a grey clip as large as windows ``x``: of a small one, whose middle is repeated."""
        frames, sizes = x.shape[2], x.shape[3:]
        rows, columns = (min(n, 2 * _EDGE) for n in sizes)
        small = self._greys.get((rows, columns))
        if small is None or small.shape[1] < frames:
            spec = self.spec
            count = spec.time_ratio * (frames - 1) + 1
            small = self.encode_clip(x.new_full((count, 3, rows * spec.ratio, columns * spec.ratio), 0.5))
            self._greys[rows, columns] = small
        top, left = (_stretched(n, small_n).to(x.device) for n, small_n in zip(sizes, (rows, columns), strict=True))
        return small[:, :frames, top[:, None], left]


def _stretched(length: int, small: int) -> Tensor:
    """Where in a clip of ``small`` cells to read those of one of ``length``: its edges, and its middle between them."""
    at, middle = torch.arange(length), small // 2
    return torch.where(at < length // 2, at.clamp(max=middle - 1), (at - length + small).clamp(min=middle))

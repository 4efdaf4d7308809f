"""Wan 2.2 (Wan team 2025): a 5B model that also continues a picture, and one of two 14B experts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..base import View
from .family import Text
from .wan import Wan


class Wan22Small(Wan):
    """TI2V-5B: a given picture is the window's first latent, without noise, and its tokens are told so: every token has
    a timestep of its own. Without one all are the same, and one for the window does: the modulation of 28000 tokens is
    a gigabyte, and twice that while it is used. Its autoencoder makes a cell of 16 x 16 pixels."""

    CHANNELS = 48
    DECODED = 19

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        if not any(view.given for view in views):
            return super().raw(x, timestep, texts, views)
        held = given_share(x, views)
        times = ((1 - held[:, 0, :, ::2, ::2]) * timestep).flatten(1)
        return self.denoised("transformer", with_given(x, held, views), times, texts)

    def finish(self, clean: Tensor, views: Sequence[View]) -> Tensor:
        return with_given(clean, given_share(clean, views), views)


def given_share(x: Tensor, views: Sequence[View]) -> Tensor:
    """Where windows ``x`` (N, C, F, h, w) are given: (N, 1, F, h, w), 0 or 1, by tokens, which are 2 x 2 cells."""
    held = x.new_zeros(len(x), 1, *x.shape[2:])
    for into, view in zip(held, views, strict=True):
        if view.given:
            share = F.avg_pool2d(view.given.known.to(x)[None, None], 2)
            into[:, 0] = F.interpolate((share > 0.5).to(x), scale_factor=2.0)[0]
    return held


def with_given(x: Tensor, held: Tensor, views: Sequence[View]) -> Tensor:
    """``x`` with the given pictures in the place of its first latents."""
    if not any(view.given for view in views):
        return x
    nothing = torch.zeros_like(x[0, :, :1])
    first = torch.stack([view.given.latents.to(x) if view.given else nothing for view in views])
    return torch.where(held > 0, first, x)


class Wan22Experts(Wan):
    """A14B: one expert decides the layout, at noise levels from the catalogue's ``boundary`` up, another the detail.

    Each fills a card, so only one is loaded: the first call of the other lets it go.
    """

    CLASSES = {**Wan.CLASSES, "transformer_2": "diffusers:WanTransformer3DModel"}

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        part, other = "transformer", "transformer_2"
        if timestep < self.levels.native(self.entry.preset.boundary)[1]:
            part, other = other, part
        self.parts.release(other)
        return self.denoised(part, x, x.new_full((len(x),), timestep), texts)

    def guidance(self, asked: float, sigma: float) -> float:
        """Each expert has a scale of its own; another one that is asked for changes both alike."""
        preset = self.entry.preset
        if sigma >= preset.boundary or not preset.guidance_late or preset.guidance == 1:
            return asked
        return 1 + (asked - 1) * (preset.guidance_late - 1) / (preset.guidance - 1)

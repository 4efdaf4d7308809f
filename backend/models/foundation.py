"""A pre-trained video model through diffusers, as the engine wants it: square windows in, guided clean latents out.

What all families share is here; what differs is in :mod:`.families`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from .base import View
from .families.family import Family, Text
from .texts import TextCache


class FoundationModel:
    """Implements :class:`.base.VideoModel`. ``together``: whether the branches of guidance are evaluated at once, which
    is faster and takes more memory."""

    together = True

    def __init__(self, family: Family, texts: TextCache) -> None:
        self.family, self.texts = family, texts
        self.spec, self.device, self.halo = family.spec, family.parts.device, family.halo

    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """From the cache on the disk, where the text encoder has seen them before: it is often the largest part."""
        missing = [text for text in dict.fromkeys(texts) if text not in self.texts]
        if missing:
            for text, encoded in zip(missing, self.family.encode_text(missing), strict=True):
                self.texts[text] = encoded
        if self.family.TEXT_PARTS:  # no names would mean all
            self.family.parts.release(*self.family.TEXT_PARTS)
        return [{name: t.to(self.device) for name, t in self.texts[text].items()} for text in texts]

    def sigmas(self, steps: int) -> list[float]:
        return self.family.levels.sigmas(steps)

    @torch.inference_mode()
    def predict(
        self,
        x: Tensor,
        sigma: float,
        views: Sequence[View],
        prompts: Sequence[Text],
        negative: Text,
        guidance: float,
    ) -> Tensor:
        """Both branches of guidance go through the denoiser :attr:`together`."""
        levels, scale = self.family.levels, self.family.guidance(guidance, sigma) if guidance != 1 else 1.0
        factor, timestep = levels.native(sigma)
        seen = x.to(self.device, non_blocking=True) * factor
        if scale == 1:
            out = self.family.raw(seen, timestep, prompts, views)
        else:
            away = [self.family.away(v) for v in views]
            nothing = [negative] * len(x)
            if self.together:
                both = self.family.raw(torch.cat([seen, seen]), timestep, [*prompts, *nothing], [*views, *away])
                wanted, unwanted = both.chunk(2)
            else:
                wanted = self.family.raw(seen, timestep, prompts, views)
                unwanted = self.family.raw(seen, timestep, nothing, away)
            out = self.family.guided(wanted, unwanted, scale, views)
        return self.family.finish(levels.clean(out, seen, sigma), views)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        return self.family.decode(latents.to(self.device))

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        return self.family.encode(frames.to(self.device))

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        pieces = self.family.decode_clip(latents.to(self.device))
        while True:
            with torch.inference_mode():  # not over a yield: what the caller does meanwhile is the caller's
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    @torch.inference_mode()
    def encode_clip(self, frames: Tensor) -> Tensor:
        return self.family.encode_clip(frames.to(self.device))

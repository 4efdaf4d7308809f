"""Clips through autoencoders that keep no state: at once where they are short, in pieces where they are long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Reach:
    """How many latents ``before`` and ``after`` a latent its frames depend on, nearly, and how many the decoder may be
    given at once."""

    before: int
    after: int
    at_once: int

    def pieces(self, latents: int) -> list[range]:
        """The latents of a clip in runs that are decoded together."""
        size = latents if latents <= self.at_once else self.at_once - self.before - self.after
        return [range(first, min(latents, first + size)) for first in range(0, latents, size)]


def decoded(decode: Callable[[Tensor], Tensor], latents: Tensor, time_ratio: int, reach: Reach) -> Iterator[Tensor]:
    """Frames RGB (n, 3, H, W) in [0, 1] float32 of ``latents`` (C, F, h, w), a piece at a time. The first latent is a
    single frame, each other one ``time_ratio``.

    ``decode``: latents (1, C, f, h, w) -> frames (1, 3, time_ratio (f - 1) + 1, H, W) in [-1, 1].
    """
    for piece in reach.pieces(latents.shape[1]):
        seen = max(0, piece.start - reach.before)
        frames = decode(latents[None, :, seen : piece.stop + reach.after])[0]
        start, stop = (max(0, time_ratio * (at - seen - 1) + 1) for at in (piece.start, piece.stop))
        yield pictures(frames[:, start:stop])


def pictures(frames: Tensor) -> Tensor:
    """What autoencoders return, (3, n, H, W) in [-1, 1], as RGB (n, 3, H, W) in [0, 1] float32."""
    return (frames.float() / 2 + 0.5).clamp(0, 1).transpose(0, 1)


def video(frames: Tensor) -> Tensor:
    """Frames (n, 3, H, W) in [0, 1] as autoencoders take them: (1, 3, n, H, W) in [-1, 1]."""
    return (frames * 2 - 1).transpose(0, 1)[None]

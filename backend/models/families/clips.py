"""Clips as autoencoders have them, and as Skyloop does."""

from __future__ import annotations

from torch import Tensor


def pictures(frames: Tensor) -> Tensor:
    """What autoencoders return, (3, n, H, W) in [-1, 1], as RGB (n, 3, H, W) in [0, 1] float32."""
    return (frames.float() / 2 + 0.5).clamp(0, 1).transpose(0, 1)


def video(frames: Tensor) -> Tensor:
    """Frames (n, 3, H, W) in [0, 1] as autoencoders take them: (1, 3, n, H, W) in [-1, 1]."""
    return (frames * 2 - 1).transpose(0, 1)[None]

"""The built-in model's frame autoencoder: RGB frames to latents at an eighth of their size, and back.

Every operation looks at a bounded neighbourhood (the norms are per pixel, over channels), so decoding a canvas in
tiles with a halo of :data:`HALO` latent cells gives what decoding it whole gives, and circular padding makes it
seamless.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENT_CHANNELS = 12
SPATIAL_RATIO = 8
LATENT_BOUND = 3.0
# Receptive field in latent cells, rounded up: the decoder has 7 convolutions at 1/8, 5 at 1/4 and 6 at 1/2; the
# encoder fewer.
HALO = 12

_WIDTHS = (64, 128, 192)


class ChannelNorm(nn.Module):
    """RMS norm over the channels of each pixel, with a learned gain: (N, C, H, W) -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + 1e-6)
        return x * scale.to(x.dtype) * self.gain.to(x.dtype)[:, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a skip connection; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # pyright: ignore[reportArgumentType]  # bias is on by default

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(y)))


class FrameAutoencoder(nn.Module):
    """Frames (N, 3, H, W) in [-1, 1], H and W multiples of 8 <-> latents (N, 12, H/8, W/8) bounded by +-3."""

    def __init__(self, channels: int = LATENT_CHANNELS) -> None:
        super().__init__()
        a, b, c = _WIDTHS
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, a, 3, padding=1),
            ResidualBlock(a),
            nn.Conv2d(a, b, 4, stride=2, padding=1),
            ResidualBlock(b),
            nn.Conv2d(b, c, 4, stride=2, padding=1),
            ResidualBlock(c),
            ResidualBlock(c),
            ChannelNorm(c),
            nn.SiLU(),
            nn.Conv2d(c, channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, c, 3, padding=1),
            ResidualBlock(c),
            ResidualBlock(c),
            ResidualBlock(c),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c, b, 3, padding=1),
            ResidualBlock(b),
            ResidualBlock(b),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(b, a, 3, padding=1),
            ResidualBlock(a),
            ResidualBlock(a),
            ChannelNorm(a),
            nn.SiLU(),
            nn.Conv2d(a, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, frames: Tensor) -> Tensor:
        """Frames in [-1, 1] -> latents; bounded softly so that noise added to them means something in training."""
        return LATENT_BOUND * torch.tanh(self.encoder(frames) / LATENT_BOUND)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents -> frames, in [-1, 1] but for overshoot."""
        return self.decoder(latents)

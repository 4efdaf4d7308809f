"""Losses and figures of the autoencoder."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Absolute and squared error plus the error of both gradients, which is where stars and rain live. (N, 3, H, W)."""
    error = output - target
    gradients = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + gradients + 4 * error.square().mean()


def psnr_db(output: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [-1, 1], over all pixels of the batch, in dB."""
    return 10 * math.log10(4.0 / max(1e-12, (output.clamp(-1, 1) - target).square().mean().item()))


def resampled(frames: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
    """The same random shift and zoom-out (1 to 2 times) of frames and of their latents, at half the size each way.

    Training the decoder to agree on both makes latents behave like images under resampling (EQ-VAE, Kouzelis et al.
    2025): the engine resamples them where charts overlap and between resolutions.
    """
    n, _, h, w = latents.shape
    part = torch.empty(n, device=latents.device).uniform_(0.5, 1.0)
    theta = torch.zeros(n, 2, 3, device=latents.device)
    theta[:, 0, 0] = theta[:, 1, 1] = part
    theta[:, :, 2] = torch.empty(n, 2, device=latents.device).uniform_(-1, 1) * (1 - part)[:, None]
    to_latents = F.affine_grid(theta, [n, 1, h // 2, w // 2], align_corners=False)
    to_frames = F.affine_grid(theta, [n, 1, h * 4, w * 4], align_corners=False)
    # A zoom-out by 2 * part would alias: blend toward a 2x2 mean as it grows.
    blurred = F.avg_pool2d(F.pad(frames, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
    frames = torch.lerp(frames, blurred, (2 * part - 1)[:, None, None, None])
    read: dict[str, Any] = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
    return F.grid_sample(frames, to_frames, **read), F.grid_sample(latents, to_latents, **read)

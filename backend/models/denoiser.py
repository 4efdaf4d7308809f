"""The built-in model's denoiser: a space-time transformer that predicts the velocity of a flow-matching ODE.

It sees one fixed window: 16 frames of 16x16 latents. Blocks alternate between attention over the cells of a frame and
over the frames of a cell (factorised space-time attention); every block is modulated by one condition vector
(adaLN-zero, Peebles & Xie 2023) made from time, text, view pitch, field of view and the seconds between frames.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import LATENT_CHANNELS

WINDOW_FRAMES = 16
WINDOW_CELLS = 16
PATCH = 2
TEXT_DIM = 256
# What it was trained on; views outside are answered as the nearest one inside.
FOV_RANGE_DEG = (20.0, 110.0)
FRAME_STEP_RANGE_S = (0.04, 0.2)
HEAD_DIM = 64


class Condition(NamedTuple):
    """What a batch of B windows shows.

    ``text`` (B, L, 256) token embeddings, ``mask`` (B, L) true where there is a token; a row without tokens means "no
    text". ``view`` (B, 3): pitch and field of view in radians, seconds between frames.
    """

    text: Tensor
    mask: Tensor
    view: Tensor


class Block(nn.Module):
    """Pre-norm attention and MLP over sequences (N, L, d), modulated by (N, 1, 6d)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.heads = dim // HEAD_DIM
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))
        self.q_norm, self.k_norm = nn.RMSNorm(HEAD_DIM), nn.RMSNorm(HEAD_DIM)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, dim=-1)
        n, length, dim = x.shape
        y = F.layer_norm(x, (dim,)) * (1 + scale1) + shift1
        q, k, v = self.qkv(y).reshape(n, length, 3, self.heads, HEAD_DIM).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        x = x + gate1 * self.out(y.transpose(1, 2).reshape(n, length, dim))
        y = F.layer_norm(x, (dim,)) * (1 + scale2) + shift2
        return x + gate2 * self.mlp(y)


class TextPool(nn.Module):
    """Token embeddings (B, L, 256) -> one vector (B, dim): learned queries pick tokens, their mean gives the tone."""

    def __init__(self, dim: int, queries: int = 8) -> None:
        super().__init__()
        # Neighbouring tokens together make words ("t-und-ra") and say what a colour belongs to ("green aurora").
        self.compose = nn.Conv1d(TEXT_DIM, TEXT_DIM, 3, padding=1)
        self.queries = nn.Parameter(torch.randn(queries, TEXT_DIM) * TEXT_DIM**-0.5)
        self.key = nn.Linear(TEXT_DIM, TEXT_DIM)
        self.out = nn.Sequential(nn.Linear((queries + 1) * TEXT_DIM, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.empty = nn.Parameter(torch.zeros(dim))

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        any_text = mask.any(dim=1)
        text = (text + F.silu(self.compose(text.transpose(1, 2))).transpose(1, 2)) * mask[..., None]
        # An empty row would softmax over nothing: let it look at its (zero) padding, and replace the result below.
        seen = mask | ~any_text[:, None]
        scores = torch.einsum("qd,bld->bql", self.queries, self.key(text)) * TEXT_DIM**-0.5 * 8
        weights = scores.masked_fill(~seen[:, None], float("-inf")).softmax(dim=-1)
        picked = torch.einsum("bql,bld->bqd", weights, text)
        mean = text.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        out = self.out(torch.cat([picked.flatten(1), mean], dim=-1))
        return torch.where(any_text[:, None], out, self.empty.to(out.dtype))


def _time_features(t: Tensor) -> Tensor:
    """(B,) in [0, 1] -> (B, 256) sines and cosines."""
    frequencies = torch.exp(torch.arange(128, device=t.device) * (-math.log(1000.0) / 128))
    angles = t[:, None].float() * 1000.0 * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _view_features(view: Tensor) -> Tensor:
    """(B, 3) pitch, fov, seconds per frame -> (B, 10) smooth features of about unit size."""
    pitch, fov, dt = view.float().unbind(-1)
    waves = [f(k * pitch) for k in (1, 2, 4) for f in (torch.sin, torch.cos)]
    return torch.stack([*waves, torch.tan(fov / 2), torch.log(fov), 10 * dt, torch.log(10 * dt)], dim=-1)


class Denoiser(nn.Module):
    """v(x, t | condition) for x = (1 - t) * data + t * noise, v = noise - data."""

    def __init__(self, channels: int = LATENT_CHANNELS, dim: int = 320, depth: int = 12, cond_dim: int = 192) -> None:
        super().__init__()
        cells = (WINDOW_CELLS // PATCH) ** 2
        self.embed = nn.Sequential(nn.Conv2d(channels, 128, 3, padding=1), nn.SiLU(), nn.Conv2d(128, dim, PATCH, PATCH))
        self.space = nn.Parameter(torch.randn(1, 1, cells, dim) * 0.02)
        self.time = nn.Parameter(torch.randn(1, WINDOW_FRAMES, 1, dim) * 0.02)
        self.text = TextPool(dim)
        self.condition = nn.Sequential(nn.Linear(256 + dim + 10, dim), nn.SiLU(), nn.Linear(dim, cond_dim), nn.SiLU())
        self.modulations = nn.ModuleList([nn.Linear(cond_dim, 6 * dim) for _ in range(depth)])
        self.blocks = nn.ModuleList([Block(dim) for _ in range(depth)])
        # A depthwise 3x3 before each spatial block gives neighbouring tokens a shared edge, which 2x2 patches lack.
        self.local = nn.ModuleList([nn.Conv2d(dim, dim, 3, padding=1, groups=dim) for _ in range(depth // 2)])
        self.final = nn.Linear(cond_dim, 2 * dim)
        self.out = nn.Linear(dim, PATCH * PATCH * channels)
        for layer in (*self.modulations, self.final, self.out):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def places(self, rows: int, columns: int) -> Tensor:
        """The embedding (1, 1, rows * columns, dim) of places in a window of so many patches: the learned one, or,
        for another size, which it was not trained on, that one stretched."""
        size = WINDOW_CELLS // PATCH
        if (rows, columns) == (size, size):
            return self.space
        learned = self.space.reshape(1, size, size, -1).permute(0, 3, 1, 2)
        stretched = F.interpolate(learned.float(), (rows, columns), mode="bicubic", align_corners=False)
        return stretched.flatten(2).transpose(1, 2)[None]

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Latents x (B, 12, 16, 16, 16): batch, channel, frame, row, column; t (B,) in [0, 1] -> velocity, like x.

        Other even numbers of rows and columns work too (:meth:`places`).
        """
        batch, channels, frames, height, width = x.shape
        h, w = height // PATCH, width // PATCH
        y = self.embed(x.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        y = y.reshape(batch, frames, h * w, -1) + self.places(h, w).to(y.dtype) + self.time.to(y.dtype)
        dim = y.shape[-1]
        text = self.text(condition.text.to(y.dtype), condition.mask)
        features = torch.cat([_time_features(t).to(y.dtype), text, _view_features(condition.view).to(y.dtype)], dim=-1)
        c = self.condition(features)
        for i, (block, modulation) in enumerate(zip(self.blocks, self.modulations, strict=True)):
            m = modulation(c)[:, None]
            if i % 2 == 0:
                image = y.reshape(batch * frames, h, w, dim).permute(0, 3, 1, 2)
                y = y + self.local[i // 2](image).permute(0, 2, 3, 1).reshape(y.shape)
                y = block(y.flatten(0, 1), m.repeat_interleave(frames, 0)).reshape(y.shape)
            else:
                z = y.transpose(1, 2).flatten(0, 1)
                z = block(z, m.repeat_interleave(h * w, 0))
                y = z.reshape(batch, h * w, frames, dim).transpose(1, 2)
        shift, scale = self.final(c)[:, None, None].chunk(2, dim=-1)
        y = self.out(F.layer_norm(y, (dim,)) * (1 + scale) + shift)
        y = F.pixel_shuffle(y.transpose(2, 3).reshape(batch * frames, PATCH * PATCH * channels, h, w), PATCH)
        return y.reshape(batch, frames, channels, height, width).transpose(1, 2)

"""The clip bank: scenes rendered once, captioned several times, kept as pixels or as latents on the training device."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import sphere
from ..models.denoiser import FOV_RANGE_DEG, FRAME_STEP_RANGE_S, WINDOW_CELLS, WINDOW_FRAMES
from ..models.text import TextEncoder
from .captions import caption
from .scenes import Renderer, sample_scene

WINDOW_PX = WINDOW_CELLS * 8
CAPTIONS_PER_CLIP = 4


@dataclass
class Clips:
    """N clips: ``pixels`` (N, 16, 3, 128, 128) uint8, ``tokens`` (N, 4, L) ids of four captions, ``view`` (N, 3)."""

    pixels: Tensor
    tokens: Tensor
    view: Tensor


def sample_view(rng: random.Random) -> tuple[float, float, float]:
    """Pitch and field of view in radians, seconds per frame: horizon, poles and all sizes, as panoramas need them."""
    kind = rng.random()
    if kind < 0.3:
        pitch = rng.gauss(0, 6)
    elif kind < 0.5:
        pitch = rng.choice((-1, 1)) * (90 - abs(rng.gauss(0, 6)))
    else:
        pitch = rng.uniform(-90, 90)
    wide = rng.random() < 0.5
    fov = rng.uniform(75, FOV_RANGE_DEG[1]) if wide else math.exp(rng.uniform(math.log(FOV_RANGE_DEG[0]), math.log(90)))
    dt = math.exp(rng.uniform(*map(math.log, FRAME_STEP_RANGE_S)))
    return math.radians(max(-90.0, min(90.0, pitch))), math.radians(fov), dt


def render_clips(renderer: Renderer, encoder: TextEncoder, count: int, rng: random.Random) -> Clips:
    """Render ``count`` clips of one kind of sky (the renderer skips what no scene of its batch needs)."""
    device = renderer.device
    first = sample_scene(rng)
    scenes = [first, *(sample_scene(rng, sky=first.sky) for _ in range(count - 1))]
    view = torch.tensor([sample_view(rng) for _ in scenes], device=device)
    yaw = torch.tensor([rng.uniform(-math.pi, math.pi) for _ in scenes], device=device)
    pitch, fov, dt = view.unbind(-1)
    directions = sphere.view_directions(yaw, pitch, fov, WINDOW_PX, WINDOW_PX)
    start = torch.tensor([rng.uniform(0, 60) for _ in scenes], device=device)
    time_s = start[:, None] + dt[:, None] * torch.arange(WINDOW_FRAMES, device=device)
    with torch.no_grad():
        frames = renderer.shade(scenes, directions, time_s, 2 * torch.tan(fov / 2) / WINDOW_PX)
    tokens = encoder.tokens([caption(s, rng) for s in scenes for _ in range(CAPTIONS_PER_CLIP)])
    return Clips((frames * 255).round().to(torch.uint8), tokens.reshape(count, CAPTIONS_PER_CLIP, -1), view.cpu())


def render_bank(
    renderer: Renderer, encoder: TextEncoder, total: int, rng: random.Random, batch: int
) -> Iterator[Clips]:
    """``total`` clips in batches of one sky each."""
    for _ in range(total // batch):
        yield render_clips(renderer, encoder, batch, rng)


def concatenate(parts: list[Clips]) -> Clips:
    """One bank of many batches."""
    return Clips(*(torch.cat([getattr(p, name) for p in parts]) for name in ("pixels", "tokens", "view")))

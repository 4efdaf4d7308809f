"""Models that see time as foundation models do, small enough to be exact: windows with a lead, latents that stand for
several frames, and an autoencoder that runs through a clip from its beginning."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from backend.models.base import ModelSpec, View

RATIO, TIME = 8, 4
SPEC = ModelSpec(
    id="temporal",
    channels=2,
    frames=5,
    cells=8,
    ratio=RATIO,
    steps=4,
    guidance=1.0,
    window_batch=5,
    longest_step_s=0.2,
    time_ratio=TIME,
    lead=1,
    least_frames=3,
    clipwise=True,
    clip_cells=200,
    around=(2, 0),
)


class Temporal:
    """The optimal denoiser of independent unit normal latents, of which the first of a window is ``lead_error`` wrong,
    as an image is another thing than a moment of a film.

    Its autoencoder is linear, causal, and remembers ``memory`` latents: a latent's four frames are the mean of what it
    and those before it hold, the nearer the more. The first is a single frame. Cells spread over their neighbours.
    """

    device = torch.device("cpu")
    halo = 2

    def __init__(self, lead_error: float = 0.0, memory: int = 2, **changes: Any) -> None:
        self.spec = replace(SPEC, **changes)
        self.lead_error, self.memory = lead_error, memory
        self.shapes: set[tuple[int, ...]] = set()
        self.decoding = 0  # clips that are being decoded

    def encode_text(self, texts: Sequence[str]) -> list[str]:
        return list(texts)

    def sigmas(self, steps: int) -> list[float]:
        return torch.linspace(1, 0, steps + 1).tolist()

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        self.shapes.add(tuple(x.shape[1:]))
        a = 1 - sigma
        clean = x * (a / (a * a + sigma * sigma))
        clean[:, :, : self.spec.lead] += self.lead_error
        return clean

    def decode(self, latents: Tensor) -> Tensor:
        raise AssertionError("clips are not decoded frame by frame")

    def encode(self, frames: Tensor) -> Tensor:
        raise AssertionError("clips are not encoded frame by frame")

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        self.decoding += 1
        try:
            spread = torch.nn.functional.avg_pool2d(latents[:1].transpose(0, 1), 3, 1, 1, count_include_pad=False)
            past: list[Tensor] = []
            for number, here in enumerate(spread):
                past = [here, *past[: self.memory]]
                mean = torch.stack([z * 0.5**k for k, z in enumerate(past)]).sum(0) / 2
                picture = mean[None].repeat_interleave(RATIO, 2).repeat_interleave(RATIO, 3)
                count = 1 if number < self.spec.lead else TIME
                later = torch.arange(count)[:, None, None, None] / TIME * 0.1
                yield (picture * (1 - later)).expand(count, 3, -1, -1) * 0.1 + 0.5
        finally:
            self.decoding -= 1

    def encode_clip(self, frames: Tensor) -> Tensor:
        """About the inverse: of the mean of each latent's cells and frames, less half of the latent's before it."""
        lead = self.spec.lead
        assert (len(frames) - lead) % TIME == 0
        small = 20 * (torch.nn.functional.avg_pool2d(frames[:, :1], RATIO) - 0.5)
        groups = [*small[:lead], *(g.mean(0) for g in small[lead:].split(TIME) if len(g))]
        latents = [g - 0.5 * groups[k - 1] if k else g for k, g in enumerate(groups)]
        return torch.stack(latents, 1).expand(2, -1, -1, -1)

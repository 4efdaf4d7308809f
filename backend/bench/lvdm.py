"""A latent video UNet of 1.4 billion weights, as the models were on which the method was published: guided in two
branches, told a timestep, an autoencoder of single frames. With random weights only, to be timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..models.base import ModelSpec, View
from ..models.families.family import Family, Text
from ..models.levels import VariancePreserving
from ..models.parts import Parts


class LatentVideo(Family):
    """``unet`` is a diffusers ``UNet3DConditionModel``."""

    CLASSES = {"unet": "diffusers:UNet3DConditionModel", "vae": "diffusers:AutoencoderKL"}
    TEXT_PARTS = ()
    halo = 8

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        window, preset = entry.window, entry.preset
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        self.levels = VariancePreserving(torch.cumprod(1 - betas, 0).tolist(), "noise")
        self.spec = ModelSpec(
            id=entry.id, channels=4, frames=window.frames, cells=window.cells, ratio=8, steps=preset.steps,
            guidance=preset.guidance, window_batch=1, longest_step_s=1 / window.fps, clipwise=True,
            solver=preset.solver, start=self.levels.start,
        )  # fmt: skip

    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        raise NotImplementedError("its texts are stand-ins")

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        unet = self.parts["unet"]
        states = torch.stack([text["states"] for text in texts]).to(unet.dtype)
        at = torch.full((), timestep, device=x.device)
        return unet(x.to(unet.dtype), at, encoder_hidden_states=states, return_dict=False)[0].float()

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        vae = self.parts["vae"]
        for z in latents.unbind(1):
            frames = vae.decode((z[None] / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
            yield (frames.float() / 2 + 0.5).clamp(0, 1)

    def encode_clip(self, frames: Tensor) -> Tensor:
        vae = self.parts["vae"]
        found = [vae.encode((f * 2 - 1).to(vae.dtype), return_dict=False)[0].mode() for f in frames.split(1)]
        return torch.cat(found).float().transpose(0, 1) * vae.config.scaling_factor

"""A real autoencoder of clips, tiny and random, through the engine's way of decoding: no seam, and loops that close."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.canvas import Canvas, white_noise
from backend.charts import sphere_charts
from backend.render import decode_frames
from tests.temporal import Temporal

autoencoders = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan")
wan_autoencoder = pytest.importorskip("backend.models.families.wan_autoencoder")


class Wan(Temporal):
    """Wan's autoencoder with few channels."""

    def __init__(self, halo: int) -> None:
        super().__init__(channels=4, around=(6, 0), clip_cells=24 * 24)
        self.halo = halo
        torch.manual_seed(3)
        self.vae = autoencoders.AutoencoderKLWan(
            base_dim=8, z_dim=4, dim_mult=[1, 2, 2, 2], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
        ).eval()

    @torch.inference_mode()
    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        yield from wan_autoencoder.decode_clip(self.vae, latents)


def film_of(model: Wan) -> np.ndarray:
    charts = sphere_charts(32, 8)
    canvas = Canvas(charts, white_noise(charts, 4, 5, torch.Generator().manual_seed(1)), True, 0.1)
    return np.stack(list(decode_frames(model, canvas, 128, 256, range(20)))).astype(float)


def seam(frames: np.ndarray) -> float:
    """The step across ±180° over those between other cells of the band."""
    across = np.abs(frames - np.roll(frames, 1, 2))[:, 40:88].mean((0, 1, 3))
    return float(across[0] / np.median(across[8::8]))


def test_no_seam_in_longitude_and_a_loop_that_goes_on() -> None:
    torch.set_num_threads(1)
    frames = film_of(Wan(halo=6))
    assert seam(frames) < 1.3
    assert seam(film_of(Wan(halo=0))) > 1.5, "which a tile without surroundings would have"
    steps = np.abs(frames - np.roll(frames, 1, 0)).mean((1, 2, 3))
    assert steps[0] / np.median(steps[4::4]) < 1.3

"""CogVideoX 2B and 5B against diffusers' pipeline, on tiny random networks."""

# diffusers annotates its constructors more narrowly than it takes arguments.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from torch import Tensor

from backend.models.families.cogvideox import CogVideoX
from backend.models.families.family import Text
from tests.backend.conformance import (
    NEGATIVE,
    PROMPT,
    Case,
    Conformance,
    decoded,
    entry_of,
    parts_of,
    ready,
    t5_encoder,
    t5_tokenizer,
)
from tests.backend.families.folders import in_half_precision

FRAMES, CELLS = 3, 8
TINY: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 16,
    "out_channels": 16,
    "time_embed_dim": 8,
    "text_embed_dim": 32,
    "num_layers": 2,
    "sample_width": 12,
    "sample_height": 6,
    "sample_frames": 9,
    "max_text_seq_length": 226,
}
TINY_VAE: dict[str, Any] = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    "latent_channels": 16,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "temporal_compression_ratio": 4,
    "scaling_factor": 1.15258426,
}


def scheduler(shift: float) -> CogVideoXDDIMScheduler:
    """As the model's folder has it."""
    return CogVideoXDDIMScheduler(
        snr_shift_scale=shift, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, set_alpha_to_one=True,
        timestep_spacing="trailing",
    )  # fmt: skip


class CogVideoXCase(Case):
    def native(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)

    engines = native

    def pipeline_text(self) -> list[Text]:
        return [{"states": states[0]} for states in self.pipe.encode_prompt(PROMPT, NEGATIVE)]

    def branches(self, seen: Tensor, timestep: float, wanted: Text, unwanted: Text) -> Sequence[Tensor]:
        both = self.family.raw(seen.repeat(2, 1, 1, 1, 1), timestep, [unwanted, wanted], [self.view()] * 2)
        return both.flip(0).split(1)

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        video = self.pipe.decode_latents(self.native(latents[None]))
        return self.pipe.video_processor.postprocess_video(video, "pt")[0]


def tiny_parts(shift: float, rotary: bool) -> dict[str, Any]:
    torch.manual_seed(0)
    return ready(
        tokenizer=t5_tokenizer(226),
        text_encoder=t5_encoder(),
        transformer=CogVideoXTransformer3DModel(**TINY, use_rotary_positional_embeddings=rotary),
        vae=AutoencoderKLCogVideoX(**TINY_VAE),
        scheduler=scheduler(shift),
    )


def make(model_id: str, shift: float, rotary: bool) -> CogVideoXCase:
    parts = tiny_parts(shift, rotary)
    family = CogVideoX(parts_of(parts), entry_of(model_id, frames=FRAMES, cells=CELLS))
    return CogVideoXCase(family, CogVideoXPipeline(**parts), [("euler", scheduler(shift))])


class TestCogVideoX2B(Conformance):
    @staticmethod
    def make() -> CogVideoXCase:
        return make("cogvideox-2b", 3.0, rotary=False)

    @pytest.mark.parametrize("count", [1, 2, 4, 5, 6, 7])
    def test_clips_of_any_length_have_one_frame_for_the_first_latent(self, case: Case, count: int) -> None:
        frames = decoded(case, torch.randn(16, count, CELLS, CELLS))
        assert len(frames) == case.frames(count)
        assert case.model.encode_clip(frames).shape == (16, count, CELLS, CELLS)

    def test_a_loop_goes_on_where_it_ends(self, case: Case) -> None:
        """Decoded with what is before it, turning the ring by pairs of latents turns the film, nearly."""
        spec, count = case.family.spec, 6
        ring = torch.randn(16, count, CELLS, CELLS)

        def film(z: Tensor, before: int) -> Tensor:
            at = torch.arange(-before, count) % count
            first = spec.lead + spec.time_ratio * (before - spec.lead)
            return decoded(case, z[:, at])[first : first + spec.time_ratio * count]

        def changed(before: int) -> float:
            plain, turned = film(ring, before), film(ring.roll(2, 1), before)
            assert len(plain) == spec.time_ratio * count
            frames = (plain.roll(2 * spec.time_ratio, 0) - turned).square().mean((1, 2, 3)).sqrt()
            return float(frames.max() / plain.std())

        assert changed(spec.around[0]) < 0.08 < 0.3 < changed(1)

    def test_pure_noise_is_where_it_begins(self, case: Case) -> None:
        assert case.model.sigmas(50)[0] == 1.0 and case.family.spec.start == 1.0


class TestCogVideoX5B(Conformance):
    @staticmethod
    def make() -> CogVideoXCase:
        return make("cogvideox-5b", 1.0, rotary=True)


def test_it_runs_from_a_folder_in_half_precision(tmp_path: Path) -> None:
    entry = entry_of("cogvideox-5b", frames=FRAMES, cells=CELLS)
    in_half_precision(CogVideoX, tiny_parts(1.0, rotary=True), entry, tmp_path)

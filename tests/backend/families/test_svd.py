"""Stable Video Diffusion against diffusers' pipeline, on tiny random networks."""

# diffusers annotates its constructors more narrowly than it takes arguments.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from backend.models.base import Given, View
from backend.models.families import svd
from backend.models.families.family import Text
from backend.models.families.svd import StableVideo
from tests.backend.conformance import Case, Conformance, entry_of, parts_of, ready
from tests.backend.families.folders import in_half_precision

FRAMES, CELLS = 5, 8
TINY: dict[str, Any] = {
    "sample_size": CELLS,
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "num_attention_heads": (2, 4),
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24,
    "num_frames": FRAMES,
}
TINY_VAE: dict[str, Any] = {
    "block_out_channels": (32, 32, 32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 1,
}
TINY_CLIP: dict[str, Any] = {
    "hidden_size": 32,
    "projection_dim": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 224,
    "patch_size": 56,
}


def scheduler() -> EulerDiscreteScheduler:
    """As the model's folder has it."""
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
        prediction_type="v_prediction", sigma_min=0.002, sigma_max=700.0, steps_offset=1, timestep_spacing="leading",
        timestep_type="continuous", use_karras_sigmas=True,
    )  # fmt: skip


class SvdCase(Case):
    picture: Image.Image
    given: Given

    def view(self) -> View:
        return View(0.0, 1.5, 1 / 8, given=self.given, whole=True)

    def native(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)

    engines = native

    def pipeline_text(self) -> list[Text]:
        return [{}, {}]

    def guided(self, wanted: Tensor, unwanted: Tensor) -> Tensor:
        ramp = torch.linspace(1, self.guidance, FRAMES).view(1, 1, -1, 1, 1)
        return unwanted + ramp * (wanted - unwanted)

    def branches(self, seen: Tensor, timestep: float, wanted: Text, unwanted: Text) -> Sequence[Tensor]:
        views = [self.family.away(self.view()), self.view()]
        return self.family.raw(seen.repeat(2, 1, 1, 1, 1), timestep, [{}, {}], views).flip(0).split(1)

    def pipeline_latents(self) -> Tensor:
        side = CELLS * self.family.spec.ratio
        found = self.pipe(
            self.picture, height=side, width=side, num_frames=FRAMES, num_inference_steps=self.steps,
            max_guidance_scale=self.guidance, fps=8, noise_aug_strength=0.0, latents=self.native(self.noise),
            output_type="latent",
        ).frames  # fmt: skip
        return self.engines(found)

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        video = self.pipe.decode_latents(self.native(latents[None]), latents.shape[1])
        return self.pipe.video_processor.postprocess_video(video, "pt")[0]


def test_guidance_is_the_same_all_around_a_ring() -> None:
    """And rises where there is a first frame: with what it is on average."""
    family = family_of({})
    wanted, unwanted = torch.ones(2, 4, FRAMES, CELLS, CELLS), torch.zeros(2, 4, FRAMES, CELLS, CELLS)
    views = [View(0.0, 1.5, 1 / 8, whole=whole) for whole in (True, False)]
    film, ring = family.guided(wanted, unwanted, 3.0, views)[:, 0, :, 0, 0]
    assert film.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert ring.tolist() == [2.0] * FRAMES


def test_what_guidance_leads_away_from_has_no_picture_and_what_is_unknown_is_as_if_it_had_none() -> None:
    family, size = family_of(tiny_parts()), (CELLS, CELLS)
    known = torch.zeros(size)
    known[:, :3] = 1
    given = Given(torch.ones(4, 1, *size), known, torch.rand(3, 20, 20))
    view = View(0.0, 1.5, 1 / 8, given=given)
    latents, seen = family._pictures([view, family.away(view)], size)
    assert bool((latents[0, :, :, :3] != 0).all()) and not latents[0, :, :, 3:].any()
    assert bool(seen[0].any()) and not latents[1].any() and not seen[1].any()


@torch.no_grad()
def test_pictures_of_any_size_are_shown_as_the_pipeline_shows_them() -> None:
    parts = tiny_parts()
    family, pipe = family_of(parts), StableVideoDiffusionPipeline(**parts, scheduler=scheduler())
    picture = Image.effect_noise((500, 301), 90).convert("RGB")
    processor = pipe.video_processor
    pixels = processor.numpy_to_pt(processor.pil_to_numpy(picture))[0]
    view = View(0.0, 1.5, 1 / 8, given=Given(torch.ones(4, 1, CELLS, CELLS), torch.ones(CELLS, CELLS), pixels))
    assert torch.equal(family._pictures([view], (CELLS, CELLS))[1], pipe._encode_image(picture, "cpu", 1, False))


@torch.no_grad()
def test_a_long_film_is_decoded_in_pieces_that_know_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tiny_parts()
    family, decode, sizes = family_of(parts), parts["vae"].decode, []

    def counted(z: Tensor, **options: Any) -> Any:
        sizes.append(len(z))
        return decode(z, **options)

    monkeypatch.setattr(parts["vae"], "decode", counted)
    latents = torch.randn(4, 2 * svd.TOGETHER + 3, CELLS, CELLS)
    pieces = list(family.decode_clip(latents))
    assert [len(p) for p in pieces] == [svd.TOGETHER, svd.TOGETHER, 3]
    assert sizes == [12, 15, 7]
    whole = decode(latents.transpose(0, 1) / 0.18215, num_frames=latents.shape[1]).sample / 2 + 0.5
    monkeypatch.setattr(svd, "BESIDE", 0)
    alone = torch.cat(list(family.decode_clip(latents)))
    known, unknown = ((found - whole.clamp(0, 1)).abs().mean() for found in (torch.cat(pieces), alone))
    assert known < unknown / 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_pictures_are_encoded_in_a_precision_that_does_not_overflow(dtype: torch.dtype) -> None:
    parts = tiny_parts()
    family, frame = family_of(parts), torch.rand(1, 3, 64, 64)
    exact = family.encode_clip(frame)
    parts["vae"].to(dtype)
    rounded = family.encode_clip(frame)
    assert parts["vae"].dtype == dtype
    assert (rounded - exact).abs().max() < (2e-3 if dtype == torch.float16 else 2e-2)


def family_of(parts: dict[str, Any]) -> StableVideo:
    return StableVideo(parts_of(parts), entry_of("svd-xt", frames=FRAMES, cells=CELLS))


def tiny_parts() -> dict[str, Any]:
    torch.manual_seed(0)
    return ready(
        unet=UNetSpatioTemporalConditionModel(**TINY),
        vae=AutoencoderKLTemporalDecoder(**TINY_VAE),
        image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**TINY_CLIP)),
        feature_extractor=CLIPImageProcessor(crop_size=224, size=224),
    )


class TestStableVideo(Conformance):
    @staticmethod
    def make() -> SvdCase:
        parts = tiny_parts()
        case = SvdCase(
            family_of(parts), StableVideoDiffusionPipeline(**parts, scheduler=scheduler()), [("euler", scheduler())]
        )
        side = CELLS * case.family.spec.ratio
        pixels = torch.rand(3, side // 8, side // 8, generator=torch.Generator().manual_seed(3))
        bytes_ = (pixels * 255).to(torch.uint8).permute(1, 2, 0).numpy()
        case.picture = Image.fromarray(bytes_).resize((side, side), Image.Resampling.BICUBIC)
        processor = case.pipe.video_processor
        pixels = processor.numpy_to_pt(processor.pil_to_numpy(case.picture))
        latents = case.pipe._encode_vae_image(pixels * 2 - 1, "cpu", 1, False)
        latents = latents.double() * case.pipe.vae.config.scaling_factor  # so that dividing gives the same again
        case.given = Given(latents.transpose(0, 1), torch.ones(CELLS, CELLS), pixels[0])
        return case


def test_it_runs_from_a_folder_in_half_precision(tmp_path: Path) -> None:
    in_half_precision(StableVideo, tiny_parts(), entry_of("svd-xt", frames=FRAMES, cells=CELLS), tmp_path)

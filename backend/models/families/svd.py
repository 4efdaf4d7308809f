"""Stable Video Diffusion (Blattmann et al. 2023, arXiv 2311.15127): sets a picture in motion, and takes no text.

The picture reaches the network twice: its latents beside the noisy ones of every frame, and as a whole through CLIP.
What guidance leads away from has neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from torch import Tensor

from ..base import Given, View
from ..levels import VarianceExploding
from ..parts import Parts
from .family import Family, Text

# Noise levels of its scheduler, in its own terms.
LEAST, MOST = 0.002, 700.0
# How much moves, on a scale to 255; as the pipeline says where nobody asks.
MOTION_BUCKET = 127
# How noisy the picture was made. The pipeline adds .02 and says so; ours comes as it is, and so is announced.
PICTURE_NOISE = 0.0
FPS = (3.0, 30.0)  # of the films it was trained on
CLIP_PIXELS = 224
# Frames that are decoded together, and on either side of them those that are dropped. The decoder's 28 convolutions
# along time reach as many frames, but weakly: of random weights 4 left 1 to 2 % of the spread where each block adds a
# third of what it would untrained, 10 to 18 % where it adds all (0: 50 to 97 %). The pipeline has none beside.
TOGETHER, BESIDE = 8, 4


class StableVideo(Family):
    """Latents have unit variance but for the picture's, which the network takes as the autoencoder makes them."""

    CLASSES = {
        "unet": "diffusers:UNetSpatioTemporalConditionModel",
        "vae": "diffusers:AutoencoderKLTemporalDecoder",
        "image_encoder": "transformers:CLIPVisionModelWithProjection",
        "feature_extractor": "transformers:CLIPImageProcessor",
    }
    TEXT_PARTS = ()
    DECODED = 22  # the 16 at once, as they were measured
    halo = 8

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        self.levels = VarianceExploding(LEAST, MOST)
        self.spec = self.described(
            channels=4, longest_step_s=1 / FPS[0], around=(BESIDE, BESIDE), view_pixels=CLIP_PIXELS
        )

    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """Nothing: it takes no text."""
        return [{} for _ in texts]

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        latents, seen = self._pictures(views, x.shape[-2:])
        unet = self.parts["unet"]  # after the image encoder, as parts may take turns on the card
        frames = x.shape[2]
        beside = latents[:, None].expand(-1, frames, -1, -1, -1)
        fps = [min(max(1 / view.frame_step_s, FPS[0]), FPS[1]) for view in views]
        ids = torch.tensor([[rate - 1, MOTION_BUCKET, PICTURE_NOISE] for rate in fps], dtype=unet.dtype)
        out = unet(
            torch.cat([x.transpose(1, 2), beside], dim=2).to(unet.dtype),
            torch.full((), timestep, device=x.device),
            encoder_hidden_states=seen.to(unet.dtype),
            added_time_ids=ids.to(x.device, non_blocking=True),
            return_dict=False,
        )[0]
        return out.transpose(1, 2).float()

    def away(self, view: View) -> View:
        return view._replace(given=None, frame_step_s=view.avoid_step_s or view.frame_step_s)

    def guided(self, wanted: Tensor, unwanted: Tensor, scale: float, views: Sequence[View]) -> Tensor:
        """The scale rises from 1 in the first frame, which is the picture, to the one asked for in the last; in
        windows of a ring, or of a longer film, which have no first frame, it is the mean of that."""
        ramp = torch.linspace(1, scale, wanted.shape[2], device=wanted.device)
        scales = torch.stack([ramp if view.whole else torch.full_like(ramp, (1 + scale) / 2) for view in views])
        return unwanted + scales[:, None, :, None, None] * (wanted - unwanted)

    def _pictures(self, views: Sequence[View], size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Latents (N, C, h, w) and embeddings (N, 1, d) of what is given; zero where nothing is."""
        given = [view.given for view in views]
        config = self.parts.config
        factor, width = config("vae").get("scaling_factor", 0.18215), config("unet")["cross_attention_dim"]
        latents = torch.zeros(len(views), self.spec.channels, *size, device=self.parts.device)
        seen = torch.zeros(len(views), 1, width, device=self.parts.device)
        for k, one in enumerate(given):
            if one is not None:
                latents[k] = (one.latents[:, 0] * one.known).to(latents.device) / factor
        if present := [k for k, one in enumerate(given) if one is not None]:
            pixels = torch.cat([self._for_clip(one) for one in given if one is not None])
            encoder = self.parts["image_encoder"]
            embedded = encoder(pixels.to(encoder.dtype)).image_embeds
            seen[present, 0] = embedded.float().to(seen.device)
        return latents, seen

    def _for_clip(self, given: Given) -> Tensor:
        """(1, 3, 224, 224), as the pipeline shows a picture to CLIP."""
        extractor = self.parts["feature_extractor"]
        pixels = given.pixels.to(self.parts.device)[None] * 2 - 1
        small = _resize_with_antialiasing(pixels, (CLIP_PIXELS, CLIP_PIXELS)) / 2 + 0.5
        mean, std = (pixels.new_tensor(v).reshape(1, 3, 1, 1) for v in (extractor.image_mean, extractor.image_std))
        return (small - mean) / std

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        """A few frames at a time: the decoder looks along time, ever more weakly, so those beside are decoded with
        them."""
        count = latents.shape[1]
        z = (latents / self.parts["vae"].config.scaling_factor).transpose(0, 1)
        for start in range(0, count, TOGETHER):
            vae = self.parts["vae"]
            stop = min(count, start + TOGETHER)
            first, last = max(0, start - BESIDE), min(count, stop + BESIDE)
            frames = vae.decode(z[first:last].to(vae.dtype), num_frames=last - first, return_dict=False)[0]
            yield (frames[start - first : stop - first].float() / 2 + 0.5).clamp(0, 1)

    def encode_clip(self, frames: Tensor) -> Tensor:
        """Frame by frame: only the decoder knows of time."""
        vae = self.parts["vae"]
        with _safe(vae):
            found = [vae.encode((f * 2 - 1).to(vae.dtype), return_dict=False)[0].mode() for f in frames.split(1)]
        return torch.cat(found).float().transpose(0, 1) * vae.config.scaling_factor


@contextlib.contextmanager
def _safe(vae: Any) -> Iterator[None]:
    """In float32 where half precision would overflow in its encoder."""
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(torch.float32)
    try:
        yield
    finally:
        if upcast:
            vae.to(torch.float16)

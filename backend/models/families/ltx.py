"""LTX-Video from 0.9.5 on: distilled to few steps, fast, each token told its own place in space and time.

Windows do not learn where on the sky they are: the coordinates enter through a rotary embedding alone, which sees only
differences. What they do learn is their pace: the time axis is in seconds.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ...protocol import ErrorKind, SkyloopError
from ..base import View
from ..levels import Flow
from ..parts import Parts
from . import ltx_decoder
from .clips import pictures, video
from .family import Family, Text

_TOKENS = 256  # of a prompt, as the pipeline takes by default
_LEAST_STEP_S = 1 / 60  # between frames; a still world has order in time nevertheless
# Of a given picture, as the pipeline has it by default: one that is too clean stands still.
_PICTURE_NOISE = 0.15
# So many latents to either side the decoder looks: beyond, one changes others by less than 0.2 % of their deviation
# (random weights of full depth).
_AROUND = 8


class LinearQuadratic(Flow):
    """Noise levels for models of LTX-Video that are not distilled: half the steps fall evenly from 1 to 0.975, the rest
    ever faster to 0, as Movie Gen (Polyak et al. 2024, arXiv 2410.13720, section 3.4.2) has it."""

    def sigmas(self, steps: int) -> list[float]:
        from diffusers.pipelines.ltx.pipeline_ltx_condition import linear_quadratic_schedule

        return [*(float(s) for s in linear_quadratic_schedule(steps)), 0.0]


class Ltx(Family):
    """Reference: diffusers' ``LTXConditionPipeline``."""

    CLASSES = {
        "transformer": "diffusers:LTXVideoTransformer3DModel",
        "vae": "diffusers:AutoencoderKLLTXVideo",
        "text_encoder": "transformers:T5EncoderModel",
        "tokenizer": "transformers:AutoTokenizer",
    }
    DECODED = ltx_decoder.FRAMES
    halo = 6  # 1.2 % by the same measure: tiles cross-fade

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        preset = entry.preset
        if any(parts.config("vae").get("decoder_inject_noise") or ()):
            text = "This LTX-Video is older than 0.9.5, whose pictures are made in another way."
            raise SkyloopError(ErrorKind.BAD_REQUEST, text, "Choose one from 0.9.5 on.")
        self.levels = Flow(trained=(*preset.sigmas, 0.0)) if preset.sigmas else LinearQuadratic()
        self.spec = self.described(
            channels=parts.config("transformer")["in_channels"],
            window_batch=1 if parts.device.type == "cpu" else 2,
            around=(_AROUND, _AROUND),
        )

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """``embeds`` (256, D) and which of them are no padding, ``mask`` (256)."""
        tokenizer, encoder = self.parts["tokenizer"], self.parts["text_encoder"]
        found = []
        for text in texts:  # one by one: what a text becomes must not depend on the others
            tokens = tokenizer(text, padding="max_length", max_length=_TOKENS, truncation=True, return_tensors="pt")
            ids, mask = (tokens[name].to(self.parts.device) for name in ("input_ids", "attention_mask"))
            found.append({"embeds": encoder(ids, attention_mask=mask.bool())[0][0].cpu(), "mask": mask[0].bool().cpu()})
        return found

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        denoiser = self.parts["transformer"]
        x, times = with_given(x, timestep, views, _PICTURE_NOISE)
        all_around = tuple(x.shape[-2:]) == self.spec.panorama
        with circular(denoiser.rope, x.shape[-1], self.spec.ratio) if all_around else contextlib.nullcontext():
            out = denoiser(
                hidden_states=x.flatten(2).transpose(1, 2).to(denoiser.dtype),
                encoder_hidden_states=torch.stack([t["embeds"] for t in texts]).to(denoiser.dtype),
                timestep=times,
                encoder_attention_mask=torch.stack([t["mask"] for t in texts]),
                video_coords=self._coordinates(x, views),
                return_dict=False,
            )[0]
        return out.float().transpose(1, 2).reshape(x.shape)

    def _coordinates(self, x: Tensor, views: Sequence[View]) -> Tensor:
        """Seconds, rows and columns (N, 3, tokens) of the pixels with which each token begins."""
        grid = torch.meshgrid(*(torch.arange(n, device=x.device) for n in x.shape[2:]), indexing="ij")
        place = torch.stack([axis.flatten() for axis in grid]).float()
        place[0] = (place[0] * self.spec.time_ratio + 1 - self.spec.time_ratio).clamp(min=0)
        place[1:] *= self.spec.ratio
        return torch.stack([torch.stack([place[0] * pace(v), *place[1:]]) for v in views])

    def away(self, view: View) -> View:
        return view._replace(frame_step_s=view.avoid_step_s) if view.avoid_step_s else view

    def finish(self, clean: Tensor, views: Sequence[View]) -> Tensor:
        return with_given(clean, 0.0, views)[0]

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the autoencoder's latents (C, 1, 1, 1)."""
        vae = self.parts["vae"]
        mean, std = (t.float().reshape(-1, 1, 1, 1) for t in (vae.latents_mean, vae.latents_std))
        return mean, std / vae.config.scaling_factor

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        vae, (mean, std) = self.parts["vae"], self._statistics()
        told = torch.tensor([self.entry.preset.decode_timestep], device=latents.device, dtype=vae.dtype)
        z = (latents * std + mean)[None].to(vae.dtype)
        return (pictures(frames[0]) for frames in ltx_decoder.decoded(vae.decoder, z, told))

    def encode_clip(self, frames: Tensor) -> Tensor:
        vae, (mean, std) = self.parts["vae"], self._statistics()
        return (vae.encode(video(frames).to(vae.dtype)).latent_dist.mode()[0].float() - mean) / std


def pace(view: View) -> float:
    """The seconds between frames that the denoiser is told."""
    return max(view.frame_step_s, _LEAST_STEP_S)


def with_given(x: Tensor, timestep: float, views: Sequence[View], noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Windows ``x`` (N, C, f, h, w) with what is given of their first latent put in, and the timestep of each token,
    (N, f h w): 0 where it is known. (N, 1) where nothing is given.

    ``noise``: so much of it, times sigma squared, is left in what is wholly known: that of ``x`` itself.
    """
    if all(v.given is None for v in views):
        return x, torch.full((len(x), 1), timestep, device=x.device)
    x, times, sigma = x.clone(), x.new_full((len(x), *x.shape[2:]), timestep), timestep / 1000
    for k, view in enumerate(views):
        if view.given is not None:
            known, clean = view.given.known.to(x.device), view.given.latents[:, 0].to(x.device, x.dtype)
            left = noise * sigma * (x[k, :, 0] - (1 - sigma) * clean)  # x is (1 - sigma) clean + sigma noise
            x[k, :, 0] = torch.lerp(x[k, :, 0], clean + left * (known == 1), known)
            times[k, 0] = torch.minimum(times[k, 0], (1 - known) * 1000)
    return x, times.flatten(1)


@contextlib.contextmanager
def circular(rope: Any, columns: int, ratio: int) -> Iterator[None]:
    """Within it, the positions of a rotary embedding (of LTX-2 too) go around in windows of that many ``columns`` of
    cells that are ``ratio`` pixels wide: see :func:`.wan.circular`, which does the same."""
    frequency = rope.theta ** torch.linspace(0, 1, rope.dim // 6) * (math.pi * ratio / rope.base_width)  # a column
    turns = (frequency * (columns / (2 * math.pi))).round()
    split = getattr(rope, "rope_type", "interleaved") == "split"

    def of_width(table: Tensor, values: Tensor) -> Tensor:
        """The table with its numbers for the width replaced. The axes take turns, with pairs of equal numbers each or,
        split over the heads, with single ones; ahead is what the size leaves over."""
        flat, each = (table.transpose(1, 2).flatten(2), 1) if split else (table.clone(), 2)
        flat[..., -3 * each * len(turns) :].unflatten(2, (-1, 3, each))[..., 2, :] = values[..., None]
        return flat.unflatten(2, (table.shape[1], -1)).transpose(1, 2) if split else flat

    def turned(_: Any, __: Any, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        cells = torch.arange(out[0].shape[2 if split else 1]) % columns
        angles = (cells[:, None] * turns * (2 * math.pi / columns)).to(out[0].device)
        return of_width(out[0], angles.cos()), of_width(out[1], angles.sin())

    handle = rope.register_forward_hook(turned)
    try:
        yield
    finally:
        handle.remove()

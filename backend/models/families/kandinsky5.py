"""Kandinsky 5 Lite (Arkhipkin et al. 2025, arXiv 2511.14993), text to video of 5 s at 24 frames a second."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers import Kandinsky5T2VPipeline
from torch import Tensor

from ...protocol import ErrorKind, SkyloopError
from ..base import View
from ..levels import Flow
from ..parts import Parts
from .clips import pictures, video
from .family import Family, Text

_TOKENS = 512  # of a prompt at most, as the pipeline takes by default
# Its autoencoder (HunyuanVideo's) normalises over all that it is given and takes the first latent for a picture: it was
# trained on short clips, and is given runs of this many latents. Each is begun anew at most so far from the one before.
_RUN, _STRIDE = 5, 3
# What is decoded around a loop, so that its runs go around like any other.
_BEFORE, _AFTER = _STRIDE + 2, _STRIDE


class Kandinsky5(Family):
    """Reference: diffusers' ``Kandinsky5T2VPipeline``. The denoiser knows neither where a window looks nor how fast it
    plays, and takes its texts without padding, so that only texts of one length go through it together."""

    CLASSES = {
        "transformer": "diffusers:Kandinsky5Transformer3DModel",
        "vae": "diffusers:AutoencoderKLHunyuanVideo",
        "text_encoder": "transformers:Qwen2_5_VLForConditionalGeneration",
        "tokenizer": "transformers:AutoTokenizer",  # of the processor that is there; it needs torchvision
        "text_encoder_2": "transformers:CLIPTextModel",
        "tokenizer_2": "transformers:CLIPTokenizer",
        "scheduler": "diffusers:FlowMatchEulerDiscreteScheduler",
    }
    TEXT_PARTS = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    DECODED = 8 * _RUN  # the 4 of each count twice: it upsamples before it narrows
    halo = 8

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        preset = entry.preset
        config = parts.config("transformer")
        if config.get("attention_type", "regular") != "regular":
            text = (
                "This Kandinsky 5 (a 10 s or Pro variant) attends to parts of a window only, which does not work here."
            )
            raise SkyloopError(ErrorKind.BAD_REQUEST, text, "Choose a Lite variant for 5 s.")
        shift = preset.shift or parts["scheduler"].config.shift
        self.levels = Flow(shift, (*preset.sigmas, 0.0) if preset.sigmas else ())
        self.spec = self.described(channels=config["in_visual_dim"], around=(_BEFORE, _AFTER))

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """``states`` (n, D) of the n tokens of each text, and one vector ``pooled`` (D2)."""
        rest: dict[str, Any] = {"transformer": None, "vae": None, "scheduler": None}
        pipe = Kandinsky5T2VPipeline(**rest, **{name: self.parts[name] for name in self.TEXT_PARTS})
        found = []
        for text in texts:
            states, pooled, _ = pipe.encode_prompt(text, max_sequence_length=_TOKENS, device=self.parts.device)
            found.append({"states": states[0].cpu(), "pooled": pooled[0].cpu()})
        return found

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        out = torch.empty_like(x)
        for length in dict.fromkeys(len(t["states"]) for t in texts):
            same = [k for k, t in enumerate(texts) if len(t["states"]) == length]
            out[same] = self._of_one_length(x[same], timestep, [texts[k] for k in same])
        return out

    def _of_one_length(self, x: Tensor, timestep: float, texts: Sequence[Text]) -> Tensor:
        network, (frames, rows, columns) = self.parts["transformer"], x.shape[2:]
        seen = x.permute(0, 2, 3, 4, 1)
        if network.config.visual_cond:  # a given picture's latents, and where they are: none
            seen = torch.cat([seen, torch.zeros_like(seen), torch.zeros_like(seen[..., :1])], -1)
        states, pooled = (torch.stack([t[name] for t in texts]).to(network.dtype) for name in ("states", "pooled"))
        divided_by = scale_factor(rows * self.spec.ratio, columns * self.spec.ratio)
        turned = circular(network.visual_rope_embeddings, columns, divided_by[2])
        with turned if (rows, columns) == self.spec.panorama else contextlib.nullcontext():
            out = network(
                hidden_states=seen.to(network.dtype),
                encoder_hidden_states=states,
                pooled_projections=pooled,
                timestep=x.new_full((len(x),), timestep),
                visual_rope_pos=[torch.arange(n, device=x.device) for n in (frames, rows // 2, columns // 2)],
                text_rope_pos=torch.arange(states.shape[1], device=x.device),
                scale_factor=divided_by,
                return_dict=False,
            )
        return out.float().permute(0, 4, 1, 2, 3)

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        vae = self.parts["vae"]
        z, t = (latents[None] / vae.config.scaling_factor).to(vae.dtype), self.spec.time_ratio
        starts = [*begun(z.shape[2]), z.shape[2] - 1]
        before: Tensor | None = None
        for start, following in zip(starts, starts[1:], strict=False) if len(starts) > 1 else ((0, 0),):
            frames = vae.decoder(vae.post_quant_conv(z[:, :, start : start + _RUN]))[0].float()
            if before is not None:
                frames = frames[:, 1:]  # its first latent is there already, and better
                share = torch.arange(t, device=z.device)[:, None, None] / t
                frames[:, :t] = torch.lerp(before, frames[:, :t], share)
            own = t * (following - start) + (before is None)
            before = frames[:, own : own + t]
            yield pictures(frames[:, :own])

    def encode_clip(self, frames: Tensor) -> Tensor:
        vae = self.parts["vae"]
        return vae.encode(video(frames).to(vae.dtype)).latent_dist.mode()[0].float() * vae.config.scaling_factor


def begun(latents: int) -> list[int]:
    """The first latents of the runs in which so many are decoded. Each cross-fades into the next over the second latent
    of that one, as diffusers has it.

    Those of a loop (between :data:`_BEFORE` and :data:`_AFTER` others) are cut evenly, and the run before them like the
    last of them, of which it has the latents: the end fades into the beginning as runs do elsewhere.
    """
    loop = latents - _BEFORE - _AFTER
    if loop < 1:
        return list(range(0, max(1, latents - 1), _STRIDE))
    count = -(-loop // _STRIDE)
    even = [_BEFORE - 1 + round(k * loop / count) for k in range(count + 1)]
    return [0, even[0] - (even[-1] - even[-2]), *even]


def scale_factor(height: int, width: int) -> tuple[float, float, float]:
    """What positions (time, rows, columns) are divided by for windows of that many pixels, as the pipeline has it."""
    return (1, 2, 2) if 480 <= height <= 854 and 480 <= width <= 854 else (1, 3.16, 3.16)


@contextlib.contextmanager
def circular(rope: Any, columns: int, divided_by: float) -> Iterator[None]:
    """Within it, the positions of a ``Kandinsky5RoPE3D`` go around in windows of that many ``columns`` of cells: see
    :func:`.wan.circular`, which does the same."""
    before, patches = rope.args_2, columns // 2
    turns = (before[1] / divided_by * (patches / (2 * math.pi))).round()
    rope.args_2 = (
        torch.arange(len(before), device=before.device)[:, None] * turns * (2 * math.pi / patches * divided_by)
    )
    try:
        yield
    finally:
        rope.args_2 = before

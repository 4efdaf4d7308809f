"""AnimateDiff (Guo et al. 2023, arXiv 2307.04725): an image model, Stable Diffusion 1.5, with layers along time.

Its autoencoder knows single frames only, so that a latent is one frame, windows may begin anywhere in time, and loops
are exact. AnimateLCM (Wang et al. 2024, arXiv 2402.00769) is the same network with other weights, for a few steps.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from ...protocol import ErrorKind, SkyloopError
from ..base import View
from ..levels import VariancePreserving
from ..parts import FromFolder, Load, Parts
from .family import Family, Text

_logger = logging.getLogger(__name__)

# diffusers' "linear" schedule, on which motion adapters were trained (Stable Diffusion itself has "scaled_linear").
BETAS = (0.00085, 0.012, 1000)
# The fifty timesteps between which latent consistency models were distilled (Luo et al. 2023, arXiv 2310.04378). Their
# boundary condition, clean' = c_skip x + c_out clean with c_skip = .25 / ((10 t)^2 + .25), is left out: at the least of
# these it changes 7e-6, at those of 8 steps or fewer 1e-7.
LCM_TIMESTEPS = tuple(range(999, 0, -20))


def joined(unet: UNet2DConditionModel, adapter: MotionAdapter) -> UNetMotionModel:
    """One network of the image model's and the motion layers' own weights: without a copy, as pipelines make one.

    Raises ``missing_model`` where they do not belong together.
    """
    try:
        with torch.device("meta"):
            whole: Any = UNetMotionModel.from_unet2d(unet, adapter, load_weights=False)
        weights = unet.state_dict() | adapter.state_dict()
        whole.load_state_dict({name: w.to(unet.dtype) for name, w in weights.items()}, assign=True)
    except (ValueError, RuntimeError, TypeError) as error:
        text = "The motion adapter does not fit the image model: both must be made for Stable Diffusion 1.5."
        raise SkyloopError(ErrorKind.MISSING_MODEL, text, "Choose another checkpoint, or verify the model.") from error
    return whole.eval().requires_grad_(False)


def in_checkpoint(file: Path, load: Mapping[str, Load]) -> dict[str, Load]:
    """How to load those of the other parts that a checkpoint of Stable Diffusion, one file, has too: its text encoder
    and autoencoder were trained with it. ``load``: from the folders, which have the configurations."""
    with safe_open(file, "pt") as opened:
        names = {name.partition(".")[0] for name in opened.keys()}  # noqa: SIM118  # it is no dictionary
    found: dict[str, Load] = {}
    if "first_stage_model" in names and isinstance(vae := load.get("vae"), FromFolder):
        found["vae"] = replace(vae, file=file)
    if "cond_stage_model" in names and isinstance(encoder := load.get("text_encoder"), FromFolder):
        found["text_encoder"] = lambda: text_encoder_in(file, encoder)
    return found


def text_encoder_in(file: Path, folder: FromFolder) -> CLIPTextModel:
    """Stable Diffusion's text encoder of a checkpoint. Raises ``missing_model`` where it is not whole."""
    try:
        with safe_open(file, "pt") as opened:
            names = [name for name in opened.keys() if name.startswith("cond_stage_model.")]  # noqa: SIM118
            weights = {name: opened.get_tensor(name) for name in names}
        config = str(folder.folder / folder.name)
        encoder: Any = create_diffusers_clip_model_from_ldm(
            CLIPTextModel, weights, config=config, local_files_only=True
        )
        if any(parameter.is_meta for parameter in encoder.parameters()):
            raise ValueError("weights are missing")
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        text = f"The text encoder in {file} cannot be read: {str(error).splitlines()[0][:200]}."
        hint = "Choose a checkpoint for Stable Diffusion 1.5, or get the file again."
        raise SkyloopError(ErrorKind.MISSING_MODEL, text, hint) from error
    return encoder.to(folder.dtype or torch.float32).eval().requires_grad_(False)


@contextlib.contextmanager
def circular(network: nn.Module) -> Iterator[None]:
    """Within it, the convolutions of a network see its first columns after its last: turning a panorama turns what it
    says, by as many cells as its coarsest level has in one. Nothing else in it knows where it is."""

    def around(conv: nn.Conv2d) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        (down, across), stride = conv.padding, conv.stride

        def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            wide = F.pad(x, (int(across), int(across), 0, 0), mode="circular")
            return F.conv2d(wide, weight, bias, stride, (int(down), 0), conv.dilation, conv.groups)

        return convolve

    found: list[Any] = [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and isinstance(m.padding, tuple) and m.padding[1]
    ]
    try:
        for conv in found:
            conv._conv_forward = around(conv)
        yield
    finally:
        for conv in found:
            vars(conv).pop("_conv_forward", None)


class AnimateDiff(Family):
    """``unet`` is the joined network, see :meth:`joined`; ``entry.preset.solver`` "renoise" means AnimateLCM."""

    CLASSES = {
        "unet": "diffusers:UNet2DConditionModel",
        "motion_adapter": "diffusers:MotionAdapter",
        "vae": "diffusers:AutoencoderKL",
        "text_encoder": "transformers:CLIPTextModel",
        "tokenizer": "transformers:CLIPTokenizer",
    }
    # Its convolutions reach 17 cells, and its normalisation and attention all of a tile, but weakly.
    DECODED = 2
    halo = 8

    def __init__(self, parts: Parts, entry: Any) -> None:
        super().__init__(parts, entry)
        preset = entry.preset
        alphas = torch.cumprod(1 - torch.linspace(*BETAS, dtype=torch.float64), 0).tolist()
        self.levels = VariancePreserving(alphas, "noise", LCM_TIMESTEPS if preset.solver == "renoise" else ())
        self.spec = self.described(channels=4, window_batch=1 if parts.device.type == "cpu" else 4)

    @classmethod
    def loads(cls, load: Mapping[str, Load]) -> dict[str, Load]:
        image = load.get("unet")
        rest = {name: each for name, each in load.items() if name != "motion_adapter"}
        if isinstance(image, FromFolder) and image.file and image.file.suffix == ".safetensors":
            rest |= in_checkpoint(image.file, rest)
        return rest | {"unet": lambda: joined(load["unet"](), load["motion_adapter"]())}

    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        tokenizer, encoder = self.parts["tokenizer"], self.parts["text_encoder"]
        for text in texts:
            if (long := len(tokenizer(text).input_ids)) > (most := tokenizer.model_max_length):
                _logger.warning("of the %d tokens of %r the model reads the first %d", long, text[:60], most)
        ids = tokenizer(
            list(texts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True,
            return_tensors="pt",
        ).input_ids  # fmt: skip
        with torch.inference_mode():
            return [{"states": states} for states in encoder(ids.to(self.parts.device))[0].cpu()]

    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        unet = self.parts["unet"]
        states = torch.stack([text["states"] for text in texts]).to(unet.dtype).repeat_interleave(x.shape[2], 0)
        at = torch.full((), timestep, device=x.device)
        all_around = tuple(x.shape[-2:]) == self.spec.panorama
        with circular(unet) if all_around else contextlib.nullcontext():
            return unet(x.to(unet.dtype), at, encoder_hidden_states=states, return_dict=False)[0].float()

    def decode(self, latents: Tensor) -> Tensor:
        vae = self.parts["vae"]
        frames = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
        return (frames.float() / 2 + 0.5).clamp(0, 1)

    def encode(self, frames: Tensor) -> Tensor:
        vae = self.parts["vae"]
        found = vae.encode((frames * 2 - 1).to(vae.dtype), return_dict=False)[0]
        return found.mode().float() * vae.config.scaling_factor

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        return (self.decode(z[None]) for z in latents.unbind(1))

    def encode_clip(self, frames: Tensor) -> Tensor:
        return torch.cat([self.encode(frame) for frame in frames.split(1)]).transpose(0, 1)

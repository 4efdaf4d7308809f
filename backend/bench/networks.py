"""The networks of foundation models in full size, with random weights: what they compute takes as long, and as much
memory, as with their own. Configurations are those of the published checkpoints."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..models.catalogue import Architecture, Entry, Licence, Memory, Preset, Window
from ..models.catalogue import entry as entry_of
from ..models.families import class_of
from ..models.families.family import Family
from ..models.parts import Load

_WAN = {
    "patch_size": (1, 2, 2), "num_attention_heads": 12, "attention_head_dim": 128, "in_channels": 16,
    "out_channels": 16, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 8960, "num_layers": 30, "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads", "eps": 1e-6, "rope_max_seq_len": 1024,
}  # fmt: skip
_WAN_TINY = {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 16, "freq_dim": 16, "ffn_dim": 32,
             "num_layers": 3}  # fmt: skip
_WAN_VAE_TINY = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
_WAN22_VAE = {
    "base_dim": 160, "z_dim": 48, "is_residual": True, "in_channels": 12, "out_channels": 12, "decoder_base_dim": 256,
    "patch_size": 2, "scale_factor_temporal": 4, "scale_factor_spatial": 16, "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}  # fmt: skip
_LTX = {
    "in_channels": 128, "out_channels": 128, "patch_size": 1, "patch_size_t": 1, "num_attention_heads": 32,
    "attention_head_dim": 64, "cross_attention_dim": 2048, "num_layers": 28, "activation_fn": "gelu-approximate",
    "qk_norm": "rms_norm_across_heads", "norm_elementwise_affine": False, "norm_eps": 1e-6, "caption_channels": 4096,
    "attention_bias": True, "attention_out_bias": True,
}  # fmt: skip
_LTX_VAE = {
    "latent_channels": 128, "block_out_channels": (128, 256, 512, 1024, 2048),
    "down_block_types": ("LTXVideo095DownBlock3D",) * 4, "decoder_block_out_channels": (256, 512, 1024),
    "layers_per_block": (4, 6, 6, 2, 2), "decoder_layers_per_block": (5, 5, 5, 5),
    "spatio_temporal_scaling": (True,) * 4, "decoder_spatio_temporal_scaling": (True,) * 3,
    "decoder_inject_noise": (False,) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"), "upsample_residual": (True,) * 3,
    "upsample_factor": (2, 2, 2), "timestep_conditioning": True, "patch_size": 4, "patch_size_t": 1,
    "encoder_causal": True, "decoder_causal": False, "spatial_compression_ratio": 32, "temporal_compression_ratio": 8,
}  # fmt: skip
_LTX_VAE_TINY = {
    "block_out_channels": (8,) * 5, "decoder_block_out_channels": (8, 16, 32), "layers_per_block": (1,) * 5,
    "decoder_layers_per_block": (1, 1, 1, 1),
}  # fmt: skip
_ANIMATEDIFF = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2, "cross_attention_dim": 768, "num_attention_heads": 8, "norm_num_groups": 32,
    "motion_max_seq_length": 32, "motion_num_attention_heads": 8, "use_motion_mid_block": True,
}  # fmt: skip
_SMALL_UNET = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "cross_attention_dim": 16,
               "norm_num_groups": 4}  # fmt: skip
_SVD = {
    "sample_size": 96, "in_channels": 8, "out_channels": 4, "block_out_channels": (320, 640, 1280, 1280),
    "num_attention_heads": (5, 10, 20, 20), "cross_attention_dim": 1024, "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768, "num_frames": 25,
}  # fmt: skip
_SVD_TINY = {
    "block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "cross_attention_dim": 16,
    "num_attention_heads": (2, 2, 2, 2), "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 24,
}  # fmt: skip
_SVD_VAE = {"block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
            "layers_per_block": 2, "latent_channels": 4, "sample_size": 768}  # fmt: skip
_SD_VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 4, "sample_size": 512,
    "scaling_factor": 0.18215,
}  # fmt: skip
_VIDEOCRAFTER = {
    "sample_size": 32, "in_channels": 4, "out_channels": 4, "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2, "cross_attention_dim": 1024, "attention_head_dim": 64, "norm_num_groups": 32,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A part: its class, configuration, and what of that is different where it is tiny."""

    where: str
    config: Mapping[str, Any]
    tiny: Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """``id`` of the catalogue; ``text``: shapes by name of what one text becomes; ``small``: the window of the tiny."""

    id: str
    parts: Mapping[str, Network]
    text: Mapping[str, tuple[int, ...]]
    small: tuple[int, int]


def _wan_text(length: int, width: int) -> dict[str, tuple[int, ...]]:
    return {"states": (length, width)}


MODELS = {
    "wan-1.3b": Model("wan21-1.3b", {
        "transformer": Network("diffusers:WanTransformer3DModel", _WAN, _WAN_TINY),
        "vae": Network("diffusers:AutoencoderKLWan", {}, _WAN_VAE_TINY),
    }, _wan_text(512, 4096), (5, 8)),
    "wan-5b": Model("wan22-5b", {
        "transformer": Network("diffusers:WanTransformer3DModel", _WAN | {
            "in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "ffn_dim": 14336}, _WAN_TINY),
        "vae": Network("diffusers:AutoencoderKLWan", _WAN22_VAE, _WAN_VAE_TINY | {"decoder_base_dim": 4}),
    }, _wan_text(512, 4096), (5, 4)),
    "wan-14b": Model("wan21-14b", {
        "transformer": Network("diffusers:WanTransformer3DModel", _WAN | {
            "num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}, _WAN_TINY),
        "vae": Network("diffusers:AutoencoderKLWan", {}, _WAN_VAE_TINY),
    }, _wan_text(512, 4096), (5, 8)),
    "ltx-2b": Model("ltx-2b", {
        "transformer": Network("diffusers:LTXVideoTransformer3DModel", _LTX, {
            "num_attention_heads": 2, "attention_head_dim": 8, "cross_attention_dim": 16, "num_layers": 3,
            "caption_channels": 16}),
        "vae": Network("diffusers:AutoencoderKLLTXVideo", _LTX_VAE, _LTX_VAE_TINY),
    }, {"embeds": (256, 4096), "mask": (256,)}, (5, 4)),
    "animatediff": Model("animatediff", {
        "unet": Network("diffusers:UNetMotionModel", _ANIMATEDIFF, _SMALL_UNET | {
            "num_attention_heads": 2, "motion_num_attention_heads": 2}),
        "vae": Network("diffusers:AutoencoderKL", _SD_VAE, {
            "block_out_channels": (4, 4, 4, 4), "layers_per_block": 1, "norm_num_groups": 2}),
    }, {"states": (77, 768)}, (16, 8)),
    "svd": Model("svd-xt", {
        "unet": Network("diffusers:UNetSpatioTemporalConditionModel", _SVD, _SVD_TINY),
        "vae": Network("diffusers:AutoencoderKLTemporalDecoder", _SVD_VAE, {
            "block_out_channels": (32, 32, 32, 32), "layers_per_block": 1}),
    }, {}, (14, 8)),
    "videocrafter": Model("videocrafter-like", {
        "unet": Network("diffusers:UNet3DConditionModel", _VIDEOCRAFTER, _SMALL_UNET | {"attention_head_dim": 4}),
        "vae": Network("diffusers:AutoencoderKL", _SD_VAE, {
            "block_out_channels": (4, 4, 4, 4), "layers_per_block": 1, "norm_num_groups": 2}),
    }, {"states": (77, 1024)}, (16, 8)),
}  # fmt: skip
"""What can be measured, by the name on the command line."""


def the_family(model: Model) -> type[Family]:
    if model.id == "videocrafter-like":
        from .lvdm import LatentVideo

        return LatentVideo
    return class_of(entry_of(model.id).family)


def the_entry(model: Model, *, tiny: bool) -> Entry:
    """Its entry of the catalogue; a tiny one has a tiny window."""
    found = _videocrafter() if model.id == "videocrafter-like" else entry_of(model.id)
    frames, cells = model.small
    return replace(found, window=replace(found.window, frames=frames, cells=cells)) if tiny else found


def _videocrafter() -> Entry:
    """A window of about as many cells as the 64 x 40 of the reference run, and with its steps and guidance."""
    return Entry(
        id="videocrafter-like", name="1.4B video UNet", family="videocrafter", task="text", parameters_b=1.41,
        size_mb=0, licence=Licence(name="", limits=""), memory=Memory(min_gb=1, comfortable_gb=8, host_gb=8),
        window=Window(cells=48, frames=16, width_px=384, height_px=384, frames_px=16, fps=8),
        preset=Preset(steps=48, guidance=12.0, solver="euler"), takes=("text",), summary="", needs="",
        architecture=Architecture(name="videocrafter", denoiser="UNet3DConditionModel", vae="AutoencoderKL",
                                  denoisers=("unet",), time_ratio=1, causal=False, multiple=8),
    )  # fmt: skip


def texts_of(model: Model, *, tiny: bool, texts: tuple[str, ...], dtype: torch.dtype) -> dict[str, dict[str, Tensor]]:
    """A stand-in for what the text encoder makes of each text: normal numbers, and masks of ones."""
    generator = torch.Generator().manual_seed(7)

    def one(name: str, shape: tuple[int, ...]) -> Tensor:
        if name == "mask":
            return torch.ones(shape, dtype=torch.bool)
        shape = (*shape[:-1], 16) if tiny else shape
        return torch.randn(shape, generator=generator).to(dtype)

    return {text: {name: one(name, shape) for name, shape in model.text.items()} for text in texts}


def loads_of(
    model: Model, dtypes: Mapping[str, torch.dtype], device: torch.device, *, tiny: bool, quick: bool = False
) -> dict[str, Load]:
    """How to make each part, on ``device``. ``quick``: with weights that repeat, for processors, which take minutes to
    draw billions of numbers."""

    def loader(name: str, network: Network) -> Load:
        config = {**network.config, **(network.tiny if tiny else {})}
        return lambda: built(network.where, config, dtypes[name], device, quick=quick)

    return {name: loader(name, network) for name, network in model.parts.items()}


def configs_of(model: Model, *, tiny: bool) -> dict[str, dict[str, Any]]:
    """What ``config.json`` of each part would say, of what the planner asks."""
    return {name: {**n.config, **(n.tiny if tiny else {})} for name, n in model.parts.items()}


def built(
    where: str, config: Mapping[str, Any], dtype: torch.dtype, device: torch.device, *, quick: bool = False
) -> nn.Module:
    """A network of random weights as it is after loading: parts of it that diffusers keeps in float32 are."""
    package, _, attribute = where.partition(":")
    cls, before = getattr(importlib.import_module(package), attribute), torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device), _unset() if quick else nullcontext():
            module = cls(**config)
    finally:
        torch.set_default_dtype(before)
    if quick:
        _fill(module)
    kept = set(getattr(cls, "_keep_in_fp32_modules", None) or ())
    for name, parameter in module.named_parameters():
        if kept & set(name.split(".")):
            parameter.data = parameter.data.float()
    return module.eval().requires_grad_(False)


@contextmanager
def _unset() -> Iterator[None]:
    """Within it, layers leave their weights as the memory was."""
    names = ("kaiming_uniform_", "uniform_", "normal_", "trunc_normal_", "xavier_uniform_")
    before: dict[str, Callable[..., Any]] = {name: getattr(nn.init, name) for name in names}
    try:
        for name in names:
            setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        yield
    finally:
        for name, function in before.items():
            setattr(nn.init, name, function)


def _fill(module: nn.Module) -> None:
    """Weights as layers draw them by default, uniform within one over the root of their inputs; biases zero."""
    pool = torch.rand(1 << 20, generator=torch.Generator().manual_seed(3)) * 2 - 1
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2:
            if name.endswith("bias"):
                parameter.data.zero_()
            continue
        scale = (parameter[0].numel() ** -0.5) if parameter.ndim > 1 else 1.0
        flat, values = parameter.data.view(-1), (pool * scale).to(parameter.device, parameter.dtype)
        for start in range(0, flat.numel(), len(values)):
            part = flat[start : start + len(values)]
            part.copy_(values[: len(part)])

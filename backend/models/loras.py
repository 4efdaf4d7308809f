"""LoRA files: low-rank changes to a denoiser's weights (Hu et al. 2021, arXiv 2106.09685), for a style or fewer steps.

They come with the names of whichever program trained them: diffusers', kohya's and musubi's (``lora_unet_``), ComfyUI's
(``diffusion_model.``), DiffSynth's (``pipe.dit.``, ``.default``). diffusers knows how to read most; the rest is renamed
here first. Importing this is cheap.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..media.files import read_input
from ..protocol import ErrorKind, SkyloopError, bad_request
from ..typed import parse_json
from .header import check_header, notes

if TYPE_CHECKING:
    from torch import Tensor

    from .catalogue import Entry

_logger = logging.getLogger(__name__)

_WAN = ("wan", "wan_vace", "wan22_5b", "wan22_a14b")
_ANOTHER = "Choose a LoRA made for this model, or the model that it is made for."
# What layers are called -> the families that have such, and how to speak of them. The first that is found counts.
_SIGNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (r"audio_|_to_audio", ("ltx2",), "LTX-2"),
    (r"visual_transformer_blocks", ("kandinsky5",), "Kandinsky 5"),
    (r"double_blocks|single_blocks|single_transformer_blocks", ("hunyuan15",), "HunyuanVideo or Flux"),
    (r"lora_te2|transformer_blocks[._][2-9][._].*add_embedding", (), "Stable Diffusion XL"),
    (r"(down|up|mid)_block|(in|out)put_blocks|middle_block", ("animatediff",), "Stable Diffusion"),
    (r"transformer_blocks[._]\d", ("ltx", "ltx2", "cogvideox", "hunyuan15"), "LTX-Video, CogVideoX or HunyuanVideo"),
    (r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn|attn1|attn2|ffn)", _WAN, "Wan"),
)  # fmt: skip
_LORA = re.compile(r"[._](lora(_[A-Za-z]+)*|lora_linear_layer)[._]")
# A denoiser's class -> the class of diffusers that reads LoRA files for it.
_READERS = {
    "WanTransformer3DModel": "WanLoraLoaderMixin",
    "WanVACETransformer3DModel": "WanLoraLoaderMixin",
    "LTXVideoTransformer3DModel": "LTXVideoLoraLoaderMixin",
    "LTX2VideoTransformer3DModel": "LTX2LoraLoaderMixin",
    "CogVideoXTransformer3DModel": "CogVideoXLoraLoaderMixin",
    "Kandinsky5Transformer3DModel": "KandinskyLoraLoaderMixin",
    "UNetMotionModel": "StableDiffusionLoraLoaderMixin",
}
_WANS_OWN = re.compile(r"blocks\.\d+\.(self_attn|cross_attn|ffn\.\d)")
_MUSUBIS_WAN = re.compile(r"^lora_unet_blocks_(\d+)_(self_attn|cross_attn|ffn)_(\w+)\.")  # else it wants every layer
# What a file changes in the first layer of attention, whose input is as wide as the network.
_QUERY = re.compile(r"(self_attn[._]q|attn1[._]to_q)\.lora_(A|down)\.(default\.)?weight$")
_MAX_CONFIG_BYTES = 4 << 20
_PANORAMIC = re.compile(r"equirect|\b360\b|360[ -]?(°|deg|pano)|panoram", re.IGNORECASE)
# A bare number may count steps.
_NAMED = re.compile(r"equirect|(?<![a-z])pano|wan[-_ ]?pano|^360[-_ ]|360[-_ ]?(°|deg|vr)", re.IGNORECASE)


def check(path: Path, entry: Entry) -> None:
    """Refuse, from its header alone, a file that cannot be meant for this model. Raises ``bad_request``."""
    found = looks_made_for(layer_names(path))
    if found and entry.family not in found[0]:
        raise bad_request(f"{path.name} is a LoRA for {found[1]}, and {entry.name} is none of these.", _ANOTHER)
    tensors = check_header(path.resolve(), ErrorKind.BAD_REQUEST)
    theirs = next((info.shape[1] for name, info in tensors.items() if _QUERY.search(name)), 0)
    if theirs and (mine := _inner_width(entry)) and mine != theirs:
        text = (
            f"{path.name} is for a model of another size: its layers are {theirs} wide, those of {entry.name} {mine}."
        )
        raise bad_request(text, _ANOTHER)


def _inner_width(entry: Entry) -> int:
    """How wide the layers of a transformer on this computer are; 0 where it is not there or says nothing of it."""
    from . import store

    folder = store.installed(entry.id)
    if folder is None:
        return 0
    config = parse_json(read_input(folder / entry.architecture.denoisers[0] / "config.json", _MAX_CONFIG_BYTES))
    heads, each = (config.get(name) for name in ("num_attention_heads", "attention_head_dim"))
    return heads * each if type(heads) is type(each) is int else 0


def layer_names(path: Path) -> list[str]:
    """What the file calls its tensors. Raises ``bad_request`` where it is no LoRA in the safetensors format."""
    if path.suffix.lower() != ".safetensors":
        text = f"{path.name} is not in the .safetensors format, and others can run programs when they are opened."
        raise bad_request(text, "Get its .safetensors version, or convert it with the program that it was made with.")
    try:
        names = list(check_header(path.resolve(), ErrorKind.BAD_REQUEST))
    except SkyloopError as error:
        raise bad_request(error.message, "Get the LoRA file again.") from error
    if not any(_LORA.search(name) for name in names):
        raise bad_request(f"{path.name} has no LoRA layers in it.", "Give a LoRA file: a whole model is none.")
    return names


def looks_made_for(names: Iterable[str]) -> tuple[tuple[str, ...], str] | None:
    """The families of the catalogue whose layers have such names, and what to call them; None for unknown ones."""
    text = "\n".join(names)
    return next(((families, spoken) for sign, families, spoken in _SIGNS if re.search(sign, text, re.MULTILINE)), None)


def part_of(path: Path, entry: Entry) -> str:
    """The denoiser that a user's file is for, or "" for all: of two experts it is told by the name of the file, as such
    pairs are published, one for high and one for low noise."""
    if len(entry.architecture.denoisers) == 2:
        for word, part in zip(("high", "low"), entry.architecture.denoisers, strict=True):
            if re.search(rf"(^|[^a-z]){word}([^a-z]|noise|$)", path.stem.lower()):
                return part
    return ""


def panorama(entry: Entry, paths: Iterable[Path]) -> tuple[int, int] | None:
    """Rows and columns of a window in which the model sees a whole equirectangular panorama, if one of the files says
    in its own notes, or by its name, that it was trained on such: twice as wide as high, with about as many cells as a
    square window. None for a model whose windows cannot be closed to a ring. Raises ``bad_request``."""
    for path in paths if entry.architecture.circular else ():
        layer_names(path)  # raises, where it is no LoRA
        written = notes(path.resolve(), ErrorKind.BAD_REQUEST).values()
        if _NAMED.search(path.stem) or any(map(_PANORAMIC.search, written)):
            step = entry.architecture.multiple
            rows = max(1, round(entry.window.cells / 2**0.5 / step)) * step
            return rows, 2 * rows
    return None


def apply(network: Any, files: Sequence[tuple[Path, float]]) -> Any:
    """``network`` (a denoiser on the host, before its weights are moved or rounded) with the files' changes, each times
    its strength, in its weights: they cost neither time nor memory then. Weights that are quantised already stay, and
    the changes lie beside them.

    Raises ``bad_request`` for a file without a layer for this network, or with layers of another size. A file of which
    a part fits is taken as far as it does, and the log says so.
    """
    beside: dict[str, float] = {}
    for number, (path, strength) in enumerate(files):
        if strength:
            _load(network, path, name := f"lora_{number}")
            beside[name] = strength
            network.set_adapters(list(beside), list(beside.values()))
            if not getattr(network, "is_quantized", False):
                network.fuse_lora(adapter_names=[name])
                network.unload_lora()
                beside.clear()
    return network


def apply_to_text(encoder: Any, files: Sequence[tuple[Path, float]]) -> Any:
    """``encoder``, Stable Diffusion's text encoder on the host, with those of the files' changes that are for it, each
    times its strength, in its weights. Many files have none. Raises ``bad_request`` for layers of another size."""
    for path, strength in files:
        for name, change in _text_changes(path).items():
            module = next((m for own, m in encoder.named_modules() if own.removeprefix("text_model.") == name), None)
            if module is None or module.weight.shape != change.shape:
                text = f"{path.name} is for another text encoder: its {name} does not fit this model's."
                raise bad_request(text, _ANOTHER)
            module.weight.data += (strength * change).to(module.weight.dtype)
    return encoder


def _text_changes(path: Path) -> dict[str, Tensor]:
    """Layer of the text encoder -> what the file adds to its weights, (out, in)."""
    from diffusers.loaders import StableDiffusionLoraLoaderMixin
    from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_peft
    from safetensors.torch import load_file

    read: Any = StableDiffusionLoraLoaderMixin.lora_state_dict(load_file(path))
    state, alphas = read
    scaled = {
        key.removeprefix("text_encoder."): tensor * (alphas[scale] / len(tensor))
        if alphas and scale in alphas
        else tensor
        for key, tensor in state.items()
        if key.startswith("text_encoder.") and (scale := f"{key}.alpha")
    }
    pairs = convert_state_dict_to_peft(convert_state_dict_to_diffusers(scaled)) if scaled else {}
    return {
        key.removesuffix(".lora_A.weight").removeprefix("text_model."): pairs[key.replace("lora_A", "lora_B")] @ down
        for key, down in pairs.items()
        if key.endswith(".lora_A.weight")
    }


def _load(network: Any, path: Path, name: str) -> None:
    from safetensors.torch import load_file

    names = layer_names(path)
    if not hasattr(network, "load_lora_adapter"):
        raise bad_request(f"{path.name} cannot be used: this model takes no LoRA.", "Leave the LoRA out.")
    prefix = "unet" if "UNet" in type(network).__name__ else "transformer"
    try:
        layers, alphas = converted(network, load_file(path), prefix)
        layers = {key: tensor for key, tensor in layers.items() if not key.startswith("text_encoder.")}
        layers = fitting(network, layers, prefix, path, names)
        network.load_lora_adapter(layers, prefix=prefix, network_alphas=alphas, adapter_name=name)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), repr(error))[:200].rstrip(".")
        raise bad_request(f"{path.name} cannot be applied to this model: {reason}.", _ANOTHER) from error


def converted(
    network: Any, state: Mapping[str, Tensor], prefix: str
) -> tuple[dict[str, Tensor], dict[str, float] | None]:
    """The tensors with the names that diffusers gives them, ``prefix`` in front, and kohya's scales, if any."""
    import diffusers.loaders
    from diffusers.utils import convert_unet_state_dict_to_peft

    found, alphas = renamed(state), None
    if reader := _READERS.get(type(network).__name__):
        found = getattr(diffusers.loaders, reader).lora_state_dict(found)
        if isinstance(found, tuple):
            found, alphas = found[0], found[1] or None
    if not any(".lora_A." in key for key in found):
        found = convert_unet_state_dict_to_peft(found)
    own = dict(network.named_modules())
    found = {key if key.startswith(f"{prefix}.") or _module(key) not in own else f"{prefix}.{key}": tensor
             for key, tensor in found.items()}  # fmt: skip
    return found, alphas


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DiffSynth's, peft's and ComfyUI's names as the forms that diffusers reads, scales multiplied in."""
    found: dict[str, Tensor] = {}
    theirs = any(key.removeprefix("model.").startswith("diffusion_model.") for key in state)
    for key, tensor in state.items():
        for before in ("base_model.model.", "pipe.dit.", "model.diffusion_model.", "diffusion_model."):
            key = key.removeprefix(before)
        key = _MUSUBIS_WAN.sub(r"blocks.\1.\2.\3.", key.replace(".default.", "."))
        found[key] = tensor
    if any(key.startswith(("lora_unet_", "lora_te")) for key in found):
        return found  # diffusers reads the scales of these
    found = {k.replace(".lora_down.", ".lora_A.").replace(".lora_up.", ".lora_B."): v for k, v in found.items()}
    for key in [k for k in found if k.endswith(".alpha")]:
        alpha, down = found.pop(key), f"{key.removesuffix('.alpha')}.lora_A.weight"
        if down in found:
            found[down] = found[down] * (alpha.item() / len(found[down]))
    return (
        {f"diffusion_model.{k}": v for k, v in found.items()} if theirs or any(map(_WANS_OWN.match, found)) else found
    )


def fitting(
    network: Any, layers: Mapping[str, Tensor], prefix: str, path: Path, names: Sequence[str]
) -> dict[str, Tensor]:
    """Those of the tensors whose layer the network has. Raises ``bad_request`` where there are none, or where they are
    of another size."""
    own = dict(network.named_modules())
    ours = {key: tensor for key, tensor in layers.items() if _module(key.removeprefix(f"{prefix}.")) in own}
    if not ours:
        found = looks_made_for(names)
        guess = f"it looks made for {found[1]}" if found else "its layers have names that no known model has"
        raise bad_request(f"{path.name} changes no layer of this model: {guess}.", _ANOTHER)
    for key, tensor in ours.items():
        place = _module(key.removeprefix(f"{prefix}."))
        mine, theirs = _width(own[place], key), tensor.shape[1 if ".lora_A." in key else 0]
        if mine and mine != theirs:
            text = f"{path.name} is for a model of another size: in {place} it is {theirs} wide, this model {mine}."
            raise bad_request(text, _ANOTHER)
    if left := len({_module(key) for key in layers} - {_module(key) for key in ours}):
        _logger.warning("%s: %d of its layers are not in this model, and are left out", path.name, left)
    return ours


def _module(key: str) -> str:
    """The layer that a tensor of a LoRA belongs to."""
    return key.partition(".lora_")[0]


def _width(module: Any, key: str) -> int:
    """How many numbers a layer takes (of ``lora_A``) or gives; 0 where it does not say."""
    sides = ("in_features", "in_channels") if ".lora_A." in key else ("out_features", "out_channels")
    return next((getattr(module, side) for side in sides if hasattr(module, side)), 0)

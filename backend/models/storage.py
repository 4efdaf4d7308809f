"""Small weight files: matrices as int8 with one scale a row, everything else as float16, in safetensors.

Rounding to 8 bits a row costs about 0.4 % of a row's largest weight: far below what can be seen, for half the size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..protocol import ErrorKind, SkyloopError
from ..typed import shown
from .header import TensorInfo as TensorInfo
from .header import check_header as check_header

_SCALE = ".int8_scale"


def save_weights(state: dict[str, Tensor], path: Path, *, int8: bool) -> None:
    """Write a state dict; ``int8`` stores matrices (2-D and more) in 8 bits a weight."""
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        x = value.detach().float().cpu()
        if int8 and x.ndim >= 2 and x.shape[0] > 1 and x.numel() > 4096:
            scale = x.flatten(1).abs().amax(dim=1).clamp(min=1e-12) / 127
            packed[name] = torch.round(x / scale.reshape(-1, *[1] * (x.ndim - 1))).to(torch.int8).contiguous()
            packed[name + _SCALE] = scale
        else:
            packed[name] = x.half().contiguous()
    save_file(packed, path)


def load_weights(path: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote, as float32, its header first; with ``shapes``, exactly these tensors.

    Raises ``missing_model``, in one line, when the file is absent, damaged, or holds something else.
    """
    _check_shapes(path, check_header(path), shapes)
    try:
        packed = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unfit(path, f"cannot be read ({error})") from error
    state: dict[str, Tensor] = {}
    for name, value in packed.items():
        if name.endswith(_SCALE):
            continue
        x = value.float()
        if (scale := packed.get(name + _SCALE)) is not None:
            x = x * scale.reshape(-1, *[1] * (x.ndim - 1))
        state[name] = x
    return state


def load_into(module: nn.Module, path: Path) -> None:
    """Give a module the weights of a file made for it. Raises like :func:`load_weights`."""
    state = module.state_dict()
    # The integers are BatchNorm's counts of training steps, which are not kept.
    wanted = {name: value.shape for name, value in state.items() if value.is_floating_point()}
    module.load_state_dict(state | load_weights(path, wanted))


def _check_shapes(path: Path, found: dict[str, TensorInfo], wanted: Mapping[str, Sequence[int]] | None) -> None:
    for name, info in found.items():
        of = found.get(name.removesuffix(_SCALE))
        if name.endswith(_SCALE) and (of is None or not of.shape or info.shape != of.shape[:1]):
            raise _unfit(path, f"has a scale that fits no tensor ({shown(name)})")
    if wanted is None:
        return
    have = {name: info.shape for name, info in found.items() if not name.endswith(_SCALE)}
    for name in sorted({*have, *wanted}):
        if name not in have or name not in wanted or have[name] != tuple(wanted[name]):
            raise _unfit(path, f"does not fit this version of Skyloop (at {shown(name)})")


def _unfit(path: Path, what: str) -> SkyloopError:
    return SkyloopError(ErrorKind.MISSING_MODEL, f"{path.name} {what}.", "Install Skyloop again.")

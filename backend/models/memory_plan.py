"""How a model is laid out in a card's memory, decided beforehand from sizes alone. Standard library only.

A ladder of placements, the fastest first; each rung below needs less of the card and takes longer:

``resident``   all parts stay on the card
``swapped``    the part at work is on the card, the others wait on the host
``blocks``     the denoiser's blocks come one after the other while the one before is at work
``leaves``     the same, layer by layer
``fp8``        its weights are kept in 8 bits on the card, and computed with in 16 (a little off)
``fp8_leaves`` 8 bits, and layer by layer

Text encoders run before everything else and are let go, so they count for none of them. A denoiser that is quantised
already (GGUF) has the rungs without fp8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ..protocol import ErrorKind, SkyloopError

GB = 1e9
# Kept free: what the driver, kernels' workspaces, a compiled graph and fragments take.
RESERVE_BYTES = 0.6 * GB
# Blocks on the card at once: at work, arriving, and one that is not yet given back; or as many layers, at most this.
BLOCKS_AT_ONCE, LEAVES_BYTES = 3, 0.35 * GB
# Of a denoiser's bytes in fp8: norms, embeddings and the last layer stay in 16 bits.
FP8_SHARE = 0.55
# Windows that keep a card busy together have about so many tokens; more at once only takes memory.
BUSY_TOKENS = 16_384
# Cells of a UNet's finest level that keep a card as busy as a token: two windows of AnimateDiff at once save 9 %.
UNET_CELLS = 16
MOST_WINDOWS = 16
# Larger tiles of a clip waste less on the cells around them, but no longer much; they get this part of what is free.
MOST_CELLS, TILES_SHARE = 1 << 12, 0.7


class Rung(StrEnum):
    RESIDENT = "resident"
    SWAPPED = "swapped"
    BLOCKS = "blocks"
    LEAVES = "leaves"
    FP8 = "fp8"
    FP8_LEAVES = "fp8_leaves"


LADDER = tuple(Rung)
WORDS = {
    Rung.RESIDENT: "all of it stays on the card",
    Rung.SWAPPED: "parts take turns on the card",
    Rung.BLOCKS: "the denoiser is streamed to the card block by block",
    Rung.LEAVES: "the denoiser is streamed to the card layer by layer",
    Rung.FP8: "the denoiser is kept in 8 bits",
    Rung.FP8_LEAVES: "the denoiser is kept in 8 bits and streamed layer by layer",
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of a model: the ``denoiser`` as loaded (of two experts, of which one is loaded at a time, the larger), its
    number of ``blocks``, the other parts that are needed besides (``others``: the autoencoder, image encoders), what
    evaluating one window takes meanwhile (``window``, for each of the ``branches`` of guidance), and what decoding a
    clip takes for each cell of a tile (``cell``), of which there are from ``least_cells`` to ``most_cells``.

    ``tokens``: of a window in all branches, for how many keep a card busy. ``flops``: operations of evaluating a window
    in one branch. The denoiser may be a ``unet``, and ``quantised`` already.
    """

    denoiser: int
    blocks: int
    others: tuple[int, ...]
    window: int
    cell: int
    least_cells: int
    tokens: int
    most_cells: int = MOST_CELLS
    flops: float = 0.0
    branches: int = 1
    unet: bool = False
    quantised: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was chosen. ``window_batch`` windows are evaluated at once, and the branches of guidance ``together`` or one
    after the other; clips are decoded in tiles of at most ``clip_cells``. Bytes are what it is expected to take."""

    rung: Rung
    window_batch: int
    device_bytes: int
    host_bytes: int
    together: bool = True
    clip_cells: int = MOST_CELLS

    def short(self) -> str:
        """For a line of progress: "resident, 3 windows at once, about 9.1 GB"."""
        rung = str(self.rung).replace("_", " ")
        return f"{rung}, {self._windows} at once, about {self.device_bytes / GB:.1f} GB"

    def sentence(self, name: str) -> str:
        """For people: "Wan 2.1: parts take turns on the card; about 6.1 GB of it and 3.9 GB of memory, 2 windows at
        once."."""
        return (
            f"{name}: {WORDS[self.rung]}; about {self.device_bytes / GB:.1f} GB of it and "
            f"{self.host_bytes / GB:.1f} GB of memory, {self._windows} at once."
        )

    @property
    def _windows(self) -> str:
        if not self.together:
            return "half a window"
        return f"{self.window_batch} windows" if self.window_batch > 1 else "one window"

    def to_json(self) -> dict[str, Any]:
        return {
            "rung": str(self.rung),
            "window_batch": self.window_batch,
            "together": self.together,
            "clip_cells": self.clip_cells,
            "device_gb": round(self.device_bytes / GB, 2),
            "host_gb": round(self.host_bytes / GB, 2),
        }


def rungs(sizes: Sizes) -> tuple[Rung, ...]:
    """Those that a model has."""
    return tuple(r for r in LADDER if not (sizes.quantised and r in (Rung.FP8, Rung.FP8_LEAVES)))


def device_bytes(rung: Rung, sizes: Sizes, at_once: int = 1, cells: int = 0) -> int:
    """What a rung takes of the card with so many windows at once, each branch of guidance counted, and tiles of so many
    cells (0: as small as can be)."""
    evaluating, decoding = at_once * sizes.window, max(cells, sizes.least_cells) * sizes.cell
    while_evaluating, while_decoding = _weights(rung, sizes)
    return int(max(while_evaluating + evaluating, while_decoding + decoding))


def _weights(rung: Rung, sizes: Sizes) -> tuple[float, float]:
    """On the card while windows are evaluated, and while clips are decoded."""
    denoiser, others = sizes.denoiser, max(sizes.others, default=0)
    if rung is Rung.RESIDENT:
        return denoiser + sum(sizes.others), denoiser + sum(sizes.others)
    on_card = {
        Rung.SWAPPED: denoiser,
        Rung.BLOCKS: min(denoiser, BLOCKS_AT_ONCE * denoiser // max(1, sizes.blocks) + LEAVES_BYTES),
        Rung.LEAVES: min(denoiser, LEAVES_BYTES),
        Rung.FP8: denoiser * FP8_SHARE,
        Rung.FP8_LEAVES: min(denoiser, LEAVES_BYTES) * FP8_SHARE,
    }[rung]
    return on_card, others


def host_bytes(rung: Rung, sizes: Sizes) -> int:
    """What a rung keeps in the host's memory."""
    if rung is Rung.RESIDENT:
        return 0
    share = FP8_SHARE if rung in (Rung.FP8, Rung.FP8_LEAVES) else 1
    return int(sizes.denoiser * share + sum(sizes.others))


def batch(rung: Rung, sizes: Sizes, free: int) -> int:
    """How many windows at once: as many as keep the card busy, if there is room. Where weights are streamed, twice as
    many, since each sweep of them serves all."""
    tokens = sizes.tokens / UNET_CELLS if sizes.unet else sizes.tokens
    streamed = rung in (Rung.BLOCKS, Rung.LEAVES, Rung.FP8_LEAVES)
    wanted = max(1, min(MOST_WINDOWS, int(BUSY_TOKENS * (2 if streamed else 1) / max(1, tokens))))
    while wanted > 1 and device_bytes(rung, sizes, wanted * sizes.branches) > free:
        wanted -= 1
    return wanted


def choose(sizes: Sizes, device_free: int, host_free: int, *, below: Rung | None = None) -> Plan | None:
    """The first rung that fits, of those ``below`` one that turned out not to; None where none does.

    ``device_free`` and ``host_free``: bytes that nobody else uses.
    """
    free = int(device_free - RESERVE_BYTES)
    known = rungs(sizes)
    for rung in known[known.index(below) + 1 if below in known else 0 :]:
        host = host_bytes(rung, sizes)
        if device_bytes(rung, sizes) <= free and host <= host_free:
            return _filled(rung, sizes, free)
    return None


def _filled(rung: Rung, sizes: Sizes, free: int) -> Plan:
    """A rung that fits, with as much at once as there is room for."""
    windows = batch(rung, sizes, free)
    together = device_bytes(rung, sizes, windows * sizes.branches) <= free
    at_once = windows * sizes.branches if together else 1
    usual = max(device_bytes(rung, sizes, at_once), TILES_SHARE * free)
    room = (usual - _weights(rung, sizes)[1]) / max(1, sizes.cell)
    cells = max(sizes.least_cells, min(sizes.most_cells, int(room)))
    needed = device_bytes(rung, sizes, at_once, cells) + RESERVE_BYTES
    return Plan(
        rung=rung, window_batch=windows, device_bytes=int(needed), host_bytes=host_bytes(rung, sizes),
        together=together, clip_cells=cells,
    )  # fmt: skip


def resident(sizes: Sizes, free: int) -> Plan | None:
    """Everything where it runs, one window at once, on a device without memory of its own; None without the room."""
    if device_bytes(Rung.RESIDENT, sizes) + RESERVE_BYTES > free:
        return None
    return replace(_filled(Rung.RESIDENT, sizes, int(free - RESERVE_BYTES)), window_batch=1)


def too_small(name: str, sizes: Sizes, device_free: int, host_free: int) -> SkyloopError:
    """Why no rung fits, and what would."""
    device = min(device_bytes(r, sizes) for r in rungs(sizes)) + RESERVE_BYTES
    if device > device_free:
        text = (
            f"{name} needs {device / GB:.1f} GB of free memory on the graphics card; there are {device_free / GB:.1f}."
        )
        hint = "Close other programs that use the card, choose a smaller model (see: models list), or --device cpu."
    else:
        fits = [r for r in rungs(sizes) if device_bytes(r, sizes) + RESERVE_BYTES <= device_free]
        host = min(host_bytes(r, sizes) for r in fits)
        text = f"{name} needs {host / GB:.1f} GB of free memory besides this card's; there are {host_free / GB:.1f}."
        hint = "Close other programs, or choose a smaller model (see: models list)."
    return SkyloopError(ErrorKind.OUT_OF_MEMORY, text, hint)


# --- sizes from what a denoiser's config.json says


def width_of(config: Mapping[str, Any]) -> int:
    """Channels of a transformer's tokens."""
    if "model_dim" in config:
        return int(config["model_dim"])
    heads, each = config.get("num_attention_heads", 1), config.get("attention_head_dim", 64)
    return int(heads) * int(each) if isinstance(heads, int) and isinstance(each, int) else 0


def is_unet(config: Mapping[str, Any]) -> bool:
    return "block_out_channels" in config


def tokens_of(config: Mapping[str, Any], frames: int, cells: int) -> int:
    """Of a window of ``frames`` x ``cells`` x ``cells`` latents; of a UNet, its cells at full resolution."""
    patch = config.get("patch_size", 1)
    if isinstance(patch, Sequence):
        t, h, w = (int(p) for p in patch)
    else:
        t, h, w = int(config.get("patch_size_t") or 1), int(patch), int(patch)
    return frames * cells * cells if is_unet(config) else (frames // t) * (cells // h) * (cells // w)


def window_bytes(config: Mapping[str, Any], frames: int, cells: int) -> int:
    """What evaluating a window in one branch takes on the way, in 16 bits, attention without its matrix.

    Of a transformer the widest moment: the hidden layer of the feed-forward, and beside it residual, norm and
    modulation in 32 and 16 bits. Of a UNet, its finest level with the skip connections it keeps. How many such layers,
    was measured (docs/performance.md): within a third for Wan, LTX, AnimateDiff and Stable Video Diffusion.
    """
    tokens = tokens_of(config, frames, cells)
    if is_unet(config):
        finest = int(config["block_out_channels"][0])
        return tokens * finest * 2 * 29
    width = width_of(config)
    inner = int(config.get("ffn_dim") or config.get("ff_dim") or 4 * width)
    return tokens * (inner * 2 + width * 26)


def cell_bytes(config: Mapping[str, Any], frames: int, ratio: int, bytes_each: int) -> int:
    """What decoding ``frames`` at once takes on the way for each cell of ``ratio`` x ``ratio`` pixels: a few layers of
    the decoder's finest level, at ``bytes_each`` a number."""
    channels = config.get("decoder_block_out_channels") or config.get("block_out_channels") or ()
    finest = int(channels[0]) if channels else int(config.get("decoder_base_dim") or config.get("base_dim") or 96)
    return frames * (ratio // int(config.get("patch_size") or 1)) ** 2 * finest * bytes_each * 4


def flops(config: Mapping[str, Any], parameters: float, frames: int, cells: int) -> float:
    """Of one evaluation of one window, without guidance: matrix products of the weights, and of attention.

    Counted figures agree within 10 % for Wan and LTX, 25 % for the UNets.
    """
    tokens = tokens_of(config, frames, cells)
    if is_unet(config):
        return 0.22 * parameters * tokens
    layers = int(config.get("num_layers") or config.get("num_visual_blocks") or 1)
    return 2 * parameters * tokens + 4 * tokens**2 * width_of(config) * layers

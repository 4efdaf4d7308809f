"""The built-in model: small, stylised, trained by us on procedural scenes; see ``weights/MODEL_CARD.md``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..media.files import read_input
from ..protocol import ErrorKind, SkyloopError
from ..typed import parse_json, typed
from .autoencoder import HALO, LATENT_CHANNELS, SPATIAL_RATIO, FrameAutoencoder
from .base import ModelSpec, View
from .denoiser import FOV_RANGE_DEG, FRAME_STEP_RANGE_S, WINDOW_CELLS, WINDOW_FRAMES, Condition, Denoiser
from .storage import load_into
from .text import TextEncoder

_MAX_FACTS_BYTES = 1 << 20
WEIGHTS = Path(__file__).parent / "weights" / "builtin"

SPEC = ModelSpec(
    id="builtin",
    channels=LATENT_CHANNELS,
    frames=WINDOW_FRAMES,
    cells=WINDOW_CELLS,
    ratio=SPATIAL_RATIO,
    steps=12,
    guidance=3.0,
    window_batch=6,
    longest_step_s=FRAME_STEP_RANGE_S[1],
)


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():  # pyright: ignore[reportAttributeAccessIssue]
        return torch.bfloat16
    return torch.float32


def _revision(folder: Path) -> str:
    """A digest of the weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _statistics(folder: Path) -> list[tuple[float, ...]]:
    """Mean and standard deviation of each latent channel. Raises ``missing_model``."""
    try:
        facts = parse_json(read_input(folder / "training.json", _MAX_FACTS_BYTES))
        mean, std = (typed(name, tuple[float, ...], facts[name]) for name in ("latent_mean", "latent_std"))
        if not len(mean) == len(std) == SPEC.channels or min(std) <= 0:
            raise ValueError(f"it is not about {SPEC.channels} channels")
    except (ValueError, TypeError, KeyError, SkyloopError) as error:
        text = f"training.json of the built-in model cannot be read: {str(error).rstrip('.')}."
        raise SkyloopError(ErrorKind.MISSING_MODEL, text, "Install Skyloop again.") from error
    return [mean, std]


class BuiltinModel:
    """Implements :class:`.base.VideoModel`."""

    halo = HALO

    def __init__(self, device: torch.device | str = "cpu", folder: Path = WEIGHTS) -> None:
        """Load the weights. Raises ``missing_model`` when they are absent or damaged."""
        self.device = torch.device(device)
        self.dtype = compute_dtype(self.device)
        # A GPU is busy from about 24 windows on (1.0 ms a window pair on an H100, 1.5 ms at 6); on a processor a small
        # batch costs nothing and answers a cancel sooner.
        self.spec = replace(SPEC, window_batch=3 if self.device.type == "cpu" else 24, revision=_revision(folder))
        shape = (1, SPEC.channels, 1, 1)
        self.mean, self.std = (torch.tensor(v, device=self.device).reshape(shape) for v in _statistics(folder))
        ranges = [(-math.pi / 2, math.pi / 2), tuple(map(math.radians, FOV_RANGE_DEG)), FRAME_STEP_RANGE_S]
        self.nearest, self.furthest = torch.tensor(ranges, device=self.device).unbind(1)
        self.text = TextEncoder()
        self.autoencoder = FrameAutoencoder().eval()
        load_into(self.autoencoder, folder / "autoencoder.safetensors")
        self.autoencoder.to(self.device, self.dtype)
        self.autoencoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in the stub
        self.denoiser = Denoiser().eval()
        load_into(self.denoiser, folder / "denoiser.safetensors")
        self.denoiser.to(self.device, self.dtype)

    def encode_text(self, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        embedded, mask = self.text(list(texts))
        return [(e.to(self.device), m.to(self.device)) for e, m in zip(embedded, mask, strict=True)]

    def sigmas(self, steps: int) -> list[float]:
        """Uniform times, shifted by 2 toward noise, where the layout of a scene is decided."""
        times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return (2 * times / (1 + times)).tolist()

    @torch.inference_mode()
    def predict(
        self,
        x: Tensor,
        sigma: float,
        views: Sequence[View],
        prompts: Sequence[tuple[Tensor, Tensor]],
        negative: tuple[Tensor, Tensor],
        guidance: float,
    ) -> Tensor:
        noisy = x.to(self.device, non_blocking=True)
        n, guided = len(noisy), guidance != 1.0
        texts = [*prompts, *([negative] * n if guided else [])]
        tokens, mask = torch.stack([e for e, _ in texts]), torch.stack([m for _, m in texts])
        seen = [(v.pitch, v.fov, v.frame_step_s) for v in views]
        if guided:
            seen += [(v.pitch, v.fov, v.avoid_step_s or v.frame_step_s) for v in views]
        view = torch.tensor(seen, dtype=torch.float32).to(self.device, non_blocking=True)
        view = view.clamp(self.nearest, self.furthest)
        z = noisy.to(self.dtype)
        t = torch.full((len(texts),), sigma, device=self.device)
        velocity = self.denoiser(z.repeat(2, 1, 1, 1, 1) if guided else z, t, Condition(tokens, mask, view)).float()
        if guided:
            wanted, unwanted = velocity.chunk(2)
            velocity = unwanted + guidance * (wanted - unwanted)
        return noisy - sigma * velocity

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        z = latents.to(self.device) * self.std + self.mean
        z = z.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return (self.autoencoder.decode(z).float() / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        x = (frames.to(self.device) * 2 - 1).to(self.dtype).contiguous(memory_format=torch.channels_last)
        return (self.autoencoder.encode(x).float() - self.mean) / self.std

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        """One frame after the other: its latents are single frames'."""
        return (self.decode(z[None]) for z in latents.unbind(1))

    def encode_clip(self, frames: Tensor) -> Tensor:
        return self.encode(frames).transpose(0, 1)

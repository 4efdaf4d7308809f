"""What differs between families of video models: the parts, how the denoiser is called, how latents become frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from ..base import ModelSpec, View
from ..levels import Levels
from ..parts import Load, Parts

Text = dict[str, Tensor]
"""What a text encoder makes of one text: named tensors without a batch axis, on the host."""


class Family(ABC):
    """Latents are (N, C, f, h, w); a family permutes and packs them as its denoiser wants. All tensors that come in
    are on the model's device, and so are those that go out, unless said otherwise.

    ``levels`` and ``spec`` are set by the constructor, from the parts' own configurations and the catalogue's entry.
    """

    CLASSES: ClassVar[dict[str, str]]
    """Part -> "package:Class", for :func:`..parts.from_folder`."""
    TEXT_PARTS: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    """The parts that only texts need; they are let go once those are encoded."""
    FP32_PARTS: ClassVar[frozenset[str]] = frozenset()
    """The parts that lose too much in half precision."""
    DECODED: ClassVar[int] = 4
    """How many frames of a clip its decoder is given at once, at most."""

    levels: Levels
    spec: ModelSpec
    halo: int = 0

    def __init__(self, parts: Parts, entry: Any) -> None:
        """``entry``: of the catalogue (:class:`..catalogue.Entry`)."""
        self.parts, self.entry = parts, entry

    @classmethod
    def loads(cls, load: Mapping[str, Load]) -> dict[str, Load]:
        """How to load the parts, from how each is loaded from its folder: where two of those are one network."""
        return dict(load)

    def described(self, channels: int, **own: Any) -> ModelSpec:
        """What the catalogue says of the model, once ``levels`` are set; ``own``: what it does not, or otherwise."""
        form, window, preset = self.entry.architecture, self.entry.window, self.entry.preset
        usual: dict[str, Any] = {
            "id": self.entry.id,
            "channels": channels,
            "frames": window.frames,
            "cells": window.cells,
            "ratio": form.ratio,
            "steps": preset.steps,
            "guidance": preset.guidance,
            "window_batch": 1,
            "longest_step_s": 1 / window.fps,
            "time_ratio": form.time_ratio,
            "lead": int(form.causal),
            "least_frames": min(window.frames, form.least_frames),
            "clipwise": True,
            "solver": preset.solver,
            "guided_above": form.guided_above,
            "start": self.levels.start,
            "decode_noise": preset.decode_noise,
            "takes": frozenset(self.entry.takes),
            "panorama": self.entry.panorama,
        }
        return ModelSpec(**usual | own)

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> list[Text]:
        """Exactly what the family's own pipeline makes of a prompt. Texts on the host."""

    @abstractmethod
    def raw(self, x: Tensor, timestep: float, texts: Sequence[Text], views: Sequence[View]) -> Tensor:
        """What the denoiser returns for windows ``x`` (N, C, f, h, w) float32 that are scaled as it wants them; one
        text and one view a window. float32, same shape."""

    def guidance(self, asked: float, sigma: float) -> float:
        """The guidance scale at a noise level."""
        return asked

    def guided(self, wanted: Tensor, unwanted: Tensor, scale: float, views: Sequence[View]) -> Tensor:
        """What :meth:`raw` returned of both branches, (N, C, f, h, w) each, made one; a view a window."""
        return unwanted + scale * (wanted - unwanted)

    def away(self, view: View) -> View:
        """The view of the branch that guidance leads away from."""
        return view

    def finish(self, clean: Tensor, views: Sequence[View]) -> Tensor:
        """Clean predictions (N, C, f, h, w) with what is given put back in."""
        return clean

    # Frame by frame, or as a clip: which of the two pairs there is says ``spec.clipwise``.

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) of single frames -> RGB (N, 3, H, W) in [0, 1], float32."""
        raise NotImplementedError

    def encode(self, frames: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1] of single frames -> latents (N, C, h, w) float32."""
        raise NotImplementedError

    def decode_clip(self, latents: Tensor) -> Iterator[Tensor]:
        """Latents (C, F, h, w) of a clip -> its ``time_ratio * (F - lead) + lead`` frames, RGB (n, 3, H, W) in [0, 1]
        float32, a few at a time. Closing it early leaves nothing behind (cached tensors of a stateful decoder)."""
        raise NotImplementedError

    def encode_clip(self, frames: Tensor) -> Tensor:
        """RGB (n, 3, H, W) in [0, 1] of a clip -> latents (C, F, h, w) float32: the mode, not a sample."""
        raise NotImplementedError

"""The ways to make a panorama from a model that sees one window: ours, the paper's, and what they are compared with.

A method is a generator: it yields :class:`..denoise.Progress` and returns the clean canvas.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch

from ..conditioning import Prompts
from ..denoise import Canvas, Progress
from ..fields import Fields
from ..models.base import VideoModel
from ..protocol import GenerateRequest

Denoising = Generator[Progress, None, Canvas]


@dataclass(frozen=True)
class Task:
    """All that a method needs: ``request`` has the model's defaults filled in for steps and guidance."""

    model: VideoModel
    request: GenerateRequest
    prompts: Prompts
    fields: Fields

    @property
    def frames(self) -> int:
        """Length of the canvas: a clip that does not loop is never shorter than the model's window."""
        return self.request.frames if self.request.loop else max(self.request.frames, self.model.spec.frames)

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.request.seed)


def method(name: str) -> Callable[[Task], Any]:
    """The method of one of :data:`..protocol.METHODS`."""
    from . import baselines, dynamicscaler, skyloop, syncdiffusion

    return {
        "skyloop": skyloop.compose,
        "dynamicscaler": dynamicscaler.compose,
        "multidiffusion": baselines.multidiffusion,
        "syncdiffusion": syncdiffusion.compose,
        "independent": baselines.independent,
        "native": baselines.native,
    }[name]

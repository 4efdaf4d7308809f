"""The ways to make a panorama from a model that sees one window: ours, the paper's, and what they are compared with.

A method is a generator: it yields :class:`..denoise.Progress` and returns the clean canvas.
"""

from __future__ import annotations

import math
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
    def stride(self) -> int:
        """Frames of the canvas for each frame of a loop. One shorter than the model's window, which knows no clip that
        runs several times, is made finer in time, and every ``stride``-th frame of it is shown."""
        return math.ceil(self.model.spec.frames / self.request.frames) if self.request.loop else 1

    @property
    def frames(self) -> int:
        """Length of the canvas, never shorter than the model's window."""
        return max(self.request.frames * self.stride, self.model.spec.frames)

    @property
    def frame_step_s(self) -> float:
        """Seconds between frames of the canvas."""
        return 1 / (self.request.fps * self.stride)

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

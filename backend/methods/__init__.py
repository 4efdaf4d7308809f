"""The ways to make a panorama from a model that sees one window: ours, the paper's, and what they are compared with.

A method is a generator: it yields :class:`..denoise.Progress` and returns the clean canvas.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..canvas import Canvas, white_noise
from ..charts import Chart
from ..checkpoints import Saved, State, UnusableStateError
from ..conditioning import Prompts
from ..denoise import Progress
from ..fields import Fields
from ..models.base import VideoModel
from ..protocol import GenerateRequest
from ..sizes import latents_of, stride_of, window_of

Denoising = Generator[Progress, None, Canvas]


@dataclass(frozen=True)
class Task:
    """All that a method needs: ``request`` has the model's defaults filled in for steps and guidance. ``saved`` is
    where an earlier run of it was, to go on from."""

    model: VideoModel
    request: GenerateRequest
    prompts: Prompts
    fields: Fields
    saved: Saved | None = None

    @property
    def stride(self) -> int:
        """Frames of the canvas for each frame of the movie, see :func:`..sizes.stride_of`."""
        return stride_of(self.request.frames, self.request.loop, self.model.spec)

    @property
    def frames(self) -> int:
        """Length of the canvas in latents, never shorter than the model's window."""
        return latents_of(self.request.frames, self.request.loop, self.model.spec)

    @property
    def window(self) -> int:
        """Latents of each window in time."""
        return window_of(self.frames, self.request.loop, self.model.spec)

    @property
    def frame_step_s(self) -> float:
        """Seconds between the frames that the canvas stands for."""
        return 1 / (self.request.fps * self.stride)

    def canvas(self, charts: list[Chart], latents: list[Tensor]) -> Canvas:
        """A canvas of this task."""
        request = self.request
        return Canvas(charts, latents, request.loop, self.frame_step_s, stride=self.stride, seed=request.seed)

    def noise(self, charts: list[Chart]) -> list[Tensor]:
        """White noise for all of ``charts``, drawn from the generator."""
        return white_noise(charts, self.model.spec.channels, self.frames, self.generator, self.fields)

    def begin(self, noise: list[Tensor]) -> list[Tensor]:
        """What the model begins with, in place of white noise: times its ``start``."""
        if self.model.spec.start != 1:
            for z in noise:
                z *= self.model.spec.start
        return noise

    @cached_property
    def generator(self) -> torch.Generator:
        """The one source of randomness: from the seed, or as it was when the job was saved."""
        generator = torch.Generator().manual_seed(self.request.seed)
        if self.saved:
            generator.set_state(self.saved.generator)
        return generator

    def begun(self, stage: str) -> State | None:
        """Where this stage is to go on."""
        return self.saved.state if self.saved and self.saved.state.stage == stage else None

    def first(self, stages: Sequence[str]) -> int:
        """The number of the stage to begin with; those before it are done. Raises ``UnusableStateError``."""
        if self.saved is None:
            return 0
        if self.saved.state.stage not in stages:
            raise UnusableStateError(f"there is no stage {self.saved.state.stage}")
        return list(stages).index(self.saved.state.stage)

    def shapes(self, charts: Sequence[Chart]) -> list[tuple[int, ...]]:
        """Of the latents of ``charts``."""
        return [(self.model.spec.channels, self.frames, c.rows, c.columns) for c in charts]


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

"""What is denoised: the latents of a panorama's charts, the noise that they begin as, and how charts agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from . import sphere
from .charts import Chart, covering
from .fields import Fields
from .models.base import Given
from .windows import Window


@dataclass
class Canvas:
    """Latents (C, F, rows, columns) float32 on the host, one a chart; ``frame_step_s`` seconds between the frames that
    they stand for, of which the movie shows one in ``stride``.

    ``avoid_step_s``: the slower world that guidance leads away from, see :class:`.models.base.View`. ``windows`` are
    those of the last step so far, whose borders nothing has healed. ``seed``: of what a decoder is given as noise.
    ``given``: what a window is given of a picture (:class:`.pictures.Giving`).
    """

    charts: list[Chart]
    latents: list[Tensor]
    loop: bool
    frame_step_s: float
    windows: list[Window] = field(default_factory=list, repr=False)
    avoid_step_s: float | None = None
    stride: int = 1
    seed: int = 0
    given: Callable[[Window], Given | None] | None = field(default=None, repr=False)

    @property
    def frames(self) -> int:
        """Latents in time."""
        return self.latents[0].shape[1]


@dataclass(frozen=True)
class Overlap:
    """Where a chart lies under another: cells (n,) of the one, coordinates there in the other, and the blend weight."""

    chart: int
    other: int
    cells: Tensor
    u: Tensor
    v: Tensor
    weight: Tensor


def white_noise(
    charts: list[Chart], channels: int, frames: int, generator: torch.Generator, fields: Fields | None = None
) -> list[Tensor]:
    """Independent normal latents for every chart from one CPU generator, drawn frame by frame."""
    fields = fields or Fields()
    noise = [fields.zeros(channels, frames, c.rows, c.columns) for c in charts]
    for frame in range(frames):
        for z in noise:
            z[:, frame] = torch.randn(channels, *z.shape[2:], generator=generator)
        fields.release()
    return noise


def overlaps(charts: list[Chart]) -> list[Overlap]:
    """The cells of each chart that another one owns in part."""
    found = []
    for i, chart in enumerate(charts):
        if not chart.on_sphere:
            continue
        d = chart.directions(*sphere.grid(chart.rows, chart.columns)).flatten(0, 1)
        for j, (u, v, weight) in enumerate(covering(charts, d)):
            cells = (weight > 0).nonzero()[:, 0]
            if i != j and len(cells):
                found.append(Overlap(i, j, cells, u[cells], v[cells], weight[cells]))
    return found


def exchange(charts: list[Chart], clean: list[Tensor], shared: list[Overlap]) -> list[Tensor]:
    """Make clean charts agree where they overlap. Clean latents may be resampled; noise never is."""
    result = [c.clone(memory_format=torch.contiguous_format) for c in clean]
    for o in shared:
        image = clean[o.other].flatten(0, 1)[None]
        there = sphere.sample(image, o.u[None], o.v[None], wrap=charts[o.other].wrap)[0, :, 0]
        target = result[o.chart].flatten(0, 1).flatten(1)
        target[:, o.cells] = torch.lerp(target[:, o.cells], there, o.weight)
    return result

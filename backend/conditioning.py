"""What is wanted where: prompts by direction, as shares of every cell of a chart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import sphere
from .charts import Chart
from .models.base import VideoModel
from .protocol import GenerateRequest, Region
from .sampling import smoothstep

# A prompt with less of a window than this is not worth an evaluation of it.
LEAST_SHARE = 0.02
# How far a region's edge reaches to either side: this part of its radius, and no less than the angle.
FEATHER, LEAST_FEATHER_DEG = 0.25, 5.0


@dataclass(frozen=True)
class Prompts:
    """Encoded prompts: that of the whole sky first, then one for each of ``regions``, in their order."""

    encoded: list[Any]
    negative: Any
    regions: tuple[Region, ...] = ()

    def shares(self, chart: Chart) -> Tensor:
        """How much each prompt counts in each cell: (prompts, rows, columns), summing to 1 over prompts.

        The sky's own prompt is everywhere; each region lies over what came before it, as paint does, so that where
        regions overlap the later one counts. What is one prompt has one share: that of its first place, while the
        others' are zero. A plane has no directions, and all of it is the sky's.
        """
        shares = torch.zeros(len(self.encoded), chart.rows, chart.columns)
        shares[0] = 1
        if not chart.on_sphere or not self.regions:
            return shares
        directions = chart.directions(*sphere.grid(chart.rows, chart.columns))
        first = [next(i for i, e in enumerate(self.encoded) if e is mine) for mine in self.encoded]
        for place, region in zip(first[1:], self.regions, strict=True):
            over = region_share(region, directions)
            shares *= 1 - over
            shares[place] += over
        return shares


def encode_prompts(model: VideoModel, request: GenerateRequest) -> Prompts:
    """The request's prompts, each different text encoded once."""
    texts = list(dict.fromkeys([request.prompt, request.negative, *(r.prompt for r in request.regions)]))
    encoded = dict(zip(texts, model.encode_text(texts), strict=True))
    prompts = [encoded[text] for text in (request.prompt, *(r.prompt for r in request.regions))]
    return Prompts(prompts, encoded[request.negative], request.regions)


def region_share(region: Region, directions: Tensor) -> Tensor:
    """How much of each of ``directions`` (..., 3) is a region's: (...) in [0, 1], a half at its radius.

    A band that reaches a pole takes all of the pole in.
    """
    if region.yaw_deg is not None:
        return cap_share(directions, region.yaw_deg, region.pitch_deg, region.radius_deg)
    _, pitch = sphere.yaw_pitch(directions)
    above = torch.rad2deg(pitch) - region.pitch_deg
    up, down = (abs(region.pitch_deg + side * region.radius_deg) < 90 for side in (1, -1))
    distance = torch.maximum(above * up, -above * down)
    return _inside(distance.clamp(min=0), region.radius_deg)


def cap_share(directions: Tensor, yaw_deg: float, pitch_deg: float, radius_deg: float) -> Tensor:
    """How much of each of ``directions`` (..., 3) lies within ``radius_deg`` of a direction: (...) in [0, 1].

    It falls smoothly (smoothstep) over a quarter of the radius to either side of the edge, over 5 degrees at least,
    but never further inside than the middle. A radius of 180 is the whole sphere.
    """
    if radius_deg >= 180:
        return torch.ones(directions.shape[:-1])
    yaw, pitch = (torch.tensor(math.radians(a)) for a in (yaw_deg, pitch_deg))
    # By the chord: the arc cosine of a scalar product has no precision near zero.
    chord = (directions - sphere.direction(yaw, pitch)).norm(dim=-1)
    return _inside(torch.rad2deg(2 * torch.asin((chord / 2).clamp(max=1))), radius_deg)


def _inside(distance_deg: Tensor, radius_deg: float) -> Tensor:
    feather = min(radius_deg, max(LEAST_FEATHER_DEG, FEATHER * radius_deg))
    return smoothstep((radius_deg + feather - distance_deg) / (2 * feather))

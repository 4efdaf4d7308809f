"""Procedural skies seen through any window: the pictures that the built-in model learns from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .attributes import ATTRIBUTES, Scene, sample_scene
from .captions import HELD_OUT, caption
from .ground import SOLID, water
from .noise import Noise
from .ridges import ridges
from .sky import Colours, sky
from .view import View, merge, mix
from .weather import weather

__all__ = ["ATTRIBUTES", "HELD_OUT", "Renderer", "Scene", "caption", "sample_scene"]


class Renderer:
    """Shades scenes on a device; holds nothing but a volume of noise (17 MB)."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self._noise = Noise(self.device)

    @torch.no_grad()
    def shade(self, scenes: Sequence[Scene], directions: Tensor, time_s: Tensor, footprint: Tensor | float) -> Tensor:
        """Pictures (B, F, 3, h, w) in [0, 1] of the scenes.

        directions: (B, h, w, 3) unit vectors (x right, y ahead, z up); time_s: (B, F) seconds; footprint: angular size
        of a pixel in radians, one number or (B,), which sets how fine the detail is.
        """
        count = len(scenes)
        d = directions.to(self.device, torch.float32)[:, None]
        t = time_s.to(self.device, torch.float32)[:, :, None, None]
        pixel = torch.as_tensor(footprint, dtype=torch.float32, device=self.device).expand(count)[:, None, None, None]
        x, y, z = (a.contiguous() for a in d.unbind(-1))
        view = View(list(scenes), x, y, z, t, pixel, torch.zeros_like(pixel), self._noise)
        edge = view.pixel.flatten() * 2.0
        low, high = (z.amin((1, 2, 3)) < edge).tolist(), (z.amax((1, 2, 3)) > -edge).tolist()
        groups: dict[tuple[str, bool], list[int]] = {}
        for i, s in enumerate(scenes):  # a window that sees only sky, or only ground, pays for no more
            groups.setdefault((s.ground if low[i] else "none", high[i]), []).append(i)
        image = merge([(i, _world(view.take(i), ground, above)) for (ground, above), i in groups.items()], count)
        image = weather(view, image) * view.colour(lambda s: s.tint)
        return _shoulder(image).expand(count, t.shape[1], 3, *z.shape[-2:])


def _scenery(v: View) -> Tensor:
    return ridges(v, sky(v))


def _world(v: View, ground: str, above: bool) -> Tensor:
    """Sky over one kind of ground; ``above`` says whether any sky can be seen."""
    if ground == "none":
        return _scenery(v)
    if ground in ("sea", "lake"):
        return water(v, _scenery, sea=ground == "sea")

    floor = SOLID[ground](v, Colours(v))
    if not above:
        return floor
    below = (-v.z / v.pixel + 0.5).clamp(0.0, 1.0)
    return mix(_scenery(v), floor, below)


def _shoulder(image: Tensor) -> Tensor:
    """Leave tones up to 0.75 as they are and roll the brighter ones off to 1."""
    knee = 0.75
    bright = 1.0 - (1.0 - knee) * torch.exp((knee - image.clamp(min=knee)) / (1.0 - knee))
    return torch.where(image > knee, bright, image.clamp(min=0.0))

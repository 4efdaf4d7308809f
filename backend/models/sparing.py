"""A model that does in parts what does not fit into memory at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..jobs.failures import as_skyloop_error
from ..protocol import ErrorKind
from .base import VideoModel, View, Wrapped
from .memory_plan import Plan

_logger = logging.getLogger(__name__)


class TooLargeError(Exception):
    """A tile of a clip does not fit into memory, and smaller ones, as large as ``spec.clip_cells`` now says, may."""


class Sparing(Wrapped):
    """Implements :class:`.base.VideoModel` with another one; raises what it raises once no part is small enough.

    After a batch of windows did not fit, ``spec.window_batch`` is what did. The parts of a picture have the halo that
    makes them exactly what they are in the whole.
    """

    def __init__(
        self, model: VideoModel, most_windows: int = 1 << 10, leaner: Callable[[], None] | None = None
    ) -> None:
        """``most_windows``: to begin with. ``leaner`` has the model take less of the device where a single window does
        not fit, or raises ``out_of_memory``."""
        spec = model.spec
        most = {"window_batch": spec.window_batch, "unguided_batch": spec.at_once(1.0)}
        super().__init__(model, **{name: min(most_windows, number) for name, number in most.items()})
        self._leaner = leaner
        self._too_large = {"decode": math.inf, "encode": math.inf}  # numbers that once did not fit

    def expect(self, evaluations: int) -> None:
        """Have the model make ready for about so many evaluations of a window, if it knows how."""
        if ready := getattr(self.model, "expect", None):
            ready(evaluations)

    @property
    def plan(self) -> Plan | None:
        """How the model is laid out, with as much at once as has turned out to fit; None of one that needs no plan."""
        found: Plan | None = getattr(self.model, "plan", None)
        return found and replace(found, window_batch=self.spec.window_batch, clip_cells=self.spec.clip_cells)

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        can = len(x) > 1 or self._leaner is not None
        whole = tried(lambda: self.model.predict(x, sigma, views, prompts, negative, guidance), self.device, again=can)
        if whole is not None:
            return whole
        if len(x) == 1 and self._leaner:
            self._leaner()
            return self.predict(x, sigma, views, prompts, negative, guidance)
        half = (len(x) + 1) // 2
        spec = self.spec
        self.spec = replace(
            spec, window_batch=min(half, spec.window_batch), unguided_batch=min(half, spec.at_once(1.0))
        )
        _logger.warning("out of memory with %d windows at once; going on with %d", len(x), half)
        parts = (slice(None, half), slice(half, None))
        return torch.cat([self.predict(x[p], sigma, views[p], prompts[p], negative, guidance) for p in parts])

    def decode(self, latents: Tensor) -> Tensor:
        return self._in_parts("decode", latents, self.halo, self.spec.ratio)

    def encode(self, frames: Tensor) -> Tensor:
        return self._in_parts("encode", frames, self.halo * self.spec.ratio, 1 / self.spec.ratio)

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        """Raises :class:`TooLargeError`: who decodes a clip may have put some of its frames somewhere already."""
        fits = True
        try:
            with closing(self.model.decode_clip(latents)) as pieces:
                yield from pieces
        except (RuntimeError, MemoryError, TooLargeError) as error:
            self._smaller(latents.shape[-2] * latents.shape[-1], error)
            fits = False
        if not fits:  # only here, as the exception held on to all that had been allocated
            _emptied(self.device)
            raise TooLargeError

    def encode_clip(self, frames: Tensor) -> Tensor:
        """Raises :class:`TooLargeError`."""
        try:
            return self.model.encode_clip(frames)
        except (RuntimeError, MemoryError, TooLargeError) as error:
            self._smaller(frames.shape[-2] * frames.shape[-1] // self.spec.ratio**2, error)
        _emptied(self.device)
        raise TooLargeError

    def _smaller(self, cells: int, error: Exception) -> None:
        """Have tiles of half as many cells from now on. Raises ``error`` where it is another, or where they are as
        small as can be."""
        if isinstance(error, TooLargeError):  # of a model that is sparing itself
            self.spec = replace(self.spec, clip_cells=self.model.spec.clip_cells)
            return
        least = (2 * self.halo + 2) ** 2
        if as_skyloop_error(error).kind is not ErrorKind.OUT_OF_MEMORY or cells <= least:
            raise error
        self.spec = replace(self.spec, clip_cells=max(least, cells // 2))
        _logger.warning("out of memory with a clip of %d cells; going on with %d", cells, self.spec.clip_cells)

    def _in_parts(self, way: str, x: Tensor, halo: int, scale: float) -> Tensor:
        """Convert (N, C, H, W) to ``scale`` times the size, frame by frame or in halves along the longer side."""
        axis = 2 if x.shape[2] >= x.shape[3] else 3
        cell = halo // self.halo if self.halo else 1
        middle = x.shape[axis] // cell // 2 * cell
        can = len(x) > 1 or middle > halo
        if not can or x.numel() < self._too_large[way]:
            whole = tried(lambda: getattr(self.model, way)(x), self.device, again=can)
            if whole is not None:
                return whole
            self._too_large[way] = x.numel()
            _logger.warning("out of memory with a picture of %s; going on in parts", tuple(x.shape))
        if len(x) > 1:
            return torch.cat([self._in_parts(way, frame, halo, scale) for frame in x.split(1)])
        parts = []
        for start, stop in ((0, middle), (middle, x.shape[axis])):
            low, high = max(0, start - halo), min(x.shape[axis], stop + halo)
            part = self._in_parts(way, x.narrow(axis, low, high - low), halo, scale)
            parts.append(part.narrow(axis, round((start - low) * scale), round((stop - start) * scale)))
        return torch.cat(parts, axis)


def tried(compute: Callable[[], Tensor], device: torch.device, *, again: bool) -> Tensor | None:
    """What ``compute`` returns, or None where the memory of ``device`` ran out and something smaller can be tried
    (``again``); else its error is raised."""
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not again or as_skyloop_error(error).kind is not ErrorKind.OUT_OF_MEMORY:
            raise
    # Only here, as the exception held on to all that had been allocated.
    _emptied(device)
    return None


def _emptied(device: torch.device) -> None:
    """Give what torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()

"""How large the canvas of a request is, how many windows cover it, in how many steps: the engine does what these say.

Standard library only, so that a sky's cost can be told where there is no engine (:mod:`.estimate`). Sizes are cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

# Parts of the columns around the horizon that the charts have as rows: the band reaches 47 degrees of latitude, the
# caps (at the same scale) 42 degrees.
BAND, CAP = 19 / 64, 9 / 32
# Half extents of the same charts where each is a single window high: 49 degrees of latitude, 50 from the pole. With an
# overlap of 3 degrees instead of 9, which is less than a cell, the border between them showed (docs/engine.md).
TIGHT_BAND, TIGHT_CAP = 0.984, 0.9326
# How much smaller than around the horizon cells may show the world along the meridians to make do with one window.
MOST_SQUEEZE = 1.3
MOST_REFINEMENTS = 4
# Guidance shapes the layout at high noise; below this level it changes nothing that is measured, at twice the cost.
GUIDED_ABOVE = 0.5
# A finer stage starts from the one before at this noise level and takes this part of the steps. What is where is
# settled by the layout, so refining goes without guidance, at half the cost.
REFINE_SIGMA, REFINE_STEPS = 0.4, 0.25
# The same of the stage after one that saw all of the sky in a single window: that is much coarser, and stretched where
# it comes near the poles, so more of it is left to be made.
PANORAMA_SIGMA, PANORAMA_STEPS = 0.6, 0.45


def is_tight(columns: int, cells: int) -> bool:
    """Whether charts with ``columns`` around the horizon are a single window of ``cells`` high."""
    return TIGHT_BAND * columns / math.pi <= MOST_SQUEEZE * cells


def sphere_rows(columns: int, cells: int) -> tuple[int, int]:
    """Rows of the band and of either cap (which is square), with ``columns`` around the horizon."""
    if is_tight(columns, cells):
        return cells, cells
    return max(cells, round(columns * BAND)), max(cells, round(columns * CAP))


def sphere_columns(width: int, fov_deg: float, cells: int, ratio: int) -> list[int]:
    """Columns around the horizon of each stage, coarse to fine, that lead to a frame of ``width`` pixels."""
    columns = 4 * round(cells * 360 / fov_deg / 4)
    stages = [columns]
    final = 32 * round(width / ratio / 32)
    while final >= 1.25 * columns and len(stages) <= MOST_REFINEMENTS:
        columns = min(final, 2 * columns) if final < 3 * columns else 2 * columns
        stages.append(columns)
    return stages


def plane_sizes(width: int, height: int, cells: int, ratio: int) -> list[tuple[int, int]]:
    """Rows and columns of each stage of a flat panorama, coarse to fine."""
    rows, columns = height / ratio, width / ratio
    halvings = max(0, min(MOST_REFINEMENTS, int(math.log2(min(rows, columns) / cells))))
    return [
        (max(cells, math.ceil(rows / 2**k)), max(cells, math.ceil(columns / 2**k))) for k in range(halvings, -1, -1)
    ]


def panorama_size(width: int, height: int, flat: bool, cells: int, ratio: int) -> tuple[int, int]:
    """Rows and columns of a canvas of one chart at full resolution; never smaller than a window."""
    if flat:
        return max(cells, math.ceil(height / ratio)), max(cells, math.ceil(width / ratio))
    columns = 32 * max(1, round(width / ratio / 32))
    return max(cells, columns // 2), max(cells, columns)


class Clips(Protocol):
    """How a model sees time: what of :class:`.models.base.ModelSpec` tells of it."""

    @property
    def frames(self) -> int: ...
    @property
    def least_frames(self) -> int: ...
    @property
    def time_ratio(self) -> int: ...
    @property
    def lead(self) -> int: ...


def _least(clips: Clips) -> int:
    """The latents of the shortest window."""
    return max(min(clips.least_frames or clips.frames, clips.frames), clips.lead + 1)


def stride_of(frames: int, loop: bool, clips: Clips) -> int:
    """Frames of the canvas for each frame of a loop: the fewest that are whole latents, and enough for a window. A loop
    shorter than the model's window, which knows no clip that runs several times, is made finer in time, and every so
    many of its frames are shown."""
    if not loop:
        return 1
    whole = clips.time_ratio // math.gcd(frames, clips.time_ratio)
    return whole * math.ceil((_least(clips) - clips.lead) * clips.time_ratio / (frames * whole))


def latents_of(frames: int, loop: bool, clips: Clips) -> int:
    """Length of the canvas for a film of ``frames``, never shorter than the model's shortest window."""
    if loop:
        return frames * stride_of(frames, loop, clips) // clips.time_ratio
    return max(math.ceil((frames - clips.lead) / clips.time_ratio) + clips.lead, _least(clips))


def frames_of(latents: int, loop: bool, clips: Clips) -> int:
    """Frames that a canvas of so many latents stands for."""
    return clips.time_ratio * latents if loop else clips.time_ratio * (latents - clips.lead) + clips.lead


def window_of(latents: int, loop: bool, clips: Clips) -> int:
    """Latents of each window over time of a canvas, its lead included: on a ring that is one more that it is read."""
    return min(clips.frames, latents + clips.lead * loop)


def own_of(latents: int, loop: bool, clips: Clips) -> tuple[int, int]:
    """What windows cover in time, and how much of it each does: without the lead that each begins with."""
    return latents - clips.lead * (not loop), window_of(latents, loop, clips) - clips.lead


def span_count(length: int, window: int, wrap: bool, finishing: bool = False) -> int:
    """How many windows :func:`.windows.cover` an axis of ``length``."""
    count = -(-length // window)
    loose = count * window - length < window / 4
    if wrap:  # the last step's overlap, as no later one heals its borders
        return count + (finishing and length >= window and loose)
    return count + (length != window and loose)  # without slack the borders could not move


def last_part(levels: Callable[[int], list[float]], steps: int, part: float) -> list[float]:
    """The noise levels of the last ``part`` of a model's own schedule, in that part of the steps, two at least."""
    return _part_from(levels(1000), round((1 - part) * 1000), refining_steps(steps, part))


def stage_levels(levels: Callable[[int], list[float]], steps: int, stages: int, panorama: bool) -> list[list[float]]:
    """The noise levels of each stage of a sky: a model's own, then parts of those. ``panorama``: the first stage is a
    single window."""
    found = [levels(steps)]
    if panorama:
        found.append(refine_levels(levels, steps, PANORAMA_SIGMA, PANORAMA_STEPS))
    return [*found, *[refine_levels(levels, steps)] * (stages - len(found))]


def refine_levels(
    levels: Callable[[int], list[float]], steps: int, sigma: float = REFINE_SIGMA, part: float = REFINE_STEPS
) -> list[float]:
    """The part of a model's own schedule below ``sigma``, in that ``part`` of the steps, two at least."""
    fine = levels(1000)
    start = next(i for i, s in enumerate(fine) if s <= sigma)
    return [sigma, *_part_from(fine, start, refining_steps(steps, part))[1:]]


def _part_from(fine: list[float], start: int, count: int) -> list[float]:
    rest = len(fine) - 1 - start
    return [fine[start + round(k * rest / count)] for k in range(count + 1)]


def refining_steps(steps: int, part: float) -> int:
    """Steps of a stage that does only ``part`` of the noise schedule."""
    return max(2, round(steps * part))

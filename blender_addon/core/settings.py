"""Choices a user can make, as data: quality presets and what one frame rate means in Blender's two numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ...backend.models.catalogue import Entry
from ...backend.protocol import MAX_FRAMES, MAX_HEIGHT_PX, MIN_HEIGHT_PX


@dataclass(frozen=True)
class Quality:
    """A named size. ``width`` x ``height`` are pixels of the equirectangular frame."""

    id: str
    label: str
    width: int
    height: int
    description: str


QUALITIES = (
    Quality("PREVIEW", "Preview", 512, 256, "512 x 256: see in a minute what the prompt gives"),
    Quality("STANDARD", "Standard", 1024, 512, "1024 x 512: a soft background, light and reflections"),
    Quality("FINAL", "Final", 2048, 1024, "2048 x 1024: a background that fills the picture; slow without a GPU"),
)
CUSTOM = "CUSTOM"
USUAL_QUALITY = "STANDARD"
MAX_CUSTOM_WIDTH = 2 * MAX_HEIGHT_PX


def size_of(quality: str, custom_width: int) -> tuple[int, int]:
    """Width and height in pixels of a preset, or of a custom width (a 360° frame is twice as wide as high)."""
    for preset in QUALITIES:
        if preset.id == quality:
            return preset.width, preset.height
    return custom_width, custom_width // 2


def blender_fps(fps: float) -> tuple[int, float]:
    """``render.fps`` and ``render.fps_base`` whose quotient is ``fps``: 8 -> (8, 1.0), 23.976 -> (24, 1.001)."""
    whole = max(1, round(fps))
    ratio = Fraction(whole) / Fraction(fps).limit_denominator(100_000)
    return whole, float(ratio)


def duration_s(frames: int, fps: float) -> float:
    """How long ``frames`` play, in seconds."""
    return frames / fps


def frames_in(seconds: float, fps: float) -> int:
    """The whole number of frames nearest to ``seconds``, of those that can be asked for."""
    return min(MAX_FRAMES, max(1, round(seconds * fps)))


def nearest_width(width: int) -> int:
    """The width nearest to ``width`` that a 360° sky of the panel can have: height and half of it in whole cells."""
    return min(MAX_CUSTOM_WIDTH, max(2 * MIN_HEIGHT_PX, 32 * round(width / 32)))


@dataclass(frozen=True)
class Natural:
    """What a model makes best: the size, and a loop as long as the clips that it was trained on."""

    quality: str
    frames: int
    fps: float


def natural(entry: Entry) -> Natural:
    """The settings to begin with for a model. A large one composes a large sky anyway."""
    window, form = entry.window, entry.architecture
    composed = 4 * window.cells * form.ratio  # pixels around, with the usual field of view of 90 degrees
    large = [quality.id for quality in QUALITIES if quality.width <= composed]
    quality = USUAL_QUALITY if entry.family == "builtin" else (large or [USUAL_QUALITY])[-1]
    return Natural(quality, form.time_ratio * (window.frames - int(form.causal)), window.fps)

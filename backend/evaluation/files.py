"""Measuring a video file: how much of it to read, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..jobs.store import recorded
from ..media.video import probe, read_frames
from ..protocol import bad_request
from .metrics import figures

MOST_FRAMES = 64
_MEMORY_BYTES = 3 * 2**29


@dataclass(frozen=True)
class Film:
    """Frames (T, H, W, 3) uint8 of a video, all or its ends: ``gap`` is after which some were left out."""

    frames: np.ndarray
    fps: float
    gap: int | None


def evaluate_file(path: Path) -> dict[str, Any]:
    """The figures of a video, without those that need the model's own samples.

    What the video is meant to be is read from the record beside it; without one 2:1 is a looping sphere and any other
    shape a flat panorama that loops and does not wrap. Raises like :func:`read_film`.
    """
    film, made = read_film(Path(path)), recorded(Path(path).parent)
    height, width = film.frames.shape[1:3]
    flat = made.flat if made else width != 2 * height
    loop, wrap = (made.loop, made.wrap) if made else (True, False)
    return figures(film.frames, fps=film.fps, gap=film.gap, loop=loop, flat=flat, wrap=wrap)


def read_film(path: Path) -> Film:
    """What is measured of a video: of a long or large one the first and the last frames, at most 64 and 1.5 GB.

    Raises ``SkyloopError(bad_request)`` when it is not a video of at least 32x32 pixels.
    """
    about = probe(path)
    width, height = about["width"], about["height"]
    if width < 32 or height < 32:
        raise bad_request(f"{path} is {width}x{height}: too small to measure.", "Give a video of 32 pixels or more.")
    most = max(4, min(MOST_FRAMES, _MEMORY_BYTES // (width * height * 3)))
    frames, gap = _ends(path, most)
    if not len(frames):
        raise bad_request(f"{path} has no frames.", "Give a video that plays.")
    return Film(frames, about["fps"] or 1.0, gap)


def _ends(path: Path, most: int) -> tuple[np.ndarray, int | None]:
    """At most ``most`` frames, the first and the last of the video, and after which of them some were left out."""
    kept, head, count = np.empty((0, 0, 0, 3), np.uint8), most - most // 2, 0
    for frame in read_frames(path):
        if not count:
            kept = np.empty((most, *frame.shape), np.uint8)  # pages of it that stay unused take no memory
        # The rest of the places go round: each new frame takes that of the oldest.
        kept[count if count < most else head + (count - head) % (most - head)] = frame
        count += 1
    if count <= most:
        return kept[:count], None
    kept[head:] = np.roll(kept[head:], -((count - head) % (most - head)), axis=0)
    return kept, head - 1

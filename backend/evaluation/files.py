"""Measuring a video file: how much of it to read, and as what."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..media.video import probe, read_frames
from ..protocol import bad_request
from .borders import Arcs
from .metrics import figures
from .spatial import ReferenceView

MOST_FRAMES = 64
_MEMORY_BYTES = 3 * 2**29


def evaluate_file(path: Path) -> dict[str, Any]:
    """The figures of a video, without those that need the model's own samples.

    What the video is meant to be is read from ``result.json`` or ``request.json`` beside it; without them 2:1 is a
    looping sphere and any other shape a flat panorama that loops and does not wrap. Raises like :func:`measure_file`.
    """
    path = Path(path)
    about, intent = probe(path), _request_beside(path)
    flat = bool(intent.get("flat", about["width"] != 2 * about["height"]))
    return measure_file(path, loop=bool(intent.get("loop", True)), flat=flat, wrap=bool(intent.get("wrap", False)))


def measure_file(
    path: Path,
    *,
    loop: bool,
    flat: bool,
    wrap: bool,
    reference: Sequence[ReferenceView] | None = None,
    arcs: Arcs | None = None,
) -> dict[str, Any]:
    """The figures of a video file: see :func:`.metrics.figures` for the arguments.

    Of a long or large video the first and the last frames are measured, at most 64 in all and 1.5 GB. Raises
    ``SkyloopError(bad_request)`` when it is not a video of at least 32x32 pixels.
    """
    about = probe(path)
    width, height = about["width"], about["height"]
    if width < 32 or height < 32:
        raise bad_request(f"{path} is {width}x{height}: too small to measure.", "Give a video of 32 pixels or more.")
    most = max(4, min(MOST_FRAMES, _MEMORY_BYTES // (width * height * 3)))
    frames, gap = _ends(path, most)
    if not len(frames):
        raise bad_request(f"{path} has no frames.", "Give a video that plays.")
    fps = about["fps"] or 1.0
    return figures(frames, fps=fps, loop=loop, flat=flat, wrap=wrap, reference=reference, gap=gap, arcs=arcs)


def _ends(path: Path, most: int) -> tuple[np.ndarray, int | None]:
    """At most ``most`` frames, the first and the last of the video, and after which of them some were left out."""
    first: list[np.ndarray] = []
    last: deque[np.ndarray] = deque(maxlen=most // 2)
    count = 0
    for frame in read_frames(path):
        count += 1
        if len(first) < most - most // 2:
            first.append(frame)
        else:
            last.append(frame)
    frames = np.stack([*first, *last]) if first else np.empty((0, 0, 0, 3), np.uint8)
    return frames, len(first) - 1 if count > len(frames) else None


def _request_beside(path: Path) -> dict[str, Any]:
    for name in ("result.json", "request.json"):
        try:
            document = json.loads((path.parent / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            request = document.get("request", document)
            return request if isinstance(request, dict) else {}
    return {}

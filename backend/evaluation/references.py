"""The yardstick of a suite: what the model makes in single windows, made once a prompt and kept for all methods.

A reference depends on the prompt and on how much of the world a window sees, not on how windows are joined, nor on a
sky's seed or steps: it is made with the model's own steps and guidance, several seeds a pitch.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..media.files import atomic_write, writing
from ..protocol import Event, GenerateRequest, bad_request
from .spatial import ReferenceView

SEEDS = (0, 1, 2, 3)
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def about(request: GenerateRequest) -> dict[str, Any]:
    """What the references of a sky depend on: they are made anew where this has changed."""
    return {
        "prompt": request.prompt,
        "negative": request.negative,
        "model": request.model,
        "fps": request.fps,
        "fov_deg": request.fov_deg,
        "width": request.width,
        "seeds": list(SEEDS),
    } | ({"loras": [list(each) for each in request.loras]} if request.loras else {})


def make(request: GenerateRequest, path: Path, engine: Any) -> Generator[Event, None, None]:
    """Sample the references of a sky's prompt into the file ``path``. Yields ``phase`` events."""
    from .. import measuring, pipeline
    from ..fields import Fields
    from ..methods import Task

    model = engine.model(request.model, request.device, request.lora_files)
    full = pipeline.in_full(replace(request, steps=0, guidance=0.0), model.spec)
    task = Task(model, full, pipeline.encode_prompts(model, full), Fields())
    # What a window sees where a sky is as fine as its movie; while the layout forms it never sees more than asked for.
    fov_deg = min(request.fov_deg, 360 * model.spec.cells * model.spec.ratio / request.width)
    found: list[ReferenceView] = []
    for seed in SEEDS:
        found += yield from measuring.sample_references(task, math.radians(fov_deg), seed)
    save(path, about(request), found)


def save(path: Path, facts: dict[str, Any], views: Sequence[ReferenceView]) -> None:
    """Write references and what they depend on as one compressed numpy file."""
    arrays: dict[str, Any] = {f"frames{i}": view.frames for i, view in enumerate(views)}
    places = np.array([(view.pitch_deg, view.fov_deg) for view in views])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(facts)), places=places, **arrays)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, buffer.getvalue())


def kept(path: Path, facts: dict[str, Any]) -> bool:
    """Whether the file holds the references for that."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(str(file["about"])) == facts
    except _DAMAGED:
        return False


def load(path: Path) -> list[ReferenceView]:
    """The references in a file of :func:`save`. Raises ``SkyloopError(bad_request)``."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return [
                ReferenceView(pitch_deg=float(pitch), fov_deg=float(fov), frames=file[f"frames{i}"])
                for i, (pitch, fov) in enumerate(file["places"])
            ]
    except _DAMAGED as error:
        raise bad_request(f"The reference windows in {path} cannot be read.", "Start the suite again.") from error

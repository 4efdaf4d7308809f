"""What a moving camera ever sees of the sky."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .protocol import CameraKey, GenerateRequest
from .sampling import axes

MARGIN = 0.1  # of the field of view, on every side
_GRAIN = MARGIN / 4  # views closer than this part of the field of view count as one


def seen(key: CameraKey, directions: Tensor, margin: float = MARGIN) -> Tensor:
    """Which of ``directions`` (h, w, 3) a view shows: (h, w) bool; ``margin`` is a part of the field of view."""
    yaw, pitch, roll, fov = (math.radians(a) for a in (key.yaw_deg, key.pitch_deg, key.roll_deg, key.fov_deg))
    right, ahead, up = (directions @ axes(yaw, pitch, roll).T).unbind(-1)
    fov_down = 2 * math.atan(math.tan(fov / 2) / key.aspect)
    across, down = torch.atan2(right.abs(), ahead), torch.atan2(up.abs(), ahead)
    return (across <= fov * (0.5 + margin)) & (down <= fov_down * (0.5 + margin))


def views(request: GenerateRequest, frames: range) -> Iterator[CameraKey]:
    """The views of the request's camera that show any of ``frames`` of the sky, without those that nearly are another.

    The shot runs from frame 0 to the last key, or to the sky's end if that is later. Where it is longer than the sky,
    a loop repeats, and what is no loop rests on its last frame.
    """
    keys, count = request.camera, request.frames
    shot = np.arange(max(keys[-1].frame + 1, count))
    shown = shot % count if request.loop else np.minimum(shot, count - 1)
    shot = shot[np.isin(shown, np.asarray(frames))]
    at = [k.frame for k in keys]
    # The shorter way around, as the path of a camera that turns past the back jumps there.
    turns = [np.degrees(np.unwrap(np.radians([getattr(k, n) for k in keys]))) for n in ("yaw_deg", "roll_deg")]
    others = [[getattr(k, n) for k in keys] for n in ("pitch_deg", "fov_deg", "aspect")]
    yaw, roll, pitch, fov, aspect = (np.interp(shot, at, values) for values in (*turns, *others))
    grain_deg = _GRAIN * min(k.fov_deg for k in keys)
    rounded = np.stack([*(x / grain_deg for x in (yaw, roll, pitch, fov)), np.log(aspect) / _GRAIN]).round()
    _, chosen = np.unique(rounded, axis=1, return_index=True)
    for i in chosen:
        yield CameraKey(int(shot[i]), *(float(x[i]) for x in (yaw, pitch, fov, aspect, roll)))

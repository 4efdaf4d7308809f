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
_WIDEST = math.radians(89.0)  # half a field of view
_GRAIN = MARGIN / 2  # views closer than this part of the field of view count as one


def ever_seen(request: GenerateRequest, frames: range, directions: Tensor, margin: float = MARGIN) -> Tensor:
    """Which of ``directions`` (..., 3) any view shows: (...) bool. ``margin`` is a part of the field of view."""
    rest = directions.reshape(-1, 3)
    seen, index = torch.zeros(len(rest), dtype=torch.bool), torch.arange(len(rest))
    for number, key in enumerate(views(request, frames)):
        if number % 16 == 0:  # what has been seen need not be looked at again
            index = (~seen).nonzero()[:, 0]
            rest = directions.reshape(-1, 3)[index]
        yaw, pitch, roll, fov = (math.radians(a) for a in (key.yaw_deg, key.pitch_deg, key.roll_deg, key.fov_deg))
        fov_down = 2 * math.atan(math.tan(fov / 2) / key.aspect)
        across, down = (math.tan(min((0.5 + margin) * f, _WIDEST)) for f in (fov, fov_down))
        turn = axes(yaw, pitch, roll)
        near = (rest @ turn[1] >= 1 / math.sqrt(1 + across**2 + down**2)).nonzero()[:, 0]  # the cone of the corners
        right, ahead, up = (rest[near] @ turn.T).unbind(-1)
        seen[index[near[(right.abs() <= across * ahead) & (up.abs() <= down * ahead)]]] = True
    return seen.reshape(directions.shape[:-1])


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

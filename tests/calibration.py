"""A film that can be read from pixels: which direction is where, which colour came out, which frame it is.

Around the horizon red is ahead, green to the right, yellow behind and blue to the left, each with its word (mirroring
shows); cyan is above, magenta below. Grey and colour patches lie between 24° and 40° up. Below the horizon eight
squares tell the number of the frame, the most significant first, white for one; the same in all four directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from backend.media.video import VideoWriter

# Where the plain colour of each direction can be read (yaw, pitch in degrees), and what it is in the film (sRGB).
FRONT, RIGHT, BACK, LEFT, UP, DOWN = (0, 10), (90, 10), (180, 10), (-90, 10), (0, 75), (0, -75)
COLORS = {
    FRONT: (200, 20, 20),
    RIGHT: (20, 160, 20),
    BACK: (220, 200, 20),
    LEFT: (20, 40, 220),
    UP: (20, 180, 180),
    DOWN: (180, 20, 180),
}
WORDS = {0: "FRONT", 90: "RIGHT", 180: "BACK", -90: "LEFT"}
# The patches: the same in each direction, at this yaw from it.
PATCH_PITCH = 32
PATCHES = {-30: (230, 120, 40), -15: (64, 64, 64), 0: (128, 128, 128), 15: (192, 192, 192), 30: (60, 120, 200)}
SQUARE_DEG, SQUARES_PITCH, BITS = 4.0, -24.0, 8
_WORD_PITCH = -8

Sample = Callable[[float, float], np.ndarray]
"""The colour, (3,) RGB, that is seen in a direction (yaw, pitch in degrees)."""


def frame(number: int, width: int) -> np.ndarray:
    """Frame ``number`` of the film, (width / 2, width, 3) uint8."""
    height = width // 2
    made = np.zeros((height, width, 3), np.uint8)
    yaws = np.arange(width) / width * 360 - 180 + 180 / width
    for (yaw, pitch), color in COLORS.items():
        if abs(pitch) < 45:
            made[:, np.abs((yaws - yaw + 180) % 360 - 180) <= 45] = color
    _fill(made, -180, 180, 60, 90, COLORS[UP])
    _fill(made, -180, 180, -90, -60, COLORS[DOWN])
    for yaw, word in WORDS.items():
        for beside, color in PATCHES.items():
            _fill(made, yaw + beside - 7.5, yaw + beside + 7.5, PATCH_PITCH - 8, PATCH_PITCH + 8, color)
        for bit in range(BITS):
            left = yaw + (bit - BITS / 2) * SQUARE_DEG
            level = 255 if number >> (BITS - 1 - bit) & 1 else 0
            bottom = SQUARES_PITCH - SQUARE_DEG / 2
            _fill(made, left, left + SQUARE_DEG, bottom, bottom + SQUARE_DEG, (level,) * 3)
        made = _with_word(made, word, yaw)
    return made


def write(path: Path, *, frames: int = 24, width: int = 512, fps: float = 24.0) -> Path:
    """The film as ours are."""
    with VideoWriter(path, width, width // 2, fps, frames) as writer:
        for number in range(frames):
            writer.write(frame(number, width))
    return path


def on_frame(panorama: np.ndarray) -> Sample:
    """What is seen in an equirectangular frame, as the mean of a few pixels."""
    height, width = panorama.shape[:2]

    def sample(yaw: float, pitch: float) -> np.ndarray:
        x, y = round((yaw / 360 + 0.5) * width) % width, round((0.5 - pitch / 180) * height)
        columns = np.arange(x - 1, x + 2) % width
        rows = np.clip(np.arange(y - 1, y + 2), 0, height - 1)
        return panorama[np.ix_(rows, columns)].reshape(-1, panorama.shape[2])[:, :3].mean(axis=0)

    return sample


def in_view(picture: np.ndarray, yaw: float, pitch: float, fov_deg: float) -> Sample:
    """What is seen in a perspective picture (any height and width) that looks at (yaw, pitch), level; ``fov_deg`` is
    the vertical field of view. Directions outside of it raise ``ValueError``."""
    height, width = picture.shape[:2]
    focal = height / 2 / math.tan(math.radians(fov_deg) / 2)

    def sample(at_yaw: float, at_pitch: float) -> np.ndarray:
        a, p, up = math.radians(at_yaw - yaw), math.radians(at_pitch), math.radians(pitch)
        x, y, z = math.cos(p) * math.sin(a), math.sin(p), math.cos(p) * math.cos(a)  # right, up, level ahead
        y, z = y * math.cos(up) - z * math.sin(up), y * math.sin(up) + z * math.cos(up)
        column, row = (width / 2 + focal * x / z, height / 2 - focal * y / z) if z > 0 else (-1, -1)
        if not (1 <= column < width - 1 and 1 <= row < height - 1):
            raise ValueError(f"yaw {at_yaw}, pitch {at_pitch} is not in the picture")
        patch = picture[int(row) - 1 : int(row) + 2, int(column) - 1 : int(column) + 2]
        return patch.reshape(-1, picture.shape[2])[:, :3].mean(axis=0)

    return sample


def number_in(sample: Sample, yaw: float = 0) -> int:
    """The number of the frame, read from the squares in the direction ``yaw`` (of those of :data:`WORDS`)."""
    squares = [sample(yaw + (bit + 0.5 - BITS / 2) * SQUARE_DEG, SQUARES_PITCH) for bit in range(BITS)]
    return sum(int(square.mean() > 127.5) << (BITS - 1 - bit) for bit, square in enumerate(squares))


def color_errors(sample: Sample, *, turned_deg: float = 0.0) -> dict[tuple[float, float], float]:
    """By how much each colour is off, in steps of 255, when the film's centre is shown at ``turned_deg``; directions
    that ``sample`` does not see (``ValueError``) are left out."""
    wanted = dict(COLORS)
    for yaw in WORDS:
        wanted |= {(yaw + beside, PATCH_PITCH): color for beside, color in PATCHES.items()}
    found = {}
    for (yaw, pitch), color in wanted.items():
        try:
            found[yaw, pitch] = float(np.abs(sample(yaw + turned_deg, pitch) - color).max())
        except ValueError:
            continue
    return found


def _fill(made: np.ndarray, left: float, right: float, bottom: float, top: float, color: tuple[int, ...]) -> None:
    """Paint from yaw ``left`` to ``right`` and pitch ``bottom`` to ``top``, across the seam if need be."""
    height, width = made.shape[:2]
    columns = np.arange(round((left / 360 + 0.5) * width), round((right / 360 + 0.5) * width)) % width
    made[round((0.5 - top / 180) * height) : round((0.5 - bottom / 180) * height), columns] = color


def _with_word(made: np.ndarray, word: str, yaw: float) -> np.ndarray:
    height, width = made.shape[:2]
    scale = width / 1024
    (wide, high), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, scale, max(1, round(2 * scale)))
    middle = np.roll(made, -round(yaw / 360 * width), axis=1)
    at = ((width - wide) // 2, round((0.5 - _WORD_PITCH / 180) * height) + high // 2)
    middle = np.ascontiguousarray(middle)
    cv2.putText(middle, word, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), max(1, round(2 * scale)))
    return np.roll(middle, round(yaw / 360 * width), axis=1)

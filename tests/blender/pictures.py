"""Pictures for tests: written without loss, and what their values mean."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def save_png(file: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8."""
    height, width = picture.shape[:2]
    with av.open(str(file), "w", format="image2") as still:
        stream = still.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        still.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        still.mux(stream.encode())


def save_exr(file: Path, picture: np.ndarray) -> None:
    """Write linear values (H, W, 3) float32."""
    height, width = picture.shape[:2]
    frame = av.VideoFrame.from_ndarray(picture, format="gbrpf32le")
    with av.open(str(file), "w", format="image2") as still:
        stream = still.add_stream("exr", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "gbrpf32le"
        still.mux(stream.encode(frame))
        still.mux(stream.encode())


def linear(value: float) -> float:
    """Of an sRGB value of 0 to 255."""
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def srgb(value: float) -> float:
    """0 to 255, of a linear value."""
    return 255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055)


def directions(height: int) -> np.ndarray:
    """Unit vectors (H, 2H, 3) of an equirectangular picture's pixels: to the right, ahead, up."""
    yaw = ((np.arange(2 * height) + 0.5) / height - 1) * np.pi
    pitch = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    ahead = [np.cos(pitch) * np.sin(yaw), np.cos(pitch) * np.cos(yaw), np.sin(pitch).repeat(2 * height, 1)]
    return np.stack(ahead, axis=-1)


def direction(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    return np.array([np.cos(pitch) * np.sin(yaw), np.cos(pitch) * np.cos(yaw), np.sin(pitch)])

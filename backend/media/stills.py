"""Still pictures: PNG written whole or not at all, and any common format read. Paths may hold any character."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..protocol import bad_request
from .files import atomic_write
from .pictures import read_picture


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB. Raises ``SkyloopError``: bad_request (shape, place), disk_full, internal."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise bad_request(f"A picture of {rgb.shape} {rgb.dtype} cannot be written.", "Give (H, W, 3) uint8 RGB.")
    # cv2.imwrite takes no Unicode paths on Windows, so the bytes are made here and written by Python.
    _, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    atomic_write(path, data.tobytes())


def read_image(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB. Raises ``SkyloopError(bad_request)`` when it is not one."""
    return read_picture(path)[0]

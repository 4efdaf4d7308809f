"""Painted masks: how white a picture of the whole panorama is, with its edges feathered."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from .lighting import blurred
from .media.pictures import read_picture
from .protocol import GenerateRequest
from .sampling import Image, Where, smoothstep

FEATHER_DEG = 1.5  # standard deviation of the blur that softens an edge
HEIGHT = 512  # a mask is soft, and needs no more


class Mask:
    """``painted`` (H, W) in [0, 1] as it is in the file, and ``soft``, what is read."""

    def __init__(self, painted: np.ndarray, request: GenerateRequest) -> None:
        self.painted, self.soft, self.wrap = painted, soften(painted, request), request.wrap
        self._image = Image(self.soft)

    @staticmethod
    def load(path: str, request: GenerateRequest, *, unknown: float) -> Mask:
        """Read a file; what is transparent counts as ``unknown``. Raises ``SkyloopError(bad_request)`` naming it."""
        rgb, alpha = read_picture(path)
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        return Mask(grey if alpha is None else unknown + alpha * (grey - unknown), request)

    def at(self, where: Where) -> Tensor:
        """Weights (h, w): exactly 0 or 1 a few degrees from any edge, smooth between."""
        return self._image.at(where, wrap=self.wrap)[0]


def soften(mask: np.ndarray, request: GenerateRequest) -> np.ndarray:
    """A mask (H, W) in [0, 1] at the work size, blurred, and 0 or 1 again where the blur has all but faded."""
    width = round(HEIGHT * request.width / request.height)
    smaller = mask.shape[0] > HEIGHT
    mask = cv2.resize(mask, (width, HEIGHT), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    soft = _blurred_plane(mask, request.wrap) if request.flat else blurred(mask, FEATHER_DEG)
    return smoothstep(torch.from_numpy((soft - 0.05) / 0.9)).numpy()


def _blurred_plane(mask: np.ndarray, wrap: bool) -> np.ndarray:
    sigma = len(mask) * FEATHER_DEG / 180
    pad = math.ceil(4 * sigma)
    wide = cv2.copyMakeBorder(mask, 0, 0, pad, pad, cv2.BORDER_WRAP if wrap else cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(wide, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[:, pad:-pad]

"""How much of a given picture a moving panorama keeps: its low frequencies and its colours, in the mean over time."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .views import extended

# Standard deviation of the blur that leaves the low frequencies, degrees.
LOW_PASS_DEG = 3.0


def fidelity(frames: np.ndarray, picture: np.ndarray, known: np.ndarray, *, flat: bool = False) -> dict[str, float]:
    """Frames (T, H, W, 3) uint8 against a picture (H, W, 3) uint8 that is ``known`` (H, W) in [0, 1] in parts.

    ``fidelity_db``: PSNR of the mean frame, ``fidelity_low_db``: of its low frequencies (a blur of 3 degrees), both
    weighted by area on the sphere (WS-PSNR, Sun et al. 2017); ``fidelity_color``: CIE76 delta E of the mean colours.
    """
    height, width = picture.shape[:2]
    area = np.ones(height) if flat else np.cos((np.arange(height) + 0.5) / height * math.pi - math.pi / 2)
    weight = known * area[:, None].astype(np.float32)
    mean = frames.mean(axis=0, dtype=np.float32)
    ours, theirs = _low(mean, flat), _low(picture.astype(np.float32), flat)
    colours = [_mean_lab(image, weight) for image in (mean, picture.astype(np.float32))]
    return {
        "fidelity_db": round(_psnr(mean, picture.astype(np.float32), weight), 2),
        "fidelity_low_db": round(_psnr(ours, theirs, weight), 2),
        "fidelity_color": round(float(np.linalg.norm(colours[0] - colours[1])), 3),
    }


def _psnr(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> float:
    error = float((((one - other) ** 2).mean(axis=2) * weight).sum() / weight.sum())
    return 10 * math.log10(255**2 / max(error, 1e-2))


def _low(image: np.ndarray, flat: bool) -> np.ndarray:
    """Blurred over rows and columns alike; the weights leave the poles, where that is wide, little say."""
    wide = extended(image, flat=flat)
    pad = (wide.shape[0] - image.shape[0]) // 2
    sigma = image.shape[0] * LOW_PASS_DEG / 180
    return cv2.GaussianBlur(wide, (0, 0), sigma)[pad : pad + image.shape[0], pad : pad + image.shape[1]]


def _mean_lab(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(image / np.float32(255), cv2.COLOR_RGB2LAB)
    return (lab * weight[..., None]).sum(axis=(0, 1)) / weight.sum()

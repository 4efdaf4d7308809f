"""Whether the poles of an equirectangular picture look like any other direction."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .spatial import ratio
from .views import PAD, Lens, View, erp_pixels, extended, turned

_ANNULUS_DEG = (1.0, 10.0)


def pole(greys: np.ndarray, pitch_deg: float) -> float:
    """Gradient around the pole over gradient away from it, 1 to 10 degrees from it; ``pitch_deg`` is 90 or -90.

    E|dI/dtheta| / E|dI/dr| in a perspective view of the pole. Texture without direction gives 1, pass 0.85 to 1.15;
    spokes (a pinched pole) give more, rings (a smeared one) less. A plain gradient towards the zenith, as in a clear
    sky, is honestly below 1.
    """
    height, width = greys.shape[1:]
    fov_deg = 2 * _ANNULUS_DEG[1] + 4
    size = max(24, round(fov_deg * height / 180))
    lens = Lens.on_sphere(View(0, pitch_deg, fov_deg), size, height, width)
    across = (np.arange(size) + 0.5 - size / 2) * lens.scale
    x, y = np.meshgrid(across, across)
    radius = np.maximum(np.hypot(x, y), 1e-9)
    low, high = (math.tan(math.radians(a)) for a in _ANNULUS_DEG)
    inside = (radius >= low) & (radius <= high)
    around = away = 0.0
    for grey in greys:
        dy, dx = np.gradient(lens(extended(grey.astype(np.float32))))
        around += float(np.abs((x * dy - y * dx) / radius)[inside].mean())
        away += float(np.abs((x * dx + y * dy) / radius)[inside].mean())
    return ratio(around / len(greys), away / len(greys))


_RINGS = 10
_BESIDE_DEG = 60.0
_AROUND = 6
# Where there is less than a grey level squared of fine detail, the usual part of it counts as the finest.
_LEAST_ENERGY = 1.0
_USUAL = 0.3


def pole_spectrum(greys: np.ndarray, pitch_deg: float) -> float:
    """How fine the detail on rings around the pole is, over that around places 60 degrees up (down); pass 0.7 to 1.4.

    On a ring at angle r from its centre, a picture H pixels high that is equally fine everywhere holds H sin(r) waves,
    though the rows of the frame hold H of them at any r. The figure compares the energy of more than 3/4 as many waves
    as that, as part of the energy of more than half as many, on rings 1 to 10 degrees from the centre. 1 is like any
    other direction; a pinched pole or a star, whose rows are as busy as any, gives up to 3. A pole that is merely soft
    is for the detail in its view to tell.
    """
    sign = 1 if pitch_deg > 0 else -1
    beside = [_finest(greys, View(yaw, sign * _BESIDE_DEG)) for yaw in np.arange(_AROUND) * 360 / _AROUND]
    return _finest(greys, View(0, sign * 90.0)) / math.exp(float(np.mean(np.log(beside))))


def _finest(greys: np.ndarray, centre: View) -> float:
    height, width = greys.shape[1:]
    radii = np.radians(np.linspace(*_ANNULUS_DEG, _RINGS))[:, None]
    theta = np.arange(2 * width) * (math.pi / width)
    rings = np.sin(radii)[..., None] * np.stack([np.cos(theta), 0 * theta, np.sin(theta)], axis=-1)
    rings[..., 1] = np.cos(radii)
    x, y = erp_pixels(turned(rings, centre.yaw_deg, centre.pitch_deg), height, width)
    x, y = (x + PAD).astype(np.float32), (y + PAD).astype(np.float32)
    fineness = np.arange(1, width + 1) / (height * np.sin(radii))
    energy = np.zeros(fineness.shape)
    for grey in greys:
        values = cv2.remap(extended(grey.astype(np.float32)), x, y, cv2.INTER_CUBIC)
        energy += 2 * np.abs(np.fft.rfft(values, axis=1)[:, 1:] / len(theta)) ** 2
    finest, fine = (float(energy[fineness > part].sum()) / _RINGS / len(greys) for part in (0.75, 0.5))
    return (finest + _USUAL * _LEAST_ENERGY) / (fine + _LEAST_ENERGY)

"""Band-limited noise in a periodic volume, and the fractal sum whose octaves fade out below the pixel size."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 128  # voxels along an edge of the volume
PERIOD = 16.0  # its length in noise units: the coarse channel has wavelength 1, the fine one 1/2
ROTATION = math.radians(37.0)  # between octave pairs, so that their repeats never line up


class Noise:
    """Smooth isotropic noise of unit variance: two octaves for one look-up, periodic every 16 units."""

    def __init__(self, device: torch.device | str) -> None:
        generator = torch.Generator().manual_seed(7)
        k = torch.fft.fftfreq(SIZE) * SIZE
        radius = (k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2).sqrt().clamp(min=1e-3)
        channels = []
        for centre in (PERIOD, 2 * PERIOD):
            band = torch.exp(-((torch.log2(radius / centre) / 0.45) ** 2))
            white = torch.randn(SIZE, SIZE, SIZE, generator=generator)
            smooth = torch.fft.ifftn(torch.fft.fftn(white) * band).real
            channels.append(smooth / smooth.std())
        volume = torch.stack(channels)
        for axis in (1, 2, 3):  # one wrapped voxel more, so that the last cell can be interpolated
            volume = torch.cat([volume, volume.narrow(axis, 0, 1)], dim=axis)
        self._volume = volume[None].to(device)

    def __call__(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coarse and fine octave at broadcastable coordinates, each of their common shape."""
        p = torch.stack(torch.broadcast_tensors(x, y, z), dim=-1)
        q = torch.remainder(p, PERIOD) * (2.0 / PERIOD) - 1.0
        out = F.grid_sample(self._volume, q.reshape(1, 1, 1, -1, 3), "bilinear", "border", align_corners=True)
        coarse, fine = out.reshape(2, *p.shape[:-1])
        return coarse, fine

    def fbm(
        self,
        x: Tensor,
        y: Tensor,
        z: Tensor,
        pairs: int,
        pixel: Tensor,
        *,
        gain: float = 0.55,
        lift: float = 2.0,
        billow: bool = False,
    ) -> Tensor:
        """Fractal sum of ``2 * pairs`` octaves, about unit variance.

        pixel: size of a pixel in noise units (broadcastable); octaves shorter than about two pixels fade out.
        lift: growth of z for each pair; 2 suits time (fine detail boils faster), 4 suits a third dimension of space.
        billow: fold all but the first octave, which makes rounded heaps.
        """
        total: Tensor | float = 0.0
        energy, amplitude, scale = 0.0, 1.0, 1.0
        c, s = 4.0 * math.cos(ROTATION), 4.0 * math.sin(ROTATION)
        for pair in range(pairs):
            for octave, n in enumerate(self(x, y, z)):
                weight = (1.0 / (pixel * scale) * 0.5 - 0.6).clamp(0.0, 1.0)
                if billow and pair + octave > 0:
                    n = (n.abs() - 0.8) * -1.5
                total = total + n * (weight * amplitude)
                energy += amplitude * amplitude
                amplitude, scale = amplitude * gain, scale * 2.0
            x, y, z = x * c - y * s + 3.7, x * s + y * c + 7.1, z * lift + 5.3
        assert isinstance(total, Tensor)
        return total / math.sqrt(energy)

"""A film as numbered pictures: PNG as it is, or EXR in linear light, with what display white cut off put back by guess.

A sequence is a folder, made beside its place and renamed once it is whole.
"""

from __future__ import annotations

import contextlib
import math
import re
import secrets
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.codec import CodecContext

from .lighting import LINEAR, Sun
from .media.files import private_folder, writing
from .media.video import probe, read_frames
from .protocol import ErrorKind, SkyloopError, bad_request

README = "README.txt"
_OURS = re.compile(r"sky_\d{4,}\.(png|exr)")
_BYTES_PER_PIXEL = {"png": 3.1, "jpg": 3.1, "exr": 6.1, "hdr": 4.1}  # at most, were nothing to be packed
_SPARE_BYTES = 64 << 20
# Display values (as in the film) up to here stay as they are.
KNEE = 0.8
# What part of the boost highlights get that are no sun; and how far around it (degrees) the sun's reaches, at least.
ELSEWHERE, LEAST_REACH_DEG = 0.35, 4.0


@dataclass(frozen=True)
class Wanted:
    """What to write: ``boost`` in stops, and the sun of each frame (None where there is none), for the boost."""

    format: str = "png"
    boost: float = 0.0
    suns: Sequence[Sun | None] = ()


def expanded(frame: np.ndarray, boost: float, sun: Sun | None = None) -> np.ndarray:
    """Linear Rec.709 (h, w, 3) float32 of a frame (h, w, 3) uint8, white being 1 or, where it shines, up to
    ``2 ** boost``: an estimate of what the film has cut off.

    Where the largest channel is below :data:`KNEE` nothing changes; above, the gain rises smoothly, all channels alike.
    Around the sun it goes all the way, elsewhere :data:`ELSEWHERE` of it.
    """
    light = LINEAR[frame]
    if boost == 0:
        return light
    value = frame.max(axis=2).astype(np.float32) / 255
    t = ((value - KNEE) / (1 - KNEE)).clip(0, 1)
    stops = boost * t * t * (3 - 2 * t)
    stops *= ELSEWHERE + (1 - ELSEWHERE) * _around(sun, *value.shape) if sun else ELSEWHERE
    return light * np.exp2(stops)[..., None]


def _around(sun: Sun, height: int, width: int) -> np.ndarray:
    """1 at the sun, falling smoothly around it: (height, width) float32."""
    yaw, pitch = math.radians(sun.yaw_deg), math.radians(sun.pitch_deg)
    yaws = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1) * math.pi
    pitches = (0.5 - (np.arange(height, dtype=np.float32) + 0.5) / height) * math.pi
    level, upright = np.cos(pitches) * math.cos(pitch), np.sin(pitches) * math.sin(pitch)
    cosine = np.outer(level, np.cos(yaws - yaw)) + upright[:, None]
    reach = math.radians(max(LEAST_REACH_DEG, sun.size_deg))
    return np.exp((cosine - 1) / reach**2).astype(np.float32)


class ExrEncoder:
    """Frames of one size as OpenEXR files: half floats, packed without loss. Its primaries are EXR's own, Rec.709."""

    def __init__(self, width: int, height: int) -> None:
        self._codec = CodecContext.create("exr", "w")
        self._codec.width, self._codec.height, self._codec.pix_fmt = width, height, "gbrpf32le"
        self._codec.time_base, self._codec.thread_count = Fraction(1, 24), 1
        self._codec.options = {"format": "half", "compression": "zip16"}

    def __call__(self, light: np.ndarray) -> bytes:
        """One file of linear light (h, w, 3) float32."""
        height, width = light.shape[:2]
        light = light.clip(0, 65504).astype(np.float16)  # rounded: FFmpeg cuts off
        picture = av.VideoFrame(width, height, "gbrpf32le")
        for plane, channel in zip(picture.planes, (1, 2, 0), strict=True):
            rows = np.zeros((height, plane.line_size // 4), np.float32)
            rows[:, :width] = light[..., channel]
            plane.update(rows.tobytes())
        return b"".join(bytes(packet) for packet in self._codec.encode(picture))


def write_sequence(film: Path, folder: Path, wanted: Wanted) -> Generator[tuple[int, int], None, None]:
    """Write the frames of ``film`` as ``sky_0001.png`` and so on into ``folder``; yields how many of how many are done.

    The folder must be new, empty, or hold an earlier sequence only, which is replaced when the new one is whole.
    Close the iterator to cancel: nothing is left then. Raises ``SkyloopError``: bad_request, disk_full, internal.
    """
    about = probe(film)
    check_target(folder)
    check_room(folder, about["width"] * about["height"] * about["frames"], wanted.format)
    folder = folder.absolute()
    private_folder(folder.parent)
    beside = folder.parent / f".{folder.name[:80]}.{secrets.token_hex(4)}.part"
    with writing(beside):
        beside.mkdir()
    try:
        encode, done = _encoder(wanted, about["width"], about["height"]), 0
        for number, frame in enumerate(read_frames(film)):
            path = beside / f"sky_{number + 1:04d}.{wanted.format}"
            with writing(path):
                path.write_bytes(encode(frame, number))
            done = number + 1
            yield done, max(done, about["frames"])
        if not done:
            raise bad_request(f"{film} has no frames.", "Give another film.")
        with writing(beside / README):
            (beside / README).write_text(_readme(wanted, done, about["fps"]), encoding="utf-8")
        _swap(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _encoder(wanted: Wanted, width: int, height: int) -> Callable[[np.ndarray, int], bytes]:
    if wanted.format == "png":
        return lambda frame, _: cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
    exr = ExrEncoder(width, height)
    return lambda frame, n: exr(expanded(frame, wanted.boost, wanted.suns[n] if n < len(wanted.suns) else None))


def check_target(folder: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` unless ``folder`` is new, empty, or holds nothing but a sequence."""
    hint = "Choose a new or empty folder."
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise bad_request(f"{folder} is no folder.", hint)
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise bad_request(f"{str(folder)[:200]} cannot be used ({error.strerror}).", hint) from error
    if other := [name for name in names if name != README and not _OURS.fullmatch(name)]:
        raise bad_request(f"{folder} has other files in it, such as {other[0][:60]}.", hint)


def check_room(folder: Path, pixels: int, kind: str) -> None:
    """Raises ``SkyloopError(disk_full)`` where the disk of ``folder`` may be too small for so many pixels in all."""
    existing = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), None)
    needed = int(pixels * _BYTES_PER_PIXEL[kind]) + _SPARE_BYTES
    if existing and (free := shutil.disk_usage(existing).free) < needed:
        text = f"{folder} has {free / 1e6:.0f} MB of free space and the frames may take {needed / 1e6:.0f} MB."
        raise SkyloopError(ErrorKind.DISK_FULL, text, "Free some space or choose a folder on another disk.")


def _swap(beside: Path, folder: Path) -> None:
    """Give a whole sequence its name, in place of an earlier one."""
    old = beside.with_suffix(".old.part")
    with writing(folder):
        if folder.is_dir():
            folder.rename(old)
        try:
            beside.rename(folder)
        except OSError:
            with contextlib.suppress(OSError):
                old.rename(folder)
            raise
    shutil.rmtree(old, ignore_errors=True)


def _readme(wanted: Wanted, frames: int, fps: float) -> str:
    text = [f"{frames} frames, {fps:g} a second, made by Skyloop. In a loop, frame {frames} leads into frame 1."]
    if wanted.format == "png":
        text.append("8 bit sRGB: set the images' colour space to sRGB.")
    else:
        text.append("OpenEXR, half float, linear Rec.709: radiance 1 is display white.")
    if wanted.boost:
        text += [
            f"ESTIMATED: what is brighter than {KNEE:g} of display white was expanded by up to {wanted.boost:g} stops "
            "around the sun, and less elsewhere.",
            "The film itself ends at white; nobody measured what is above it.",
        ]
    text.append("In Blender: an Environment Texture, Open, choose all, then Image Sequence, Auto Refresh, Cyclic.")
    return "\n".join(text) + "\n"

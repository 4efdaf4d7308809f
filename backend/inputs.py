"""What a request brings as pictures, read in any direction: a still or photo, masks, a camera's views, an earlier sky.

``where`` is always what to read at: directions (h, w, 3), or for a flat panorama its coordinates (u, v), each (h, w) in
[-1, 1], both as in :mod:`.sphere`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from . import sphere
from .conditioning import cap_share
from .jobs import store
from .media.pictures import read_picture
from .media.video import probe, read_frames
from .protocol import CameraKey, GenerateRequest, bad_request

Where = Tensor | tuple[Tensor, Tensor]

PHOTO_FEATHER = 0.04  # of the photo's shorter side
MASK_FEATHER_DEG = 1.5  # standard deviation of the blur that softens a painted mask
CAMERA_MARGIN = 0.1  # of the field of view, on every side
_MASK_HEIGHT = 512
_logger = logging.getLogger(__name__)


class Picture:
    """A picture that can be read at any scale: rgb (H, W, 3) uint8 and alpha (H, W) in [0, 1] or None for opaque."""

    def __init__(self, rgb: np.ndarray, alpha: np.ndarray | None = None) -> None:
        self.rgb, self.alpha = rgb, alpha
        self.height, self.width = rgb.shape[:2]

    @staticmethod
    def load(path: str) -> Picture:
        """Read from a file. Raises ``SkyloopError(bad_request)`` naming it."""
        return Picture(*read_picture(path))

    def read(self, u: Tensor, v: Tensor, steps: tuple[float, float], *, wrap: bool) -> tuple[Tensor, Tensor]:
        """Colours (3, h, w) and alpha (h, w), both in [0, 1], at coordinates u, v (h, w).

        ``steps`` are the distances between neighbouring coordinates, across and down: where the picture has more
        pixels than that, it is averaged over areas first. What is transparent gives no colour to what is beside it.
        """
        size = tuple(
            max(2, n if step <= 2 / n else round(2 / step))
            for n, step in zip((self.width, self.height), steps, strict=True)
        )
        if self.alpha is None:
            planes = _shrunk(self.rgb, size).astype(np.float32) / 255
            return _sampled(planes.transpose(2, 0, 1), u, v, wrap), torch.ones(u.shape)
        planes = [_shrunk(self.rgb[..., c] * (self.alpha / 255), size) for c in range(3)]
        alpha = _shrunk(self.alpha, size)
        both = _sampled(np.stack([*planes, alpha]), u, v, wrap)
        return both[:3] / both[3].clamp(min=1e-6), both[3]


def known_picture(request: GenerateRequest, where: Where, picture: Picture | None = None) -> tuple[Tensor, Tensor]:
    """What the request's image shows at ``where``: rgb (3, h, w) in [0, 1], and how far it is known, (h, w) in [0, 1].

    The weight is 0 outside a photo and where the picture is transparent; it rises over 4 % of a photo's shorter side
    from its edges. Give ``picture`` to read the file only once. Raises ``SkyloopError(bad_request)``.
    """
    picture = picture or Picture.load(request.image)
    if isinstance(where, tuple):
        return picture.read(*where, _steps(*where), wrap=request.wrap)
    yaw, pitch = math.radians(request.image_yaw_deg), math.radians(request.image_pitch_deg)
    seen, step = where @ _axes(yaw, pitch).T, _angle_step(where)
    if request.image_fov_deg == 0:
        u, v = sphere.erp_coordinates(seen)
        return picture.read(u, v, (step / math.pi, 2 * step / math.pi), wrap=True)
    right, ahead, up = seen.unbind(-1)
    half = math.tan(math.radians(request.image_fov_deg) / 2)
    shape = picture.width / picture.height
    depth = ahead.clamp(min=1e-6)
    u, v = right / (depth * half), -up / (depth * half) * shape
    rgb, alpha = picture.read(u, v, (step / half, step / half * shape), wrap=False)
    return rgb, alpha * _photo_weight(u, v, shape) * (ahead > 0)


def mask_weights(request: GenerateRequest, where: Where) -> Tensor:
    """What to make anew at ``where``: (h, w) from 0, the source stays exactly, to 1, feathered between.

    Raises ``SkyloopError(bad_request)`` where the mask is no picture.
    """
    if request.mask_at is not None and not isinstance(where, tuple):
        return cap_share(where, *request.mask_at)
    return _mask_at(_read_mask(request.mask, unknown=0.0), request, where)


def motion_weights(request: GenerateRequest, where: Where) -> Tensor:
    """How much of the motion there is at ``where``: (h, w) from 0, still, to 1, all of it; 1 without a motion mask.

    Raises ``SkyloopError(bad_request)`` where the mask is no picture.
    """
    if not request.motion_mask:
        return torch.ones(where[0].shape if isinstance(where, tuple) else where.shape[:-1])
    return _mask_at(_read_mask(request.motion_mask, unknown=1.0), request, where)


def camera_weights(
    request: GenerateRequest, frames: range, directions: Tensor, margin: float = CAMERA_MARGIN
) -> Tensor:
    """Which of ``directions`` (h, w, 3) the camera sees while it shows ``frames`` of the sky: (h, w), 0 or 1.

    The shot may be longer than the sky, which then repeats (loop) or rests on its last frame. ``margin`` is a part of
    the field of view on every side. All is seen where the request has no camera.
    """
    if not request.camera:
        return torch.ones(directions.shape[:-1])
    seen = torch.zeros(directions.shape[:-1], dtype=torch.bool)
    for key in _views(request, frames):
        yaw, pitch, roll, fov = (math.radians(a) for a in (key.yaw_deg, key.pitch_deg, key.roll_deg, key.fov_deg))
        right, ahead, up = (directions @ _axes(yaw, pitch, roll).T).unbind(-1)
        tall = 2 * math.atan(math.tan(fov / 2) / key.aspect)
        across, down = torch.atan2(right.abs(), ahead), torch.atan2(up.abs(), ahead)
        seen |= (across <= fov * (0.5 + margin)) & (down <= tall * (0.5 + margin))
    return seen.float()


def source_video(request: GenerateRequest) -> Path:
    """The video of the sky that the request changes. Raises ``SkyloopError(bad_request)`` where there is none."""
    source = Path(request.source)
    video = source / "sky.mp4" if source.is_dir() else source
    if not video.is_file():
        text = f"{source} has no sky.mp4 in it." if source.is_dir() else f"{source} is not there."
        raise bad_request(text, "Give the folder of an earlier result, or its sky.mp4, as the source.")
    return video


def source_frames(request: GenerateRequest) -> Iterator[np.ndarray]:
    """The frames of the source, (height, width, 3) uint8 RGB, as many and as large as the request's.

    What does not fit is refused at once, before the first frame is asked for. Raises ``SkyloopError(bad_request)``.
    """
    _check_source(request)
    return read_frames(source_video(request))


def check_inputs(request: GenerateRequest) -> None:
    """Read every file that the request names, before any work is done.

    Raises ``SkyloopError(bad_request)`` for the first that is missing, unreadable or does not fit.
    """
    if request.image:
        picture = Picture.load(request.image)
        if picture.alpha is not None and not picture.alpha.any():
            raise bad_request(f"{request.image} is transparent all over.", "Give a picture that shows something.")
        if not request.flat and request.image_fov_deg == 0 and not _is_panorama(picture.width, picture.height):
            raise bad_request(
                f"{request.image} is {picture.width}x{picture.height}: a panorama of the whole sky is twice as wide "
                "as high.", "Say where an ordinary photo belongs by its yaw, pitch and field of view.",
            )  # fmt: skip
    if request.source:
        _check_source(request)
    for name, path in (("mask", request.mask), ("motion mask", request.motion_mask)):
        if path:
            _check_mask(name, path, request)


def _check_mask(name: str, path: str, request: GenerateRequest) -> None:
    mask = _read_mask(path, unknown=0.0)
    height, width = mask.shape
    if not request.flat and not _is_panorama(width, height):
        text = f"{path} is {width}x{height}: the {name} of a 360° sky is twice as wide as high."
        raise bad_request(text, f"Paint it on a picture of {request.width}x{request.height}.")
    if name == "mask" and float(_softened(mask, request).max()) < 0.5:
        text = f"{path} is black all over: it leaves nothing to make anew."
        if mask.max() >= 0.5:
            text = f"What is white in {path} is too small to make anew."
        raise bad_request(text, "Paint white what shall change, some degrees wide at least.")
    if (width, height) != (request.width, request.height):
        _logger.info("%s %s is %dx%d: resampled to %dx%d", name, path, width, height, request.width, request.height)


def _check_source(request: GenerateRequest) -> None:
    video = source_video(request)
    about, made = probe(video), store.recorded(video.parent)
    theirs = {"size": f"{about['width']}x{about['height']}", "frames": about["frames"]}
    ours: dict[str, object] = {"size": f"{request.width}x{request.height}", "frames": request.frames}
    if made is not None:
        names = ("loop", "flat", "wrap")
        theirs |= {name: getattr(made, name) for name in names}
        ours |= {name: getattr(request, name) for name in names}
    if not math.isclose(about["fps"], request.fps, rel_tol=2e-3):
        theirs["fps"], ours["fps"] = f"{about['fps']:g}", f"{request.fps:g}"
    for name, value in ours.items():
        if value != theirs[name]:
            text = f"{video} has {name} {theirs[name]}, the request {value}."
            raise bad_request(text, f"A part is made anew at the source's own {name}.")


def _is_panorama(width: int, height: int) -> bool:
    return abs(width - 2 * height) <= max(2, 0.01 * width)


def _shrunk(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    same = image.shape[1::-1] == size
    return image if same else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _sampled(planes: np.ndarray, u: Tensor, v: Tensor, wrap: bool) -> Tensor:
    """Planes (C, H, W) at coordinates (h, w) -> (C, h, w)."""
    image = torch.from_numpy(np.ascontiguousarray(planes, np.float32))
    return sphere.sample(image[None], u, v, wrap=wrap)[0].clamp(0, 1)


def _photo_weight(u: Tensor, v: Tensor, shape: float) -> Tensor:
    """0 outside a photo of width over height ``shape``, rising smoothly from its edges to 1."""
    across, down = (1 - u.abs()) * max(1.0, shape), (1 - v.abs()) * max(1.0, 1 / shape)
    t = (torch.minimum(across, down) / (2 * PHOTO_FEATHER)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _steps(u: Tensor, v: Tensor) -> tuple[float, float]:
    """Typical distances between neighbours of a grid of coordinates, across and down."""
    across, down = (u[:, 1:] - u[:, :-1]).abs(), (v[1:] - v[:-1]).abs()
    return tuple(float(d.median()) if d.numel() else 0.0 for d in (across, down))  # type: ignore[return-value]


def _angle_step(directions: Tensor) -> float:
    """The typical angle between neighbouring directions, radians: down, as those of ERP rows crowd at the poles."""
    apart = (directions[1:] - directions[:-1]) if len(directions) > 1 else (directions[:, 1:] - directions[:, :-1])
    return float(apart.norm(dim=-1).median()) if apart.numel() else 0.0


def _axes(yaw: float, pitch: float, roll: float = 0.0) -> Tensor:
    """What is right, ahead and up for one who looks there, as rows (3, 3); radians, ``roll`` clockwise."""
    ahead = sphere.direction(torch.tensor(yaw), torch.tensor(pitch))
    level = torch.tensor([math.cos(yaw), -math.sin(yaw), 0.0])
    above = torch.linalg.cross(level, ahead)
    right = level * math.cos(roll) - above * math.sin(roll)
    up = level * math.sin(roll) + above * math.cos(roll)
    return torch.stack([right, ahead, up])


def _views(request: GenerateRequest, frames: range) -> Iterator[CameraKey]:
    """The camera's views of the shot that show any of ``frames``, without those that are nearly another."""
    keys, count = request.camera, request.frames
    shot = np.arange(max(keys[-1].frame + 1, count))
    shown = shot % count if request.loop else np.minimum(shot, count - 1)
    shot = shot[np.isin(shown, np.asarray(frames))]
    at = [k.frame for k in keys]
    # The shorter way around, as a path of a camera that turned past the back jumps there.
    turns = [np.degrees(np.unwrap(np.radians([getattr(k, n) for k in keys]))) for n in ("yaw_deg", "roll_deg")]
    others = [[getattr(k, n) for k in keys] for n in ("pitch_deg", "fov_deg", "aspect")]
    yaw, roll, pitch, fov, aspect = (np.interp(shot, at, values) for values in (*turns, *others))
    grain = CAMERA_MARGIN / 4 * min(k.fov_deg for k in keys)
    rounded = np.stack([yaw / grain, roll / grain, pitch / grain, fov / grain, aspect * 20]).round()
    _, chosen = np.unique(rounded, axis=1, return_index=True)
    for i in chosen:
        yield CameraKey(int(shot[i]), *(float(x[i]) for x in (yaw, pitch, fov, aspect, roll)))


def _read_mask(path: str, unknown: float) -> np.ndarray:
    """How white a picture is, (H, W) in [0, 1]; what is transparent counts as ``unknown``."""
    rgb, alpha = read_picture(path)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return grey if alpha is None else unknown + alpha * (grey - unknown)


def _mask_at(mask: np.ndarray, request: GenerateRequest, where: Where) -> Tensor:
    soft = _softened(mask, request)
    u, v = where if isinstance(where, tuple) else sphere.erp_coordinates(where)
    return _sampled(soft[None], u, v, wrap=request.wrap or not request.flat)[0]


def _softened(mask: np.ndarray, request: GenerateRequest) -> np.ndarray:
    """A painted mask with its edges feathered; what is far from any edge is exactly 0 or 1.

    On the sphere the blur is as wide in every direction: along a parallel by its spectrum, as many times wider in
    columns as the parallel is shorter, then along the meridians, over the poles.
    """
    height = _MASK_HEIGHT
    width = round(height * request.width / request.height) if request.flat else 2 * height
    small = mask.shape[0] > height
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA if small else cv2.INTER_LINEAR)
    sigma = height * MASK_FEATHER_DEG / 180
    if request.flat:
        border = cv2.BORDER_WRAP if request.wrap else cv2.BORDER_REPLICATE
        pad = math.ceil(4 * sigma)
        wide = cv2.copyMakeBorder(mask, 0, 0, pad, pad, border)
        soft = cv2.GaussianBlur(wide, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[:, pad:-pad]
    else:
        parallel = np.cos(np.pi * ((np.arange(height) + 0.5) / height - 0.5))
        wave = np.arange(width // 2 + 1) * math.radians(MASK_FEATHER_DEG)
        gain = np.exp(-0.5 * (wave / parallel[:, None]) ** 2)
        mask = np.fft.irfft(np.fft.rfft(mask, axis=1) * gain, width, axis=1).astype(np.float32)
        pad = math.ceil(4 * sigma)
        over = np.roll(mask, width // 2, axis=1)
        tall = np.concatenate([over[:pad][::-1], mask, over[-pad:][::-1]])
        soft = cv2.GaussianBlur(tall, (1, 2 * pad + 1), sigmaX=1e-6, sigmaY=sigma)[pad:-pad]
    t = ((soft - 0.05) / 0.9).clip(0, 1)
    return t * t * (3 - 2 * t)

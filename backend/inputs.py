"""What a request brings besides text, read in any direction: a still or photo, masks, a camera, an earlier sky.

``where`` is what to read at: directions (h, w, 3), or for a flat panorama its coordinates (u, v), see :mod:`.sampling`.
To read block by block, make a reader once: each reader opens its file when it is made.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import camera
from .conditioning import cap_share
from .jobs import store
from .masks import Mask
from .media.pictures import read_picture
from .media.video import probe, read_frames
from .models import loras
from .models.catalogue import check_given, entries, entry
from .pictures import LEAST_SHOWN, covered
from .protocol import GenerateRequest, bad_request
from .sampling import Image, Where, angle_step, axes, smoothstep

SHAPE_TOLERANCE = 0.02  # sizes are multiples of 16, so a flat one has its shape only about so well
PHOTO_FEATHER = 0.04  # of the photo's shorter side
_logger = logging.getLogger(__name__)


def picture_reader(request: GenerateRequest) -> Callable[[Where], tuple[Tensor, Tensor]]:
    """:func:`known_picture` of the request's image, which is opened now."""
    rgb, alpha = read_picture(request.image)
    # Colours times alpha, so that what is transparent gives none to what is beside it.
    image = Image(rgb if alpha is None else np.dstack([rgb * alpha[..., None] + 0.5, alpha * 255]).astype(np.uint8))
    turn = axes(math.radians(request.image_yaw_deg), math.radians(request.image_pitch_deg))

    def read(where: Where) -> tuple[Tensor, Tensor]:
        inside = torch.ones(())
        if isinstance(where, tuple) or request.image_fov_deg == 0:
            pixels = image.at(where if isinstance(where, tuple) else where @ turn.T, wrap=request.wrap)
        else:
            pixels, inside = _photo(image, where @ turn.T, math.radians(request.image_fov_deg))
        known = pixels[3] if len(pixels) == 4 else torch.ones_like(pixels[0])
        return pixels[:3] / known.clamp(min=1e-3), known * inside

    return read


def known_picture(request: GenerateRequest, where: Where) -> tuple[Tensor, Tensor]:
    """What the request's image shows at ``where``: rgb (3, h, w) in [0, 1], and how far it is known, (h, w) in [0, 1].

    The weight is 0 outside a photo and where the picture is transparent; it rises over 4 % of a photo's shorter side
    from its edges. Raises ``SkyloopError(bad_request)``.
    """
    return picture_reader(request)(where)


def _photo(image: Image, seen: Tensor, fov: float) -> tuple[Tensor, Tensor]:
    """Pixels (C, h, w) and weight (h, w) of a photo at directions (h, w, 3) relative to where it looks."""
    right, ahead, up = seen.unbind(-1)
    half, shape, step = math.tan(fov / 2), image.width / image.height, angle_step(seen)
    depth = ahead.clamp(min=1e-6) * half
    u, v = right / depth, -up / depth * shape
    across, down = (1 - u.abs()) * max(1.0, shape), (1 - v.abs()) * max(1.0, 1 / shape)
    weight = smoothstep(torch.minimum(across, down) / (2 * PHOTO_FEATHER)) * (ahead > 0)
    return image.read(u, v, (step / half, step / half * shape), wrap=False), weight


def mask_reader(request: GenerateRequest) -> Callable[[Where], Tensor]:
    """:func:`mask_weights` of the request's mask, which is opened now."""
    if (place := request.mask_at) is not None:
        return lambda where: cap_share(where, *place) if isinstance(where, Tensor) else torch.zeros(where[0].shape)
    return Mask.load(request.mask, request, unknown=0.0).at


def mask_weights(request: GenerateRequest, where: Where) -> Tensor:
    """What to make anew at ``where``: (h, w) from 0, the source stays exactly, to 1, feathered between.

    Raises ``SkyloopError(bad_request)`` where the mask is no picture.
    """
    return mask_reader(request)(where)


def motion_reader(request: GenerateRequest) -> Callable[[Where], Tensor]:
    """:func:`motion_weights` of the request's motion mask, which is opened now."""
    if not request.motion_mask:
        return lambda where: torch.ones(where.shape[:-1] if isinstance(where, Tensor) else where[0].shape)
    return Mask.load(request.motion_mask, request, unknown=1.0).at


def motion_weights(request: GenerateRequest, where: Where) -> Tensor:
    """How much of the motion there is at ``where``: (h, w) from 0, still, to 1, all of it; 1 without a motion mask.

    Raises ``SkyloopError(bad_request)`` where the mask is no picture.
    """
    return motion_reader(request)(where)


def camera_weights(
    request: GenerateRequest, frames: range, directions: Tensor, margin: float = camera.MARGIN
) -> Tensor:
    """Which of ``directions`` (h, w, 3) the camera ever sees while it shows ``frames`` of the sky: (h, w), 0 or 1.

    The shot may be longer than the sky, which then repeats (loop) or rests on its last frame. ``margin`` is a part of
    the field of view, on every side. All is seen where the request has no camera.
    """
    if not request.camera:
        return torch.ones(directions.shape[:-1])
    return camera.ever_seen(request, frames, directions, margin).float()


def source_video(request: GenerateRequest) -> Path:
    """The video of the sky that the request changes; in a folder, which may be a stranger's, it must be no link.

    Raises ``SkyloopError(bad_request)`` where there is none.
    """
    source = Path(request.source)
    hint = "Give the folder of an earlier result, or its sky.mp4, as the source."
    if not source.is_dir():
        if not source.is_file():
            raise bad_request(f"{source} is not there.", hint)
        return source
    video = source / "sky.mp4"
    if video.is_symlink() or not video.is_file():
        raise bad_request(f"{source} has no sky.mp4 in it.", hint)
    return video


def source_frames(request: GenerateRequest) -> Iterator[np.ndarray]:
    """The frames of the source, (height, width, 3) uint8 RGB, as many as the request's, of :func:`source_size`.

    What does not fit is refused at once, before the first frame is asked for. Raises ``SkyloopError(bad_request)``.
    """
    _check_source(request)
    return _exactly(request, source_video(request))


def source_size(request: GenerateRequest) -> tuple[int, int]:
    """Width and height of the source, which are the request's unless all of it is made anew. Raises
    ``SkyloopError(bad_request)``."""
    about = probe(source_video(request))
    return about["width"], about["height"]


def _exactly(request: GenerateRequest, video: Path) -> Iterator[np.ndarray]:
    """The frames of a video, which may have other ones than it says."""
    count, (width, height) = 0, source_size(request)
    for frame in read_frames(video, request.frames):
        if frame.shape != (height, width, 3):
            text = f"{video} says it is {width}x{height}, and is {frame.shape[1]}x{frame.shape[0]}."
            raise bad_request(text, "Give another source.")
        yield frame
        count += 1
    if count < request.frames:
        raise bad_request(f"{video} ends after {count} of {request.frames} frames.", "Give another source.")


def check_inputs(request: GenerateRequest) -> None:
    """Read every file that the request names, before any work is done.

    Raises ``SkyloopError(bad_request)`` for the first that is missing, unreadable or does not fit.
    """
    check_given(request.model, image=bool(request.image))
    for path, _ in request.lora_files:
        loras.check(path, entry(request.model))
    if request.image:
        _check_image(request)
    if request.source:
        _check_source(request)
    if request.mask:
        mask = Mask.load(request.mask, request, unknown=0.0)
        _check_shape("mask", request.mask, mask, request)
        if mask.soft.max() < 0.5:
            text = f"{request.mask} is black all over: it leaves nothing to make anew."
            if mask.painted.max() >= 0.5:
                text = f"What is white in {request.mask} is too small to make anew."
            raise bad_request(text, "Paint white what shall change, some degrees wide at least.")
    if request.motion_mask:
        mask = Mask.load(request.motion_mask, request, unknown=1.0)
        _check_shape("motion mask", request.motion_mask, mask, request)


def _check_image(request: GenerateRequest) -> None:
    rgb, alpha = read_picture(request.image)
    height, width = rgb.shape[:2]
    if alpha is not None and not alpha.any():
        raise bad_request(f"{request.image} is transparent all over.", "Give a picture that shows something.")
    if not request.flat and request.image_fov_deg == 0 and not _is_panorama(width, height):
        raise bad_request(
            f"{request.image} is {width}x{height}: a panorama of the whole sky is twice as wide as high.",
            "Say where an ordinary photo belongs by its yaw, pitch and field of view.",
        )
    model = next((each for each in entries() if each.id == request.model), None)
    if model and "text" not in model.takes:
        share = covered(picture_reader(request), request.flat)
        if share < LEAST_SHOWN:
            text = (
                f"{request.image} shows {share:.0%} of the sky, and {model.name} makes nothing that no picture shows."
            )
            raise bad_request(text, "Give a panorama of the whole sky, or choose a model that also takes a prompt.")


def _check_shape(name: str, path: str, mask: Mask, request: GenerateRequest) -> None:
    height, width = mask.painted.shape
    if not request.flat and not _is_panorama(width, height):
        text = f"{path} is {width}x{height}: the {name} of a 360° sky is twice as wide as high."
        raise bad_request(text, f"Paint it on a picture of {request.width}x{request.height}.")
    if (width, height) != (request.width, request.height):
        _logger.info("%s %s is %dx%d: resampled to %dx%d", name, path, width, height, request.width, request.height)


def _check_source(request: GenerateRequest) -> None:
    video = source_video(request)
    about, made = probe(video), store.recorded(video.parent)
    theirs = {"size": f"{about['width']}x{about['height']}", "frames": about["frames"]}
    ours: dict[str, object] = {"size": f"{request.width}x{request.height}", "frames": request.frames}
    if request.from_whole:
        _check_growth(video, (about["width"], about["height"]), (request.width, request.height))
        del ours["size"]
    if made is not None:
        names = ("loop", "flat", "wrap")
        theirs |= {name: getattr(made, name) for name in names}
        ours |= {name: getattr(request, name) for name in names}
    if not math.isclose(about["fps"], request.fps, rel_tol=2e-3):
        theirs["fps"], ours["fps"] = f"{about['fps']:g}", f"{request.fps:g}"
    for name, value in ours.items():
        if value != theirs[name]:
            text = f"{video} has {name} {theirs[name]}, the request {value}."
            if request.from_whole:
                raise bad_request(text, f"The {name} of a sky is kept when it is made anew out of itself.")
            raise bad_request(text, f"A part is made anew at the source's own {name}.")


def _check_growth(video: Path, old: tuple[int, int], new: tuple[int, int]) -> None:
    sizes = [f"{width}x{height}" for width, height in (old, new)]
    if abs(old[0] * new[1] / (old[1] * new[0]) - 1) > SHAPE_TOLERANCE:
        text = f"{video} is {sizes[0]}, of another shape than the request's {sizes[1]}."
        raise bad_request(text, "A sky is made anew out of itself in its own shape.")
    if old[0] > new[0] or old[1] > new[1]:
        text = f"{video} is {sizes[0]}, larger than the request's {sizes[1]}."
        raise bad_request(text, "A sky is made anew out of itself at its own size or a larger one.")


def _is_panorama(width: int, height: int) -> bool:
    return abs(width - 2 * height) <= max(2, 0.01 * width)

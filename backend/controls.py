"""What steers a sky besides its prompt: directions, a picture, an earlier sky, motion, a camera; and their checks.

Angles are degrees: yaw 0 is the frame's centre and grows to the right, pitch grows upward. Pictures of the whole sky
are equirectangular, twice as wide as high. Standard library only, part of :mod:`.protocol`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .paths import form_problem

if TYPE_CHECKING:
    from .protocol import GenerateRequest

MAX_PROMPT_CHARS = 2000
MAX_REGIONS = 64
MAX_CAMERA_KEYS = 4096
MAX_LORAS = 8
MAX_SHOT_FRAME = 1_000_000
RADIUS_RANGE_DEG = (1.0, 180.0)
PHOTO_FOV_RANGE_DEG = (5.0, 150.0)
CAMERA_FOV_RANGE_DEG = (1.0, 170.0)
ASPECT_RANGE = (0.1, 10.0)
STRENGTH_RANGE = (0.05, 1.0)
LORA_STRENGTH_RANGE = (-2.0, 2.0)
MAX_MOTION = 2.0
REFINE_STRENGTH = 0.25
"""For a chosen candidate that shall become a large sky: what is where stays, detail is made (docs/engine.md)."""
REFINED_MOTION = 0.78
"""What a refinement leaves of the motion (docs/engine.md)."""
VARIATION_STRENGTH = 0.7
"""For another sky of the same layout and light, whose clouds are others."""
REGIONAL_METHODS = ("skyloop", "dynamicscaler")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab and line ends; a terminal obeys them


@dataclass(frozen=True)
class Region:
    """A part of the sky with a prompt of its own: within ``radius_deg`` of a direction, mixed smoothly at its edge.

    With a ``yaw_deg`` of None it is a band of elevation all around, within ``radius_deg`` of ``pitch_deg``. Where
    regions overlap, the later one lies over the earlier ones, as paint does; all lie over the sky's own prompt.
    """

    yaw_deg: float | None
    pitch_deg: float
    radius_deg: float
    prompt: str


@dataclass(frozen=True)
class CameraKey:
    """Where the shot's camera looks at a frame: the middle of its view, its horizontal field of view, its shape.

    ``aspect`` is width over height. ``roll_deg`` turns the camera clockwise about its view. Between keys the view
    moves evenly and turns the shorter way; before the first and after the last it rests.
    """

    frame: int
    yaw_deg: float
    pitch_deg: float
    fov_deg: float
    aspect: float = 16 / 9
    roll_deg: float = 0.0


def problems(request: GenerateRequest) -> Iterator[str]:
    """Every reason why the request's controls cannot be followed, each naming the field and what would be right."""
    yield from _file_problems(request)
    yield from _lora_problems(request)
    yield from _region_problems(request.regions)
    yield from _image_problems(request)
    yield from _edit_problems(request)
    if not 0.0 <= request.motion <= MAX_MOTION:
        yield f"motion {request.motion:g}: use 0 (still) to {MAX_MOTION:g}, where 1 is as the model moves."
    yield from _camera_problems(request.camera)
    yield from _misplaced(request)


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written to a file: half a surrogate pair, from a terminal in another encoding, cannot."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def text_problems(name: str, text: str) -> Iterator[str]:
    """What is wrong with a prompt, by the ``name`` it goes by."""
    if len(text) > MAX_PROMPT_CHARS:
        yield f"{name} has {len(text)} characters: at most {MAX_PROMPT_CHARS} are read."
    if not is_unicode(text):
        yield f"{name} is not valid Unicode text: type it anew."
    elif odd := _CONTROL.search(text):
        yield f"{name} has the control character U+{ord(odd[0]):04X}: type it anew."


def _between(name: str, value: float, low: float, high: float) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{name} {value:g}: use {low:g} to {high:g}."


def _file_problems(request: GenerateRequest) -> Iterator[str]:
    for name, path in request.files.items():
        if problem := form_problem(path):
            yield f"{name} {problem}"


def _lora_problems(request: GenerateRequest) -> Iterator[str]:
    if len(request.loras) > MAX_LORAS:
        yield f"loras: {len(request.loras)} of them, use at most {MAX_LORAS}."
    for number, (path, strength) in enumerate(request.loras[:MAX_LORAS], 1):
        if problem := form_problem(path):
            yield f"lora {number} {problem}"
        yield from _between(f"lora {number}: strength", strength, *LORA_STRENGTH_RANGE)
    if request.loras and request.model == "builtin":
        yield "the built-in model takes no LoRA files: choose a foundation model, or leave them out."


def _region_problems(regions: tuple[Region, ...]) -> Iterator[str]:
    if len(regions) > MAX_REGIONS:
        yield f"regions: {len(regions)} of them, use at most {MAX_REGIONS}."
    for number, region in enumerate(regions[:MAX_REGIONS], 1):
        name = f"region {number}:"
        if region.yaw_deg is not None:
            yield from _between(f"{name} yaw", region.yaw_deg, -360, 360)
        yield from _between(f"{name} pitch", region.pitch_deg, -90, 90)
        yield from _between(f"{name} radius", region.radius_deg, *RADIUS_RANGE_DEG)
        if not region.prompt.strip():
            yield f"{name} its prompt is empty: describe what is there."
        yield from text_problems(f"{name} prompt", region.prompt)


def _image_problems(request: GenerateRequest) -> Iterator[str]:
    yield from _between("image_yaw_deg", request.image_yaw_deg, -360, 360)
    yield from _between("image_pitch_deg", request.image_pitch_deg, -90, 90)
    if request.image_fov_deg != 0.0:
        low, high = PHOTO_FOV_RANGE_DEG
        if not low <= request.image_fov_deg <= high:
            yield (
                f"image_fov_deg {request.image_fov_deg:g}: use {low:g} to {high:g} for a photo, "
                "or 0 for a panorama of the whole sky."
            )
    if not request.image and _image_is_placed(request):
        yield "the image's direction is given but no image: give the picture too."


def _image_is_placed(request: GenerateRequest) -> bool:
    return any((request.image_yaw_deg, request.image_pitch_deg, request.image_fov_deg))


def _edit_problems(request: GenerateRequest) -> Iterator[str]:
    masked, weak = request.masked, request.strength < 1
    if masked and not request.source:
        yield "mask or mask_at says which part of an earlier sky to make anew: give that sky as the source."
    if request.from_whole and not weak:
        yield (
            "source needs a mask, or mask_at with its yaw, pitch and radius: say which part of it to make anew. "
            "To make all of it out of itself, give a strength below 1."
        )
    yield from _between("strength", request.strength, *STRENGTH_RANGE)
    if weak and not request.source:
        yield "strength says how far an earlier sky is changed: give that sky as the source, or leave strength at 1."
    if weak and masked:
        yield "strength changes all of the source, a mask a part of it entirely: leave strength at 1, or the mask out."
    if request.from_whole and weak and request.image:
        yield "image and source both say what the sky starts from: give one of them."
    if request.mask and request.mask_at is not None:
        yield "mask and mask_at both say what to make anew: give one of them."
    if request.mask_at is not None:
        yaw, pitch, radius = request.mask_at
        yield from _between("mask_at: yaw", yaw, -360, 360)
        yield from _between("mask_at: pitch", pitch, -90, 90)
        yield from _between("mask_at: radius", radius, *RADIUS_RANGE_DEG)


def _camera_problems(keys: tuple[CameraKey, ...]) -> Iterator[str]:
    if len(keys) > MAX_CAMERA_KEYS:
        yield f"camera: {len(keys)} keys, use at most {MAX_CAMERA_KEYS}."
    for number, key in enumerate(keys[:MAX_CAMERA_KEYS], 1):
        name = f"camera key {number}:"
        if not 0 <= key.frame <= MAX_SHOT_FRAME:
            yield f"{name} frame {key.frame}: use 0 to {MAX_SHOT_FRAME}."
        if number > 1 and key.frame <= keys[number - 2].frame:
            yield f"{name} frame {key.frame} does not come after the key before: put them in order."
        yield from _between(f"{name} yaw", key.yaw_deg, -360, 360)
        yield from _between(f"{name} pitch", key.pitch_deg, -90, 90)
        yield from _between(f"{name} fov", key.fov_deg, *CAMERA_FOV_RANGE_DEG)
        yield from _between(f"{name} aspect", key.aspect, *ASPECT_RANGE)
        yield from _between(f"{name} roll", key.roll_deg, -360, 360)


def _misplaced(request: GenerateRequest) -> Iterator[str]:
    """Controls that the kind of panorama or the method has no use for."""
    directed = {
        "regions": request.regions,
        "the image's direction": _image_is_placed(request),
        "mask_at": request.mask_at is not None,
        "camera": request.camera,
    }
    given = [name for name, value in directed.items() if value]
    if request.flat and given:
        yield f"a flat panorama has no directions: leave {' and '.join(given)} out, or make a 360° sky."
    if request.method not in REGIONAL_METHODS and request.regions:
        yield f"method {request.method[:40]!r} takes no regions: use {' or '.join(REGIONAL_METHODS)}."
    ours = {**request.files, "mask_at": request.mask_at, "camera": request.camera, "motion": request.motion != 1}
    if request.method != "skyloop" and (given := [name for name, value in ours.items() if value]):
        yield f"method {request.method[:40]!r} takes no {' and no '.join(given)}: use skyloop."

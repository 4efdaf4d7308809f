"""The options of ``generate`` that steer a sky besides its prompt. Standard library only."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from ..controls import REFINE_STRENGTH, VARIATION_STRENGTH
from ..media.files import read_input
from ..protocol import CameraKey, Region, SkyloopError, bad_request, camera_path
from ..typed import parse_json

_SIGNED = ("--region", "--image-at", "--mask-at")
_MAX_CAMERA_BYTES = 4 << 20
_ABOUT = """Angles are degrees: yaw 0 is the middle of the frame and grows to the right, pitch grows upward. Pictures of
the whole sky are equirectangular, twice as wide as high."""


# fmt: off
def add_controls(command: argparse.ArgumentParser) -> None:
    """Add the options; :func:`request_fields` reads them."""
    add = command.add_argument_group("steering", _ABOUT).add_argument
    add("--region", type=_region, action="append", metavar="YAW,PITCH,RADIUS=PROMPT",
        help="a prompt for a part of the sky; * as YAW is a band all around; repeatable, later over earlier")
    add("--image", type=_file, metavar="FILE", help="start from this picture of the whole sky, or this photo")
    add("--image-at", type=_three, metavar="YAW,PITCH,FOV",
        help="the picture is a photo of that horizontal field of view, and this is where it belongs")
    add("--source", type=_file, metavar="DIR",
        help="keep this earlier result (or its sky.mp4) but for a part, or with --strength make all of it anew out of "
        "itself, also at a larger --size; its length, rate and loop hold")
    add("--mask", type=_file, metavar="FILE", help="a picture, white where the source is made anew")
    add("--mask-at", type=_three, metavar="YAW,PITCH,RADIUS", help="make the source anew around a direction")
    add("--strength", type=float, default=1.0, metavar="S",
        help=f"how far the whole source changes: {REFINE_STRENGTH:g} adds detail, {VARIATION_STRENGTH:g} varies it, "
        "below 1")
    add("--motion", type=float, default=1.0, metavar="X", help="0 is still, 1 as the model moves (default), up to 2")
    add("--motion-mask", type=_file, metavar="FILE", help="a picture, white moves and black is still")
    add("--camera", type=_camera, default=(), metavar="FILE",
        help="the shot's camera, so that detail is only made where it looks: a JSON list of objects with frame, "
        "yaw_deg, pitch_deg, fov_deg and, if you like, aspect and roll_deg")
    add("--lora", type=_lora, action="append", metavar="FILE[=STRENGTH]",
        help="a LoRA file (.safetensors) for a foundation model, at 1 or that strength; repeatable")


# fmt: on
def request_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The request's fields that the options of :func:`add_controls` say."""
    yaw, pitch, fov = options.image_at or (0.0, 0.0, 0.0)
    return {
        "regions": tuple(options.region or ()),
        "image": options.image or "",
        "image_yaw_deg": yaw,
        "image_pitch_deg": pitch,
        "image_fov_deg": fov,
        "source": options.source or "",
        "mask": options.mask or "",
        "mask_at": options.mask_at,
        "strength": options.strength,
        "motion": options.motion,
        "motion_mask": options.motion_mask or "",
        "camera": options.camera,
        "loras": tuple(options.lora or ()),
    }


def joined(argv: list[str]) -> list[str]:
    """``--region -30,0,20=moon`` as ``--region=-30,0,20=moon``: argparse takes a leading minus for an option."""
    words: list[str] = []
    for i, word in enumerate(argv):
        if word == "--":
            return words + argv[i:]
        if words and words[-1] in _SIGNED and re.match(r"-[\d.]", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _file(text: str) -> str:
    """An absolute path, refused at once when nothing is there; what is in it is for :mod:`..inputs` to check."""
    try:
        there = bool(text) and Path(text).exists()
    except (OSError, ValueError) as error:  # no permission to look, a name that is too long, or none at all
        raise argparse.ArgumentTypeError(f"{text[:200]!r} cannot be read ({error})") from error
    if not there:
        raise argparse.ArgumentTypeError(f"{text[:200]!r} is not there")
    return str(Path(text).absolute())


def _lora(text: str) -> tuple[str, float]:
    path, equals, strength = text.rpartition("=")
    if not equals or text.endswith(".safetensors"):
        return _file(text), 1.0
    try:
        return _file(path), float(strength)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{strength[:40]!r} is no strength, write a number such as 0.8") from None


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))


def _three(text: str) -> tuple[float, ...]:
    try:
        first, second, third = _numbers(text)
    except ValueError:
        message = f"{text[:40]!r} is not three numbers in degrees, write them as 90,30,25"
        raise argparse.ArgumentTypeError(message) from None
    return first, second, third


def _region(text: str) -> Region:
    place, equals, prompt = text.partition("=")
    yaw, comma, rest = place.partition(",")
    try:
        pitch, radius = _numbers(rest)
        around = None if yaw.strip() == "*" else float(yaw)
        if not (comma and equals):
            raise ValueError
    except ValueError:
        message = f"{text[:40]!r} is not a region, write it as YAW,PITCH,RADIUS=PROMPT, such as 90,30,25=full moon"
        raise argparse.ArgumentTypeError(message) from None
    return Region(around, pitch, radius, prompt)


def _camera(text: str) -> tuple[CameraKey, ...]:
    try:
        document = parse_json(read_input(Path(text), _MAX_CAMERA_BYTES))
    except ValueError as error:
        raise bad_request(f"{text} is not JSON ({error}).", "Write a list of objects, one for each key.") from error
    try:
        return camera_path(document)
    except SkyloopError as error:
        raise bad_request(f"{text}: {error.message}", "Write a list of objects, one for each key.") from error

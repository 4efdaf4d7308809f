"""How large a sky may be for each target, and what decoders take. Standard library only: the panel says it before
anything starts.

Levels are those of ITU-T H.264 (2021) table A-1, H.265 (2021) table A.8 and the AV1 specification, annex A.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol import MAX_HEIGHT_PX, bad_request
from .request import ExportRequest


@dataclass(frozen=True)
class Limit:
    """Heights in pixels: ``advised`` is what a larger film is made smaller to, ``most`` what may be asked for."""

    advised: int
    most: int
    why: str


# Level: the most pixels of a frame, and of a second. H.264 counts blocks of 16x16.
_H264_LEVELS = {
    "4": (8192, 245760), "4.1": (8192, 245760), "4.2": (8704, 522240), "5": (22080, 589824), "5.1": (36864, 983040),
    "5.2": (36864, 2073600), "6": (139264, 4177920), "6.1": (139264, 8355840), "6.2": (139264, 16711680),
}  # fmt: skip
_HEVC_LEVELS = {
    "4": (2228224, 66846720), "4.1": (2228224, 133693440), "5": (8912896, 267386880), "5.1": (8912896, 534773760),
    "5.2": (8912896, 1069547520), "6": (35651584, 1069547520), "6.1": (35651584, 2139095040),
    "6.2": (35651584, 4278190080),
}  # fmt: skip
_AV1_LEVELS = _HEVC_LEVELS | {"4": (2359296, 70778880), "4.1": (2359296, 141557760)}
LEVELS = {
    "h264": {level: (pixels * 256, rate * 256) for level, (pixels, rate) in _H264_LEVELS.items()},
    "hevc": _HEVC_LEVELS,
    "av1": _AV1_LEVELS,
}
_MOST_H264 = "5.2"  # no decoder in graphics cards or headsets is sure to go further

_ANY = Limit(MAX_HEIGHT_PX, MAX_HEIGHT_PX, "")
_H264 = Limit(2048, 2048, "decoders take H.264 up to 4096x2048, which is level 5.2 at 60 frames a second")
_VIDEO_H264 = Limit(2048, 2048, f"{_H264.why}; --codec hevc goes further")
_THEORA = Limit(1024, 2048, "Godot decodes Theora on its main thread: 2048x1024 runs at 60 frames a second, and"
                " 4096x2048 at 20")  # fmt: skip
_FLIPBOOK = Limit(2048, MAX_HEIGHT_PX, "each frame takes 8 MB of the graphics card at 4096x2048")
_QUEST = Limit(2048, 2880, "headsets are sure of 4096x2048, and Quest 2 and later decode up to 5760x2880")
QUEST_RATE = 4096 * 2048 * 60  # pixels a second; the same as 5760x2880 at 30


def limit(request: ExportRequest) -> Limit:
    """That of the request's target with its options, or of the sky's own beside a scene."""
    request = request.sky
    match request.target:
        case "web" | "unity" | "unreal":
            return _H264
        case "video360" if request.text("codec") == "h264":
            return _VIDEO_H264
        case "video360" if request.text("preset") == "quest":
            return _QUEST
        case "godot":
            return _THEORA if request.text("playback") == "video" else _FLIPBOOK
        case _:
            return _ANY


def fitting_height(request: ExportRequest, film_height: int) -> int:
    """The height to export at. Raises ``SkyloopError(bad_request)`` for one that the target cannot play."""
    found = limit(request)
    if request.height > found.most:
        raise bad_request(
            f"{2 * request.height}x{request.height} is too large for {request.about.title}: {found.why}.",
            f"Use at most {2 * found.most}x{found.most}.",
        )
    return request.height or min(max(16, round(film_height / 16) * 16), found.advised)


def level(codec: str, height: int, fps: float) -> str:
    """The lowest level, from 4 on, of h264, hevc or av1 that takes a sky of that height; empty where none does."""
    pixels = 2 * height * height
    fits = (name for name, (size, rate) in LEVELS[codec].items() if pixels <= size and pixels * fps <= rate)
    return next(fits, "")


def plays(codec: str, preset: str, height: int, fps: float) -> bool:
    """Whether what a preset of ``video360`` is for plays a sky of that height in that codec."""
    if preset == "quest" and (height > _QUEST.most or 2 * height * height * fps > QUEST_RATE):
        return False
    needed = level(codec, height, fps)
    return bool(needed) and (codec != "h264" or (height <= _H264.most and float(needed) <= float(_MOST_H264)))

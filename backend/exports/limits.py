"""How large a sky may be for each target. Standard library only: the panel says it before anything starts."""

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


_ANY = Limit(MAX_HEIGHT_PX, MAX_HEIGHT_PX, "")
_H264 = Limit(2048, 2048, "decoders take H.264 up to 4096x2048 (level 5.2)")
_HEVC = Limit(MAX_HEIGHT_PX, MAX_HEIGHT_PX, "")


def limit(request: ExportRequest) -> Limit:
    """That of the request's target with its options."""
    match request.target:
        case "web" | "unity" | "unreal":
            return _H264
        case "video360":
            return _video360(request)
        case "godot" if request.text("playback") == "video":
            return Limit(1024, 2048, "Godot decodes Theora on its main thread")
        case _:
            return _ANY


def _video360(request: ExportRequest) -> Limit:
    if request.text("codec") == "h264":
        return _H264
    if request.text("preset") == "quest":
        return Limit(2048, 2880, "headsets decode up to 5760x2880")
    return _HEVC


def fitting_height(request: ExportRequest, film_height: int) -> int:
    """The height to export at. Raises ``SkyloopError(bad_request)`` for one that the target cannot play."""
    found = limit(request)
    if request.height > found.most:
        raise bad_request(
            f"{2 * request.height}x{request.height} is too large for {request.about.title}: {found.why}.",
            f"Use at most {2 * found.most}x{found.most}.",
        )
    return request.height or min(max(16, round(film_height / 16) * 16), found.advised)

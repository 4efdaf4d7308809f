"""``sky_360.mp4``: a film that YouTube, headsets and players know as a panorama."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator
from itertools import repeat
from pathlib import Path

from ..media.spherical import write_panorama
from ..media.video import joining
from ..protocol import MAX_HEIGHT_PX, MIN_HEIGHT_PX, ErrorKind, Event, SkyloopError, bad_request, phase
from .encoding import TITLES, check_codec, encode, why_not
from .film import Film
from .limits import level, plays
from .request import ExportRequest
from .run import Steps, Written

NAME = "sky_360.mp4"
_CODECS = ("h264", "hevc", "av1")  # the one that plays in most places first
_PLAYED = {
    "desktop": "Play it in a player for 360° videos, such as VLC, and drag to look around.",
    "youtube": "Upload it to YouTube, which shows it as a 360° video once it is processed.",
    "quest": "Copy it to the headset's Movies folder and open it in a player for 360° videos.",
}


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(bad_request)`` for a codec that does not play there or cannot be written here."""
    preset, codec = request.text("preset"), request.text("codec")
    able = [name for name in _CODECS if plays(name, preset, film.height, film.fps)]
    if codec == "auto":
        if not able:
            raise _too_much(film, preset, "", _most(_CODECS, preset, film.fps), "")
        if all(why_not(name) for name in able):
            check_codec(able[0], f"Use at most {_size(_most(_CODECS[:1], preset, film.fps))}.")
    elif codec not in able:
        raise _too_much(film, preset, codec, _most((codec,), preset, film.fps), next(iter(able), ""))
    else:
        others = [name for name in able if not why_not(name)]
        check_codec(codec, f"Use --codec {others[0]}." if others else "")


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """The film, so many times, with the boxes of a panorama. Its pixels are turned already: ``yaw_deg`` is 0."""
    codec, times = _codec(film, request), int(request.number("repeat"))
    loop, path = folder / "loop.mp4", folder / NAME
    yield from encode(film, loop, codec)
    if times > 1:
        once, loop = loop, folder / "repeated.mp4"
        _check_space(once, times)
        yield from _repeated(once, loop, times, film.frames)
        once.unlink()
    yield from _as_panorama(loop, path)
    loop.unlink()
    preset = request.text("preset")
    return Written(tuple(_use(film, preset, times)), NAME, tuple(_notes(film, codec, preset)))


def _use(film: Film, preset: str, times: int) -> list[str]:
    if times > 1:
        return [_PLAYED[preset], f"It holds the loop {times} times, {times * film.seconds:.3g} seconds in all."]
    use = [_PLAYED[preset], "Turn on loop or repeat in the player."]
    if preset != "desktop":
        use.append("If it stops or jumps at the end, export it again with Repeat at 20 (--repeat 20).")
    return use


def _codec(film: Film, request: ExportRequest) -> str:
    """The one that is wanted, or the first that plays there and can be written here."""
    wanted, preset = request.text("codec"), request.text("preset")
    able = (name for name in _CODECS if plays(name, preset, film.height, film.fps) and not why_not(name))
    return next(able) if wanted == "auto" else wanted


def _repeated(once: Path, target: Path, times: int, frames: int) -> Generator[Event, None, None]:
    with contextlib.closing(joining(repeat(once, times), target)) as steps:
        for done in steps:
            yield phase("repeating", done, times * frames, "frame")


def _as_panorama(source: Path, target: Path) -> Generator[Event, None, None]:
    total = max(1, source.stat().st_size >> 20)
    with contextlib.closing(write_panorama(source, target)) as steps:
        for done in steps:
            yield phase("copy", min(done >> 20, total - 1), total, "MB")
    yield phase("copy", total, total, "MB")


def _check_space(once: Path, times: int) -> None:
    """What is written is there twice for a moment."""
    size, free = once.stat().st_size, shutil.disk_usage(once.parent).free
    if 2 * times * size > free:
        fits = max(1, free // (2 * size))
        message = f"The loop {times} times takes {times * size / 1e9:.3g} GB, and there is no space for that."
        raise SkyloopError(ErrorKind.DISK_FULL, message, f"Use --repeat {fits}, or a folder on another disk.")


def _notes(film: Film, codec: str, preset: str) -> list[str]:
    needed = level(codec, film.height, film.fps)
    notes = [f"It is {TITLES[codec]}, level {needed}{' or lower' if needed == '4' else ''}."]
    if codec == "hevc" and preset == "desktop":
        notes.append("Some players need an add-on for HEVC; VLC plays it as it is.")
    if codec == "av1" and preset == "quest":
        notes.append("Of the Quest headsets, only Quest 3 and later play AV1.")
    return notes


def _too_much(film: Film, preset: str, codec: str, most: int, other: str) -> SkyloopError:
    """The refusal of a size, with what would fit."""
    for_ = {"desktop": "players", "youtube": "YouTube", "quest": "Quest headsets"}[preset]
    packed = f" in {TITLES[codec]}" if codec else ""
    what = f"{_size(film.height)} at {film.fps:g} frames a second{packed} is more than {for_} are sure to decode."
    instead = f"--codec {other}, or " if other else ""
    return bad_request(what, f"Use {instead}--size {_size(most)}.")


def _most(codecs: tuple[str, ...], preset: str, fps: float) -> int:
    heights = range(MAX_HEIGHT_PX, MIN_HEIGHT_PX - 1, -16)
    return next(h for h in heights if any(plays(codec, preset, h, fps) for codec in codecs))


def _size(height: int) -> str:
    return f"{2 * height}x{height}"

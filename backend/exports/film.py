"""Any equirectangular film as one that loops cleanly: one size, one rate, no sound, turned as wanted, read as frames.

What had to be changed is told in notes. Nothing is written: targets read the frames and encode them their own way.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Any

import cv2
import numpy as np

from ..jobs.store import recorded
from ..media.reading import reading, to_rgb
from ..protocol import SkyloopError, bad_request

MOST_STRETCH = 0.03  # how far from 2:1 a film may be that is taken for a whole sky all the same
MAX_FPS = 120
_SEAM_PX = 16  # that frames are continued by around the circle while they are resized


@dataclass(frozen=True)
class Film:
    """``frames`` frames of ``width`` x ``height``, ``rate`` a second; the last leads into the first, if it ``loops``.

    ``picks``: the source's frame that each frame is, ascending. ``clean``: whether the file itself keeps the rules of
    loops (:mod:`backend.media.video`) and nothing was changed, so that its pictures may be taken over as they are.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    picks: tuple[int, ...]
    roll_px: int = 0
    clean: bool = False
    loops: bool = True  # as far as is known: a film from elsewhere counts as one that does
    notes: tuple[str, ...] = ()
    source_size: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """A plain name for files and folders, from that of the film or of its job folder."""
        name = self.path.parent.name if self.path.name == "sky.mp4" else self.path.stem
        return re.sub(r"[^A-Za-z0-9]+", "_", name)[:40].strip("_").lower() or "sky"

    @property
    def frames(self) -> int:
        return len(self.picks)

    @property
    def fps(self) -> float:
        return float(self.rate)

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)

    def read(self) -> Generator[np.ndarray, None, None]:
        """The frames, (height, width, 3) uint8 RGB, as they are exported. Raises ``SkyloopError(bad_request)``."""
        at = 0
        with contextlib.closing(_frames(self.path)) as frames:
            for number, frame in enumerate(frames):
                if at == len(self.picks):
                    return
                fitted = None
                while at < len(self.picks) and self.picks[at] == number:
                    fitted = self._fitted(frame) if fitted is None else fitted
                    yield fitted
                    at += 1
        if at < len(self.picks):
            raise bad_request(
                f"{self.path} is damaged: only {at} of its {len(self.picks)} frames can be read.", "Use another copy."
            )

    def numbers(self, frame: int) -> range:
        """The frames that an option ``frame`` means: that one or, for -1, all. Raises ``SkyloopError(bad_request)``
        where there is none of that number."""
        if not -1 <= frame < self.frames:
            raise self._no_frame(frame)
        return range(self.frames) if frame == -1 else range(frame, frame + 1)

    def one(self, number: int) -> np.ndarray:
        """The frame of that number, from 0. Raises ``SkyloopError(bad_request)`` also where there is none."""
        if not 0 <= number < self.frames:
            raise self._no_frame(number)
        return next(replace(self, picks=self.picks[number : number + 1]).read())

    def _no_frame(self, number: int) -> SkyloopError:
        return bad_request(
            f"frame {number}: the film has {self.frames} frames.", f"Use 0 to {self.frames - 1}, or -1 for all."
        )

    def _fitted(self, frame: np.ndarray) -> np.ndarray:
        if frame.shape[:2] != (self.height, self.width):
            frame = _resized(frame, self.width, self.height)
        return np.roll(frame, self.roll_px, axis=1) if self.roll_px else frame


def open_film(path: Path) -> Film:
    """The film at ``path``, or of that job folder, at its own size. Raises ``SkyloopError(bad_request)``."""
    path = path / "sky.mp4" if path.is_dir() else path
    facts = _facts(path)
    width, height = facts.size
    notes = list[str]()
    if abs(width / height - 2) > 2 * MOST_STRETCH:
        raise bad_request(
            f"{path} is {width}x{height}: a film of the whole sky is twice as wide as high.",
            "Give an equirectangular film.",
        )
    if width != 2 * height:
        notes.append(f"It is {width}x{height} and was stretched to 2:1.")
    if facts.audio:
        notes.append("Its sound was left out: a loop with sound has a gap.")
    times, picks, rate = facts.times, tuple(range(len(facts.times))), facts.rate
    if not _steady(times, rate, facts.tick):
        picks = _picked(times, rate)
        notes.append(f"Its frames came at varying times; now they come {float(rate):g} a second.")
    if facts.claimed > len(times):
        notes.append(f"It is cut short: {len(times)} of {facts.claimed} frames are there, so the loop may jump.")
    made = recorded(path.parent) if path.name == "sky.mp4" else None
    loops = made is None or made.loop
    if not loops:
        notes.append("It was not made as a loop: the end jumps to the start.")
    clean = facts.clean and not notes
    return Film(path, width, height, rate, picks, clean=clean, loops=loops, notes=tuple(notes), source_size=facts.size)


def fitted(film: Film, height: int, roll_deg: float) -> Film:
    """``film`` at another height, and turned to the right by whole pixels."""
    width = 2 * height
    notes = film.notes
    if height != film.height:
        notes = (*notes, f"It is {film.width}x{film.height} and was made {width}x{height}.")
    roll_px = round(roll_deg / 360 * width) % width
    same = (width, height) == film.source_size and not roll_px
    return replace(film, width=width, height=height, roll_px=roll_px, clean=film.clean and same, notes=notes)


@dataclass(frozen=True)
class _Facts:
    size: tuple[int, int]
    rate: Fraction
    tick: Fraction
    times: list[Fraction]  # seconds of the frames that are there, from 0
    claimed: int  # frames, by the index
    audio: bool
    clean: bool


def _facts(path: Path) -> _Facts:
    """What the index and the packets say; no picture is decoded."""
    with reading(path) as (container, stream):
        tick = Fraction(stream.time_base or Fraction(1, 1000))
        packets = [_Packet(p) for p in container.demux(stream) if p.size]
        whole = [p for p in packets if p.whole]
        times = [p.pts * tick for p in sorted(whole, key=lambda p: p.pts)]
        if not times:
            raise bad_request(f"{path} has no frames.", "Give another film.")
        rate = Fraction(stream.average_rate or 0).limit_denominator(1001)
        if not (0 < rate <= MAX_FPS and _steady(times, rate, tick)):
            rate = _rate_of(times)
        context = stream.codec_context
        clean = (
            context.name == "h264"
            and "mp4" in container.format.name
            and context.pix_fmt == "yuv420p"
            and not context.has_b_frames
            and {int(context.color_primaries), int(context.color_trc), int(context.colorspace)} == {1}
            and context.color_range == 1
            and times[0] == 0
            and len(container.streams) == 1
            and whole[0].key
            and _longest_group(whole) <= max(1, round(rate))
        )
        return _Facts(
            (context.width, context.height),
            rate,
            tick,
            [time - times[0] for time in times],
            max(stream.frames, len(packets)),
            bool(container.streams.audio),
            clean,
        )


class _Packet:
    def __init__(self, packet: Any) -> None:
        self.pts = packet.pts if packet.pts is not None else packet.dts or 0
        self.whole = not packet.is_corrupt  # the file ends within it
        self.key = packet.is_keyframe


def _longest_group(packets: list[_Packet]) -> int:
    """Frames from a key frame to the next, or to the end, at most."""
    keys = [number for number, packet in enumerate(packets) if packet.key]
    return max(after - key for key, after in pairwise([*keys, len(packets)]))


def _rate_of(times: list[Fraction]) -> Fraction:
    """The rate at which most frames come: cameras and screen recorders leave some out."""
    between = [after - before for before, after in pairwise(times) if after > before]
    if not between:
        return Fraction(24)
    return min((1 / median_low(between)).limit_denominator(1001), Fraction(MAX_FPS))


def _steady(times: list[Fraction], rate: Fraction, tick: Fraction) -> bool:
    """Whether every frame is where a constant rate has it, but for what the file's clock rounds off."""
    allowed = max(Fraction(3, 2) * tick, Fraction(1, 50) / rate)
    return all(abs(time - n / rate) <= allowed for n, time in enumerate(times))


def _picked(times: list[Fraction], rate: Fraction) -> tuple[int, ...]:
    """For each frame at ``rate``, the number of the source's frame that is shown then; the last is as long as the one
    before it."""
    last = times[-1] - times[-2] if len(times) > 1 else 1 / rate
    count = max(1, round((times[-1] + last) * rate))
    picks, shown = list[int](), 0
    for n in range(count):
        now = (n + Fraction(1, 2)) / rate  # in its middle, where rounding does no harm
        while shown + 1 < len(times) and times[shown + 1] <= now:
            shown += 1
        picks.append(shown)
    return tuple(picks)


def _frames(path: Path) -> Generator[np.ndarray, None, None]:
    """The frames of the packets that are there as a whole: the rest of one would spoil those before it."""
    with reading(path) as (container, stream):
        stream.thread_type = "AUTO"
        for packet in container.demux(stream):  # the last is empty, and brings out what the decoder still holds
            if packet.is_corrupt:
                continue
            for frame in packet.decode():
                yield to_rgb(frame)


def _resized(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resized as on a circle: what is left of the seam counts for what is right of it."""
    scale = width / frame.shape[1]
    beside = round(_SEAM_PX / min(scale, 1.0))
    wide = cv2.copyMakeBorder(frame, 0, 0, beside, beside, cv2.BORDER_WRAP)
    margin = round(beside * scale)
    filter_ = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(
        cv2.resize(wide, (width + 2 * margin, height), interpolation=filter_)[:, margin : margin + width]
    )

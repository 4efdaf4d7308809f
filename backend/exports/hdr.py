"""Linear light for renderers: OpenEXR or Radiance pictures, with what display white cut off put back by estimate.

Nobody measured what is above white: that is said in the files' names, in their headers and in the README.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import lighting
from ..lighting import LUMINANCE, Moment, Sphere, Sun, Watcher
from ..protocol import Event
from ..sequence import ELSEWHERE, KNEE, expanded
from .film import Film
from .light_files import LightFiles
from .numbered import at_rate, chosen, named, put, spread, visit
from .orientation import wrapped
from .request import ExportRequest
from .run import Steps, Written

# From about here on a sun of a few degrees gives level ground as much light as a clear sky does.
CLEAR_SUN_STOPS = 8.0


@dataclass
class Brightness:
    """Luminance of the frames written, display white being 1: the brightest pixel, and the mean over the sphere.
    ``suns``: how many of the frames have one, that got the whole boost."""

    peak: float = 0.0
    mean: float = 0.0
    suns: int = 0

    def told(self) -> str:
        """For a README."""
        return f"Light: brightest {self.peak:.3g}, mean {self.mean:.3g}, where 1 is the white of a display."

    def notes(self, boost: float) -> tuple[str, ...]:
        """What the user should know of it."""
        told = [about_light(boost)]
        if boost and not self.suns:
            told.append(f"No sun was found in it: what is bright got {ELSEWHERE:.0%} of the boost.")
        elif 0 < boost < CLEAR_SUN_STOPS:
            told.append(
                f"Shadows too faint? The sun in a clear sky is small: try a boost of {CLEAR_SUN_STOPS:g} to 10."
            )
        return tuple(told)


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError``: bad_request for a frame that is not there, disk_full."""
    chosen(film, request, request.text("format"))


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``sky_estimated_0000.exr`` and so on, numbered as the film's frames are; without a boost ``sky_linear_...``."""
    kind, boost = request.text("format"), request.number("boost")
    numbers = chosen(film, request, kind)
    stem = "sky_estimated" if boost else "sky_linear"
    seen = yield from write_light(film, numbers, kind, boost, folder, stem)
    first = named(stem, numbers.start, kind)
    use = [
        f"Blender: World, Color, Environment Texture, open {first}; Color Space Linear Rec.709."
        + (" For all frames: choose them all, Image Sequence, Cyclic, Auto Refresh." if len(numbers) > 1 else ""),
        "There the middle of the picture is at +X: a Mapping node with Rotation Z -90 puts it ahead, at +Y.",
        "Other programs: a dome or environment light, latitude-longitude, colour space linear Rec.709 (linear sRGB).",
        seen.told(),
    ]
    if len(numbers) > 1:
        use.append(at_rate(film, named(stem, numbers[-1], kind), first))
    return Written(tuple(use), first, seen.notes(boost))


def about_light(boost: float) -> str:
    """What the light is, and what it is not: for a README and for the headers of files, ASCII."""
    if not boost:
        return "Linear Rec.709 of an 8-bit film, in which 1 is display white and nothing is brighter; not captured HDR."
    return (
        f"ESTIMATED: what is brighter than {KNEE:g} of display white was expanded by up to {boost:g} stops at the sun, "
        "less elsewhere. The film is 8 bit and ends at white; this is not captured HDR."
    )


def write_light(
    film: Film, numbers: range, kind: str, boost: float, folder: Path, stem: str
) -> Generator[Event, None, Brightness]:
    """Write those frames into ``folder`` as linear light of that ``kind`` (``exr`` or ``hdr``), the highlights
    ``boost`` stops beyond white; yields phases. Raises ``SkyloopError``: bad_request, disk_full, internal."""
    suns = (yield from suns_of(film, numbers)) if boost else {}
    encode = LightFiles(kind, film.width, film.height, about_light(boost))
    solid_angle = Sphere(film.height, film.width).solid_angle[:, 0] / (4 * np.pi)
    peaks, means = dict[int, float](), dict[int, float]()

    def take(number: int, frame: np.ndarray) -> None:
        light = expanded(frame, boost, suns.get(number))
        luminance = light @ LUMINANCE
        peaks[number], means[number] = float(luminance.max()), float(luminance.sum(axis=1) @ solid_angle)
        put(folder / named(stem, number, kind), encode(light))

    yield from spread(film, numbers, take)
    mean = sum(means[number] for number in numbers) / len(numbers)
    return Brightness(max(peaks.values()), mean, sum(sun is not None for sun in suns.values()))


def suns_of(film: Film, numbers: range) -> Generator[Event, None, dict[int, Sun | None]]:
    """The sun of each of those frames, as it lies in the film that is exported: from the job's own record, else looked
    for now. A frame by itself is looked at by itself; frames of a whole film have a sun that is steady in time."""
    plain = film.picks == tuple(range(film.frames))
    if plain and (known := lighting.recorded(film.path, film.frames)) is not None:
        turned_deg = film.roll_px / film.width * 360
        return {
            number: sun and replace(sun, yaw_deg=wrapped(sun.yaw_deg + turned_deg))
            for number, sun in enumerate(known)
            if number in numbers
        }
    watcher, moments = Watcher(), list[Moment]()
    yield from visit(film, numbers, lambda _, frame: moments.append(watcher(frame)), "light")
    found = lighting.suns(lighting.summary(moments, film.fps, loop=film.loops), len(moments)) or []
    return dict(zip(numbers, found, strict=True))

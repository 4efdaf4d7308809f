"""How bright a sky is: its picture read once, on request, and what the backend found for each frame."""

import json
import math
from array import array
from dataclasses import dataclass
from pathlib import Path

import bpy

from ...backend.jobs.store import is_file
from ...backend.media.files import read_tail
from ...backend.protocol import SkyloopError, bad_request
from ..core import sunlight
from ..core.sunlight import Highlights, Picture
from . import film, nodes
from .film import Film

MAX_WIDTH_PX = 1024  # a wider picture is read smaller: Python has to look at each pixel
MAX_REPORT_BYTES = 8 << 20
REPORT = "light.json"
_OF_SUN = ("yaw_deg", "pitch_deg", "irradiance")
GREY_CARD = 0.18

# Upper ends, as a share of what a sky that is white all around gives.
WORDS = (
    (0.01, "night"),
    (0.05, "dusk"),
    (0.2, "deep twilight or a dark storm"),
    (0.45, "a dull day"),
    (0.9, "an overcast noon"),
    (2.0, "a bright day"),
    (math.inf, "a sunny noon"),
)


@dataclass(frozen=True)
class Frame:
    """The sun in one frame of the film, relative to the first one: angles in radians, ``strength`` a factor."""

    yaw: float
    pitch: float
    strength: float


def picture_of(sky: bpy.types.World) -> Picture:
    """The first frame of a sky's film, linear. Raises ``SkyloopError`` when it cannot be read."""
    node = nodes.film_node(sky)
    if node is None or node.image is None:
        raise bad_request("This World has lost its film.", "Apply the sky again.")
    # A reading of its own, as the sky's may be at any frame.
    image = film.load(Film(film.place(node.image)))
    try:
        values = array("f", bytes(4 * len(image.pixels)))
        image.pixels.foreach_get(values)
        if not image.is_float:
            curve = [sunlight.linear(step / 255.0) for step in range(256)]
            values = array("f", (curve[round(255.0 * value)] for value in values))
        return _thinned(Picture(values, *image.size))
    finally:
        bpy.data.images.remove(image)


def _thinned(picture: Picture) -> Picture:
    """Every second, third, ... pixel of a picture that is wider than ``MAX_WIDTH_PX``."""
    step = -(-picture.width // MAX_WIDTH_PX)
    if step == 1:
        return picture
    width, height = -(-picture.width // step), -(-picture.height // step)
    values = array("f", bytes(16 * width * height))
    for y in range(height):
        row = picture.pixels[4 * picture.width * y * step : 4 * picture.width * (y * step + 1)]
        for channel in range(4):
            values[4 * width * y + channel : 4 * width * (y + 1) : 4] = array("f", row[channel :: 4 * step])
    return Picture(values, width, height)


def highlights_of(sky: bpy.types.World) -> Highlights:
    """The sliders of a sky that decide how bright its highlights are."""
    return Highlights(
        boost=nodes.value(sky, "Boost"),
        above=nodes.value(sky, "Boost Above"),
        focus=nodes.value(sky, "Sun Focus"),
        size=nodes.value(sky, "Sun Size"),
        yaw=nodes.value(sky, "Sun Yaw"),
        pitch=nodes.value(sky, "Sun Pitch"),
        cap=nodes.value(sky, "Lamp Above"),
    )


def brightness(sky: bpy.types.World) -> float:
    """What level ground gets, as a share of what a sky that is white all around gives; with all sliders."""
    light = sunlight.measure(picture_of(sky), highlights_of(sky))
    return sunlight.luma(light.up) / math.pi * strength(sky)


def strength(sky: bpy.types.World) -> float:
    """The factor of the sliders that make the light of the whole sky stronger, tint included."""
    factor = nodes.value(sky, "Strength") * nodes.value(sky, "Lighting")
    tint = nodes.slider(sky, "Tint")
    return factor * (sunlight.luma(tuple(tint.default_value)[:3]) if tint else 1.0)


def exposure_ev(share: float) -> float:
    """Stops by which the scene must be exposed brighter so that a grey card on the ground looks as in full light."""
    return -math.log2(max(share, 1e-6))


def words(share: float) -> str:
    return next(text for limit, text in WORDS if share < limit)


def looked_at(sky: bpy.types.World) -> bool:
    """Whether the backend has measured this sky."""
    return _report(sky) is not None


def frames_of(sky: bpy.types.World) -> list[Frame]:
    """Where the sun is in each frame, if the backend has measured the sky and found one."""
    suns = _report(sky) or []
    if len(suns) != sky.skyloop.frames or not all(suns):
        return []
    base = next((sun["irradiance"] for sun in suns if sun["irradiance"] > 0), 1.0)
    return [
        Frame(math.radians(sun["yaw_deg"]), math.radians(sun["pitch_deg"]), sun["irradiance"] / base) for sun in suns
    ]


def _report(sky: bpy.types.World) -> list[dict[str, float]] | None:
    """The sun of each frame, an empty one where there is none; None when there is no report, or not one as agreed."""
    file = Path(sky.skyloop.job) / REPORT
    if not sky.skyloop.job or not is_file(file):
        return None
    try:
        found = json.loads(read_tail(file, MAX_REPORT_BYTES))["frames"]
        suns = [{name: float(frame["sun"][name]) for name in _OF_SUN} if frame["sun"] else {} for frame in found]
    except (KeyError, TypeError, ValueError, OSError, SkyloopError):
        return None
    return suns if all(math.isfinite(value) for sun in suns for value in sun.values()) else None

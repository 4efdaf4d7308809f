"""What a sky can be exported for, and the options of each: the one table that command line, panel and manual share.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Value = str | int | float | bool


@dataclass(frozen=True)
class Option:
    """One thing that can be chosen: of ``choices`` with a label each, or a number within ``limits``, or yes or no.

    The type of ``default`` is the type of the value.
    """

    name: str
    title: str
    help: str
    default: Value
    choices: dict[str, str] = field(default_factory=dict)
    limits: tuple[float, float] | None = None

    def problem(self, value: Value) -> str:
        """What is wrong with a value and what would be right; empty when it is fine."""
        if type(value) is not type(self.default):
            return f"{self.name} {str(value)[:40]!r} is no {type(self.default).__name__}."
        if self.choices and value not in self.choices:
            return f"{self.name} {str(value)[:40]!r}: use {' or '.join(self.choices)}."
        if self.limits and isinstance(value, int | float) and not self.limits[0] <= value <= self.limits[1]:
            return f"{self.name} {value:g}: use {self.limits[0]:g} to {self.limits[1]:g}."
        return ""


@dataclass(frozen=True)
class Target:
    """``engine`` is the row of :mod:`.orientation` that holds; ``module`` of this package writes it."""

    name: str
    title: str
    help: str
    engine: str
    options: tuple[Option, ...] = ()
    takes_scene: bool = False  # whether a glTF scene goes in as part of it

    @property
    def module(self) -> str:
        return f"{__package__}.{self.name}"

    def option(self, name: str) -> Option | None:
        return next((option for option in self.options if option.name == name), None)


def sentence(help_text: str) -> str:
    """A help text with a capital, as tooltips begin."""
    return help_text[:1].upper() + help_text[1:]


_CODEC = {"h264": "H.264", "hevc": "HEVC (H.265)", "av1": "AV1"}
_FRAMES_HELP = "one frame, counted from 0; -1 is all of them"

TARGETS = {
    target.name: target
    for target in (
        Target("web", "Web Page", "a page that anyone can open, with touch, keyboard and headset", "three", (), True),
        Target(
            "video360",
            "360° Video",
            "an mp4 that YouTube, headsets and players know as a panorama",
            "film",
            (
                Option("preset", "For", "sets the size and codec that play there", "desktop",
                       {"desktop": "Desktop Players", "youtube": "YouTube", "quest": "Quest Headsets"}),
                Option("codec", "Codec", "how it is packed; auto is what the preset plays best", "auto",
                       {"auto": "Automatic"} | _CODEC),
                Option("repeat", "Repeat", "the loop so many times, for players that do not loop tightly", 1,
                       limits=(1, 1000)),
            ),
        ),
        Target(
            "godot",
            "Godot",
            "a folder to drop into a Godot 4 project: the sky moves, and lights the scene",
            "godot",
            (
                Option("playback", "Playback", "a film for any machine, or frames on the graphics card for short loops",
                       "video", {"video": "Film (Theora)", "flipbook": "Flipbook on the GPU"}),
            ),
            True,
        ),
        Target("unity", "Unity", "a package whose menu item builds sky, player and lighting", "unity"),
        Target("unreal", "Unreal", "a film and an editor script that builds sky material and dome", "unreal"),
        Target(
            "cubemap",
            "Cube Map",
            "six named faces a frame, in the order that an engine expects",
            "film",
            (
                Option("order", "Order", "whose names and turns", "opengl",
                       {"opengl": "OpenGL, KTX", "three": "three.js", "unity": "Unity", "unreal": "Unreal"}),
                Option("layout", "Layout", "six files a frame, or one strip", "faces",
                       {"faces": "Six Files", "strip": "One Strip"}),
                Option("frame", "Frame", _FRAMES_HELP, 0, limits=(-1, 4095)),
            ),
        ),
        Target(
            "stills",
            "Pictures",
            "a poster that viewers know as a panorama, or every frame",
            "film",
            (
                Option("format", "Format", "of the pictures", "jpeg", {"jpeg": "JPEG", "png": "PNG"}),
                Option("frame", "Frame", _FRAMES_HELP, 0, limits=(-1, 4095)),
            ),
        ),
        Target(
            "hdr",
            "HDR Light",
            "linear light with estimated highlights, for renderers",
            "film",
            (
                Option("format", "Format", "of the pictures", "exr", {"exr": "OpenEXR", "hdr": "Radiance HDR"}),
                Option("boost", "Boost", "stops that the sun goes beyond white: an estimate", 6.0, limits=(0.0, 10.0)),
                Option("frame", "Frame", _FRAMES_HELP, 0, limits=(-1, 4095)),
            ),
        ),
        Target(
            "usd",
            "USD",
            "a dome light whose picture changes over time",
            "usd",
            (
                Option("format", "Format", "of its pictures", "exr", {"exr": "OpenEXR", "png": "PNG"}),
                Option("boost", "Boost", "stops that the sun goes beyond white: an estimate", 6.0, limits=(0.0, 10.0)),
            ),
        ),
        Target(
            "scene",
            "Scene and Sky",
            "the Blender scene as glTF beside one of these, turned alike, in one archive",
            "film",
            (
                Option("beside", "Sky As", "which of these goes with the scene", "web",
                       {"web": "Web Page", "godot": "Godot", "unity": "Unity", "unreal": "Unreal", "hdr": "HDR Light",
                        "usd": "USD"}),
            ),
            True,
        ),
    )
}  # fmt: skip

"""A web page with the sky all around: a folder for a web server, and one file that opens by double click.

The viewer is in ``web_files`` (``BUILD.md`` there says how its bundles are made); here it is given its film.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..jobs.store import recorded
from ..media.files import atomic_write
from ..protocol import Event, phase
from . import encoding, stills
from .film import Film, fitted
from .request import ExportRequest
from .run import Steps, Written
from .web_scene import check_glb

_FILES = Path(__file__).with_name("web_files")
_MOST_INSIDE_BYTES = 30_000_000  # of a clip in one file: some phones take no more
_SMALLEST_INSIDE_PX = 256  # high
_MOST_POSTER_PX = 1024  # high: it is there to be seen soon
_SOURCES = {"sky.mp4": ("h264", "video/mp4"), "sky.webm": ("vp9", "video/webm")}
_DESCRIPTION = "An animated sky, all around, in a loop: drag to look, or put on a headset."


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(bad_request)`` where a codec is missing here or the scene is none that the page shows."""
    for codec, _ in _SOURCES.values():
        encoding.check_codec(codec)
    if request.gltf:
        check_glb(Path(request.gltf))


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``index.html`` with what it needs beside it, and ``sky.html`` with all of that inside."""
    yield from _encoded(film, folder)
    poster = _poster(film)
    atomic_write(folder / "poster.jpg", poster)
    viewer = (_FILES / ("viewer_scene.js" if request.gltf else "viewer.js")).read_bytes()
    atomic_write(folder / "viewer.js", viewer)
    atomic_write(folder / "licenses.txt", (_FILES / "licenses.txt").read_bytes())
    scene = Path(request.gltf).read_bytes() if request.gltf else b""
    if scene:
        atomic_write(folder / "scene.glb", scene)
    title = _title(film)
    about = {"fps": film.fps, "yaw": yaw_deg, "codecs": "H.264 and VP9", "poster": "poster.jpg"}
    sources = [(name, kind) for name, (_, kind) in _SOURCES.items()]
    about |= {"sources": sources} | ({"scene": "scene.glb"} if scene else {})
    atomic_write(folder / "index.html", _page(title, about, '<script src="viewer.js"></script>'))
    clip, notes = yield from _small_enough(film, folder)
    about |= {"sources": [], "codecs": "H.264", "poster": "data:image/jpeg;base64," + _base64(poster)}
    inside = [_held("clip", clip)] + ([_held("glb", scene)] if scene else [])
    atomic_write(folder / "sky.html", _page(title, about, "\n".join([*inside, f"<script>{viewer.decode()}</script>"])))
    return Written(_use(), "sky.html", notes)


def _encoded(film: Film, folder: Path) -> Generator[Event, None, None]:
    """The film in each codec, as one wait."""
    for number, (name, (codec, _)) in enumerate(_SOURCES.items()):
        with contextlib.closing(encoding.encode(film, folder / name, codec)) as steps:
            for event in steps:
                done = number * film.frames + event.data["done"]
                yield phase(event.data["name"], done, len(_SOURCES) * film.frames, event.data["unit"])


def _use() -> tuple[str, ...]:
    return (
        "Double-click sky.html: the sky opens in your browser. It is one file; send it to anyone as it is.",
        "For a web site, upload this whole folder: its address shows the sky (index.html, and what is beside it).",
        'Within another page: <iframe src="FOLDER/index.html" allow="fullscreen; xr-spatial-tracking; accelerometer;'
        ' gyroscope" style="width: 100%; aspect-ratio: 16/9; border: 0"></iframe>',
        "To begin elsewhere, add #yaw=90&pitch=10&fov=60&t=1.5 to the address: degrees to the right and up,"
        " field of view, seconds.",
        "Headsets and phones' motion sensors work only from a web site with https. The title is in index.html and"
        " sky.html: change it as you like.",
    )


def _title(film: Film) -> str:
    made = recorded(film.path.parent) if film.path.name == "sky.mp4" else None
    return made.prompt if made and made.prompt else film.path.stem


def _poster(film: Film) -> bytes:
    first = film if film.height <= _MOST_POSTER_PX else _at_height(film, _MOST_POSTER_PX)
    return stills.picture(first.one(0), "jpg", stills.panorama_xmp(first.width, first.height))


def _small_enough(film: Film, folder: Path) -> Generator[Event, None, tuple[bytes, tuple[str, ...]]]:
    """The clip for the single file, and notes."""
    clip, height = folder / "sky.mp4", film.height
    size = clip.stat().st_size
    while clip.stat().st_size > _MOST_INSIDE_BYTES and height > _SMALLEST_INSIDE_PX:
        # By what the bytes say, and a little more: the next one should do.
        height = max(
            _SMALLEST_INSIDE_PX, min(height * 3 // 4, int(height * (_MOST_INSIDE_BYTES / clip.stat().st_size) ** 0.5))
        )
        height -= height % 16
        clip = folder / ".smaller.mp4"
        yield from encoding.encode(_at_height(film, height), clip, "h264")
    data = clip.read_bytes()
    if clip.name == "sky.mp4":
        return data, ()
    clip.unlink()
    notes = (
        f"sky.mp4 has {size / 1e6:.0f} MB, too much for one page, so sky.html shows it at {2 * height}x{height}.",
        "The folder's index.html, on a web server, shows sky.mp4 as it is.",
    )
    return data, notes


def _at_height(film: Film, height: int) -> Film:
    smaller = fitted(film, height, film.roll_px / film.width * 360)
    return replace(smaller, notes=film.notes)


def _page(title: str, about: dict[str, Any], scripts: str) -> bytes:
    told = json.dumps(about, separators=(",", ":")).replace("<", "\\u003c")  # nothing in it ends the script
    page = (_FILES / "index.html").read_text(encoding="utf-8")
    parts = {"TITLE": html.escape(title), "DESCRIPTION": html.escape(_DESCRIPTION), "ABOUT": told, "SCRIPTS": scripts}
    return re.sub(r"%%([A-Z]+)%%", lambda found: parts[found[1]], page).encode()


def _held(name: str, data: bytes) -> str:
    return f'<script type="text/plain" id="{name}">{_base64(data)}</script>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

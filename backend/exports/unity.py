"""Unity: a package that imports by double click; its menu item builds sky, player and lighting in the open scene.

Only what Unity migrates by itself goes in: films, scripts and numbers. Material and texture are made by the script, so
that no file of ours has to follow Unity's formats. The built-in pipeline and URP; HDRP has a sky of its own.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from ..protocol import phase
from .encoding import check_codec, encode, why_not
from .film import Film
from .orientation import ENGINES
from .request import ExportRequest
from .run import Steps, Written

FILES = Path(__file__).with_name("unity_files")
ROOT = "Assets/Skyloop"
_SCRIPTS = {"SkyloopSky.cs": ROOT, "SkyloopBuild.cs": f"{ROOT}/Editor"}
_NOTES = (
    "It has not been run in Unity: the package is read back, and its scripts run against stubs of Unity, no more.",
    "The menu item is for the built-in pipeline and URP. HDRP has a sky of its own, in a Volume.",
)


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(bad_request)`` where there is no encoder."""
    check_codec("h264")


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``skyloop_<name>.unitypackage``."""
    name = film.name
    home = f"{ROOT}/{name}"
    films = {"sky.mp4": "h264"}
    notes = _NOTES
    if missing := why_not("vp8"):
        notes += (f"{missing} Unity's editor for Linux plays nothing else.",)
    else:
        films["sky.webm"] = "vp8"
    facts = {"width": film.width, "height": film.height, "rotation": rotation_deg(yaw_deg)}
    content: dict[str, bytes | Path] = {
        f"{place}/{script}": (FILES / script).read_bytes() for script, place in _SCRIPTS.items()
    }
    content[f"{home}/skyloop.json"] = (json.dumps(facts, indent=1) + "\n").encode()
    for file, codec in films.items():
        yield from encode(film, folder / file, codec)
        content[f"{home}/{file}"] = folder / file
    package = folder / f"skyloop_{name}.unitypackage"
    yield phase("packing", 0, 1, "package")
    write_package(package, content)
    for file in films:
        (folder / file).unlink()
    yield phase("packing", 1, 1, "package")
    use = (
        f"Open your project in Unity 2021.3 or newer and double-click {package.name}; choose Import.",
        "Open your scene, then choose Tools > Skyloop > Build Sky in the menu bar.",
        "Press Play: the sky moves, and light and reflections follow it. (Before Play it may look black.)",
        f"To turn or dim it, select {home}/Sky.mat: Rotation and Exposure. Save the scene.",
        "How often the light is renewed is in the object Skyloop Sky: Light Every Frames; 0 turns it off.",
    )
    return Written(use, package.name, notes)


def rotation_deg(yaw_deg: float) -> float:
    """The ``_Rotation`` of Skybox/Panoramic, in [0, 360), that shows the frame's centre at ``yaw_deg``: the shader
    turns vertices counter-clockwise seen from above (RotateAroundYInDegrees), which is to the left."""
    return (ENGINES["unity"].default_deg - yaw_deg) % 360.0


def write_package(path: Path, content: dict[str, bytes | Path]) -> None:
    """Write a ``.unitypackage`` of files by their place in the project, from bytes or from a file; equal content gives
    equal bytes. Nothing is compressed, as films cannot be."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 0, raw, 0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for place, data in sorted(content.items()):
            guid = guid_of(place)
            _add(archive, f"{guid}/asset", data)
            _add(archive, f"{guid}/asset.meta", f"fileFormatVersion: 2\nguid: {guid}\n".encode())
            _add(archive, f"{guid}/pathname", place.encode())


def guid_of(place: str) -> str:
    """Unity's name for an asset, 32 hexadecimal digits: always the same, so that importing again updates in place."""
    return hashlib.md5(f"skyloop:{place}".encode(), usedforsecurity=False).hexdigest()


def _add(archive: tarfile.TarFile, name: str, data: bytes | Path) -> None:
    entry = tarfile.TarInfo(name)
    if isinstance(data, Path):
        entry.size = data.stat().st_size
        with data.open("rb") as file:
            archive.addfile(entry, file)
    else:
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))

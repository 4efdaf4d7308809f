"""Unreal: the film and an editor script that builds media player, sky material, dome and light in the open level.

Assets of Unreal's are binary and belong to its version: they are made there, by its own functions.
"""

from __future__ import annotations

import json
from pathlib import Path

from .encoding import check_codec, encode
from .film import Film
from .numbered import put
from .request import ExportRequest
from .run import Steps, Written

FILES = Path(__file__).with_name("unreal_files")
SCRIPT = "import_skyloop.py"
_NOTES = (
    "It has not been run in Unreal: the script is run against the stub of its 5.6 API, no more.",
    "Unreal's exposure and tone mapping change how bright and how strong the film's colours look.",
)


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(bad_request)`` where there is no encoder."""
    check_codec("h264")


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``sky.mp4``, the script, and ``skyloop.json`` with what it needs to know."""
    yield from encode(film, folder / "sky.mp4", "h264")
    facts = {"name": film.name, "yaw": yaw_deg}
    put(folder / "skyloop.json", (json.dumps(facts, indent=1) + "\n").encode())
    put(folder / SCRIPT, (FILES / SCRIPT).read_bytes())
    use = (
        "In Unreal 5.3 or newer, choose Edit > Plugins, switch on Python Editor Script Plugin and Electra Player, and "
        "restart.",
        f"Open your level, choose Tools > Execute Python Script, and pick {SCRIPT} in this folder.",
        "The sky moves, and a Sky Light follows it. Delete the level's own Sky Atmosphere or sky sphere if it is in "
        "the way.",
        "For the finished game: in the Level Blueprint, connect Event BeginPlay to Open Source (Target SkyPlayer, "
        f"Media Source SkySource, from Content/Skyloop/{film.name}).",
        "To turn or dim it, open SkyMaterial there: Yaw (degrees to the right) and Brightness. Save everything.",
    )
    return Written(use, SCRIPT, _NOTES)

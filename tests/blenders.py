"""The other Blenders that the extension is tested in, besides the one that the main job makes; as Python modules.

Standard library only, like all that runs before there is an environment.
"""

from __future__ import annotations

from pathlib import Path

from backend import runtime
from backend.runtime.install import Installer
from backend.runtime.places import Spec, find_ready, python_in

VERSIONS = Path(__file__).parent / "blender" / "versions"
# Each wheel of bpy is for the Python that this Blender embeds.
PYTHONS = {"4.2": (3, 11), "4.5": (3, 11), "5.2": (3, 13)}


def make(version: str) -> Path:
    """This Blender's Python with ``bpy``, installed where it is missing.

    Raises ``SkyloopError`` where it cannot be: no such Python here, no network, no room.
    """
    spec = Spec(
        name=f"blender{version}",
        requirements=VERSIONS / f"{version}.txt",
        checks=("bpy",),
        need_gb={"": 1.5},
        pythons=(PYTHONS[version],),
    )
    home = runtime.home()
    if ready := find_ready(home, spec, ""):
        return python_in(ready)
    return python_in(Installer(home, runtime.console_progress(), lambda: False, spec=spec).install())

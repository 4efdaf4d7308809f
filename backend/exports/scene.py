"""The Blender scene as glTF, with the sky of another target beside it that is turned as in Blender; all in one archive.

Blender writes the glTF (the add-on asks it to); the sky is written by the module of the other target.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..protocol import bad_request, phase
from .film import Film
from .request import ExportRequest
from .run import README, Steps, Written, writer

SCENE, SKY, ARCHIVE = "scene.glb", "sky", "scene-and-sky.zip"


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError(bad_request)`` without a scene, and for what the sky's own target refuses."""
    if not request.gltf:
        raise bad_request(
            "A scene is missing.", "Export from the panel in Blender, or name a glTF scene with --gltf FILE.glb."
        )
    writer(request.sky).check(film, request.sky)


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """The sky in ``sky/`` with its own README, ``scene.glb`` unless the sky's target has it, and an archive of all."""
    together = bool(request.sky.gltf)  # then the scene is in the sky's folder, under the same name
    if not together:
        shutil.copyfile(request.gltf, folder / SCENE)
        yield phase("scene", 1, 1, "file")
    sky, name = folder / SKY, request.sky.about.title
    sky.mkdir()
    done = yield from writer(request.sky).write(film, request.sky, yaw_deg, sky)
    (sky / README).write_text("".join(f"{n}. {line}\n" for n, line in enumerate(done.use, 1)), encoding="utf-8")
    scene = f"{SKY}/{SCENE}" if together else SCENE
    fits = "with the scene in it" if together else "turned to fit the scene"
    how = "" if together else ": import it as it is, without turning it"
    use = (
        f"The folder {SKY} is the sky for {name}, {fits}. {SKY}/{README} says how to use it.",
        f"{scene} is the Blender scene by itself (glTF, +Y up){how}.",
        f"{ARCHIVE} holds all of this, to send to somebody.",
    )
    return Written(use, f"{SKY}/{done.open}" if together else SCENE, done.notes, ARCHIVE)

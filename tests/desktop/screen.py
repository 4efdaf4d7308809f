"""Blender with a window: starts it on a virtual screen inside the Debian and lets it walk; brings back what it saw."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sid import Sid

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MONADO_RUNTIME = {"XR_RUNTIME_JSON": "/usr/share/openxr/1/openxr_monado.json"}
START_SCREEN = """
Xvfb $DISPLAY -screen 0 {size} +extension GLX -nolisten tcp >/dev/null 2>&1 &
for _ in $(seq 100); do [ -S /tmp/.X11-unix/X9 ] && break; sleep 0.1; done
"""
# Its Python must find walking.py, and a walk that cannot even be loaded must not leave Blender standing there.
BLENDER = (
    "timeout {timeout_s} blender --gpu-backend opengl --window-geometry {geometry} "
    "--python-use-system-env --python-exit-code 1 --python {walk} -- {arguments}"
)


@dataclass
class Walked:
    """What a walk came to: what it noted, where its pictures are, what Blender printed, its exit status."""

    noted: dict[str, Any]
    folder: Path
    log: str
    status: int

    def text(self, name: str) -> str:
        """What can be read on a picture."""
        return " ".join(word["text"] for word in self.noted[name])


class Screen:
    """A screen before which a Blender stands that has the extension installed, with ``resources`` as its user's."""

    def __init__(self, sid: Sid, resources: Path) -> None:
        self.sid, self.resources = sid, resources

    def walk(
        self,
        script: str,
        folder: Path,
        *,
        size: tuple[int, int] = (1400, 900),
        timeout_s: float = 180.0,
        before: str = "",
        left_px: int = 0,
        environment: dict[str, str] | None = None,
        **arguments: Any,
    ) -> Walked:
        """Run ``script`` of this folder in Blender; its pictures come into ``folder``.

        ``before``: shell lines that run first, when the screen is there. ``left_px``: free space beside Blender's
        window. Fails with all that Blender said when the walk did not come to its end.
        """
        user = folder / "user"
        shutil.copytree(self.resources, user)
        asked = folder / "arguments.json"
        asked.write_text(json.dumps({"out": str(folder), **arguments}, default=str), encoding="utf-8")
        width, height = size
        inside = START_SCREEN.format(size=f"{left_px + width}x{height}x24") + before
        geometry = f"{left_px} 0 {width} {height}"
        inside += BLENDER.format(timeout_s=timeout_s, geometry=geometry, walk=f"/host{HERE / script}", arguments=asked)
        done = self.sid.run(
            inside,
            shares=[folder],
            timeout_s=timeout_s + 60,
            BLENDER_USER_RESOURCES=str(user),
            HOME=str(user),
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONPATH=f"/host{HERE}",
            **(environment or {}),
        )
        log = done.stdout + done.stderr
        noted = folder / "noted.json"
        assert noted.is_file(), f"Blender ended with {done.returncode} in mid-walk:\n{log[-6000:]}"
        document = json.loads(noted.read_text(encoding="utf-8"))
        assert not document["error"], f"{document['error']}\nPicture: {folder}/error.png\n{log[-3000:]}"
        return Walked(document, folder, log, done.returncode)


def install(sid: Sid, folder: Path) -> Path:
    """Build the extension and install it as users do. Returns the user's resources, ``folder/user``."""
    user = folder / "user"
    done = sid.run(
        f"blender --command extension build --source-dir /host{ROOT} --output-dir {folder}\n"
        f"blender --command extension install-file -r user_default -e {folder}/skyloop-*.zip",
        shares=[folder],
        timeout_s=120,
        BLENDER_USER_RESOURCES=str(user),
        HOME=str(folder),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return user


def backend_command(python: Path, folder: Path) -> list[str]:
    """The backend of the extension in ``folder``, run by the host's ``python`` with the host's libraries."""
    package = folder / "user" / "extensions" / "user_default" / "skyloop"
    environment = ["OMP_NUM_THREADS=2", f"PYTHONPATH={package}", "PYTHONSAFEPATH=1"]
    return ["chroot", "/host", "env", *environment, str(python), "-m", "backend", "stdio"]


def finished_job(film: Path, folder: Path) -> Path:
    """A job folder as the backend leaves it, with the film of the folder ``film``."""
    folder.mkdir()
    for name in ("sky.mp4", "poster.png"):
        shutil.copyfile(film / name, folder / name)
    request = {"prompt": "aurora", "width": 256, "height": 128, "frames": 16, "seed": 7}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    (folder / "result.json").write_text("{}", encoding="utf-8")
    return folder

"""Blender without a window: a Python with ``bpy``, the built extension, a coded film, a way to run scenarios inside."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

HERE = Path(__file__).parent
FRAMES = 16
WIDTH, HEIGHT = 256, 128
# By yaw in degrees.
LANDMARKS = {0.0: (0, 220, 0), 90.0: (0, 0, 220), 180.0: (0, 220, 220), -90.0: (220, 220, 220)}
CENTRE_FREE_PITCH = 60.0  # above this pitch the film has one colour, which tells its frame


def frame_colour(frame: int) -> tuple[int, int, int]:
    """What fills film frame ``frame`` (from 0) outside its landmarks."""
    return (20 + 13 * frame, 0, 60)


def coded_frame(frame: int) -> np.ndarray:
    """One frame (HEIGHT, WIDTH, 3): the colour of its number, near the horizon a landmark at each quarter."""
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = frame_colour(frame)
    band = slice(round(HEIGHT * (0.5 - CENTRE_FREE_PITCH / 180)), round(HEIGHT * (0.5 + CENTRE_FREE_PITCH / 180)))
    for yaw_deg, colour in LANDMARKS.items():
        columns = np.arange(-12, 12) + round(WIDTH * (0.5 + yaw_deg / 360))
        picture[band, columns % WIDTH] = colour
    return picture


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``sky.mp4`` of FRAMES coded frames at 8 a second, and its poster."""
    folder = tmp_path_factory.mktemp("film")
    with av.open(str(folder / "sky.mp4"), "w") as movie:
        stream = movie.add_stream("libx264", rate=8, options={"crf": "8", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in range(FRAMES):
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(coded_frame(frame), format="rgb24")))
        movie.mux(stream.encode())
    with av.open(str(folder / "poster.png"), "w", format="image2") as still:
        stream = still.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb24"
        still.mux(stream.encode(av.VideoFrame.from_ndarray(coded_frame(0), format="rgb24")))
        still.mux(stream.encode())
    return folder


class Blender:
    """Runs functions of ``inside.py`` in a new Blender process each, with the user resources of one test module."""

    def __init__(self, python: Path, resources: Path, film: Path) -> None:
        self.python, self.resources, self.film = python, resources, film

    def run(self, *command: str | Path, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        env |= {
            "BLENDER_USER_RESOURCES": str(self.resources),
            "HOME": str(self.resources),  # skies of an unsaved file go into the user's home
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # A crash of Blender then says where it was.
        whole = [str(self.python), "-X", "faulthandler", *map(str, command)]
        return subprocess.run(whole, capture_output=True, text=True, env=env, timeout=timeout_s, check=False)

    def ask(self, scenario: str, **arguments: Any) -> Any:
        """What ``inside.py``'s function of that name returns, run in Blender."""
        answer = self.resources / "answer.json"
        answer.unlink(missing_ok=True)
        document = {"answer": str(answer), "film": str(self.film), **arguments}
        done = self.run(HERE / "inside.py", scenario, json.dumps(document, default=str))
        assert done.returncode == 0, f"{scenario}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return json.loads(answer.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def blender_python(request: pytest.FixtureRequest) -> Path:
    """``SKYLOOP_BPY_PYTHON`` from the environment, to test another Blender, else that of the private runtime."""
    chosen = os.environ.get("SKYLOOP_BPY_PYTHON")
    return Path(chosen) if chosen else request.getfixturevalue("bpy_python")


@pytest.fixture(scope="session")
def extension_cli(blender_python: Path) -> list[str]:
    """Blender's own tool that validates and builds extensions, as a command."""
    script = "import bpy, pathlib; print(pathlib.Path(bpy.utils.system_resource('SCRIPTS')))"
    found = subprocess.run([blender_python, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    tool = Path(found.stdout.strip().splitlines()[-1]) / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    return [str(blender_python), str(tool)]


@pytest.fixture(scope="session")
def extension_zip(extension_cli: list[str], repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as users get it, built by Blender's own tool."""
    out = tmp_path_factory.mktemp("dist")
    command = [*extension_cli, "build", "--source-dir", str(repository), "--output-dir", str(out)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("skyloop-*.zip"))


@pytest.fixture(scope="module")
def bare_blender(blender_python: Path, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Blender:
    """A Blender without the extension."""
    return Blender(blender_python, tmp_path_factory.mktemp("resources"), film)


@pytest.fixture(scope="module")
def blender(bare_blender: Blender, extension_zip: Path) -> Blender:
    """A Blender with the extension installed and enabled."""
    bare_blender.ask("install", zip=extension_zip)
    return bare_blender

"""The Export panel in a real Blender window, with the real generator: chosen, pressed, seen, and from the history."""

from __future__ import annotations

import difflib
import os
import shutil
from pathlib import Path

import pytest

from backend import runtime

from ..blender.conftest import film  # noqa: F401
from .screen import Screen, Walked, backend_command, finished_job

# What must be read on each picture; the reading of small type is forgiven a letter.
SEEN = {
    "choices": "Web Page; Height; Facing; With the Scene; Folder; 256 x 128, 16 frames; Export Sky",
    "made": "Pictures; Format; Frame; Exported to; Open Folder; Open",
    "dialog": "Cube Map; Order; Layout; Export; Cancel",
}


@pytest.fixture(scope="module")
def walked(screen: Screen, backend_python: Path, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:  # noqa: F811
    folder = tmp_path_factory.mktemp("export")
    *command, _ = backend_command(backend_python, folder)
    command.insert(command.index("env") + 1, f"SKYLOOP_HOME={runtime.home()}")
    (folder / "skies").mkdir()
    job = finished_job(film, folder / "skies" / "aurora")
    return screen.walk("walk_export.py", folder, size=(1100, 1500), timeout_s=300.0, backend=command, job=job)


def test_the_pictures_of_the_manual(walked: Walked) -> None:
    """They are those of this run where ``SKYLOOP_PICTURES`` names the folder to put them into."""
    if folder := os.environ.get("SKYLOOP_PICTURES"):
        for name in SEEN:
            shutil.copyfile(walked.folder / f"{name}.png", Path(folder) / f"{name}.png")
    assert all((walked.folder / f"{name}.png").stat().st_size > 5000 for name in SEEN)


@pytest.mark.parametrize("picture", SEEN)
def test_each_step_says_what_it_should(walked: Walked, picture: str) -> None:
    read = walked.text(picture).lower().split()
    wanted = SEEN[picture].lower().replace(";", " ").split()
    missing = [word for word in wanted if not difflib.get_close_matches(word, read, 1, 0.7)]
    assert not missing, f"{missing} in {walked.text(picture)!r}: {walked.folder}/{picture}.png"


def test_what_was_asked_for_is_there(walked: Walked) -> None:
    pictures = sorted(path.name for path in (walked.folder / "pictures").rglob("*.jpg"))
    assert len(pictures) >= 16
    assert {"scene.glb", "scene-and-sky.zip", "sky", "README.txt"} <= set(walked.noted["files"])
    assert walked.noted["problem"] is None and "README.txt" in walked.noted["cube"]
    assert walked.status == 0

"""What an artist sees, from the first look on, in a real Blender window with the real generator."""

from __future__ import annotations

import difflib
import os
import shutil
from pathlib import Path

import pytest

from .screen import MONADO_RUNTIME, Screen, Walked, backend_command

HEADSET = (640, 360)  # pixels of the window that shows both eyes
# What must be read on each picture; the reading of small type is forgiven a letter.
SEEN = {
    "setup": "It needs its generator; Blender is set to stay offline; Allow Online Access; works without internet",
    "installing": "Setting up the generator; Downloading; Cancel; You can go on working",
    "empty": "Use an Example; Built-in; Preview Standard Final Custom; Settings; Directions; Camera; World; History",
    "create": "northern lights over a frozen lake; Generate Sky; Try Four",
    "settings": "Style None; Avoid; Seed; Duration; Frames; Loop; Field of View; Apply When Done",
    "models": "Wan 2.1; Get the model first; Get It; Free to use; Get Model; Use My Own; Steps; Guidance",
    "loras": "Wan 2.1; Verify; Remove Model; LoRA Files; mist; panorama",
    "directions": "Add Region Where I Look; Add Region All Around; full moon; Bring Here; Show Regions",
    "running": "Add to Queue; Loading the model; Show in Viewport",
    "result": "Done: this is the World now; Generate Sky",
    "window": "Scene Collection; Skyloop",
    "world": "World; Front; Strength; Restore Previous World",
    "history": "northern lights; frames, seed 1; Apply to World; Reuse; on the disk",
    "vr": "Stop VR; Stand At; Eye Height; Heading",
}


@pytest.fixture(scope="module")
def tour(screen: Screen, backend_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("tour")
    backend = backend_command(backend_python, folder)
    return screen.walk(
        "walk_tour.py",
        folder,
        size=(1400, 1800),
        timeout_s=900.0,
        left_px=HEADSET[0],
        environment=MONADO_RUNTIME,
        backend=backend,
        headset=HEADSET,
        frames=8,
        steps=6,
    )


def test_the_pictures_of_the_manual(tour: Walked) -> None:
    """They are those of this run where ``SKYLOOP_PICTURES`` names the folder to put them into."""
    if folder := os.environ.get("SKYLOOP_PICTURES"):
        for name in SEEN:
            shutil.copyfile(tour.folder / f"{name}.png", Path(folder) / f"{name}.png")
    assert all((tour.folder / f"{name}.png").stat().st_size > 5000 for name in SEEN)


@pytest.mark.parametrize("picture", SEEN)
def test_each_step_says_what_it_should(tour: Walked, picture: str) -> None:
    read = tour.text(picture).lower().split()
    wanted = SEEN[picture].lower().replace(";", " ").split()
    missing = [word for word in wanted if not difflib.get_close_matches(word, read, 1, 0.7)]
    assert not missing, f"{missing} in {tour.text(picture)!r}: {tour.folder}/{picture}.png"


def test_a_real_sky_becomes_the_world(tour: Walked) -> None:
    assert tour.noted["quality"] == "PREVIEW", "a click on a button chose it"
    assert tour.noted["problem"] is None
    assert tour.noted["applied"].startswith("Skyloop: northern lights") and tour.noted["seed"] == "1"
    assert tour.status == 0


def test_blender_is_never_held_up_for_long_while_a_sky_is_made(tour: Walked) -> None:
    ticks = tour.noted["times"]["ticks_ms"]
    print(tour.noted["times"])
    assert ticks["count"] > 100
    assert ticks["max"] < 500, "the main thread's own time; the figures are in docs/manual/ticks.json"

"""Asks Blender (the ``bpy`` wheel) how a ball looks under a sky that was exported."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def rendered(python: Path, folder: Path, shots: list[dict[str, Any]]) -> list[np.ndarray]:
    """For each shot (:mod:`.inside_light`) linear RGB, (directions, 3)."""
    answer = folder / "rendered.json"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"HOME": str(folder)}
    command = [str(python), str(HERE / "inside_light.py"), json.dumps({"shots": shots}), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return [np.array(found) for found in json.loads(answer.read_text(encoding="utf-8"))]


def towards(yaw_deg: float, pitch_deg: float) -> list[float]:
    """A direction of the film in Blender's axes: ahead is +Y, right +X, up +Z."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    return [float(np.sin(yaw) * np.cos(pitch)), float(np.cos(yaw) * np.cos(pitch)), float(np.sin(pitch))]

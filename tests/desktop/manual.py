"""The manual's pictures, from what the tour through Blender (``test_walk.py``) saw.

python -m tests.desktop.manual FOLDER      FOLDER has the tour's pictures, such as pytest's --basetemp
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "manual"
GAP_PX = 12
OWN_FOLDER = {"setup": (20, 208, 230, 225)}  # where the folder of the test stands, which is nobody's
# Side by side: pictures of the sidebar, with the first and last row that are shown.
STRIPS = {
    "setup.png": [("setup", 0, 500), ("installing", 0, 500)],
    "create.png": [("create", 0, 850), ("settings", 0, 850)],
    "models.png": [("models", 0, 850), ("loras", 0, 850)],
    "running.png": [("running", 0, 850), ("result", 0, 850)],
    "export.png": [("choices", 355, 645), ("made", 355, 755)],
    "history.png": [("history", 868, 1375), ("vr", 842, 990)],
}
# Of the whole screen: left, top, right, bottom, and how much smaller. Left of Blender's window is the headset's.
VIEWS = {
    "directions.jpg": ("directions_view", (640, 0, 1795, 1190), 0.75),
    "world.jpg": ("window", (640, 0, 1795, 1190), 0.75),
    "eyes.jpg": ("eyes", (0, 0, 640, 360), 1.0),
}


def make(tour: Path) -> None:
    """Write all of them from the pictures in ``tour``. Raises ``FileNotFoundError`` for one that is missing."""
    PICTURES.mkdir(exist_ok=True)
    for name, parts in STRIPS.items():
        shown = [_read(tour, part)[top:bottom] for part, top, bottom in parts]
        height = max(picture.shape[0] for picture in shown)
        padded = [np.pad(p, ((0, height - p.shape[0]), (0, GAP_PX), (0, 0)), constant_values=255) for p in shown]
        cv2.imwrite(str(PICTURES / name), np.hstack(padded)[:, :-GAP_PX], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    for name, (part, (left, top, right, bottom), scale) in VIEWS.items():
        view = _read(tour, part)[top:bottom, left:right]
        small = cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(PICTURES / name), small, [cv2.IMWRITE_JPEG_QUALITY, 85])


def _read(tour: Path, name: str) -> np.ndarray:
    picture = cv2.imread(str(tour / f"{name}.png"))
    if picture is None:
        raise FileNotFoundError(f"{tour / name}.png")
    if name in OWN_FOLDER:
        left, top, right, bottom = OWN_FOLDER[name]
        picture[top:bottom, left:right] = picture[top + 3, left + 3]
    return picture


if __name__ == "__main__":
    make(Path(sys.argv[1]))

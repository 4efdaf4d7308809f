"""Showing what was measured and what was made: a table of figures, and a sheet of panoramas with their views.

    python3 -m backend.evaluation.report SHEET.png DIR...

draws the sheet of the results in those folders, as the README shows it (run it with the private runtime's Python).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..media.stills import write_png
from ..media.video import read_frames
from .metrics import PASS, passes
from .views import Lens, View, extended

_UNITS = {
    "motion": "deg/s",
    "motion_px": "px/s",
    "flicker": "grey levels",
    "flicker_residual": "grey levels",
    "loop_color": "delta E",
    "seam_percentile": "%",
}
_MARKS = {True: "pass", False: "FAIL", None: ""}

# Front, behind on the right, and up.
VIEWS = (View(0, 5, 90), View(140, 15, 90), View(0, 80, 100))


def table(figures: dict[str, Any]) -> str:
    """The figures as lines: name, value, unit, what a pass is and whether it is one. Views are told by their spread."""
    rows = []
    for name, value in figures.items():
        bounds = f"{PASS[name][0]:g} to {PASS[name][1]:g}" if name in PASS else ""
        rows.append((name, _text(name, value), _UNITS.get(name, ""), bounds, _MARKS[passes(name, value)]))
    header = ("figure", "value", "unit", "pass", "")
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(4)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
             for row in [header, *rows]]  # fmt: skip
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one:.3g}" for key, one in value.items())
    if name == "motion_by_view":
        speeds = [view[2] for view in value]
        return f"{min(speeds):.3g} to {max(speeds):.3g}"
    if isinstance(value, list):
        return ", ".join(f"yaw {yaw:g} pitch {pitch:g}" for yaw, pitch in value) or "none"
    return f"{value:.4g}"


def contact_sheet(entries: Sequence[tuple[str, np.ndarray]], path: Path, views: int = 3) -> None:
    """Write a PNG with a row for each (caption, video (T, H, W, 3) uint8): the panorama and perspective views of it.

    The middle frame is shown; the first ``views`` (0 to 3) of front, behind on the right, and up. Raises
    ``SkyloopError`` like :func:`write_png`.
    """
    rows = [_row(caption, video[len(video) // 2], VIEWS[:views]) for caption, video in entries]
    write_png(path, np.concatenate([_space(rows[0].shape[1], _GAP), *rows]))


_PICTURE_PX = 256
_GAP = 12
_CAPTION_PX = 34
_PAPER, _INK = (250, 250, 248), (40, 40, 44)


def _space(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), _PAPER, np.uint8)


def _row(caption: str, frame: np.ndarray, views: Sequence[View]) -> np.ndarray:
    wide = extended(frame)
    pictures = [cv2.resize(frame, (2 * _PICTURE_PX, _PICTURE_PX), interpolation=cv2.INTER_AREA)]
    pictures += [Lens.on_sphere(view, _PICTURE_PX, *frame.shape[:2])(wide) for view in views]
    gap = _space(_GAP, _PICTURE_PX)
    line = [gap]
    for picture in pictures:
        line += [picture, gap]
    strip = np.concatenate(line, axis=1)
    return np.concatenate([strip, _caption(caption, strip.shape[1]), _space(strip.shape[1], _GAP)])


def _caption(text: str, width: int) -> np.ndarray:
    """One line of text, cut with an ellipsis where it is too long. OpenCV 5 brings a font for most scripts."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.62
    shown = kept = " ".join(text.split())[: width // 2]
    while kept and cv2.getTextSize(shown, font, scale, 1)[0][0] > width - 2 * _GAP:
        kept = kept[:-1]
        shown = kept.rstrip() + "..."
    band = _space(width, _CAPTION_PX)
    cv2.putText(band, shown, (_GAP, 24), font, scale, _INK, 1, cv2.LINE_AA)
    return band


def _main(sheet: str, *folders: str) -> None:
    entries = []
    for folder in map(Path, folders):
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        entries.append((result["request"]["prompt"], np.stack(list(read_frames(folder / "sky.mp4")))))
    contact_sheet(entries, Path(sheet))


if __name__ == "__main__":
    _main(*sys.argv[1:])

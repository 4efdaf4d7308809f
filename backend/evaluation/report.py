"""Showing what was measured and what was made: tables of figures, and a sheet of panoramas with their views.

    python3 -m backend.evaluation.report SHEET.png DIR...

draws the sheet of the results in those folders, as the README shows it (run it with the private runtime's Python).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
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
    "fidelity_db": "dB",
    "fidelity_low_db": "dB",
    "fidelity_color": "delta E",
    "seam_percentile": "%",
}
_MARKS = {True: "pass", False: "FAIL", None: ""}

MEANINGS = {
    "seam": "step across ±180° over the usual step between columns; 1 is no seam, less is a smear",
    "seam2": "the same for the kink (second difference): a seam that was blurred away still kinks",
    "seam_color": "the same for colour alone",
    "seam_percentile": "where the step across ±180° stands among meridians anywhere; no seam gives 50 on average",
    "border": "where the step across the borders of windows and charts stands among arcs beside them, 0 to 100",
    "border_ratio": "that step over that of the arcs beside them",
    "pole": "gradient around the pole over gradient away from it: spokes give more than 1, rings less",
    "pole_spectrum": "how fine the detail around the pole is over that of any other direction; 1 is like it",
    "loop": "step from the last frame to the first over the usual step between frames",
    "loop_flow": "change of motion at the loop's join over the usual change of motion",
    "loop_color": "jump of the mean colour at the loop's join, CIE76 delta E",
    "detail": "gradients of perspective views over those of the model's own windows of the same prompt and pitch",
    "motion_ratio": "speed of perspective views over that of the model's own windows",
    "motion": "mean speed of what is seen, degrees a second",
    "motion_variation": "standard deviation of the speed over views, over its mean",
    "motion_frozen": "share of the sky that does not move",
    "motion_islands": "views that move under a quarter or over four times as fast as the median view",
    "flicker": "standard deviation over time of the mean brightness, grey levels",
    "flicker_line": "pulsing at the autoencoder's periods, 4 and 8 frames, over that at their neighbours",
    "flicker_residual": "change that motion does not explain, grey levels",
    "repetition": "highest correlation between views that do not overlap",
    "fidelity_db": "PSNR of the mean frame against the given picture, by area",
    "fidelity_low_db": "the same for their low frequencies (a blur of 3 degrees)",
    "fidelity_color": "how far the mean colour is from the picture's, CIE76 delta E",
    "text": "mean probability that a classifier of rendered scenes gives to what the prompt names",
    "text_top1": "how often its likeliest value is one that the prompt names",
    "text_direction": "how much more of a region's text is seen inside it than outside; 0 is what ignores directions",
    "text_direction_top1": "how often a view inside a region shows what its text names as the likeliest",
}
"""What a figure means, in a line."""

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
    if name.endswith("_by_view"):
        speeds = [view[2] for view in value]
        return f"{min(speeds):.3g} to {max(speeds):.3g}"
    if isinstance(value, list):
        return ", ".join(f"yaw {yaw:g} pitch {pitch:g}" for yaw, pitch in value) or "none"
    return f"{value:.4g}"


VIEW_BANDS = {"detail_by_view": (0.9, 1.1), "motion_ratio_by_view": (0.85, 1.15)}
"""Where the mean over skies of each single view passes."""


def verdict(figure: dict[str, Any]) -> str:
    """``pass``, ``FAIL`` or nothing, of a figure of a suite's group."""
    return _MARKS[figure.get("verdict")]


def shown(names: Iterable[str]) -> list[str]:
    """Names of a suite's figures in the order of :data:`MEANINGS`, the outside scores last; no `..._by_...`."""
    order = list(MEANINGS)
    kept = [name for name in names if "_by_" not in name]
    place = {name: order.index(name.partition(".")[0]) if name.partition(".")[0] in order else len(order)
             for name in kept}  # fmt: skip
    return sorted(kept, key=lambda name: place[name])


def markdown(suite: dict[str, Any]) -> str:
    """The tables of ``suite.json`` in Markdown: figures, views and cost, a set for each number of steps."""
    about = suite["settings"]
    lines = [
        f"{len(about['prompts'])} prompts x {about['seeds']} seeds, {about['width']}x{about['height']}, "
        f"{about['frames']} frames, model {about['model'] or 'unknown'}, on {', '.join(suite['machine']['devices'])}, "
        f"{suite['made']}.",
        f"`{suite['command']}`",
        "",
        "Means over skies with 95 % confidence intervals; geometric for ratios. In brackets the share of single skies "
        "within the band of one sky. *Band* is that of the mean.",
    ]
    for steps in about["steps"]:
        groups = [group for group in suite["groups"] if group["steps"] == steps and group["skies"]]
        if groups:
            lines += ["", f"### {steps} steps", "", *_figures_table(groups)]
            lines += ["", "Cost per sky:", "", *_cost_table(groups)]
            for name, (low, high) in VIEW_BANDS.items():
                if any(name in group["views"] for group in groups):
                    title = f"`{name}` (yaw, pitch), single windows = 1, bold outside {low:g} to {high:g}:"
                    lines += ["", title, "", *_view_table(groups, name)]
    return "\n".join(lines) + "\n"


def _figures_table(groups: Sequence[dict[str, Any]]) -> list[str]:
    rows = []
    for name in shown({name: None for group in groups for name in group["figures"]}):
        found = [group["figures"].get(name) for group in groups]
        band = next((f"{one['band'][0]:.3g} to {one['band'][1]:.3g}" for one in found if one and "band" in one), "")
        rows.append([name, band, *map(_cell, found)])
    for name, (low, high) in VIEW_BANDS.items():
        spans = [view_span(name, group["views"][name]) if name in group["views"] else "" for group in groups]
        rows += [[f"{name}, each", f"{low:g} to {high:g}", *spans]] if any(spans) else []
    return _table(["figure", "band", *(f"{group['method']} ({group['skies']})" for group in groups)], rows)


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    text = f"{figure['mean']:.3g} ({figure['low']:.3g} to {figure['high']:.3g})"
    return f"{text} {verdict(figure)} [{figure['inside']:.0%}]" if "band" in figure else text


def _cost_table(groups: Sequence[dict[str, Any]]) -> list[str]:
    places = sorted({place for group in groups for place in group["peak_memory_mb"]})
    rows = [
        [
            group["method"],
            f"{group['evaluations'] or 0:g}{times(group, groups[0])}",
            f"{making_s(group):.1f}",
            ", ".join(f"{name} {value:.1f}" for name, value in group["seconds"].items()),
            *(f"{group['peak_memory_mb'].get(place, 0):.0f}" for place in places),
        ]
        for group in groups
    ]
    return _table(["method", "evaluations", "seconds", "by phase", *(f"peak {place} MB" for place in places)], rows)


def _view_table(groups: Sequence[dict[str, Any]], name: str) -> list[str]:
    views = [(view[0], view[1]) for view in next(group["views"][name] for group in groups if name in group["views"])]
    rows = []
    for group in groups:
        found = group["views"].get(name, [])
        means = {(view[0], view[1]): f"{view[2]:.2f}" if inside(name, view[2]) else f"**{view[2]:.2f}**"
                 for view in found}  # fmt: skip
        rows.append([group["method"], *(means.get(view, "") for view in views)])
    return _table(["method", *(f"{yaw:g}, {pitch:g}" for yaw, pitch in views)], rows)


def inside(name: str, mean: float) -> bool:
    """Whether the mean over skies of a view passes."""
    low, high = VIEW_BANDS[name]
    return low <= mean <= high


def view_span(name: str, views: Sequence[Sequence[float]]) -> str:
    """The least and the most of the views of a group, and how many pass."""
    means = [view[2] for view in views]
    return f"{min(means):.2f} to {max(means):.2f}, {sum(inside(name, one) for one in means)} of {len(means)} pass"


def times(group: dict[str, Any], first: dict[str, Any]) -> str:
    """`` (2.5x)``: how many evaluations a group takes over those of the first method at equal steps."""
    if group is first or not group["evaluations"] or not first["evaluations"]:
        return ""
    return f" ({group['evaluations'] / first['evaluations']:.2g}x)"


def making_s(group: dict[str, Any]) -> float:
    """Seconds to make a sky of a suite's group, on average and without measuring it."""
    return sum(value for name, value in group["seconds"].items() if name != "measure")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


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

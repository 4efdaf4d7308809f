"""``light PATH``: how much light a film gives from where, and whether it has a sun; written beside it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..protocol import Event, bad_request, phase
from .evaluate import video_at
from .inside import enter_runtime
from .progress import Progress
from .tables import print_table


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Write ``light.json`` beside the film (``NAME.light.json`` where it is no job's), print it in short, or return it
    for ``--json``. Raises ``SkyloopError``."""
    path = video_at(options.path)
    enter_runtime(argv)
    from .. import lighting
    from ..jobs.store import recorded
    from ..media.video import probe, read_frames

    about = probe(path)
    if about["width"] != 2 * about["height"]:
        text = f"{path} is {about['width']}x{about['height']}: a film of the whole sky is twice as wide as high."
        raise bad_request(text, "Give an equirectangular film.")
    made = recorded(path.parent) if path.name == "sky.mp4" else None
    target = path.with_name(lighting.FILE if path.name == "sky.mp4" else f"{path.stem}.{lighting.FILE}")
    progress, moments = Progress(sys.stderr), list[lighting.Moment]()
    for moment in lighting.watch(read_frames(path)):
        moments.append(moment)
        progress(phase("light", len(moments), max(about["frames"], len(moments)), "frame"))
    progress(Event(type="done"))
    if not moments:
        raise bad_request(f"{path} has no frames.", "Give an equirectangular film.")
    found = lighting.write(target, moments, about["fps"], loop=made.loop if made else options.loop)
    if not options.json:
        print_table(_short(found, target))
    return found


def _short(found: dict[str, Any], target: Path) -> list[tuple[str, str]]:
    rows = [(f"irradiance {name}", " ".join(f"{v:.3f}" for v in rgb)) for name, rgb in found["irradiance"].items()]
    sun = found["sun"]
    if sun:
        rows += [
            ("sun at", f"yaw {sun['yaw_deg']:.1f}°, pitch {sun['pitch_deg']:.1f}°, {sun['size_deg']:.1f}° wide"),
            ("its irradiance", f"{sun['irradiance']:.3f}, {sun['strength']:.2f} times the rest of the sky's"),
            ("its colour", " ".join(f"{v:.2f}" for v in sun["color"])),
        ]
    else:
        rows.append(("sun", "none"))
    return [*rows, ("written", str(target))]

"""``frames PATH``: a film as numbered pictures, PNG or EXR."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..protocol import Event, bad_request, phase
from .evaluate import video_at
from .inside import enter_runtime
from .progress import Progress

if TYPE_CHECKING:
    from ..lighting import Sun

MAX_BOOST = 10.0


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Write the frames into ``--out`` and print where, or return that for ``--json``. Raises ``SkyloopError``."""
    if not 0 <= options.boost <= MAX_BOOST:
        raise bad_request(f"boost {options.boost:g}: use 0 to {MAX_BOOST:g} stops.")
    if options.boost and options.format != "exr":
        raise bad_request("boost needs EXR: a PNG ends at white.", "Add --format exr, or leave boost out.")
    path = video_at(options.path)
    enter_runtime(argv)
    from .. import sequence

    sequence.check_target(options.out)
    progress = Progress(sys.stderr)
    suns = _suns(path, progress) if options.boost else []
    wanted, done = sequence.Wanted(options.format, options.boost, suns), 0
    try:
        with contextlib.closing(sequence.write_sequence(path, options.out, wanted)) as writing:
            for done, total in writing:
                progress(phase("frames", done, total, "frame"))
    finally:
        progress.clear()
    if not options.json:
        print(options.out)
    return {"folder": str(options.out.absolute()), "frames": done, "format": options.format, "boost": options.boost}


def _suns(path: Path, progress: Progress) -> list[Sun | None]:
    """The sun of each frame: from the job's own ``light.json``, else looked for now."""
    from .. import lighting
    from ..media.video import probe, read_frames

    about = probe(path)
    if (known := lighting.recorded(path, about["frames"])) is not None:
        return known
    if about["width"] != 2 * about["height"]:
        return []
    moments = list[lighting.Moment]()
    for moment in lighting.watch(read_frames(path)):
        moments.append(moment)
        progress(phase("light", len(moments), max(len(moments), about["frames"]), "frame"))
    progress(Event(type="done"))
    return lighting.suns(lighting.summary(moments, about["fps"], loop=True), len(moments)) or []

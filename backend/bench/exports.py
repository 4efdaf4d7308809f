"""How long each export takes and how large it is: ``python3 -m backend.bench.exports FILM [--height 1024]
[--frames 96] [--target T]...`` prints a table.

A film that is shorter or smaller is repeated and enlarged first, which is not counted. Each export is the whole command
but for starting Python: reading, encoding, hashing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from .. import runtime
from ..exports.request import ExportRequest
from ..exports.targets import TARGETS, Value

VARIANTS: dict[str, tuple[dict[str, Value], ...]] = {
    "video360": ({"codec": "h264"}, {"codec": "hevc"}, {"codec": "av1"}),
    "godot": ({"playback": "video"}, {"playback": "flipbook"}),
    "cubemap": ({"frame": -1},),
    "stills": ({"frame": 0}, {"frame": -1}),
    "hdr": ({"frame": 0}, {"frame": -1}),
}


@dataclass(frozen=True)
class Measured:
    """One export: ``seconds`` of wall time, ``size_bytes`` of all its files, or why it was not made."""

    name: str
    seconds: float = 0.0
    size_bytes: int = 0
    problem: str = ""

    @property
    def row(self) -> str:
        figures = self.problem if self.problem else f"{self.seconds:.1f} | {self.size_bytes / 1e6:.1f}"
        return f"| {self.name} | {figures} |"


def main(argv: list[str]) -> int:
    runtime.enter("backend.bench.exports", argv)
    parser = argparse.ArgumentParser(prog="python3 -m backend.bench.exports", description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--target", action="append", choices=[name for name in TARGETS if name != "scene"])
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        film = _film(options.film, Path(folder) / "film.mp4", options.height, options.frames)
        size = f"{2 * options.height}x{options.height}, {options.frames} frames"
        print(f"{size}, film {film.stat().st_size / 1e6:.1f} MB; {os.cpu_count()} cores, {platform.machine()}\n")
        print("| export | s | MB |\n|---|---|---|")
        for found in measure(film, Path(folder) / "out", options.target or []):
            print(found.row, flush=True)
    return 0


def measure(film: Path, out: Path, only: list[str]) -> Iterator[Measured]:
    """Every target but ``scene``, which needs one, in its variants."""
    from ..exports.run import export
    from ..protocol import SkyloopError

    for target in TARGETS:
        if target == "scene" or (only and target not in only):
            continue
        for variant in VARIANTS.get(target, ({},)):
            name = " ".join([target, *(f"{option}={value}" for option, value in variant.items())])
            place = out / name.replace(" ", "-")
            start = time.monotonic()
            steps = export(ExportRequest(source=str(film), target=target, out=str(place), options=variant))
            try:
                while True:
                    next(steps)
            except StopIteration as end:
                yield Measured(name, time.monotonic() - start, end.value["bytes"])
            except SkyloopError as error:
                yield Measured(name, problem=error.line)


def _film(source: Path, path: Path, height: int, frames: int) -> Path:
    from ..exports.film import fitted, open_film
    from ..media.video import VideoWriter

    film = fitted(open_film(source), height, 0)
    if film.frames == frames and film.clean:
        return source
    with VideoWriter(path, film.width, film.height, film.fps, frames) as writer:
        for frame in islice(cycle(list(film.read())), frames):
            writer.write(frame)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

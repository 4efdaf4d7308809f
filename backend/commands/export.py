"""``export PATH --target T --out DIR``: a sky for an engine, a web page, a player or a renderer."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from ..exports.request import FACINGS, ExportRequest
from ..exports.targets import TARGETS, Option
from ..protocol import bad_request
from .evaluate import video_at
from .inside import enter_runtime
from .progress import Progress


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Export and print where to begin, or return the document for ``--json``. Raises ``SkyloopError``."""
    request = _request(options).validated()
    video_at(Path(request.source))
    enter_runtime(argv)
    from ..exports.run import export

    progress = Progress(sys.stderr)
    try:
        with contextlib.closing(export(request)) as steps:
            while True:
                progress(next(steps))
    except StopIteration as end:
        document = end.value
    finally:
        progress.clear()
    if not options.json:
        for note in document["notes"]:
            progress.line(note)
        print(Path(document["folder"]) / document["open"])
    return document


def _request(options: argparse.Namespace) -> ExportRequest:
    width, height = options.size or (0, 0)
    if width != 2 * height:
        text = f"size {width}x{height}: a film of the whole sky is twice as wide as high."
        raise bad_request(text, "Use a size such as 2048x1024.")
    given = {name: value for name in _own() if (value := getattr(options, f"option_{name}")) is not None}
    return ExportRequest(
        source=str(options.path.absolute()),
        target=options.target,
        out=str(options.out.absolute()),
        facing=options.facing,
        front_deg=options.front,
        prerotate=options.prerotate,
        height=height,
        gltf=str(options.gltf.absolute()) if options.gltf else "",
        force=options.force,
        options=given,
    )


def _own() -> dict[str, list[tuple[str, Option]]]:
    """Every option that a target has, by name, with the targets that have it."""
    found = dict[str, list[tuple[str, Option]]]()
    for target in TARGETS.values():
        for option in target.options:
            found.setdefault(option.name, []).append((target.name, option))
    return found


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of the command, those of the targets among them; sizes are added by the caller."""
    add = command.add_argument
    add("path", type=Path, metavar="PATH", help="a job folder or an equirectangular film, ours or not")
    targets = "; ".join(f"{target.name}: {target.help}" for target in TARGETS.values())
    add("--target", required=True, choices=tuple(TARGETS), help=targets, metavar="T")
    add("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder, which becomes the export")
    add("--facing", default="forward", choices=tuple(FACINGS),
        help="the frame's centre is where the engine looks (default), or where it is in the Blender scene")  # fmt: skip
    add("--front", type=float, default=0.0, metavar="DEG",
        help="with --facing blender: the sky's front there, to the right of +Y (default 0)")  # fmt: skip
    add("--prerotate", action="store_true", help="turn the pixels, for engines' own panorama materials")
    add("--gltf", type=Path, metavar="FILE", help="a glTF scene (.glb) to stand under the sky")
    add("--force", action="store_true", help="replace an earlier export in DIR; other files stay")
    for name, uses in _own().items():
        kind = type(uses[0][1].default)
        add(f"--{name}", dest=f"option_{name}", type=kind, metavar=name.upper()[:6], help=_help(uses))


def _help(uses: list[tuple[str, Option]]) -> str:
    texts = dict[str, list[str]]()
    for target, option in uses:
        values = f" ({', '.join(option.choices)}; default {option.default})" if option.choices else ""
        texts.setdefault(option.help + values, []).append(target)
    return "; ".join(f"for {', '.join(targets)}: {text}" for text, targets in texts.items())

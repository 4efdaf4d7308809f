"""``python3 -m tests.faults``: kill, fill the disk, send garbage, and go on for as long as one lets it.

Each part stops when its share of the time is over or it has all it wants; with ``--json`` a run goes on where the one
before ended. The exit status is 0 only if every figure was met and nothing was left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from backend import runtime
from backend.media.files import atomic_write
from backend.protocol import SkyloopError

PARTS = ("startup", "fuzz", "io", "kills", "soak", "cost")
MODULES = {"io": "disk"}
ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N", help="for all parts together (default 60)")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (may be repeated)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of what is drawn (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results here, and go on from them")
    options = parser.parse_args(argv)
    _enter(argv)
    wanted = options.only or list(PARTS)
    results = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    print(f"{'figure':<44} {'must':<24} found")
    met = True
    end_s = time.monotonic() + 60 * options.minutes

    def save() -> None:
        if options.json:
            atomic_write(options.json.absolute(), json.dumps(results, indent=1).encode())

    for left, name in zip(range(len(wanted), 0, -1), wanted, strict=True):
        now_s = time.monotonic()
        share_s = max(0.0, end_s - now_s) / left
        met &= _run(name, results.setdefault(name, {}), now_s + share_s, options.seed, save)
        save()
    return 0 if met else 1


def _enter(argv: list[str]) -> None:
    """Go on inside the tests' environment, one thread a process; returns only when already there."""
    if os.environ.get("SKYLOOP_FAULTS") != sys.prefix:
        try:
            python = runtime.ensure("tests", progress=runtime.console_progress())
        except SkyloopError as error:
            print(f"\nskyloop: {error.line}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None
        ours = {"OMP_NUM_THREADS": "1", "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}
        environ = os.environ | ours | {"SKYLOOP_FAULTS": str(python.parents[1])}
        environ.pop("PYTHONHOME", None)
        os.execve(python, [str(python), "-m", "tests.faults", *argv], environ)


def _run(name: str, so_far: dict[str, object], end_s: float, seed: int, save: Callable[[], None]) -> bool:
    """One part, and its lines of the table. Whether all its figures were met."""
    if sys.platform != "linux":
        print(f"{name:<44} {'':<24} left out: it needs fork, signals and /proc of Linux")
        return False
    from .work import Part

    print(f"=== {name}", file=sys.stderr, flush=True)
    part = importlib.import_module(f".{MODULES.get(name, name)}", __package__)
    with tempfile.TemporaryDirectory(prefix="skyloop-faults-") as scratch:
        figures = part.run(Part(so_far, end_s, seed, Path(scratch), save))
    for figure in figures:
        print(f"{figure.name:<44} {figure.must:<24} {figure.found}{'' if figure.met else '   NOT MET'}", flush=True)
    return all(figure.met for figure in figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Foundation models of full size with random weights, on this machine's card.

    python3 -m backend.bench.foundation [NAME...] --out FILE.json [--parts forward,engine,...] [--minutes N]
    python3 -m backend.bench.foundation --report FILE.json...

measures each part for each model and writes what it finds into ``FILE.json`` as it finds it, beside what is there from
an earlier call; a part that fails is told, and the next goes on. ``--report`` prints the tables of docs/performance.md.
Run it with the private runtime's Python; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..media.files import atomic_write
from . import gauges
from .memory import limits, peak, rungs
from .networks import MODELS
from .parts import Bench, Found, closure, engine, forward, rate
from .report import markdown
from .sides import sides

PARTS: dict[str, Callable[[Bench, str], Found]] = {
    "forward": forward, "engine": engine, "limits": limits, "peak": peak, "closure": closure, "rungs": rungs,
    "sides": sides,
}  # fmt: skip
"""By name, the most important first."""
USUAL = ("wan-1.3b", "ltx-2b", "animatediff", "wan-5b", "svd")
_LEAST_S = 20.0  # left, to begin another measurement


def main(argv: list[str]) -> int:
    """Run from the command line; returns the exit code."""
    options = _options(argv)
    if options.report:
        documents = [json.loads(file.read_text(encoding="utf-8")) for file in options.report]
        print(markdown(documents[0] | {"found": [f for document in documents for f in document["found"]]}))
        return 0
    device = device_of(options.device)
    bench = Bench(device, options.tiny, time.monotonic() + 60 * options.minutes)
    document = _begun(options.out, device, tiny=options.tiny)
    work = {"rate": rate, **PARTS}
    for part in ("rate", *options.parts):
        for name in ("",) if part == "rate" else ("videocrafter",) if part == "sides" else options.names or USUAL:
            _run(bench, part, name, work[part], document, options.out)
    failed = [f for f in document["found"] if "failed" in f]
    for fault in failed:
        print(f"{fault['part']} {fault['name']}: {fault['failed']}")
    return 1 if failed else 0


def device_of(name: str | None) -> torch.device:
    """The device of that name, by default the card; a card always with its number, which limits of memory ask for."""
    device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m backend.bench.foundation", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)} (default: {', '.join(USUAL)})")
    add("--out", type=Path, default=Path("foundation.json"), metavar="FILE", help="where to write what is found")
    every = tuple(PARTS)
    add("--parts", type=lambda text: text.split(","), default=every, metavar="A,B", help=f"of {', '.join(every)}")
    add("--minutes", type=float, default=60.0, metavar="N", help="begin nothing after that (default 60)")
    add("--device", metavar="NAME", help="default: the card, if there is one")
    add("--tiny", action="store_true", help="tiny networks, to see that it runs")
    add("--report", type=Path, nargs="+", metavar="FILE", help="print the tables of earlier calls' files")
    options = parser.parse_args(argv)
    if unknown := [n for n in options.names if n not in MODELS] + [p for p in options.parts if p not in every]:
        parser.error(f"unknown: {', '.join(unknown)}")
    return options


def _begun(out: Path, device: torch.device, *, tiny: bool) -> dict[str, Any]:
    """The document of an earlier call, or a new one."""
    if out.is_file():
        return json.loads(out.read_text(encoding="utf-8"))
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for module in ("diffusers", "transformers"):
        versions[module] = __import__(module).__version__
    return {"device": card, "versions": versions, "tiny": tiny, "found": []}


def _run(
    bench: Bench, part: str, name: str, measure: Callable[[Bench, str], Found],
    document: dict[str, Any], out: Path,
) -> None:  # fmt: skip
    """One part for one model; what an earlier call found of it is replaced."""
    if bench.left < _LEAST_S:
        print(f"no time left for {part} {name}", flush=True)
        return
    document["found"] = [f for f in document["found"] if (f["part"], f["name"]) != (part, name)]

    def note(facts: dict[str, Any]) -> None:
        document["found"].append({"part": part, "name": name, **facts})
        atomic_write(out, json.dumps(document, indent=1).encode())
        print(f"{part} {name}: {_short(facts)}", flush=True)

    try:
        for facts in measure(bench, name):
            note(facts)
            if bench.left < 0:
                break
    except Exception as error:  # the next part goes on
        where = "".join(traceback.format_exception(error)[-3:])
        note({"failed": f"{type(error).__name__}: {str(error)[:300]}", "where": where[-1500:]})
    gauges.free(bench.device)


def _short(facts: dict[str, Any]) -> str:
    shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in facts.items() if k != "where"}
    return " ".join(f"{k}={v}" for k, v in shown.items())[:400]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python3 -m tests``: make the test environments, then lint, types and every ring of tests that can run here.

Standard library only: it starts on a machine that has nothing but Python. What is left out is named with its reason;
the exit status is 0 only when everything that ran passed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from backend import runtime
from backend.protocol import SkyloopError

from . import blenders

ROOT = Path(__file__).resolve().parents[1]
RINGS = ("unit", "backend", "blender", "desktop", "exports")
LINTS = {"ruff": ["ruff", "check", "."], "format": ["ruff", "format", "--check", "."], "pyright": ["pyright"]}
ALONE = ("desktop", "exports")  # a real screen, and the time that a tick takes


Run = Callable[..., "Outcome"]


@dataclass
class Outcome:
    """What one check came to: ``left_out`` maps a reason to how many tests it kept from running."""

    name: str
    passed: bool
    summary: str
    seconds: float
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def ran(self) -> bool:
        return "passed" in self.summary or self.summary == "clean"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests", description=__doc__)
    parser.add_argument("--ring", choices=("lint", *RINGS), action="append", help="only this one (may be repeated)")
    parser.add_argument("-k", metavar="EXPR", help="only tests whose names match, as in pytest")
    arguments = parser.parse_args(argv)
    wanted = arguments.ring or (list(RINGS) if arguments.k else ["lint", *RINGS])
    try:
        python = runtime.ensure("tests", progress=runtime.console_progress())
    except SkyloopError as error:
        print(f"\nskyloop: {error.line}", file=sys.stderr)
        return error.exit_code
    environ = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}
    environ.pop("PYTHONHOME", None)
    if {"blender", "desktop"} & set(wanted):
        environ["SKYLOOP_NO_BPY"] = _make_bpy()
    outcomes = [_lint(name, python, environ) for name in ("ruff", "format") if "lint" in wanted]
    outcomes += _two_at_a_time(_quiet_runs(wanted, arguments.k, python, environ))
    outcomes += [_ring(ring, arguments.k, python, environ) for ring in ALONE if ring in wanted]
    return _report(outcomes, bool(arguments.k))


def _make_bpy() -> str:
    """Make Blender as a Python module; the reason where that cannot be, else nothing."""
    try:
        runtime.ensure("bpy", progress=runtime.console_progress())
    except SkyloopError as error:
        return error.line
    return ""


def _lint(name: str, python: Path, environ: dict[str, str], output: IO[str] | None = None) -> Outcome:
    if output is None:
        _title(name)
    start = time.monotonic()
    command = [python, "-m", *LINTS[name]]
    if name == "pyright":
        command += ["--pythonpath", python]
    status = subprocess.run(command, cwd=ROOT, env=environ, stdout=output, stderr=output).returncode
    return Outcome(name, status == 0, "clean" if status == 0 else "problems", time.monotonic() - start)


def _ring(
    ring: str, expression: str | None, python: Path, environ: dict[str, str], output: IO[str] | None = None
) -> Outcome:
    if not list((ROOT / "tests" / ring).rglob("test_*.py")):
        return Outcome(ring, True, "not run", 0.0, Counter({f"tests/{ring} has no tests yet": 1}))
    if output is None:
        _title(ring)
    return _pytest(ring, [f"tests/{ring}"], expression, python, environ, output)


def _quiet_runs(
    wanted: Sequence[str], expression: str | None, python: Path, environ: dict[str, str]
) -> Iterator[tuple[str, Run]]:
    """What needs neither a screen nor the machine to itself; Blender's tests once a Blender. The longest is first, so
    that two rows of them end at about the same time."""
    others = blenders.PYTHONS if "blender" in wanted else ()
    for name in ("backend", *others, "blender", "unit"):
        if name in others:
            yield f"blender {name}", partial(_other_blender, name, expression, python, environ)
        elif name in wanted:
            yield name, partial(_ring, name, expression, python, environ)
    if "lint" in wanted:
        yield "pyright", partial(_lint, "pyright", python, environ)


def _other_blender(
    version: str, expression: str | None, python: Path, environ: dict[str, str], output: IO[str]
) -> Outcome:
    name = f"blender {version}"
    try:
        at = blenders.make(version)
    except SkyloopError as error:
        return Outcome(name, True, "not run", 0.0, Counter({error.line: 1}))
    own = environ | {"SKYLOOP_BPY_PYTHON": str(at)}
    return _pytest(name, ["tests/blender", "-m", "not once"], expression, python, own, output)


def _two_at_a_time(runs: Iterable[tuple[str, Run]]) -> Iterator[Outcome]:
    """Each run's output is shown when it is through; two at once, since most tests wait for one processor."""

    def quietly(name: str, run: Run) -> tuple[Outcome, str]:
        print(f"skyloop: tests: {name} has begun", flush=True)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            outcome = run(output=output)
            output.seek(0)
            return outcome, output.read()

    with ThreadPoolExecutor(2) as pool:
        for future in as_completed([pool.submit(quietly, name, run) for name, run in runs]):
            outcome, text = future.result()
            _title(outcome.name)
            print(text, flush=True)
            yield outcome


def _pytest(
    name: str,
    tests: list[str],
    expression: str | None,
    python: Path,
    environ: dict[str, str],
    output: IO[str] | None = None,
) -> Outcome:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", *tests, f"--junitxml={report}", *(["-k", expression] if expression else [])]
        status = subprocess.run(command, cwd=ROOT, env=environ, stdout=output, stderr=output).returncode
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    counts = Counter(_result(case) for case in cases)
    reasons = Counter(s.get("message", "no reason given") for case in cases for s in case.iter("skipped"))
    nothing_matches = status == 5 and expression is not None
    summary = ", ".join(f"{n} {what}" for what, n in sorted(counts.items())) or "nothing ran"
    return Outcome(name, status == 0 or nothing_matches, summary, time.monotonic() - start, reasons)


def _result(case: ElementTree.Element) -> str:
    if case.find("skipped") is not None:
        return "skipped"
    return "passed" if case.find("failure") is None and case.find("error") is None else "failed"


def _title(name: str) -> None:
    print(f"\n=== {name} ===", flush=True)


def _report(outcomes: list[Outcome], filtered: bool) -> int:
    print("\n=== summary ===")
    for outcome in outcomes:
        mark = "FAILED" if not outcome.passed else "ok    " if outcome.ran else "-     "
        print(f"{mark} {outcome.name:<11} {outcome.summary} ({outcome.seconds:.0f} s)")
        for reason, count in outcome.left_out.items():
            print(f"       left out ({count}): {reason}")
    ran = any(outcome.ran for outcome in outcomes)
    if filtered and not ran:
        print("No test has such a name.")
    return 0 if ran and all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

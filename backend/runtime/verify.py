"""The self-test of an environment, seen from outside: ``selftest.py`` is what runs in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..protocol import ErrorKind, SkyloopError
from .child import Runner
from .places import Spec, python_in

BPY_LIBRARIES = "libx11-6 libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libice6 libgl1 libegl1"


def self_test(env: Path, spec: Spec, run: Runner) -> dict[str, Any]:
    """Import and compute inside ``env``; its report. Raises ``SkyloopError`` that names what does not work."""
    found: list[str] = []
    script = Path(__file__).with_name("selftest.py")
    status = run.run(
        [python_in(env), "-I", "-X", "utf8", script, *spec.checks],
        on_line=lambda line: found.append(line.removeprefix("SELFTEST ")) if line.startswith("SELFTEST ") else None,
    )
    died = {"failed": {spec.name: f"the self-test ended with status {status}"}}
    report: dict[str, Any] = json.loads(found[-1]) if found else died
    if report["failed"]:
        what, why = next(iter(report["failed"].items()))
        hint = f"Start again to make it anew; if it stays, see {run.log}"
        if "cannot open shared object file" in why:
            hint = f"Install the system library that is missing (Debian, Ubuntu: sudo apt install {BPY_LIBRARIES})."
        raise SkyloopError(ErrorKind.INTERNAL, f"The new runtime does not work: {what}: {why}.", hint)
    return report

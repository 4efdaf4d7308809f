"""Run inside a new environment: import what it is for, compute a little, print one line of JSON.

Not imported by the installer; ``python selftest.py MODULE...`` is started with the environment's Python.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from typing import Any


def torch_report() -> dict[str, Any]:
    """A small product on every device that torch sees. A device that computes wrongly is left out, with the reason."""
    import torch

    left = torch.arange(64.0).reshape(8, 8)
    want = left @ left
    devices: list[dict[str, Any]] = [{"id": "cpu", "name": "CPU", "memory_mb": 0}]
    notes: list[str] = []
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(i)
            devices.append({"id": f"cuda:{i}", "name": about.name, "memory_mb": about.total_memory >> 20})
    if torch.backends.mps.is_available():
        devices.append({"id": "mps", "name": "Apple GPU", "memory_mb": 0})
    good = []
    for device in devices:
        try:
            there = left.to(device["id"])
            if torch.allclose((there @ there).cpu(), want, rtol=1e-2):
                good.append(device)
            else:
                notes.append(f"{device['name']} computes wrongly with this torch and is not used.")
        except RuntimeError as error:
            notes.append(f"{device['name']} cannot be used: {str(error).splitlines()[0]}")
    return {"torch": torch.__version__, "cuda": torch.version.cuda or "", "accelerators": good, "notes": notes}


def main(modules: list[str]) -> int:
    """Exit status 0 when every module imports and the CPU computes rightly."""
    report: dict[str, Any] = {"torch": "", "accelerators": [], "notes": [], "failed": {}}
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a broken package raises is the result of this test
            report["failed"][name] = f"{type(error).__name__}: {error}".splitlines()[0]
    if "torch" in modules and "torch" not in report["failed"]:
        report |= torch_report()
        if not report["accelerators"]:
            report["failed"]["torch"] = "; ".join(report["notes"])
    report["versions"] = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    print("SELFTEST " + json.dumps(report))
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

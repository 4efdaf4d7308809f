"""Which build of torch suits this machine, and where pip finds it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..protocol import ErrorKind, SkyloopError

if TYPE_CHECKING:
    from .fetch import Wheel  # brings urllib, which a panel that asks for the accelerator does not need

_INDEX = "https://download.pytorch.org/whl"
# PyPI's torch is a CUDA 13 build; older drivers run CUDA 12 builds only.
_CUDA_13_DRIVER = 580


@dataclass(frozen=True)
class TorchBuild:
    """``indexes``: PyTorch's own package indexes to try before PyPI, the best first. ``why`` is for the user."""

    accelerator: str
    why: str
    indexes: tuple[str, ...] = ()


def accelerator() -> str:
    """``cuda``, ``apple`` or ``cpu``, from files alone: cheap enough for a panel."""
    if sys.platform == "darwin":
        return "apple"
    if sys.platform == "win32":
        windows = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"))
        return "cuda" if (windows / "System32" / "nvcuda.dll").exists() else "cpu"
    return "cuda" if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") else "cpu"


def choose() -> TorchBuild:
    """The build for this machine. Raises ``SkyloopError`` where torch does not exist any more (Intel Macs)."""
    kind = accelerator()
    if kind == "apple":
        if platform.machine() == "x86_64":
            raise SkyloopError(
                ErrorKind.INTERNAL,
                "PyTorch no longer supports Macs with an Intel processor, so Skyloop cannot generate on this one.",
                "Use a Mac with Apple silicon, or a Linux or Windows machine.",
            )
        return TorchBuild(kind, "Apple build: this is a Mac")
    if kind == "cpu":
        # PyPI's Windows wheel is the CPU build already; on Linux PyPI's brings gigabytes of CUDA.
        return TorchBuild(kind, "CPU build: no NVIDIA driver found", (f"{_INDEX}/cpu",))
    driver = _driver_version()
    if driver is not None and driver < _CUDA_13_DRIVER:
        why = f"CUDA 12 build: NVIDIA driver {driver} is older than {_CUDA_13_DRIVER}"
        return TorchBuild(kind, why, (f"{_INDEX}/cu129",))
    why = f"CUDA build: NVIDIA driver {driver or 'found'}"
    return TorchBuild(kind, why, (f"{_INDEX}/cu130",) if sys.platform == "win32" else ())


def describe() -> str:
    """What will compute, for people: "NVIDIA GeForce RTX 4090 (driver 580.65)", "Apple M2".

    May take seconds.
    """
    kind = accelerator()
    if kind == "cuda":
        name, _, driver = _nvidia("name,driver_version").partition(",")
        return f"{name.strip()} (driver {driver.strip()})" if driver else "NVIDIA graphics card"
    if kind == "apple":
        return _answer(["sysctl", "-n", "machdep.cpu.brand_string"]) or "Apple GPU"
    return "Processor (no NVIDIA card found)"


def _driver_version() -> int | None:
    """The driver's major version, or None when it does not say."""
    try:
        return int(_nvidia("driver_version").split(".")[0])
    except ValueError:
        return None


def _nvidia(what: str) -> str:
    """What ``nvidia-smi`` says of the first card; empty when it does not."""
    lines = _answer(["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]).splitlines()
    return lines[0] if lines else ""


def _answer(command: list[str]) -> str:
    flags = subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, creationflags=flags)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def reachable(index: str, timeout_s: float = 8.0) -> bool:
    """Whether a package index answers for torch. A dead extra index would make pip wait and then fail."""
    import urllib.request

    request = urllib.request.Request(f"{index}/torch/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status == 200
    except (OSError, ValueError):
        return False


def note_of(wheels: list[Wheel], build: TorchBuild) -> str:
    """What was chosen and why; the wish can differ from what the indexes had."""
    torch = next((wheel for wheel in wheels if wheel.name == "torch"), None)
    if torch is None:
        return ""
    cuda = any(wheel.name.startswith(("nvidia-", "cuda-")) for wheel in wheels) or "+cu" in torch.version
    if cuda and build.accelerator == "cpu":
        return f"torch {torch.version}: only the CUDA build was in reach; without an NVIDIA driver it uses the CPU"
    return f"torch {torch.version}, {build.why}"

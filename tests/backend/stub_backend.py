"""The backend with an engine that draws nothing, for tests of the process around it. Standard library only.

    python stub_backend.py MODE ARGUMENTS...      ARGUMENTS as for ``python3 -m backend``

MODE is what the engine does: ok, slow (until cancelled), noisy (prints to stdout, also below Python), oom, full (no
disk space), crash (an unforeseen exception), deaf (one step that never ends), broken (cannot be imported), late (its
import waits for the file "go" in STUB_SIGNS), offline (the private runtime cannot be made). With the limits of the
watchdog in tenths of a second: watched (slow), stuck (deaf). With STUB_CHECKPOINTS in the environment the engine leaves
a checkpoint after its second step, and goes on from one.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from backend import commands, models, runtime
from backend.media.files import atomic_write
from backend.protocol import ErrorKind, Event, GenerateRequest, SkyloopError, phase

MODE = sys.argv[1]


SIGNS = Path(os.environ.get("STUB_SIGNS", os.devnull))


class Engine:
    def unload(self) -> None:
        print("unloaded")
        if SIGNS.is_dir():
            (SIGNS / "unloaded").touch()


def devices() -> list[dict[str, Any]]:
    return [{"id": "cpu", "name": "Stub", "memory_mb": 1}]


def generate(request: GenerateRequest, job: Path, *, engine: Engine | None = None) -> Iterator[Event]:
    steps = 10**9 if MODE in ("slow", "watched") else 4
    saved = job / "checkpoint" / "steps.safetensors"
    first = int(saved.read_text()) if saved.is_file() else 0
    try:
        for step in range(first, steps):
            yield phase("denoise", step, steps)
            if step == 1:
                atomic_write(job / "preview.png", b"preview")
                if "STUB_CHECKPOINTS" in os.environ:
                    saved.parent.mkdir()
                    atomic_write(saved, b"2")
                yield Event(type="preview", data={"file": "preview.png"})
                misbehave()
            time.sleep(0.01)
    finally:
        (job.parent / "closed").touch()
    yield phase("denoise", steps, steps)
    result = {"request": request.to_json(), "figures": {"seam": float("nan")}, "evaluations": steps - first}
    for name in ("sky.mp4", "poster.png"):
        atomic_write(job / name, f"{name} of {request.prompt}".encode())
    atomic_write(job / "result.json", json.dumps(result).encode())
    shutil.rmtree(saved.parent, ignore_errors=True)
    yield Event(type="done", data={"result": result})


def misbehave() -> None:
    match MODE:
        case "noisy":
            print('{"type": "done"}', flush=True)
            os.write(1, b"noise below Python\n")
            os.system("echo noise of a child")
        case "oom":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        case "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        case "crash":
            raise ZeroDivisionError("the engine divided by zero")
        case "deaf" | "stuck":
            time.sleep(3600)


def _fake_runtime(env: str, **_: object) -> Path:
    if MODE == "offline":
        raise SkyloopError(ErrorKind.INTERNAL, "The packages cannot be downloaded.", "Check the connection.")
    return Path(sys.executable)


def _late(name: str) -> object:
    """Stands for the import of torch."""
    if name not in ("Engine", "devices"):
        raise AttributeError(name)
    while not (SIGNS / "go").exists():
        time.sleep(0.01)
    return {"Engine": Engine, "devices": devices}[name]


def main() -> int:
    engine, pipeline = ModuleType("backend.engine"), ModuleType("backend.pipeline")
    engine.__dict__.update(Engine=Engine, devices=devices)
    pipeline.__dict__.update(generate=generate)
    if MODE == "late":
        engine = ModuleType("backend.engine")
        engine.__dict__["__getattr__"] = _late
    sys.modules |= {"backend.engine": engine, "backend.pipeline": pipeline}
    if MODE == "broken":
        sys.modules["backend.pipeline"] = None  # type: ignore[assignment]
    runtime.ensure, runtime.enter = _fake_runtime, lambda module, argv: None  # the stub engine needs none
    runtime.inside = lambda: MODE != "offline"
    if MODE in ("watched", "stuck"):
        from backend.serve import server, stdio, watchdog

        limits = watchdog.Limits(accelerator_s=0.5, processor_s=0.5, measuring_s=0.5)
        return stdio.main(server.Settings(limits=limits, beat_s=0.1))
    models.catalogue = lambda: [{"id": "builtin"}]
    return commands.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

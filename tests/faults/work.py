"""What the parts share: jobs of every kind, processes forked from one that has the engine loaded, comparing results.

Linux only: a child is forked from a process that has imported torch on one thread, so that a job starts in
milliseconds and 200 of them can be killed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from backend.jobs import store
from backend.protocol import CameraKey, Event, GenerateRequest, Region, SkyloopError, failed

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ("sky.mp4", "poster.png", "result.json")
# Seconds, memory and versions differ between runs, and the record of the files repeats what is compared anyway.
VOLATILE = ("request", "seconds", "peak_memory_mb", "versions", "files")

Send = Callable[[Event], None]


@dataclass(frozen=True)
class Figure:
    """One line of the summary."""

    name: str
    must: str
    found: str
    met: bool


@dataclass
class Part:
    """What a part of the run is given: its results so far, which it adds to, when to end, and where to work."""

    so_far: dict[str, Any]
    end_s: float
    seed: int
    scratch: Path
    save: Callable[[], None] = lambda: None  # keeps what there is so far

    def left_s(self) -> float:
        return self.end_s - time.monotonic()

    def count(self, name: str, more: int = 1) -> int:
        """The number kept under ``name``, ``more`` of them added."""
        self.so_far[name] = self.so_far.get(name, 0) + more
        return self.so_far[name]

    def list(self, name: str) -> list[Any]:
        return self.so_far.setdefault(name, [])

    def table(self, name: str) -> dict[str, Any]:
        return self.so_far.setdefault(name, {})

    @staticmethod
    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


@cache
def engine() -> Any:
    """The real engine with the built-in model loaded, on one thread, so that this process may be forked."""
    one_thread()
    from backend.engine import Engine

    made = Engine()
    made.model("builtin", "cpu")
    return made


@cache
def oracle_engine() -> Any:
    """An engine with a model that costs nothing, for what is about files only."""
    one_thread()
    from backend.engine import Engine
    from tests.oracle import Oracle

    class OracleEngine(Engine):
        oracle = Oracle()

        def model(self, model_id: str, device: str, loras: Any = ()) -> Any:
            return self.oracle

    return OracleEngine()


def one_thread() -> None:
    """Bind the libraries to one thread: a forked process has none of its parent's others, and would wait for them."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    import backend.pipeline  # noqa: F401 (imported once, before the forks)


@cache
def code_key() -> str:
    """Changes with the engine's code: results recorded for other code are no reference."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "backend").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# ---- jobs

_BASE = GenerateRequest(
    prompt="northern lights over a frozen lake",
    width=256,
    height=128,
    frames=4,
    fps=2.0,
    steps=2,
    fov_deg=102.86,
    seed=5,
)


def requests(inputs: Path) -> dict[str, GenerateRequest]:
    """Small jobs of every kind. ``inputs`` is a folder that gets the pictures and the earlier sky that some take."""
    files = _make_inputs(inputs)
    flat = replace(_BASE, flat=True, width=256, height=256, wrap=True)
    camera = (CameraKey(0, -30.0, 5.0, 60.0), CameraKey(6, 40.0, 10.0, 70.0))
    source = replace(_BASE, source=str(files["sky.mp4"]))
    kinds = {
        "loop": _BASE,
        "two stages": replace(_BASE, width=576, height=288),
        "longer than a window": replace(flat, frames=20, loop=False),
        "long loop": replace(flat, frames=24),
        "flat wrap": flat,
        "flat": replace(flat, wrap=False, width=400, height=144),
        "image and motion": replace(_BASE, image=str(files["photo.png"]), image_fov_deg=80.0, motion=0.6),
        "motion mask": replace(_BASE, motion_mask=str(files["mask.png"])),
        "source and mask": replace(source, mask=str(files["mask.png"])),
        "source and place": replace(source, mask_at=(30.0, 10.0, 40.0)),
        "camera": replace(_BASE, width=576, height=288, camera=camera),
        "regions": replace(_BASE, regions=(Region(40.0, 10.0, 50.0, "a red sunset"), Region(None, -60.0, 20.0, "sea"))),
    }
    methods = ("dynamicscaler", "multidiffusion", "syncdiffusion", "independent", "native")
    return kinds | {name: replace(flat, method=name, seed=9) for name in methods}


def tiny() -> GenerateRequest:
    """The cheapest job with all phases and, with :func:`oracle_engine`, hardly any computing."""
    return replace(_BASE, flat=True, wrap=True, height=256, steps=2)


def tiniest() -> GenerateRequest:
    """One window and every call on a file that a job makes, for what is about those alone."""
    return replace(tiny(), width=128, height=128, steps=3)


def _make_inputs(folder: Path) -> dict[str, Path]:
    """A photo, a mask and an earlier sky, the same bytes wherever they are made."""
    import numpy as np

    from backend.media.stills import write_png
    from backend.media.video import VideoWriter

    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in ("photo.png", "mask.png", "sky.mp4")}
    if paths["sky.mp4"].exists():
        return paths
    y, x = np.mgrid[:128, :256] / 128
    shades = [np.sin(5 * x + k) * np.cos(3 * y) for k in range(3)]
    picture = (np.stack(shades, axis=-1) * 100 + 128).astype(np.uint8)
    write_png(paths["photo.png"], picture)
    write_png(paths["mask.png"], np.repeat(np.uint8(255) * (np.abs(x - 1) < 0.4)[..., None], 3, axis=-1))
    with VideoWriter(paths["sky.mp4"], 256, 128, _BASE.fps, _BASE.frames) as video:
        for k in range(_BASE.frames):
            video.write(np.roll(picture, 3 * k, axis=1))
    return paths


def eager() -> contextlib.AbstractContextManager[object]:
    """Checkpoints at every step, however short: jobs this small would else do without."""
    from backend import pipeline

    return mock.patch.object(pipeline, "Pace", functools.partial(pipeline.Pace, 1e9))


def run_job(folder: Path, request: GenerateRequest, engine: Any, send: Send) -> Event:
    """Do the job in ``folder`` as the child process of the add-on does. Its last event."""
    from backend.jobs import runner
    from backend.pipeline import generate

    try:
        job = store.load(str(folder)) if (folder / "request.json").exists() else store.create(folder, request)
    except SkyloopError as error:  # there is no job yet, so it is for the add-on to say so
        last = failed(error)
        send(last)
        return last
    return runner.run(job, generate, send, engine=engine)


def run_command(folder: Path, request: GenerateRequest, engine: Any, send: Send) -> Event:
    """Do the job as ``python3 -m backend generate`` does, into ``folder``. Its end as the event that it would be."""
    from backend import commands
    from backend import engine as devices
    from backend.commands import generate as command
    from backend.jobs import runner

    run = runner.run

    def announced(job: store.Job, generate: Any, announce: Send, **more: Any) -> Event:
        return run(job, generate, lambda event: (send(event), announce(event))[1], **more)

    with (
        mock.patch.object(command, "enter_runtime", lambda argv: None),
        mock.patch.object(devices, "Engine", lambda: engine),
        mock.patch.object(runner, "run", announced),
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        status = commands.main(arguments(request, folder, "--json"))
    print(printed.getvalue())
    last = Event(type="failed", data=json.loads(printed.getvalue())["error"]) if status else Event(type="done")
    send(last)
    return last


def arguments(request: GenerateRequest, folder: Path, *more: str) -> list[str]:
    """The command line that asks for ``request``, which is flat or has no controls."""
    shape = ["--size", f"{request.width}x{request.height}", "--frames", request.frames, "--fps", request.fps]
    made = ["--seed", request.seed, "--steps", request.steps, "--fov", request.fov_deg, "--method", request.method]
    kind = ["--loop" if request.loop else "--no-loop", *["--flat"] * request.flat, *["--wrap"] * request.wrap]
    return [str(a) for a in ("generate", request.prompt, "--out", folder, *shape, *made, *kind, *more)]


# ---- results


def fingerprint(folder: Path) -> dict[str, str] | None:
    """The digests of what a finished job made, without what may differ between runs; None without a result."""
    if not all((folder / name).is_file() for name in RESULTS):
        return None
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    kept = {k: v for k, v in document.items() if k not in VOLATILE}
    found = {name: digest((folder / name).read_bytes()) for name in RESULTS[:2]}
    return found | {"result.json": digest(json.dumps(kept, sort_keys=True).encode())}


def untidy(folder: Path) -> list[str]:
    """Names in a finished job's folder that have no business there."""
    return sorted(p.name for p in folder.iterdir() if p.name not in (*store.OUTPUTS, ".lock"))


def digest(data: bytes) -> str:
    """Enough of a SHA-256 to compare by."""
    return hashlib.sha256(data).hexdigest()[:24]


# ---- processes


@dataclass
class Forked:
    """A forked process at work, and the events that it sent so far with the seconds since its start."""

    pid: int
    pipe: int
    start_s: float
    events: list[tuple[float, Event]] = field(default_factory=list)
    status: int | None = None
    _rest: bytes = b""

    def read(self, until_s: float) -> bool:
        """Take in events until the clock says ``until_s`` or the next one came. False once the process has ended."""
        ready, _, _ = select.select([self.pipe], [], [], max(0.0, until_s - time.monotonic()))
        if not ready:
            return True
        data = os.read(self.pipe, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        now_s = time.monotonic() - self.start_s
        self.events += [(now_s, Event.from_line(line.decode())) for line in lines]
        return bool(data)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pipe)
        return self.status

    def finish(self, limit_s: float = 300.0) -> Event | None:
        """Let it end by itself; its last event, None if it died or did not end in time (it is killed then)."""
        end_s = time.monotonic() + limit_s
        while self.read(end_s):
            if time.monotonic() > end_s:
                self.kill()
                return None
        return self.events[-1][1] if self.wait() == 0 and self.events else None


def fork(work: Callable[[Send], Any], log: Path) -> Forked:
    """Run ``work(send)`` in a child whose output goes to ``log``."""
    out, into = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(into)
        return Forked(pid, out, time.monotonic())
    code = 1
    try:
        os.close(out)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(written, 1)
        os.dup2(written, 2)

        def send(event: Event) -> None:
            os.write(into, (event.to_line() + "\n").encode())

        work(send)
        code = 0
    except BaseException:  # a forked child must never return into its parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

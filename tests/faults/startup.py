"""How long one waits at the start: for the first word, and for the first window of the built-in model."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from backend.jobs import store
from backend.protocol import GenerateRequest

from .soak import Child
from .work import Figure, Part

HELLO_S, WINDOW_S = 2.0, 6.0
TRIES = 3
_REQUEST = GenerateRequest(prompt="northern lights over a frozen lake", width=512, height=256)


def run(part: Part) -> list[Figure]:
    """Once to warm the disk, then three times."""
    for number in range(TRIES + 1):
        hello_s, window_s, heavy = measure(part, number)
        part.say(f"  hello {hello_s:.2f} s, first window {window_s:.2f} s")
        if number:
            part.list("hello_s").append(round(hello_s, 3))
            part.list("window_s").append(round(window_s, 3))
            part.so_far["heavy"] = heavy
    return figures(part)


def figures(part: Part) -> list[Figure]:
    hello_s, window_s = (statistics.median(part.list(name)[-TRIES:]) for name in ("hello_s", "window_s"))
    heavy, window = part.so_far["heavy"], f"{window_s:.2f} s, {len(os.sched_getaffinity(0))} cores"
    fine = hello_s <= HELLO_S and not heavy
    return [
        Figure("hello, torch not loaded", f"<= {HELLO_S:g} s", f"{hello_s:.2f} s{heavy}", fine),
        Figure("first window, built-in model", f"<= {WINDOW_S:g} s", window, window_s <= WINDOW_S),
    ]


def measure(part: Part, number: int) -> tuple[float, float, str]:
    """Seconds from the start of the process to the hello and to the first window, and what was loaded too early."""
    job = store.create(part.scratch / f"start{number}", _REQUEST)
    start_s = time.monotonic()
    child = Child.start(part.scratch / "output.txt", part.scratch / "temporary", OMP_NUM_THREADS="")
    try:
        child.send("generate", job.id)
        hello = child.until(lambda event: event.type == "hello")
        hello_s = time.monotonic() - start_s
        loaded = "libtorch" in Path(f"/proc/{child.process.pid}/maps").read_text() or hello.data["devices"]
        child.until(lambda event: event.type == "phase" and event.data["unit"] == "window")
        return hello_s, time.monotonic() - start_s, ", but torch is" if loaded else ""
    finally:
        child.process.kill()
        child.process.wait()

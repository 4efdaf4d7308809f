"""Many small jobs in one child process, with cancels, pauses, unloads and changes of order: nothing may be left over.

Memory is looked at with the queue empty and the model unloaded, which also collects garbage. It may not grow by more
than :data:`MOST_KB_A_JOB`: an allocator's arenas come and go by some MB, which over 150 jobs is less than that, and a
leak of one small canvas a job would be several times as much. Open files and threads may not grow at all.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backend.jobs import store
from backend.protocol import LAST_EVENTS, Command, Event, GenerateRequest

from .work import ROOT, Figure, Part, requests

WANTED = 200
SETTLED = 50  # jobs until the libraries have all that they keep
MOST_KB_A_JOB = 100.0
LIMIT_S = 120.0
_EVERY = 10


@dataclass
class Child:
    """The backend as the add-on starts it, and what it says."""

    process: subprocess.Popen[bytes]
    events: queue.Queue[Event | None] = field(default_factory=queue.Queue)
    open: dict[str, bool] = field(default_factory=dict)  # the jobs without an end, and whether each was begun
    ends: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @staticmethod
    def start(log: Path, temporary: Path, **environ: str) -> Child:
        temporary.mkdir(exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "backend", "stdio"], cwd=ROOT, stderr=output,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(temporary)} | environ,
            )  # fmt: skip
        child = Child(process)
        threading.Thread(target=child._read, daemon=True).start()
        return child

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.put(Event.from_line(line.decode()))
        self.events.put(None)

    def send(self, kind: str, job: str = "", to: int = 0) -> None:
        assert self.process.stdin
        self.process.stdin.write(Command(type=kind, job=job, to=to).to_line().encode() + b"\n")
        self.process.stdin.flush()
        if kind == "generate":
            self.open[job] = False

    def until(self, wanted: Callable[[Event], Any], limit_s: float = LIMIT_S) -> Event:
        """The next event that is ``wanted``. Raises ``RuntimeError`` if it does not come in time."""
        end_s = time.monotonic() + limit_s
        while True:
            try:
                event = self.events.get(timeout=max(0.01, end_s - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"the child said nothing that was waited for in {limit_s:g} s") from None
            if event is None:
                raise RuntimeError(f"the child has ended: {self.process.wait()}")
            self._note(event)
            if wanted(event):
                return event

    def _note(self, event: Event) -> None:
        if event.type in LAST_EVENTS and event.job:
            if self.open.pop(event.job, None) is None:
                self.wrong.append(f"{event.type} for {event.job}, which has ended already")
            self.ends[event.type] = self.ends.get(event.type, 0) + 1
        if event.type == "failed":
            self.wrong.append(str(event.data))
        if event.type == "phase" and event.job in self.open:
            self.open[event.job] = True

    def drain(self) -> None:
        """Wait until every job has ended."""
        while self.open:
            self.until(lambda event: event.type in LAST_EVENTS and event.job)

    def sample(self) -> dict[str, int]:
        """What the process holds once the model is unloaded."""
        self.send("unload")
        self.until(lambda event: event.type == "accepted" and not event.job)
        at = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":\t", 1) for line in (at / "status").read_text().splitlines() if ":\t" in line)
        memory_kb = int(status["VmRSS"].split()[0])
        return {"kb": memory_kb, "files": len(list((at / "fd").iterdir())), "threads": int(status["Threads"])}


def run(part: Part) -> list[Figure]:
    """One child for all the jobs, then what is left. A run counts by itself: memory cannot be added up over runs."""
    if part.so_far.get("jobs", 0) < WANTED or part.list("wrong"):
        part.so_far.clear()
        soak(part, WANTED, _every_kind(part))
    return figures(part)


def figures(part: Part) -> list[Figure]:
    samples, jobs = part.list("samples"), part.so_far.get("jobs", 0)
    settled = [s for s in samples if s["jobs"] >= min(SETTLED, jobs // 3)]
    slope = slope_kb(settled)
    handles = {name: sorted({s[name] for s in settled}) for name in ("files", "threads")}
    flat = all(len(values) == 1 for values in handles.values())
    ends = ", ".join(f"{n} {name}" for name, n in sorted(part.table("ends").items()))
    memory = f"{slope:+.0f} kB a job ({settled[0]['kb'] >> 10} to {settled[-1]['kb'] >> 10} MB)" if settled else "-"
    return [
        Figure("soak, jobs in one process", str(WANTED), f"{jobs}: {ends}", jobs >= WANTED),
        Figure("memory with the model unloaded", f"<= {MOST_KB_A_JOB:g} kB a job", memory, slope <= MOST_KB_A_JOB),
        Figure("open files, threads", "flat", f"{handles['files']}, {handles['threads']}", flat and bool(settled)),
        Figure("left over, wrong ends", "0", str(len(part.list("wrong"))), not part.list("wrong")),
    ]


def slope_kb(samples: list[dict[str, int]]) -> float:
    """Growth of memory a job: the median over all pairs of samples (Theil and Sen), which no outlier turns."""
    pairs = [(a, b) for a in samples for b in samples if b["jobs"] > a["jobs"]]
    slopes = sorted((b["kb"] - a["kb"]) / (b["jobs"] - a["jobs"]) for a, b in pairs)
    return slopes[len(slopes) // 2] if slopes else float("inf")


def _every_kind(part: Part) -> list[GenerateRequest]:
    """Mostly single windows; now and then a sphere, which takes seconds."""
    known = requests(part.scratch / "inputs")
    one = replace(known["flat"], width=128, height=128, steps=1)
    sphere = replace(known["loop"], steps=1)
    wide = replace(one, width=208, steps=2, wrap=True)
    return [one] * 12 + [wide] * 6 + [sphere, replace(one, frames=20, loop=False)]


def soak(part: Part, jobs: int, kinds: list[GenerateRequest], **environ: str) -> None:
    """Send ``jobs`` jobs, drawn from ``kinds``, and do things to them."""
    draw = random.Random(f"{part.seed} soak")
    folders, temporary = part.scratch / "jobs", part.scratch / "temporary"
    child = Child.start(part.scratch / "output.txt", temporary, **environ)
    try:
        sent = 0
        while sent < jobs and part.left_s() > 60:
            for _ in range(min(_EVERY, jobs - sent)):
                request = replace(draw.choice(kinds), seed=sent)
                child.send("generate", store.create(folders / f"{sent:04d}", request).id)
                sent += 1
                disturb(child, draw)
            child.send("resume")
            child.drain()
            part.list("samples").append({"jobs": sent} | child.sample())
            part.say(f"  {sent} jobs: {part.list('samples')[-1]}")
        part.so_far |= {"jobs": sent, "ends": child.ends}
        child.send("shutdown")
        if (code := child.process.wait(LIMIT_S)) != 0:
            child.wrong.append(f"the child ended with {code}")
    finally:
        child.process.kill()
        child.process.wait()
    part.so_far["wrong"] = child.wrong + left(folders, temporary)


def disturb(child: Child, draw: random.Random) -> None:
    """Do something to the queue, now or when a job is at work."""
    begun, waiting = ([j for j, b in child.open.items() if b == began] for began in (True, False))
    what = draw.random()
    if what < 0.15 and waiting:
        child.send("cancel", draw.choice(waiting))
    elif what < 0.35:
        with contextlib.suppress(queue.Empty):
            if begun or _soon(child):
                child.send("cancel", next(j for j, b in child.open.items() if b))
    elif what < 0.45:
        child.send("pause")
        if draw.random() < 0.5:
            child.send("unload")
            child.until(lambda event: event.type == "accepted" and not event.job)
        child.send("resume")
    elif what < 0.55 and len(waiting) > 1:
        child.send("move", waiting[-1], 0)
        child.until(lambda event: event.type in ("queue", "failed"))
    elif what < 0.7 and child.open:
        child.until(lambda event: event.type in LAST_EVENTS and event.job)


def _soon(child: Child) -> bool:
    """Wait for a job to be at work; False where all end before."""
    child.until(lambda event: event.type == "phase" or (event.type in LAST_EVENTS and not child.open))
    return any(child.open.values())


def left(folders: Path, temporary: Path) -> list[str]:
    """What the jobs left that is not theirs to leave."""
    found = [f"temporary {p.name}" for p in temporary.iterdir()]
    for folder in folders.iterdir():
        job = store.load(str(folder))
        status = store.status(folder)
        if status not in (store.Status.DONE, store.Status.CANCELLED):
            found.append(f"{folder.name} is {status}")
        fine = {*store.OUTPUTS, ".lock"} | ({"checkpoint"} if status is store.Status.CANCELLED else set())
        found += [f"{folder.name}/{p.name}" for p in folder.iterdir() if p.name not in fine]
        with job.locked():
            pass
    return found

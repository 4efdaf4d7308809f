"""kill -9 at random moments of jobs of every kind, until each is done; then its files against an undisturbed run's.

The moment is drawn in two steps, so that short phases are hit as often as long ones: a phase, and how far into it.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.jobs import staging, store
from backend.protocol import Command, Event, GenerateRequest

from .work import (
    ROOT,
    Figure,
    Forked,
    Part,
    Send,
    arguments,
    code_key,
    eager,
    engine,
    fingerprint,
    fork,
    oracle_engine,
    requests,
    run_command,
    run_job,
    tiny,
    untidy,
)

WANTED = 200
WANTED_REAL = 10
A_PHASE = (2, 4)  # kills of one job in one phase
ATTEMPT_LIMIT_S = 300.0
PUBLISH = "publish"
PHASES = ("load", "read", "layout", "upsample", "refine", "decode", "measure", PUBLISH)
ORACLE, BUILT_IN = "oracle", "built-in model"
_PUBLISH_S = 0.03  # from the last figure to the end of the process


@dataclass
class Undisturbed:
    """What a job makes that nobody kills, and how long its phases take."""

    made: dict[str, str]
    phases: list[tuple[str, float]]


def run(part: Part) -> list[Figure]:
    """Kill until the time is over or all that is wanted is done; first with a model that costs nothing."""
    chosen = requests(part.scratch / "inputs")
    names = sorted(chosen)
    for model, load in ((ORACLE, oracle_engine), (BUILT_IN, engine)):
        while part.left_s() > 90 and killed(part, model) < WANTED:
            begun = part.table("begun")
            begun[model] = begun.get(model, 0) + 1
            name = names[begun[model] % len(names)]
            job(part, name, chosen[name], model, load(), random.Random(f"{part.seed} {model} {begun[model]}"))
    while part.left_s() > 90 and part.so_far.get("kills of real processes", 0) < WANTED_REAL:
        real(part, chosen["flat wrap"], random.Random(f"{part.seed} {part.count('real begun')}"))
    return figures(part)


def killed(part: Part, model: str) -> int:
    """How many kills there were with that model."""
    return sum(part.table(f"kills, {model}").values())


def figures(part: Part) -> list[Figure]:
    found = []
    for model in (BUILT_IN, ORACLE):
        phases = part.table(f"kills, {model}")
        spread = ", ".join(f"{name} {n}" for name, n in phases.items())
        enough = killed(part, model) >= WANTED and len(phases) >= len(PHASES)
        found.append(
            Figure(f"kill -9, {model}", f">= {WANTED} in all phases", f"{killed(part, model)}: {spread}", enough)
        )
    lives = part.so_far.get("kills of real processes", 0)
    lost, different, done = len(part.list("lost")), len(part.list("different")), part.so_far.get("jobs done", 0)
    return [
        *found,
        Figure("kill -9, command, child and parent", f">= {WANTED_REAL}", str(lives), lives >= WANTED_REAL),
        Figure("jobs lost", "0", f"{lost} of {done + lost}", lost == 0 and done > 0),
        Figure("results that differ", "0", f"{different} of {done}", different == 0 and done > 0),
        Figure("done jobs with files left over", "0", str(len(part.list("left over"))), not part.list("left over")),
    ]


def quick(part: Part, kills: int) -> None:
    """Kill a job that costs nothing, both ways it is run, at least ``kills`` times."""
    draw = random.Random(part.seed)
    while killed(part, ORACLE) < kills:
        job(part, "tiny", tiny(), ORACLE, oracle_engine(), draw)


def job(part: Part, name: str, request: GenerateRequest, model: str, engine: Any, draw: random.Random) -> None:
    """One job, killed in each of its phases, and what came of it."""
    plain = not request.files and not request.regions and not request.camera
    command = plain and draw.random() < 0.5
    name = f"{model}, {name}"
    reference = undisturbed(part, name, request, engine)
    folder = part.scratch / f"job{part.count('folders')}"
    log = part.scratch / "output.txt"

    often = model == ORACLE or draw.random() < 0.5

    def attempt(send: Send) -> None:
        with eager() if often else contextlib.nullcontext():
            (run_command if command else run_job)(folder, request, engine, send)

    targets = [(k, draw.random()) for k in range(len(reference.phases)) for _ in range(draw.randint(*A_PHASE))]
    for target, share in sorted(targets):
        if part.left_s() < 60:
            break
        child = fork(attempt, log)
        died_in = kill_in(child, reference.phases, target, share)
        if died_in is None:
            break  # it was done before
        hits = part.table(f"kills, {model}")
        hits[died_in] = hits.get(died_in, 0) + 1
        part.say(f"  {name}: killed in {died_in} ({killed(part, model)})")
    last = fork(attempt, log).finish(ATTEMPT_LIMIT_S)
    judge(part, name, folder, reference.made, last.type if last else "died", log)
    shutil.rmtree(folder, ignore_errors=True)
    part.save()


def judge(part: Part, name: str, folder: Path, wanted: dict[str, str], end: str, log: Path) -> None:
    """Count the job as done or lost, and compare what it made."""
    found = fingerprint(folder)
    if end != "done" or found is None:
        tail = log.read_text(errors="replace")[-300:] if log.exists() else ""
        part.list("lost").append(f"{name}: {end}: {tail}")
        part.say(f"  LOST: {part.list('lost')[-1]}")
        return
    part.count("jobs done")
    sweep(folder)
    for kind, names in (("different", [f for f in wanted if found[f] != wanted[f]]), ("left over", untidy(folder))):
        if names:
            part.list(kind).append(f"{name}: {', '.join(names)}")
            part.say(f"  {kind.upper()}: {part.list(kind)[-1]}")


def sweep(folder: Path) -> None:
    """What the next command does an hour later: hidden folders that are seconds old may belong to someone."""
    then_s = time.time() - 3600
    for path in (*folder.glob(".skyloop*"), *folder.glob(".skyloop*/checkpoint")):
        os.utime(path, (then_s, then_s))
    staging.sweep(folder)


def undisturbed(part: Part, name: str, request: GenerateRequest, engine: Any) -> Undisturbed:
    """The job run without a kill, once for this code; raises ``RuntimeError`` where it fails."""
    kept = part.table("undisturbed")
    key = f"{code_key()} {name}"
    if key not in kept:
        folder = part.scratch / "undisturbed"
        child = fork(lambda send: run_job(folder, request, engine, send), part.scratch / "output.txt")
        last = child.finish(ATTEMPT_LIMIT_S)
        if last is None or last.type != "done":
            raise RuntimeError(f"{name}: the undisturbed run ended with {last and (last.type, last.data)}")
        for old in [k for k in kept if not k.startswith(code_key())]:
            del kept[old]
        kept[key] = [fingerprint(folder), durations(child.events)]
        shutil.rmtree(folder)
    made, phases = kept[key]
    return Undisturbed(made, [(p, s) for p, s in phases])


def durations(events: list[tuple[float, Event]]) -> list[tuple[str, float]]:
    """The phases in order with their seconds; a phase begins when the one before ends."""
    ends: dict[str, float] = {}
    for at_s, event in events:
        if event.type == "phase":
            ends[event.data["name"]] = at_s
    starts = [0.0, *ends.values()]
    found = [(name, end - start) for (name, end), start in zip(ends.items(), starts, strict=False)]
    return [*found, (PUBLISH, max(_PUBLISH_S, events[-1][0] - starts[-1]))]


def kill_in(child: Forked, phases: list[tuple[str, float]], target: int, share: float) -> str | None:
    """Kill ``child`` that ``share`` of the way into a phase, or a later one if it begins there. The phase it died in,
    None where it ended before."""
    names = [name for name, _ in phases]
    now, seen = 0, 0
    at_s = child.start_s + share * phases[0][1] if target == 0 else None
    limit_s = child.start_s + ATTEMPT_LIMIT_S
    while time.monotonic() < (at_s or limit_s):
        if not child.read(at_s or limit_s):
            child.wait()
            return None
        for _, event in child.events[seen:]:
            if event.type == "phase":
                number = names.index(event.data["name"])
                now = max(now, number + (event.data["done"] >= event.data["total"]))
        seen = len(child.events)
        if at_s is None and now >= target:
            at_s = time.monotonic() + share * phases[now][1]
    child.kill()
    return names[now] if child.status == -9 else None


# ---- real processes


def real(part: Part, request: GenerateRequest, draw: random.Random) -> None:
    """Kill the command, the child of the add-on and its parent as they are started in life, at any moment."""
    reference = undisturbed(part, f"{BUILT_IN}, flat wrap", request, engine())
    run_s = 4 + sum(s for _, s in reference.phases)  # starting Python and torch takes its time too
    for kind in ("command", "child", "parent"):
        folder = part.scratch / f"real{part.count('folders')}"
        log = part.scratch / "output.txt"
        killed = [_killed(kind, folder, request, log, draw.uniform(0.5, run_s)) for _ in range(2)]
        part.count("kills of real processes", sum(killed))
        part.say(f"  {kind}: killed ({part.so_far['kills of real processes']})")
        ended = _start(kind, folder, request, log).wait(ATTEMPT_LIMIT_S)
        judge(part, f"real {kind}", folder, reference.made, "done" if ended == 0 else "failed", log)
        part.save()
        shutil.rmtree(folder, ignore_errors=True)


def _killed(kind: str, folder: Path, request: GenerateRequest, log: Path, after_s: float) -> bool:
    """Start it, and kill it after that time unless it has ended."""
    process = _start(kind, folder, request, log)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]) if kind == "child" and children else process.pid, signal.SIGKILL)
        process.wait(ATTEMPT_LIMIT_S)
        return True
    return False


def _start(kind: str, folder: Path, request: GenerateRequest, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backend", *arguments(request, folder)]
    if kind != "command":
        if not (folder / "request.json").exists():
            store.create(folder, request)
        command = [sys.executable, "-c", _PARENT, Command(type="generate", job=str(folder)).to_line()]
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)


# Sends a job to its child, again while the one before has not let go of it, and waits for its end.
_PARENT = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "backend", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def last():
    child.stdin.write(sys.argv[1].encode() + b"\\n")
    child.stdin.flush()
    return next(e for e in map(json.loads, child.stdout) if e["type"] in ("done", "failed", "cancelled"))
for _ in range(60):
    end = last()
    if "is at work" not in end.get("message", ""):
        break
    time.sleep(0.5)
child.stdin.close()
child.wait()
sys.exit(end["type"] != "done")
"""

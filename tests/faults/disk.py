"""Disks that fail: every call on a file in a job's folder, each in every way it can, and what the job makes of it.

Expected after any fault: the job is done all the same and right to the bit, or it has failed with one clear line of the
right kind; no corrupt file has a final name; and the same job again, without the fault, is done and right to the bit.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.protocol import Event

from . import below
from .kills import Undisturbed, kill_in, sweep, undisturbed
from .shim import FAULTS, Shim
from .work import (
    ROOT,
    Figure,
    Part,
    Send,
    digest,
    eager,
    fingerprint,
    fork,
    oracle_engine,
    run_command,
    run_job,
    tiniest,
    untidy,
)

LIMIT_S = 60.0
DOORS = ("child", "command", "resumed layout", "resumed decode", "done already")
UNCLEAR = "did not expect"


@dataclass(frozen=True)
class Case:
    """One fault at one call."""

    door: str
    kind: str
    site: str
    occurrence: int
    fault: int | str
    lasting: bool = False

    @property
    def key(self) -> str:
        fault = errno.errorcode[self.fault] if isinstance(self.fault, int) else self.fault
        lasting = " lasting" if self.lasting else ""
        return f"{self.door} | {self.kind} | {self.site} | {self.occurrence} | {fault}{lasting}"


def run(part: Part) -> list[Figure]:
    """All cases that are not done yet, in an order that begins with one of each site; then a look below Python."""
    reference = undisturbed(part, "one window", tiniest(), oracle_engine())
    found = cases(part, reference)
    known = {case.key for case in found}
    part.so_far |= {"cases": len(found), "sites": len({(c.kind, c.site) for c in found})}
    done = known & set(part.list("done"))  # lines move when the code changes: those are other calls
    part.so_far["done"] = sorted(done)
    part.so_far["violations"] = {key: text for key, text in part.table("violations").items() if key in known}
    for case in found:
        if part.left_s() < 60:
            break
        if case.key not in done:
            judge(part, case, reference)
            part.list("done").append(case.key)
            part.save()
    below.run(part, reference)
    return figures(part)


def figures(part: Part) -> list[Figure]:
    done, total, bad = len(part.list("done")), part.so_far["cases"], part.table("violations")
    about = ", ".join(f"{n} {name}" for name, n in sorted(part.table("ends").items()))
    reached = f"{done} of {total} at {part.so_far['sites']} sites (with repeats {about})"
    return [
        Figure("I/O faults, every call site reached", "100 %", reached, done >= total > 0),
        Figure("neither clear error nor recovery", "0", str(len(bad)), not bad),
        *below.figures(part),
    ]


def cases(part: Part, reference: Undisturbed, doors: Sequence[str] = DOORS) -> list[Case]:
    """Every fault that fits at the first, the middle and the last call of every site; first ones first.

    Where several doors lead to a site, those after the first one try its first call only.
    """
    found: list[tuple[int, Case]] = []
    known: set[tuple[str, str]] = set()
    for door in doors:
        for (kind, site), count in sites(part, door, reference).items():
            wanted = (0,) if (kind, site) in known else (0, count // 2, count - 1)
            known.add((kind, site))
            for rank, occurrence in enumerate(dict.fromkeys(wanted)):
                faults = [(f, False) for f in (*FAULTS[kind], "kill")]
                if errno.ENOSPC in FAULTS[kind]:
                    faults.append((errno.ENOSPC, True))
                found += [(rank, Case(door, kind, site, occurrence, f, lasting)) for f, lasting in faults]
    return [case for _, case in sorted(found, key=lambda pair: pair[0])]


def sites(part: Part, door: str, reference: Undisturbed) -> dict[tuple[str, str], int]:
    """How often each site is called when the job comes in by that door."""
    folder = _folder(part, door, reference)
    counted = part.scratch / "counted.json"

    def trace(send: Send) -> None:
        shim = Shim(folder, ROOT / "backend")
        shim.install()
        _enter(door, folder, send)
        counted.write_text(json.dumps([[*site, n] for site, n in shim.counts.items()]))

    last = fork(trace, part.scratch / "output.txt").finish(LIMIT_S)
    shutil.rmtree(folder)
    if last is None or last.type != "done":
        raise RuntimeError(f"{door}: a run without a fault ended with {last and (last.type, last.data)}")
    return {(kind, site): n for kind, site, n in json.loads(counted.read_text())}


def judge(part: Part, case: Case, reference: Undisturbed) -> None:
    """Run the job with the fault, and again without, and note what is not as expected."""
    folder, log = _folder(part, case.door, reference), part.scratch / "output.txt"
    log.unlink(missing_ok=True)
    struck = part.scratch / "struck"
    struck.unlink(missing_ok=True)

    def broken(send: Send) -> None:
        shim = Shim(folder, ROOT / "backend", (case.kind, case.site, case.occurrence), case.fault, case.lasting)
        shim.install()
        try:
            _enter(case.door, folder, send)
        finally:
            if shim.struck:
                os.close(os.open(struck, os.O_CREAT))

    child = fork(broken, log)
    last = child.finish(LIMIT_S)
    wrong: list[str] = []
    if case.fault == "kill":
        end = "killed" if child.status == -9 else "not reached"
    else:
        end = last.type if last else "died"
        wrong += clear_end(last, case.fault, log)
        end = end if struck.exists() else "not reached"
    wrong += corrupt(folder, reference.made)
    if end != "done" or wrong or untidy(folder):
        again = fork(lambda send: _enter(case.door, folder, send), log).finish(LIMIT_S)
        if again is None or again.type != "done":
            wrong.append(f"again without the fault: {again and (again.type, again.data)}")
    if fingerprint(folder) != reference.made:
        wrong.append("the result differs")
    sweep(folder)
    if case.kind not in ("unlink", "list"):  # what cannot be removed stays
        # What could not be moved out is in a folder that the error names.
        wrong += [f"left over: {name}" for name in untidy(folder) if not name.startswith("skyloop-")]
    ends = part.table("ends")
    ends[end] = ends.get(end, 0) + 1
    if wrong:
        part.table("violations")[case.key] = "; ".join(wrong)
        part.say(f"  {case.key}: {'; '.join(wrong)}")
    shutil.rmtree(folder, ignore_errors=True)


def clear_end(last: Event | None, fault: int | str, log: Path) -> Iterator[str]:
    """What is wrong with the way a job ended."""
    if last is None or last.type not in ("done", "failed"):
        tail = log.read_text(errors="replace")[-400:] if log.exists() else ""
        yield f"the process ended with {last and last.type}: {tail}"
    elif last.type == "failed":
        kind, message = last.data.get("kind"), str(last.data.get("message"))
        if UNCLEAR in message or "\n" in message or not message:
            yield f"unclear: {message}"
        if (fault == errno.ENOSPC) != (kind == "disk_full"):
            yield f"kind {kind}: {message}"


def corrupt(folder: Path, made: dict[str, str]) -> Iterator[str]:
    """Files under final names that are not what a job makes."""
    with contextlib.suppress(FileNotFoundError):
        for name in ("sky.mp4", "poster.png"):
            if (folder / name).exists() and digest((folder / name).read_bytes()) != made[name]:
                yield f"{name} is corrupt"
        if (folder / "preview.png").exists() and not (folder / "preview.png").read_bytes().endswith(b"IEND\xaeB`\x82"):
            yield "preview.png is corrupt"
        if (folder / "result.json").exists() and fingerprint(folder) != made:
            yield "result.json without the result"
        if (folder / "request.json").exists():
            json.loads((folder / "request.json").read_bytes())


def _enter(door: str, folder: Path, send: Send) -> Event:
    """Run the job by a door; its last event."""
    with eager():
        return (run_command if door == "command" else run_job)(folder, tiniest(), oracle_engine(), send)


def _folder(part: Part, door: str, reference: Undisturbed) -> Path:
    """A fresh folder for the job, as that door finds it: none, cut short in a phase, or done already."""
    folder = part.scratch / f"case{part.count('folders')}"
    if door in ("child", "command"):
        return folder
    ready = part.scratch / f"ready {door}"
    if not ready.exists():
        child = fork(lambda send: _enter("child", ready, send), part.scratch / "output.txt")
        if door == "done already":
            child.finish(LIMIT_S)
        else:
            names = [name for name, _ in reference.phases]
            kill_in(child, reference.phases, names.index(door.removeprefix("resumed ")), 0.9)
    shutil.copytree(ready, folder)
    return folder


def quick(part: Part, number: int, draw: random.Random) -> None:
    """A sample of the cases of two doors."""
    reference = undisturbed(part, "one window", tiniest(), oracle_engine())
    found = cases(part, reference, ("command", "resumed decode"))
    part.so_far |= {"cases": number, "sites": len({(c.kind, c.site) for c in found})}
    for case in draw.sample(found, number):
        judge(part, case, reference)
        part.list("done").append(case.key)

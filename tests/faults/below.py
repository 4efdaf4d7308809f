"""The same a second time, below Python: a disk that is really full, and system calls that strace lets fail.

Both are samples. Each needs something of the machine (root, strace), and is named as left out where that is missing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from unittest import mock

from backend.protocol import Event

from .kills import Undisturbed
from .work import Figure, Forked, Part, Send, eager, fingerprint, fork, oracle_engine, run_job, tiniest, untidy

FULL_DISKS = 60
STRACED = 40
LIMIT_S = 60.0
_NEW_NAMESPACE = 0x00020000  # CLONE_NEWNS: what is mounted goes with the process
_CALLS = {"write": (errno.ENOSPC, errno.EIO), "fsync": (errno.EIO,), "openat": (errno.ENOSPC,), "rename": (errno.EIO,)}


def run(part: Part, reference: Undisturbed) -> None:
    """Full disks of all sizes up to what a job needs, then failing system calls."""
    draw = random.Random(part.seed)
    if missing := no_full_disks():
        part.so_far["no full disks"] = missing
    while not missing and part.so_far.get("full disks", 0) < FULL_DISKS and part.left_s() > 30:
        full_disk(part, reference, draw.randrange(4, 400))
    if missing := no_strace():
        part.so_far["no strace"] = missing
    while not missing and part.so_far.get("straced", 0) < STRACED and part.left_s() > 30:
        straced(part, reference, draw)


def figures(part: Part) -> list[Figure]:
    found = []
    for name, key, missing, wanted in (
        ("disks really full", "full disks", "no full disks", FULL_DISKS),
        ("system calls made to fail", "straced", "no strace", STRACED),
    ):
        count, bad = part.so_far.get(key, 0), part.list(f"{key} violations")
        text = (
            f"left out: {part.so_far[missing]}" if missing in part.so_far else f"{count}, {len(bad)} not as they must"
        )
        found.append(Figure(name, f"{wanted}, all right", text, count >= wanted and not bad))
    return found


def no_full_disks() -> str:
    """Why there can be no small disk here."""
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    return "" if shutil.which("mount") else "there is no mount command"


def no_strace() -> str:
    """Why system calls cannot be made to fail here."""
    return "" if shutil.which("strace") else "strace is not installed"


def full_disk(part: Part, reference: Undisturbed, size_kb: int) -> None:
    """A job on a disk of that size, which nothing warns of, then again with room enough."""
    disk = part.scratch / "disk"
    disk.mkdir(exist_ok=True)

    def work(send: Send) -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NAMESPACE):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(disk)], check=True)
        wrong: list[str] = []
        with eager(), mock.patch("backend.jobs.runner.check_space", lambda *_: None):
            last = run_job(disk / "job", tiniest(), oracle_engine(), lambda event: None)
            if last.type == "failed" and last.data["kind"] != "disk_full":
                wrong.append(f"{last.data}")
            if last.type == "failed" and fingerprint(disk / "job"):
                wrong.append("a failed job has a result")
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            if (again := run_job(disk / "job", tiniest(), oracle_engine(), lambda event: None)).type != "done":
                wrong.append(f"again with room: {again.data}")
        if fingerprint(disk / "job") != reference.made:
            wrong.append("the result differs")
        wrong += [f"left over: {name}" for name in untidy(disk / "job")]
        send(Event(type="done", data={"wrong": wrong, "end": last.type}))

    _count(part, "full disks", f"{size_kb} kB", fork(work, part.scratch / "output.txt").finish(LIMIT_S))


def straced(part: Part, reference: Undisturbed, draw: random.Random) -> None:
    """A job of which one system call fails, drawn among those that it makes."""
    call = draw.choice(list(_CALLS))
    fault = draw.choice(_CALLS[call])
    folder = part.scratch / f"straced{part.count('folders')}"
    counts = part.table("system calls")
    if call not in counts:
        trace = part.scratch / "trace.txt"
        _traced(part, folder, ["-o", str(trace), "-e", f"trace={call}"])
        counts[call] = sum(f"{call}(" in line for line in trace.read_text(errors="replace").splitlines())
        shutil.rmtree(folder)
    number = draw.randint(1, max(1, counts[call]))
    name = f"{call} {number} {errno.errorcode[fault]}"
    inject = f"inject={call}:error={errno.errorcode[fault]}:when={number}"
    last = _traced(part, folder, ["-o", "/dev/null", "-e", f"trace={call}", "-e", inject])
    wrong = []
    if last is None:
        wrong.append("the process died")
    elif last.type == "failed" and (
        "did not expect" in last.data["message"] or (fault == errno.ENOSPC) != (last.data["kind"] == "disk_full")
    ):
        wrong.append(f"{last.data}")
    if last is None or last.type != "done" or untidy(folder):
        again = fork(lambda send: run_job(folder, tiniest(), oracle_engine(), send), part.scratch / "output.txt")
        if (end := again.finish(LIMIT_S)) is None or end.type != "done":
            wrong.append(f"again: {end and end.data}")
    if fingerprint(folder) != reference.made:
        wrong.append("the result differs")
    wrong += [f"left over: {n}" for n in untidy(folder)]
    _count(part, "straced", name, Event(type="done", data={"wrong": wrong, "end": last.type if last else "died"}))
    shutil.rmtree(folder, ignore_errors=True)


def _traced(part: Part, folder: Path, options: list[str]) -> Event | None:
    """Run the job in a child that strace has hold of from the start; its end."""

    def work(send: Send) -> None:
        while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
            time.sleep(0.01)
        with eager():
            last = run_job(folder, tiniest(), oracle_engine(), lambda event: None)
        try:
            send(last)
        except OSError:  # this was the call that was to fail
            send(last)

    child: Forked = fork(work, part.scratch / "output.txt")
    tracer = subprocess.Popen(["strace", "-f", "-q", *options, "-p", str(child.pid)], stderr=subprocess.DEVNULL)
    try:
        return child.finish(LIMIT_S)
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.wait()


def _count(part: Part, key: str, name: str, last: Event | None) -> None:
    part.count(key)
    wrong = last.data["wrong"] if last else ["the process died"]
    end = last.data["end"] if last else "died"
    ends = part.table(f"{key} ends")
    ends[end] = ends.get(end, 0) + 1
    if wrong:
        part.list(f"{key} violations").append(f"{name}: {'; '.join(wrong)}")
        part.say(f"  {part.list(f'{key} violations')[-1]}")

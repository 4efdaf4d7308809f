"""A backend that speaks the protocol and makes a coded film, for tests of the other side. Standard library only.

    python fake_backend.py MODE[+keep] FIXTURES

FIXTURES holds ``sky.mp4`` and ``poster.png``, which become the result. ``keep``: each step leaves a checkpoint, from
which a later run goes on. MODE:

========= ==================================================================
ok        all goes well
slow      works until cancelled
deaf      slow, and ignores cancel
crash     dies in the middle of every job
once      dies in the middle of a job without checkpoint, and leaves one
creep     dies after each step beyond the checkpoint, and leaves one
kill      dies as when memory ends
stall     falls silent in mid-job
stallonce falls silent like ``once``
lost      loses its device like ``once``
stopped   is told to end by someone else, like ``once``
full      fails for lack of disk in mid-job
garbage   noise between the messages
chatty    megabytes on stderr in mid-job
flood     thousands of events in mid-job
oom       fails for lack of memory
mute      never says hello
broken    its engine cannot be loaded
old, new  another protocol
outside   names a file elsewhere
========= ==================================================================
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

MODE, _, EXTRA = sys.argv[1].partition("+")
FIXTURES = Path(sys.argv[2])
KEEPS = EXTRA == "keep" or MODE in ("once", "creep", "stallonce", "lost", "stopped", "full")
STEPS = 10**9 if MODE in ("slow", "deaf") else 10 if MODE == "creep" else 4
sequence = iter(range(1, 1 << 30))
changed = threading.Condition(threading.RLock())  # guards all below, and the mouth
waiting: list[str] = []
running = ""
paused = ended = False
cancels: set[str] = set()


def say(kind: str, /, **data: Any) -> None:
    with changed:
        print(json.dumps({"type": kind, "seq": next(sequence), **data}), flush=True)


def tell_queue() -> None:
    with changed:
        say("queue", running=running, waiting=waiting, paused=paused)
        changed.notify_all()


def read() -> None:
    """The reader thread: obeys at once, as the real one does."""
    global paused, ended
    for line in sys.stdin:
        message = json.loads(line)
        kind, job = message["type"], message.get("job", "")
        with changed:
            if kind == "generate":
                waiting.append(job)
                say("accepted", job=job)
            elif kind == "cancel" and job in waiting:
                waiting.remove(job)
                say("cancelled", job=job)
            elif kind == "cancel" and MODE != "deaf":
                cancels.add(job)
            elif kind == "move":
                waiting.remove(job)
                waiting.insert(message.get("to", 0), job)
            elif kind in ("pause", "resume"):
                paused = kind == "pause"
            elif kind == "shutdown":
                break
            tell_queue()
    with changed:
        ended = True
        changed.notify_all()


def generate(job: str) -> None:
    folder = Path(job)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    checkpoint = folder / "checkpoint" / "1.safetensors"
    if MODE == "oom":
        (folder / "log.txt").write_text("CUDA out of memory", encoding="utf-8")
        error = {"kind": "out_of_memory", "message": "The sky needs 9 GB and 4 GB are free."}
        return say("failed", job=job, **error, hint="Choose a smaller size.", log="log.txt")
    begun = min(int(checkpoint.read_text()), STEPS) if checkpoint.is_file() else 0
    for step in range(begun, STEPS):
        with changed:
            while paused and not ended and job not in cancels:
                changed.wait()
            if ended:
                sys.exit(0)
        if job in cancels:
            return say("cancelled", job=job)
        say("phase", job=job, name="denoise", done=step, total=STEPS, unit="step")
        if KEEPS:
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_text(str(step))
        if step == 1:
            shutil.copyfile(FIXTURES / "poster.png", folder / "preview.png")
            say("preview", job=job, file="/etc/passwd" if MODE == "outside" else "preview.png")
        if step > begun if MODE == "creep" else step == 2:
            if MODE == "full":
                return say("failed", job=job, kind="disk_full", message="The disk is full.", hint="Free some space.")
            misbehave(job, begun)
        time.sleep(0.02)
    say("phase", job=job, name="denoise", done=STEPS, total=STEPS, unit="step")
    for name in ("sky.mp4", "poster.png"):
        shutil.copyfile(FIXTURES / name, folder / name)
    result = {"request": request, "figures": {"seam": 1.0}, "seconds": {"denoise": 0.1}, "begun_at_step": begun}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    say("done", job=job, result=result)
    return None


def misbehave(job: str, begun: int) -> None:
    match MODE:
        case "crash" | "creep":
            print("Fatal: the model file is damaged", file=sys.stderr, flush=True)
            os._exit(3)
        case "once" if not begun:
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stall":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "stallonce" if not begun:
            os.kill(os.getpid(), signal.SIGSTOP)
        case "lost" if not begun:
            say("failed", job=job, kind="device_lost", message="The graphics card stopped answering.", hint="Wait.")
            time.sleep(3600)  # a device that is lost often takes the process along
        case "stopped" if not begun:
            say("cancelled", job=job)
            os._exit(0)
        case "garbage":
            noise = b'loading \xff\xfe\n{"type": 5}\n[1, 2\n{"type": "done"}\nnull\n\n{"type": "phase", "job": 7}\n'
            sys.stdout.buffer.write(noise + b"x" * 3_000_000 + b"\n")
            sys.stdout.buffer.flush()
        case "chatty":
            for number in range(40_000):
                print(f"warning {number}: something of no importance, said at length", file=sys.stderr)
        case "flood":
            for number in range(20_000):
                say("phase", job=job, name="denoise", done=2, total=STEPS, unit=f"step {number}")


def heartbeat() -> None:
    while True:
        say("heartbeat")
        time.sleep(0.1)


def main() -> None:
    global running
    threading.Thread(target=read, daemon=True).start()
    if MODE == "mute":
        time.sleep(3600)
    hello = {"protocol": {"old": 0, "new": 99}.get(MODE, 1), "version": "fake"}
    say("hello", **hello, devices=[])
    if MODE == "broken":
        say("failed", kind="internal", message="torch cannot be loaded.", hint="Use Repair.")
        sys.exit(1)
    threading.Thread(target=heartbeat, daemon=True).start()
    time.sleep(0.05)
    say("hello", **hello, devices=[{"id": "cpu", "name": "CPU"}])
    while True:
        with changed:
            while not ended and (paused or not waiting):
                changed.wait()
            if ended:
                return
            running = waiting.pop(0)
            tell_queue()
        generate(running)
        cancels.discard(running)
        running = ""
        tell_queue()


if __name__ == "__main__":
    main()

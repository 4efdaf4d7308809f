"""A backend that speaks the protocol and makes a coded film, for tests of the other side. Standard library only.

    python fake_backend.py MODE FIXTURES

FIXTURES holds ``sky.mp4`` and ``poster.png``, which become the result. MODE: ok, slow (until cancelled), deaf (slow,
and ignores cancel), crash (mid-job), kill (as the system does when memory ends), stall (falls silent mid-job), garbage
(noise between the messages), oom, mute (never says hello), old (another protocol), outside (names a file elsewhere).
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

MODE, FIXTURES = sys.argv[1], Path(sys.argv[2])
inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
sequence = iter(range(1, 1 << 30))
mouth = threading.Lock()


def say(kind: str, /, **data: Any) -> None:
    with mouth:
        print(json.dumps({"type": kind, "seq": next(sequence), **data}), flush=True)


def read() -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(None)


def cancelled(job: str) -> bool:
    try:
        message = inbox.get_nowait()
    except queue.Empty:
        return False
    if message is None:
        sys.exit(0)
    return message == {"type": "cancel", "job": job} and MODE != "deaf"


def generate(job: str) -> None:
    folder = Path(job)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    say("accepted", job=job)
    if MODE == "oom":
        (folder / "log.txt").write_text("CUDA out of memory", encoding="utf-8")
        error = {"kind": "out_of_memory", "message": "The sky needs 9 GB and 4 GB are free."}
        return say("failed", job=job, **error, hint="Choose a smaller size.", log="log.txt")
    steps = 10**9 if MODE in ("slow", "deaf") else 4
    for step in range(steps):
        if cancelled(job):
            return say("cancelled", job=job)
        say("phase", job=job, name="denoise", done=step, total=steps, unit="step")
        if step == 1:
            shutil.copyfile(FIXTURES / "poster.png", folder / "preview.png")
            say("preview", job=job, file="/etc/passwd" if MODE == "outside" else "preview.png")
        if step == 2:
            misbehave()
        time.sleep(0.02)
    say("phase", job=job, name="denoise", done=steps, total=steps, unit="step")
    for name in ("sky.mp4", "poster.png"):
        shutil.copyfile(FIXTURES / name, folder / name)
    result = {"request": request, "figures": {"seam": 1.0}, "seconds": {"denoise": 0.1}}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    say("done", job=job, result=result)
    return None


def misbehave() -> None:
    match MODE:
        case "crash":
            print("Fatal: the model file is damaged", file=sys.stderr, flush=True)
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stall":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "garbage":
            noise = b'loading \xff\xfe\n{"type": 5}\n[1, 2\n{"type": "done"}\nnull\n\n{"type": "phase", "job": 7}\n'
            sys.stdout.buffer.write(noise)
            sys.stdout.buffer.flush()


def heartbeat() -> None:
    while True:
        say("heartbeat")
        time.sleep(0.1)


def main() -> None:
    threading.Thread(target=read, daemon=True).start()
    if MODE == "mute":
        time.sleep(3600)
    say("hello", protocol=99 if MODE == "old" else 1, version="fake", devices=[{"id": "cpu", "name": "CPU"}])
    threading.Thread(target=heartbeat, daemon=True).start()
    while message := inbox.get():
        if message["type"] == "generate":
            generate(message["job"])
        elif message["type"] == "shutdown":
            break


if __name__ == "__main__":
    main()

"""Stands in for ``python -m backend export``: python fake_export.py MODE export SOURCE --target T --out DIR … --json

It makes its folder as the real one does: beside its place, then renamed. What it was asked stands in it.
MODE: ``ok``; ``slow``, which goes on until it is ended and cleans nothing up; ``deaf``, which does not hear that it is
to end; ``crash``; ``full``, which fails as the real one does; ``garbage``, which says it has done without saying what.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(text: str) -> None:
    print(f"skyloop: {text}", file=sys.stderr, flush=True)


def main() -> int:
    mode, *words = sys.argv[1:]
    out = Path(words[words.index("--out") + 1])
    beside = out.with_name(f".{out.name}.0123abcd.part")
    beside.mkdir()
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("Frames: 96 frames")
    for done in range(0, 10_000 if mode in ("slow", "deaf") else 4):
        say(f"Frames: {min(done, 84)} of 96 frames")
        time.sleep(0.02)
    if mode == "crash":
        os._exit(77)
    if mode == "full":
        log = out.with_name("skyloop.log")
        log.write_text("where it happened", encoding="utf-8")
        error = {"kind": "disk_full", "message": "There is no room.", "hint": "Free some space.", "log": str(log)}
        print(json.dumps({"error": error}))
        return 1
    gltf = Path(words[words.index("--gltf") + 1]) if "--gltf" in words else None
    (beside / "asked.json").write_text(json.dumps(words), encoding="utf-8")
    if gltf:
        (beside / "scene.glb").write_bytes(gltf.read_bytes())
    beside.rename(out)
    print("not a document" if mode == "garbage" else json.dumps({"open": "asked.json", "notes": ["It was stretched."]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

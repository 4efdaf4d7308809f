"""Stands in for ``python -m backend models``: python fake_models.py HOME MODE WORDS… --json

It keeps the same record that the real one does, in the models' folder of HOME, and says what it got on stdout.
MODE: ``ok``; ``slow``, which goes on until it is ended; ``gated`` and ``full``, which fail as the real one does.
"""

import json
import os
import sys
import time
from pathlib import Path


def say(text: str) -> None:
    print(f"skyloop: {text}", file=sys.stderr, flush=True)


def fail(kind: str, message: str, hint: str) -> int:
    print(json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}))
    return 2


def keep(folder: Path, state: str, **others: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_bytes(b"x" * 1000)
    files = [{"path": "weights", "size": 1000}]
    document = {"id": folder.name, "state": state, "files": files, "local": "", "own": [], **others}
    (folder / "skyloop.json").write_text(json.dumps(document), encoding="utf-8")


def main() -> int:
    home, mode, _models, action, *words = sys.argv[1:]
    root = Path(home) / "models"
    token = os.environ.get("HF_TOKEN", ""), os.environ.get("HF_ENDPOINT", "")
    if mode == "gated":
        hint = "Accept its conditions at https://hub.example.org/it, make a token at https://x.org, set it as HF_TOKEN."
        return fail("bad_request", "It can be downloaded only with an account.", hint)
    if mode == "full":
        return fail(
            "disk_full", "There is no room.", "Free some space, or keep the models on another disk: models move F."
        )
    if action == "download":
        keep(root / words[0], "partial")
        say("Downloading: 17600 MB")
        for done in range(0, 17600, 200):
            if mode != "slow" and done > 1000:
                break
            say(f"Downloading: {done} of 17600 MB")
            time.sleep(0.02)
        keep(root / words[0], "ready")
    elif action == "remove":
        (root / words[0] / "skyloop.json").unlink()
    elif action == "add":
        keep(root / words[0], "ready", local=str(Path(words[1])))
        (Path(words[1]) / "weights").write_bytes(b"x" * 1000)
    print(json.dumps({"words": words, "token": token}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

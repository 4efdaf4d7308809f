"""Progress of the installer for people at a command line: a bar on a terminal, else a line per phase; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from ..protocol import Event

WORDS = {
    "wait": "Waiting for another Skyloop",
    "venv": "Making the environment",
    "plan": "Looking up packages",
    "download": "Downloading",
    "check": "Checking files",
    "install": "Installing",
    "copy": "Copying",
    "self-test": "Testing",
}


def console_progress() -> Callable[[Event], None]:
    """A receiver of ``phase`` events that writes to stderr."""
    return _bar() if sys.stderr.isatty() else _lines()


def _amount(data: dict[str, object]) -> str:
    total, unit = data["total"], {"step": "steps", "package": "packages"}.get(str(data["unit"]), data["unit"])
    return f"{data['done']}/{total} {unit}" if total else f"{data['done']} {unit}"


def _lines() -> Callable[[Event], None]:
    """A line when a phase starts and ends, and one every 15 s in between."""
    said: dict[str, float] = {}

    def receive(event: Event) -> None:
        data = event.data
        name = str(data["name"])
        now = time.monotonic()
        finished = bool(data["total"]) and data["done"] == data["total"]
        if name not in said or finished or now - said[name] > 15:
            said[name] = now
            print(f"skyloop: {WORDS.get(name, name)}: {_amount(data)}", file=sys.stderr, flush=True)
        if data.get("note"):
            print(f"skyloop: {data['note']}", file=sys.stderr, flush=True)

    return receive


def _bar(width: int = 28) -> Callable[[Event], None]:
    current = ""

    def receive(event: Event) -> None:
        nonlocal current
        data = event.data
        name, done, total = str(data["name"]), int(data["done"]), int(data["total"])
        if data.get("note"):
            print(f"\r\x1b[K{data['note']}", file=sys.stderr)
        if current and name != current:
            print(file=sys.stderr)
        filled = min(width, width * done // total) if total else 0
        bar = "█" * filled + "·" * (width - filled)
        print(f"\r\x1b[K{WORDS.get(name, name):<27} {bar} {_amount(data)}", end="", file=sys.stderr, flush=True)
        current = name
        if total and done == total:
            print(file=sys.stderr)
            current = ""

    return receive

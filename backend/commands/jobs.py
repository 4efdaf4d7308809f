"""``jobs``: a folder of job folders, to look through and to keep in order."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ..jobs.folders import usage_bytes
from ..jobs.job_library import Entry, Library, default_root
from ..protocol import GenerateRequest, bad_request
from .tables import print_table

_PROMPT_CHARS = 48


def run_list(options: argparse.Namespace, _argv: list[str]) -> list[dict[str, Any]]:
    """Print a table of the jobs, newest first, or return them for ``--json``."""
    library = _library(options)
    found = library.list(options.status, options.search)
    if not options.json:
        if found:
            print_table([("name", "status", "", "size", "frames", "seed", "prompt"), *map(_row, found)])
        else:
            print(f"There is no such sky in {library.root}.")
    return [_about(entry) for entry in found]


def run_show(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    """Print how far a job is and what was asked for, or return it for ``--json``."""
    library = _library(options)
    entry = library.get(_name(options.name))
    request = library.request(entry.name).to_json()
    document = _about(entry) | {"bytes": usage_bytes(entry.folder), "request": request}
    if not options.json:
        usual = GenerateRequest(prompt="").to_json()
        asked = {k: v for k, v in request.items() if k in ("seed", "width", "height", "frames") or v != usual[k]}
        facts = {"folder": entry.folder, "status": _status(entry), "created": document["created"]}
        print_table((facts | {"size": megabytes(document["bytes"])} | asked).items())
    return document


def run_delete(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    library, names = _library(options), [_name(name) for name in options.names]
    for name in names:
        library.delete(name)
    return {"deleted": names}


def run_pin(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    """``pin`` and ``unpin``."""
    library, names = _library(options), [_name(name) for name in options.names]
    for name in names:
        library.pin(name, options.pinned)
    return {"pinned" if options.pinned else "unpinned": names}


def run_prune(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    library = _library(options)
    removed = [entry.name for entry in library.prune(options.size)]
    left = library.usage_bytes()
    if not options.json:
        for name in removed:
            print(name)
        kept = " The rest is pinned or unfinished." if left > options.size else ""
        print(f"Removed {len(removed)}; the skies in {library.root} now take {megabytes(left)}.{kept}")
    return {"removed": removed, "bytes": left}


def run_rebuild(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    library = _library(options)
    count = library.rebuild()
    if not options.json:
        print(f"{count} skies in {library.root}")
    return {"jobs": count}


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:.1f} GB"


def _library(options: argparse.Namespace) -> Library:
    root = options.root or default_root()
    if not root.is_dir():
        raise bad_request(f"{root} is no folder.", "Say with --root where the job folders are.")
    return Library(root)


def _name(text: str) -> str:
    """A job's name, also from a path that a shell completed to its end with a slash."""
    return text.rstrip("/\\")


def _status(entry: Entry) -> str:
    return f"{entry.status}, pinned" if entry.pinned else str(entry.status)


def _row(entry: Entry) -> tuple[object, ...]:
    card = entry.card
    prompt = card.prompt if len(card.prompt) <= _PROMPT_CHARS else f"{card.prompt[: _PROMPT_CHARS - 1]}…"
    pinned = "pinned" if entry.pinned else ""
    return entry.name, entry.status, pinned, f"{card.width}x{card.height}", card.frames, card.seed, prompt


def _about(entry: Entry) -> dict[str, Any]:
    card = entry.card
    return {
        "name": entry.name,
        "folder": str(entry.folder),
        "status": str(entry.status),
        "pinned": entry.pinned,
        "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created_s)),
        "prompt": card.prompt,
        "model": card.model,
        "method": card.method,
        "seed": card.seed,
        "width": card.width,
        "height": card.height,
        "frames": card.frames,
    }

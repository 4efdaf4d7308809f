"""What is known of a suite, as one JSON document: ``suite.json``, from which the tables and the page are made."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from ..media.files import atomic_write, writing
from ..media.video import probe
from ..protocol import Event, finite
from .html import page
from .report import markdown
from .suite import Settings, Task, finished, read_scores
from .summary import group
from .workers import Failure

SCHEMA = 1


def document(
    settings: Settings, folder: Path, failures: dict[str, Failure], scorers: Sequence[str] = (), command: str = ""
) -> dict[str, Any]:
    """Everything that is known, as in ``suite.json``: ``settings``, ``groups`` by method and steps, and ``skies``."""
    skies = [_sky(task, failures.get(task.name), scorers) for task in settings.skies(folder)]
    return _document("how the methods compare", settings, skies, scorers, command)


def document_of_one(movie: Path, figures: dict[str, Any], command: str) -> dict[str, Any]:
    """The figures of a single video in the shape of :func:`document`, for a page on it."""
    facts = probe(movie)
    name = str(movie)
    sky = {"job": movie.parent.name, "movie": movie.name, "method": movie.name, "steps": 0, "prompt": name, "seed": 0}
    settings = Settings(
        prompts=(name,), seeds=1, methods=(movie.name,), steps=(0,),
        width=facts["width"], height=facts["height"], frames=facts["frames"],
    )  # fmt: skip
    return _document(name, settings, [sky | {"figures": figures}], (), command)


def _document(
    title: str, settings: Settings, skies: Sequence[dict[str, Any]], scorers: Sequence[str], command: str
) -> dict[str, Any]:
    groups = []
    for steps, method in product(settings.steps, settings.methods):
        members = [sky for sky in skies if (sky["method"], sky["steps"]) == (method, steps)]
        made = [sky for sky in members if "figures" in sky]
        groups.append({"method": method, "steps": steps, "asked": len(members), **group(made, settings.width)})
    return finite({
        "schema": SCHEMA,
        "title": title,
        "command": command,
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": {"system": platform.platform(), "processor": _processor(), "devices": _distinct(skies, "device")},
        "versions": {"python": platform.python_version(), **_versions(skies)},
        "settings": {
            "prompts": list(settings.prompts), "seeds": settings.seeds, "methods": list(settings.methods),
            "steps": list(settings.steps), "width": settings.width, "height": settings.height,
            "frames": settings.frames, "model": ", ".join(_distinct(skies, "model")), "scorers": list(scorers),
        },
        "groups": groups,
        "skies": list(skies),
    })  # fmt: skip


def _sky(task: Task, failure: Failure | None, scorers: Sequence[str]) -> dict[str, Any]:
    request = task.request
    found: dict[str, Any] = {
        "job": task.name, "movie": f"jobs/{task.name}/sky.mp4", "method": request.method, "steps": request.steps,
        "prompt": request.prompt, "seed": request.seed,
    }  # fmt: skip
    if failure:
        found["error"] = failure
    if finished(task) and task.job:
        result = json.loads((task.job / "result.json").read_text(encoding="utf-8"))
        kept = ("model", "versions", "device", "seconds", "evaluations", "peak_memory_mb", "figures")
        found |= {key: result[key] for key in kept if key in result}
        scores = read_scores(task)
        found["scores"] = {name: value for given in scorers for name, value in scores.get(given, {}).items()}
    return found


def _distinct(skies: Sequence[dict[str, Any]], key: str) -> list[str]:
    return sorted({str(sky[key]) for sky in skies if key in sky})


def _versions(skies: Sequence[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for sky in skies:
        for name, version in sky.get("versions", {}).items():
            found.setdefault(name, set()).add(str(version))
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _processor() -> str:
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def write(found: dict[str, Any], folder: Path, announce: Callable[[Event], None]) -> None:
    """Write ``suite.json``, ``tables.md`` and ``report.html`` into ``folder``; ``announce`` gets ``phase`` events."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write(folder / "suite.json", text.encode())
    atomic_write(folder / "tables.md", markdown(found).encode())
    atomic_write(folder / "report.html", page(found, folder, announce).encode())

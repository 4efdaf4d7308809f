"""``evaluate PATH``: the quality figures of an equirectangular video. ``evaluate --suite``: of all methods."""

from __future__ import annotations

import argparse
import contextlib
import math
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from ..evaluation.suite import PROMPTS, Settings, Tally, read_prompts
from ..media.files import open_input
from ..protocol import ErrorKind, Event, SkyloopError, bad_request
from .errors import FailedError
from .generate import check_folder
from .inside import enter_runtime
from .progress import Progress

_OF_SUITE = ("out", "prompts", "seeds", "methods", "steps", "size", "frames", "device", "workers")
_OF_SUITE += ("minutes", "report_only", "scorer")


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Print the figures as a table, or return them for ``--json``."""
    if options.suite:
        return _suite(options, argv)
    for name in _OF_SUITE:
        if getattr(options, name) is not None:
            raise bad_request(f"--{name.replace('_', '-')} belongs to --suite.", "See: evaluate --help")
    if options.path is None:
        raise bad_request("There is nothing to evaluate.", "Give the path of a video, or --suite --out DIR.")
    path = video_at(options.path)
    enter_runtime(argv)
    progress = Progress(sys.stderr)
    from ..evaluation import evaluate_file, report

    progress.note("Measuring")
    try:
        figures = evaluate_file(path)
        if options.html:
            progress.note("Writing the page")
            _write_page(path, figures, options.html, argv)
    finally:
        progress.clear()
    if not options.json:
        print(report.table(figures))
    return figures


def video_at(path: Path) -> Path:
    """The video at ``path``, which may be a job folder. Raises ``SkyloopError(bad_request)`` when it cannot be read."""
    with contextlib.suppress(OSError):  # such as a name that is too long: opening it says so
        path = path / "sky.mp4" if path.is_dir() else path
    with open_input(path, sys.maxsize) as file:
        if not file.read(1):
            raise bad_request(f"{path} is empty.", "Give an equirectangular video.")
    return path


def _write_page(path: Path, figures: dict[str, Any], target: Path, argv: list[str]) -> None:
    from ..evaluation.document import document_of_one
    from ..evaluation.html import page
    from ..media.files import atomic_write

    atomic_write(target, page(document_of_one(path, figures, _command(argv)), path.parent).encode())


def _suite(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Run the suite, with everything that can be known to be wrong refused before the runtime is made."""
    settings = _settings(options)
    folder: Path = options.out.absolute()
    enter_runtime(argv)
    progress = Progress(sys.stderr)
    progress.note("Starting")
    from ..evaluation import document, report

    given = options.scorer or []
    failures = {} if options.report_only else _make(options, settings, folder, progress)
    progress.note("Writing the report")
    found = document.document(settings, folder, failures, given, _command(argv))
    document.write(found, folder, progress)
    progress.clear()
    if not options.json:
        print(report.markdown(found))
        print(folder / "report.html")
    if failures:
        text = f"{len(failures)} of {len(found['skies'])} skies failed, the first because: "
        text += next(iter(failures.values()))["message"]
        hint = f"All reasons are in {folder / 'report.html'}; start the same command again to try these once more."
        raise FailedError(SkyloopError(ErrorKind.INTERNAL, text, hint))
    return found


def _make(options: argparse.Namespace, settings: Settings, folder: Path, progress: Progress) -> dict[str, Any]:
    from ..evaluation import suite
    from ..evaluation.scorers import load_scorers

    if options.scorer:
        progress.note("Trying the scorers")
    scorers = load_scorers(options.scorer or ())
    end_s = time.monotonic() + 60 * (math.inf if options.minutes is None else options.minutes)

    def more() -> bool:
        return time.monotonic() < end_s

    show = _Shown(progress, sys.stderr.isatty())
    return suite.run(settings, folder, show, scorers=scorers, workers=options.workers or 1, more=more)


def _settings(options: argparse.Namespace) -> Settings:
    """What to run; raises ``SkyloopError(bad_request)`` for whatever is wrong in the options."""
    if options.path is not None or options.html is not None:
        raise bad_request("--suite makes its own skies and page.", "Leave out PATH and --html.")
    if options.out is None:
        raise bad_request("--suite needs a folder.", "Give one with --out DIR.")
    if options.workers is not None and not 1 <= options.workers <= 64:
        raise bad_request(f"workers {options.workers}: use 1 to 64.")
    if options.minutes is not None and not options.minutes > 0:
        raise bad_request(f"minutes {options.minutes:g}: use more than 0.")
    given = {name: value for name in ("seeds", "methods", "steps", "frames", "device")
             if (value := getattr(options, name)) is not None}  # fmt: skip
    if options.size is not None:
        given |= {"width": options.size[0], "height": options.size[1]}
    settings = Settings(prompts=read_prompts(options.prompts or PROMPTS), **given)
    settings.skies(options.out)  # checks every request
    check_folder(options.out)
    if options.report_only and not (options.out / "jobs").is_dir():
        raise bad_request(f"{options.out} has no skies of a suite.", "Leave out --report-only to make them.")
    return settings


def _command(argv: list[str]) -> str:
    return f"python3 -m backend {shlex.join(argv)}"


class _Shown:
    """Shows how far the suite is: on a terminal also what is going on, else a line a task."""

    def __init__(self, progress: Progress, terminal: bool) -> None:
        self._progress, self._terminal = progress, terminal

    def __call__(self, tally: Tally, event: Event | None) -> None:
        now = ""
        if event is not None:
            if not self._terminal or event.type != "phase":
                return
            now = f" | {event.data['name']} {event.data['done']} of {event.data['total']}"
        self._progress.note(f"{tally}{now}")

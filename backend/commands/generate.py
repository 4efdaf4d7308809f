"""``generate``: one job, run here, with its progress on stderr."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from ..jobs import runner, staging, store
from ..models.catalogue import entry as entry_of
from ..models.store import required
from ..protocol import ErrorKind, Event, GenerateRequest, SkyloopError, bad_request
from .controls import request_fields
from .errors import FailedError
from .inside import enter_runtime
from .progress import Progress

_GOES_ON = "The same command goes on from here."


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Generate into ``--out``, in place of an earlier result there. Returns the content of ``result.json``.

    The same command goes on with what an interrupted run left; without ``--seed``, with that run's seed.
    Everything that can be known to be wrong is refused before the runtime is made and before a file is touched.
    """
    request, folder = _request(options), options.out
    check_folder(folder)
    if result := _brought_home(options, request):
        return result
    required(request.model)
    interrupted = staging.unfinished(folder, request, any_seed=options.seed is None)
    if interrupted:
        request = interrupted.request()
    store.check_space(interrupted.path if interrupted else folder, request)
    enter_runtime(argv)
    progress = Progress(sys.stderr)
    progress.note("Starting the engine")
    from ..engine import Engine
    from ..pipeline import generate

    if request.files or request.loras:
        from ..inputs import check_inputs

        check_inputs(request)
    with staging.staged(folder, request) as job:
        if interrupted:
            progress.line(f"Going on with the sky that was interrupted, seed {request.seed}")
        elif options.seed is None:
            progress.line(f"Seed {request.seed}")
        last = runner.run(job, generate, progress, engine=Engine())
        if last.type != "done":
            raise _unfinished(last, job, folder)
        staging.publish(job, folder)
    if not options.json:
        print(folder / "sky.mp4")
    return last.data["result"]


def _brought_home(options: argparse.Namespace, request: GenerateRequest) -> dict[str, Any] | None:
    """The result of this very command, if all it lacked was to be moved into the folder; whose crash is made up for."""
    moved = staging.recover(options.out)
    if not any(staging.alike(found, request, any_seed=options.seed is None) for found in moved):
        return None
    result = store.result_in(options.out)
    if result and not options.json:
        print(options.out / "sky.mp4")
    return result


def _unfinished(last: Event, job: store.Job, folder: Path) -> Exception:
    """What a cancelled or failed run is reported as."""
    resumable = store.has_checkpoint(job.path)
    if last.type == "cancelled":
        return SkyloopError(ErrorKind.CANCELLED, "Cancelled.", _GOES_ON if resumable else "")
    kind, hint = ErrorKind(last.data["kind"]), last.data["hint"]
    log = str(staging.keep_log(job, folder)) if kind is not ErrorKind.BAD_REQUEST else ""
    if resumable:
        hint = f"{hint} {_GOES_ON} With another --seed it begins anew.".lstrip()
    return FailedError(SkyloopError(kind, last.data["message"], hint), log)


def _request(options: argparse.Namespace) -> GenerateRequest:
    entry_of(options.model)
    return GenerateRequest(
        prompt=options.prompt,
        negative=options.negative,
        **_shape(options),
        seed=secrets.randbelow(2**31) if options.seed is None else options.seed,
        model=options.model,
        method=options.method,
        steps=options.steps,
        guidance=options.guidance,
        fov_deg=options.fov,
        device=options.device,
        measure=options.measure,
        **request_fields(options),
    ).validated()


def _shape(options: argparse.Namespace) -> dict[str, Any]:
    """Size, length and kind: as given, else the source's, else the usual."""
    shape = GenerateRequest(prompt="")
    if options.source:
        source = Path(options.source)
        shape = store.recorded(source if source.is_dir() else source.parent) or shape
    width, height = options.size or (shape.width, shape.height)
    return {
        "width": width,
        "height": height,
        "frames": shape.frames if options.frames is None else options.frames,
        "fps": shape.fps if options.fps is None else options.fps,
        "loop": shape.loop if options.loop is None else options.loop,
        "flat": shape.flat or options.flat,
        "wrap": shape.wrap or options.wrap,
    }


def check_folder(folder: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` when no files can be made in ``folder``, which need not exist yet."""
    hint = "Choose another folder with --out."
    try:
        nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists() or p.is_symlink())
        if not nearest.is_dir():
            raise bad_request(f"{nearest} is a file, not a folder.", hint)
    except OSError as error:  # no permission to look, or a name that is too long
        raise bad_request(f"{str(folder)[:200]} cannot be used ({error.strerror}).", hint) from error
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise bad_request(f"You may not write in {nearest}.", hint)

"""The main job without a window: prompt -> runtime -> Blender in the background -> a folder with movie and scene.

This half runs in an ordinary Python and imports only the standard library. It checks the request before anything is
made, and what Blender makes appears in the output folder only when all of it is whole. ``background`` is the half in
Blender.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from ..backend import runtime
from ..backend.commands import guarded
from ..backend.commands.errors import FailedError
from ..backend.commands.progress import Progress
from ..backend.jobs import store
from ..backend.jobs.staging import alike, keep_log, publish, recover, staged, unfinished
from ..backend.protocol import DEVICES, ErrorKind, Event, GenerateRequest, SkyloopError, bad_request
from ..backend.runtime.child import clean_environ

ROOT = Path(__file__).resolve().parents[1]
OLDEST_BLENDER = (4, 2)
RESULTS = ("sky.mp4", "poster.png", "light.json", "scene.blend", "preview.png", "result.json")
GOES_ON = "The same command goes on from here."
MARK = "skyloop:"  # begins the lines of Blender's output that are ours
STOP_PATIENCE_S = 30.0
MAX_SEED = 2**31 - 1  # of Blender's integer fields


def main(argv: Sequence[str], *, backend_command: Sequence[str] | None = None) -> int:
    """Run the job that ``argv`` describes; returns the exit code. ``backend_command`` replaces the real backend."""
    return guarded(lambda: run(argv, backend_command), as_json="--json" in argv)


def run(argv: Sequence[str], backend_command: Sequence[str] | None) -> dict[str, Any]:
    """Do the job and return the content of ``result.json``. Everything that can be refused is refused first.

    Raises ``SkyloopError``, ``FailedError`` or ``KeyboardInterrupt``; an earlier result in the folder then stays.
    """
    options = _parser().parse_args(argv)
    request = _request(options).validated()
    any_seed = options.seed is None
    if any(alike(found, request, any_seed=any_seed) for found in recover(options.out)):
        return _result(options.out)  # all that an earlier run lacked was to move its files
    interrupted = unfinished(options.out, request, any_seed=any_seed)
    if interrupted and interrupted.request().seed <= MAX_SEED:
        request = interrupted.request()
    store.check_space(interrupted.path if interrupted else options.out, request)
    blender = find_blender(options.blender)
    if backend_command is None:
        runtime.ensure("backend", progress=runtime.console_progress())
    if blender is None:
        blender = [str(runtime.ensure("bpy", progress=runtime.console_progress()))]
    show = Progress(sys.stderr)
    with _staging(options.out, request) as staging, tempfile.TemporaryDirectory(prefix="skyloop-") as scratch:
        plan = {
            "front_deg": options.front,
            "staging": str(staging),
            "out": str(options.out.resolve()),
            "backend_command": list(backend_command or []),
        }
        job = _drive_blender(blender, plan, Path(scratch), show)
        (job.path / "render.png").replace(job.path / "preview.png")
        publish(job, options.out, RESULTS)
    show.line(f"{options.out / 'scene.blend'} is ready.")
    return _result(options.out)


def _result(out: Path) -> dict[str, Any]:
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


def _request(options: argparse.Namespace) -> GenerateRequest:
    size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", options.size.strip().lower())
    if not size:
        raise bad_request(f"size {options.size[:40]!r}: write width x height in pixels, such as 1024x512.")
    if options.seed is not None and options.seed > MAX_SEED:
        raise bad_request(f"seed {options.seed}: use 0 to {MAX_SEED}, as Blender's fields hold no more.")
    if not math.isfinite(options.front):
        raise bad_request(f"front {options.front}: use degrees, such as 90.")
    nearest = next(p for p in (options.out, *options.out.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise bad_request(f"{nearest} is not a folder that can be written.", "Choose another one with --out.")
    return GenerateRequest(
        prompt=options.prompt,
        negative=options.negative,
        width=int(size[1]),
        height=int(size[2]),
        frames=options.frames,
        fps=options.fps,
        seed=random.randrange(MAX_SEED) if options.seed is None else options.seed,
        steps=options.steps,
        guidance=options.guidance,
        fov_deg=options.fov,
        device=options.device,
    )


def find_blender(chosen: str | None) -> list[str] | None:
    """The command that runs a Python script in Blender 4.2 or later; None when there is none and nobody asked for one.

    ``chosen`` (or ``BLENDER`` in the environment) is Blender's executable, or a Python that has the ``bpy`` module.
    """
    named = chosen or os.environ.get("BLENDER")
    program = shutil.which(named or "blender")
    if not program:
        if named:
            raise bad_request(f"There is no Blender at {named}.", "Give the path of its executable, or leave it out.")
        return None
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise bad_request(f"{program} does not start ({error}).", "Choose another Blender with --blender.") from error
    if found := re.match(r"Blender (\d+)\.(\d+)", answer.stdout):
        if (int(found[1]), int(found[2])) >= OLDEST_BLENDER:
            return [program, "--background", "--python-exit-code", "1", "--python"]
        if named:
            raise bad_request(f"{program} is {found[0]}: Skyloop needs Blender 4.2 or later.")
        return None
    if answer.stdout.startswith("Python "):
        return [program]
    if named:
        raise bad_request(f"{program} is not Blender.", "Give the path of its executable, or leave it out.")
    return None


def _drive_blender(blender: list[str], plan: dict[str, Any], scratch: Path, show: Progress) -> store.Job:
    """Install the extension for one Blender of its own and let it work; returns the finished job."""
    show.note("Starting Blender")
    _install_extension(scratch / "extensions" / "user_default" / "skyloop")
    plan_file = scratch / "plan.json"
    plan_file.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
    command = [*blender, str(Path(__file__).with_name("background.py")), "--", str(plan_file)]
    with (Path(plan["staging"]) / "blender.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=clean_environ() | {"BLENDER_USER_RESOURCES": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"},
            # Ctrl-C comes to this process only, which then ends Blender in order.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            return _follow(process, log, show)
        finally:
            show.clear()
            _end(process)


def _follow(process: subprocess.Popen[str], log: IO[str], show: Progress) -> store.Job:
    """Read what Blender says until it ends; returns the job or raises what went wrong."""
    job = error = None
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith(MARK):
            log.write(line)
            continue
        message = json.loads(line.removeprefix(MARK))
        match message["type"]:
            case "note":
                show.note(message["text"])
            case "phase":
                show(Event(type="phase", data=message["data"]))
            case "done":
                job = store.load(message["job"])
            case "failed":
                error = SkyloopError(ErrorKind(message["kind"]), message["message"], message["hint"])
    code = process.wait()
    if error:
        raise error
    if job is None:
        message = f"Blender ended unexpectedly (exit code {code})."
        raise SkyloopError(ErrorKind.INTERNAL, message, "Try another version with --blender.")
    return job


def _end(process: subprocess.Popen[str]) -> None:
    """Make sure that Blender is gone. The end of its stdin asks it to cancel, which also ends the backend."""
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(STOP_PATIENCE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _install_extension(folder: Path) -> None:
    """Put what the extension ships where Blender looks for extensions of the user."""
    folder.mkdir(parents=True)
    for name in ("__init__.py", "blender_manifest.toml", "requirements.txt"):
        shutil.copyfile(ROOT / name, folder / name)
    unused = shutil.ignore_patterns("__pycache__", "training", ".*")
    for name in ("backend", "blender_addon"):
        shutil.copytree(ROOT / name, folder / name, ignore=unused)


@contextlib.contextmanager
def _staging(out: Path, request: GenerateRequest) -> Iterator[Path]:
    """A hidden job folder inside ``out``, gone afterwards; ``out`` too if it is new and nothing came of it.

    It stays when there is something to go on from, and the next run of the same command does. A ``SkyloopError``
    leaves as a ``FailedError`` that names the log, which is kept.
    """
    existed = out.is_dir()
    try:
        with staged(out, request) as stage:
            try:
                yield stage.path
            except (SkyloopError, KeyboardInterrupt) as caught:
                error = caught if isinstance(caught, SkyloopError) else SkyloopError(ErrorKind.CANCELLED, "Cancelled.")
                if store.has_checkpoint(stage.path):
                    error = SkyloopError(error.kind, error.message, f"{error.hint} {GOES_ON}".strip())
                if error.kind in (ErrorKind.BAD_REQUEST, ErrorKind.CANCELLED):
                    raise error from caught
                _gather_logs(stage)
                raise FailedError(error, str(keep_log(stage, out))) from caught
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                out.rmdir()  # only when empty


def _gather_logs(stage: store.Job) -> None:
    """Put the backend's log and Blender's output into the stage's one log."""
    logs = [f for f in sorted(stage.path.rglob("*")) if f.name in ("log.txt", "blender.log")]
    text = "\n".join(f"--- {f.name}\n{f.read_text(encoding='utf-8', errors='replace')}" for f in logs)
    stage.log.write_text(text, encoding="utf-8")


class _Parser(argparse.ArgumentParser):
    """One line for a wrong command line, as for every wrong request."""

    def error(self, message: str) -> NoReturn:
        raise bad_request(f"{message}.", "See --help.")


def _parser() -> argparse.ArgumentParser:
    default = GenerateRequest(prompt="")
    parser = _Parser(
        prog="python3 -m blender_addon",
        description="Make an animated, looping 360° sky from a prompt, and a Blender scene that shows it.",
        epilog="Exit codes: 0 done, 1 failed, 2 the request is wrong, 130 cancelled.",
    )
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help="the sky in a few words")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for " + ", ".join(RESULTS))
    add("--negative", default="", metavar="TEXT", help="what should not be seen")
    add("--size", default=f"{default.width}x{default.height}", metavar="WxH", help="pixels, 2:1 (default %(default)s)")
    add("--frames", type=int, default=default.frames, metavar="N", help="length of the loop (default %(default)s)")
    add("--fps", type=float, default=default.fps, metavar="N", help="frames per second (default %(default)s)")
    add("--seed", type=int, metavar="N", help="repeat an earlier sky (default: a new one, named in result.json)")
    add("--steps", type=int, default=0, metavar="N", help="refinement steps (default: the model's own)")
    add("--guidance", type=float, default=0.0, metavar="G", help="strictness about the prompt (default: the model's)")
    add("--fov", type=float, default=default.fov_deg, metavar="DEG", help="sky composed as one picture (%(default)s)")
    add("--device", default=default.device, choices=DEVICES, help="what computes (default %(default)s)")
    add("--front", type=float, default=0.0, metavar="DEG", help="yaw of the sky's middle in Blender, 0 is +Y")
    add("--blender", metavar="PATH", help="Blender 4.2 or later (default: the one on PATH, else a private one)")
    add("--json", action="store_true", help="print result.json on stdout")
    return parser

"""Making a result in a folder that may hold an earlier one: a hidden job folder in it, whose files then move out.

The earlier result stays until the new one is whole. A run that was interrupted leaves its hidden folder if there is
something to go on from, and :func:`unfinished` finds it. :func:`publish` writes down what it will move before it moves
anything, so that :func:`recover` can finish what a crash cut short. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..media.files import atomic_write, commit, read_bytes, writing
from ..protocol import ErrorKind, GenerateRequest, SkyloopError
from ..typed import parse_json
from . import folders
from .store import OUTPUTS, Job, Status, create, has_checkpoint, is_file, recorded, status

FAILED_LOG = "failed.log.txt"
_PREFIX = ".skyloop-"
_PLAN = "publish.json"
_EARLIER = "earlier-result.json"
_MOVABLE = {*OUTPUTS, "scene.blend"}
_MAX_PLAN_BYTES = 64 << 10
_YOUNG_S = 60.0
_OLD_S = 14 * 86_400.0


@contextlib.contextmanager
def staged(folder: Path, request: GenerateRequest) -> Iterator[Job]:
    """A job beside the files already in ``folder``; :func:`publish` moves its files there.

    It is the one that an interrupted run of this request left, else a new one. Whatever is not published is removed on
    the way out unless there is something to go on from; a failed or cancelled run leaves an earlier result as it was.
    """
    recover(folder)
    found = unfinished(folder, request)
    sweep(folder, keep=found.path if found else None)  # however old it is, or a clock that was set makes it look
    job = found or create(folder / f"{_PREFIX}{secrets.token_hex(4)}", request)
    try:
        yield Job(job.path, str(folder.absolute()))
    finally:
        with contextlib.suppress(SkyloopError):
            if not worth_keeping(job.path) and status(job.path) is not Status.RUNNING:
                folders.remove(job.path)


def unfinished(folder: Path, request: GenerateRequest, *, any_seed: bool = False) -> Job | None:
    """The job of that request that an earlier run left in ``folder``, the latest if there are several.

    Its seed may be another one with ``any_seed``. Jobs that are running are passed over.
    """
    for path in sorted(folders.inside(folder, _PREFIX), key=folders.age_s):
        job = Job(path.absolute(), str(path.absolute()))
        with contextlib.suppress(SkyloopError):
            same = alike(job.request(), request, any_seed=any_seed)
            if same and worth_keeping(path) and status(path) is not Status.RUNNING:
                return job
    return None


def alike(found: GenerateRequest, request: GenerateRequest, *, any_seed: bool) -> bool:
    """Whether the two ask for the same sky, or with ``any_seed`` for the same but for the seed."""
    return replace(found, seed=request.seed) == request if any_seed else found == request


def worth_keeping(stage: Path) -> bool:
    """Whether the staged job can be gone on with: there is a checkpoint, or a result that was not yet moved out."""
    return has_checkpoint(stage) or is_file(stage / "result.json")


def sweep(folder: Path, keep: Path | None = None) -> None:
    """Remove what nobody will go on with, seconds old or running jobs and ``keep`` apart. Never raises."""
    folders.sweep_scraps(folder)
    for path in folders.inside(folder, _PREFIX):
        if keep and path.absolute() == keep:
            continue
        limit_s = _OLD_S if any(map(worth_keeping, (path, *_inner(path)))) else _YOUNG_S
        if folders.age_s(path) > limit_s and status(path) is not Status.RUNNING:
            with contextlib.suppress(SkyloopError):
                folders.remove(path)


def publish(job: Job, folder: Path, outputs: Sequence[str] = OUTPUTS) -> None:
    """Move a finished staged job's files into ``folder``, in place of an earlier result's, and remove the stage.

    ``outputs`` are the video, the others, and ``result.json``, which goes first and comes last, so whoever finds one
    finds the files that belong to it. Raises ``SkyloopError`` when a file cannot be replaced, as on Windows while a
    player shows it; the new files are then kept in a folder of their own, which the error names, and the earlier
    result stays if its video did. On a full disk all stays as it is, for :func:`recover` to go on with.
    """
    failure = None
    with job.locked():
        if (plan := _plan_in(job.path)) is None:
            plan = _plan(job.path, outputs)
            atomic_write(job.path / _PLAN, json.dumps(vars(plan)).encode())
        try:
            _carry_out(plan, job.path, folder)
        except SkyloopError as error:
            failure = error
    if failure and failure.kind is ErrorKind.DISK_FULL:
        hint = "Free some space and start the same command again: the sky is done and only has to be moved."
        raise SkyloopError(failure.kind, failure.message, hint) from failure
    if failure:
        kept = _keep(job.path, folder)
        hint = f"Close what shows the old one; the new files are in {kept}."
        raise SkyloopError(ErrorKind.INTERNAL, failure.message, hint) from failure
    with contextlib.suppress(SkyloopError):  # the result is in its place; what is left of the stage is swept later
        folders.remove(job.path)


def recover(folder: Path) -> list[GenerateRequest]:
    """Finish the moves into ``folder`` that a crash cut short; returns the requests whose results are whole now.

    Raises ``SkyloopError`` like :func:`publish`.
    """
    found = []
    for stage in folders.inside(folder, _PREFIX):
        for path in (stage, *_inner(stage)):
            if _plan_in(path) and status(path) is not Status.RUNNING:
                request = recorded(path)
                publish(Job(path.absolute(), str(path.absolute())), folder)
                found += [request] if request else []
    return found


def keep_log(job: Job, folder: Path) -> Path:
    """Move the log of a staged job that failed into ``folder``, beside an earlier result's, and say where it is."""
    target = folder / FAILED_LOG
    with contextlib.suppress(OSError):
        job.log.replace(target)
    return target


@dataclass(frozen=True)
class _Plan:
    """The names that move out of a stage, video first and index last, and those that have no successor."""

    move: list[str]
    remove: list[str]


def _plan(stage: Path, outputs: Sequence[str]) -> _Plan:
    present = [name for name in outputs if is_file(stage / name)]
    if not {outputs[0], outputs[-1]} <= {*present}:
        raise SkyloopError(ErrorKind.INTERNAL, f"{stage} holds no finished sky.", "Start the same command again.")
    return _Plan(present, [name for name in outputs if name not in present])


def _plan_in(stage: Path) -> _Plan | None:
    """What a crash may have left to do; None without a plan, or one that is not ours."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, SkyloopError):
        document = parse_json(read_bytes(stage / _PLAN, _MAX_PLAN_BYTES))
        plan = _Plan(document["move"], document["remove"])
        if {*plan.move, *plan.remove} <= _MOVABLE and [plan.move[0], plan.move[-1]] == [OUTPUTS[0], OUTPUTS[-1]]:
            return plan
    return None


def _carry_out(plan: _Plan, source: Path, target: Path) -> None:
    """Do what of the plan is not yet done. Each step is one rename, so it can be cut short after any."""
    video, *others, index = plan.move
    if not is_file(source / index):  # it moved last
        return
    earlier = source / _EARLIER
    if is_file(source / video):
        if is_file(target / index):
            commit(target / index, earlier)
        try:
            commit(source / video, target / video)
        except SkyloopError:
            if is_file(earlier):
                commit(earlier, target / index)
            raise
    for name in others:
        if is_file(source / name):
            commit(source / name, target / name)
    for name in (*plan.remove, FAILED_LOG):
        if os.path.lexists(target / name):
            with writing(target / name):
                (target / name).unlink()
    commit(source / index, target / index)


def _keep(stage: Path, folder: Path) -> Path:
    """Give a stage whose files could not be moved a name that its owner sees, and return that."""
    kept = folder / stage.name.removeprefix(".")
    with writing(kept):
        stage.rename(kept)
    for name in (_PLAN, ".lock"):
        with contextlib.suppress(OSError):
            (kept / name).unlink(missing_ok=True)
    return kept


def _inner(stage: Path) -> list[Path]:
    """Job folders inside a stage: Blender's scene is made around one."""
    return folders.inside(stage)

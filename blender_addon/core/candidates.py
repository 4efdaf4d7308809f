"""Exploring before spending: which requests make quick candidates, what becomes of a chosen one, which ones to show.

A candidate is a job like any other, small and without figures, in a folder of its own kind
(:class:`.jobs.Purpose`). Nothing else is kept: what is on the disk is what is shown.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...backend.controls import MAX_MOTION, REFINE_STRENGTH, REFINED_MOTION, VARIATION_STRENGTH
from ...backend.estimate import stages
from ...backend.jobs import folders
from ...backend.jobs.job_library import PIN, Library
from ...backend.jobs.store import Status
from ...backend.media.files import writing
from ...backend.protocol import GenerateRequest, SkyloopError
from .jobs import Listed, Purpose, shorten
from .queue import JobQueue, Task

WIDTH, HEIGHT = 512, 256
MOST_FRAMES = 16
STEPS = 6  # the picture is that of twelve in all but its finest detail
KEPT = 12  # the rest is cleaned up
COUNT = 4
MOST = 8  # at once


@dataclass(frozen=True)
class Cell:
    """A place in the grid: a finished candidate, or one that runs or waits (``listed`` is None)."""

    folder: Path
    listed: Listed | None = None
    running: bool = False


def candidate_of(wanted: GenerateRequest, seed: int) -> GenerateRequest:
    """A quick and small one of ``wanted``: the same sky in kind, for looking at.

    It starts from what ``wanted`` starts from, except an earlier sky: that could not be made smaller. It moves the more
    that refining it will take away.
    """
    small = replace(
        wanted,
        width=min(WIDTH, wanted.width),
        height=min(HEIGHT, wanted.height),
        frames=min(MOST_FRAMES, wanted.frames),
        steps=min(STEPS, wanted.steps or STEPS),
        seed=seed,
        measure=False,
        camera=(),
        source="",
        mask="",
        mask_at=None,
        strength=1.0,
    )
    refinements = len(stages(replace(small, width=wanted.width, height=wanted.height))) - len(stages(small))
    return replace(small, motion=min(MAX_MOTION, wanted.motion / REFINED_MOTION**refinements))


def variation_of(made: GenerateRequest, folder: Path, seed: int, device: str) -> GenerateRequest:
    """Another sky of the same kind and layout as the one in ``folder``, which is as large: less cannot be asked for."""
    return replace(
        made,
        seed=seed,
        device=device,
        source=str(folder),
        strength=VARIATION_STRENGTH,
        measure=False,
        camera=(),
        mask="",
        mask_at=None,
        **NO_IMAGE,
    )


NO_IMAGE = {"image": "", "image_yaw_deg": 0.0, "image_pitch_deg": 0.0, "image_fov_deg": 0.0}


def refined(chosen: GenerateRequest, folder: Path, wanted: GenerateRequest) -> GenerateRequest:
    """The full sky of a chosen candidate in ``folder``: its content, in the size and length of ``wanted``.

    Where the length is the candidate's own it is made anew out of itself, motion and all. A movie cannot be made
    longer, so where the length differs its first picture is what the new one starts from.
    """
    whole = replace(
        chosen,
        width=max(wanted.width, chosen.width),
        height=max(wanted.height, chosen.height),
        steps=wanted.steps,
        device=wanted.device,
        camera=wanted.camera,
        motion=wanted.motion,
        measure=True,
    )
    if same_length(chosen, wanted):
        return replace(whole, source=str(folder), strength=REFINE_STRENGTH, **NO_IMAGE)
    poster = NO_IMAGE | {"image": str(folder / "poster.png")}
    length = {"frames": wanted.frames, "fps": wanted.fps, "loop": wanted.loop}
    return replace(whole, source="", strength=1.0, **poster, **length)


def same_length(one: GenerateRequest, other: GenerateRequest) -> bool:
    return (one.frames, one.fps, one.loop) == (other.frames, other.fps, other.loop)


def refined_of(chosen: Listed, wanted: GenerateRequest) -> GenerateRequest:
    """About what :func:`refined` will ask for, as far as it can be told without reading the candidate's request."""
    card = chosen.card
    about = replace(
        wanted,
        width=card.width,
        height=card.height,
        frames=card.frames,
        fps=card.fps,
        loop=card.loop,
        seed=card.seed,
    )
    return refined(about, chosen.folder, wanted)


def is_whole(chosen: Listed, wanted: GenerateRequest) -> bool:
    """Whether a candidate is as large and long as the sky that is wanted, so that it can be kept as it is."""
    about = refined_of(chosen, wanted)
    return about.width == chosen.card.width and bool(about.source)


def cells(listed: Sequence[Listed], queue: JobQueue, prompt: str) -> list[Cell]:
    """What the grid shows: the candidates for ``prompt``, else the newest ones; then those that are being made."""
    pending = [task for task in queue.tasks if Purpose.of(task.folder) is Purpose.CANDIDATE and not task.leaving]
    made = {task.folder for task in pending}
    listed = [job for job in listed if job.folder not in made]
    if not listed and not pending:
        return []
    titles = [*(task.title for task in pending), *(job.title for job in listed)]
    title = shorten(prompt) if shorten(prompt) in titles else titles[0]
    found = [Cell(job.folder, job) for job in reversed(_alike(listed, title))]
    return [*found, *(_pending(task, queue) for task in pending if task.title == title)]


def _pending(task: Task, queue: JobQueue) -> Cell:
    return Cell(task.folder, running=task is queue.running)


def _alike(listed: Iterable[Listed], title: str) -> list[Listed]:
    """Those of one prompt, size and length, newest first."""
    ours = [job for job in listed if job.title == title]
    kinds = [(job.card.width, job.card.height, job.card.frames) for job in ours]
    return [job for job, kind in zip(ours, kinds, strict=True) if kind == kinds[0]][:KEPT]


def clean_up(root: Path, in_use: Collection[Path], new: int = 0) -> None:
    """Remove the oldest candidates in ``root``, so that :data:`KEPT` are left with ``new`` more to come, and what an
    earlier Blender left undone. What is pinned, being made, waiting or ``in_use`` stays. Never raises."""
    library = Library(root.resolve())
    with contextlib.suppress(SkyloopError):  # no such folder yet, or none that can be read
        entries = library.list()
        done = [entry for entry in entries if entry.status is Status.DONE]
        spare = {entry.name for entry in done[max(0, KEPT - new) :]}
        spare |= {entry.name for entry in entries if entry.status not in (Status.DONE, Status.RUNNING)}
        for entry in entries:
            if entry.name in spare and not entry.pinned and entry.folder not in in_use:
                with contextlib.suppress(SkyloopError):  # it waits in the queue of some Blender
                    library.delete(entry.name)


def pin(folder: Path) -> None:
    """Keep a candidate that something was made of. Raises ``SkyloopError``."""
    Library(folder.parent).pin(folder.name)


def discard(folder: Path) -> None:
    """Remove a candidate that is not pinned. Never raises."""
    with contextlib.suppress(SkyloopError):
        library = Library(folder.parent)
        if not library.get(folder.name).pinned:
            library.delete(folder.name)


def keep(folder: Path) -> Path:
    """A copy of a candidate among the skies, whose folder is the one above; returns it. Raises ``SkyloopError``."""
    root = folder.parent.parent
    scrap = folders.scrap_name(root)
    with writing(root / folder.name):
        shutil.copytree(folder, scrap, ignore=shutil.ignore_patterns(".*", PIN))
        target, number = root / folder.name, 1
        while target.exists():
            number += 1
            target = root / f"{folder.name}-{number}"
        return scrap.rename(target)

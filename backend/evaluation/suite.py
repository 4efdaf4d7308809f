"""The suite: prompts x seeds x methods x steps, each a real job in a folder of its own, and what they come to.

``DIR/jobs/METHOD-sSTEPS-PROMPT-seedN/`` are ordinary job folders; ``DIR/references/`` holds the model's own windows.
What is finished is never made again; :mod:`.document` says what it comes to. Neither numpy nor torch is imported
before it runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..jobs import runner, staging, store
from ..media.files import atomic_write, read_input, writing
from ..protocol import METHODS, Event, GenerateRequest, SkyloopError, bad_request, failed

if TYPE_CHECKING:
    from .scorers import NamedScorer
    from .workers import Failure

PROMPTS = Path(__file__).with_name("prompts.txt")
STEPS = (8, 16, 30)
_MOST_PROMPT_BYTES = 4 << 20
_MOST_PROMPTS = 999
_SCORES = "scores.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to run. ``seeds`` is how many; a prompt's number is its place in ``prompts``, from 1."""

    prompts: tuple[str, ...]
    seeds: int = 2
    methods: tuple[str, ...] = METHODS
    steps: tuple[int, ...] = STEPS
    width: int = 1024
    height: int = 512
    frames: int = 16
    device: str = "auto"

    def skies(self, folder: Path) -> list[Task]:
        """A task a sky, the methods in turn. Raises ``SkyloopError(bad_request)``."""
        if not 1 <= self.seeds <= 1000:
            raise bad_request(f"seeds {self.seeds}: use 1 to 1000.")
        tasks = []
        # Seeds last, so that what is there early has every prompt in it.
        for seed, (number, prompt), steps, method in product(
            range(1, self.seeds + 1), enumerate(self.prompts, 1), self.steps, self.methods
        ):
            request = GenerateRequest(
                prompt=prompt, width=self.width, height=self.height, frames=self.frames,
                seed=seed, method=method, steps=steps, device=self.device,
            ).validated()  # fmt: skip
            name = f"{method}-s{steps}-{number:02d}-seed{seed}"
            tasks.append(Task(number, folder / "jobs" / name, _references(folder, number), request))
        return tasks


@dataclass(frozen=True)
class Task:
    """A sky to make in the folder ``job``; without one, the references of a prompt's skies, of which this is any."""

    number: int
    job: Path | None
    references: Path
    request: GenerateRequest

    @property
    def name(self) -> str:
        return self.job.name if self.job else f"references {self.number}"


def _references(folder: Path, number: int) -> Path:
    return folder / "references" / f"{number:02d}.npz"


def read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts in a text file, one a line, no empty lines or comments. Raises ``SkyloopError(bad_request)``."""
    try:
        text = read_input(path, _MOST_PROMPT_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_request(f"{path} is no text in UTF-8.", "Give a text file with a prompt a line.") from error
    lines = [line.strip() for line in text.splitlines()]
    prompts = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not 1 <= len(prompts) <= _MOST_PROMPTS:
        raise bad_request(f"{path} has {len(prompts)} prompts.", f"Write 1 to {_MOST_PROMPTS}, one a line.")
    return prompts


def finished(task: Task) -> bool:
    """Whether the folder holds the result of just this request."""
    if task.job is None or not (task.job / "sky.mp4").is_file() or not (task.job / "result.json").is_file():
        return False
    try:
        return store.load(str(task.job.absolute())).request() == task.request
    except SkyloopError:
        return False


@dataclass
class Tally:
    """How far a part of the suite is."""

    name: str
    total: int
    done: int = 0
    failed: int = 0
    started_s: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float | None:
        """Seconds left if the rest takes as long as what is done, None before the first."""
        return (time.monotonic() - self.started_s) / self.done * (self.total - self.done) if self.done else None

    def __str__(self) -> str:
        text = f"{self.name.capitalize()}: {self.done} of {self.total}"
        if self.failed:
            text += f", {self.failed} failed"
        if (left_s := self.left_s) is not None and self.done < self.total:
            minutes, seconds = divmod(round(left_s), 60)
            text += f", {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
        return text


Report = Callable[[Tally, Event | None], None]
"""Told before the first task and after each (None), and of what the tasks at work do."""


def run(
    settings: Settings,
    folder: Path,
    report: Report,
    *,
    scorers: Sequence[NamedScorer] = (),
    workers: int = 1,
    make_engine: Callable[[int], Any] | None = None,
    more: Callable[[], bool] = lambda: True,
) -> dict[str, Failure]:
    """Make the skies that are not there yet, their references first, then their outside scores.

    No further sky is begun once ``more`` says so.
    Returns why what failed did, by the name of the sky. A failure does not stop the rest. Raises
    ``SkyloopError(bad_request)`` when another suite is at work in the folder.
    """
    do = partial(_perform, report=report, make_engine=make_engine or _engine, workers=workers, more=more)
    skies = settings.skies(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with store.Job(folder, str(folder)).locked():  # two at once would make everything twice
        todo = [task for task in skies if not finished(task)]
        unmade = do("references", missing_references(todo))
        lacking = {task.number: failure for task, failure in unmade.items()}
        # Without its yardstick a sky is not worth the time.
        able = [task for task in todo if task.number not in lacking]
        failures = {task.name: lacking[task.number] for task in todo if task.number in lacking}
        failures |= {task.name: failure for task, failure in do("skies", able).items()}
        return failures | _score([task for task in skies if finished(task)], scorers, report)


def _perform(
    name: str,
    tasks: Sequence[Task],
    *,
    report: Report,
    make_engine: Callable[[int], Any],
    workers: int,
    more: Callable[[], bool],
) -> dict[Task, Failure]:
    from .workers import perform

    tally, failures = Tally(name, len(tasks)), {}
    if tasks:
        report(tally, None)
    for task, failure in perform(_work, tasks, make_engine, partial(report, tally), workers, more):
        tally.done += 1
        if failure:
            tally.failed += 1
            failures[task] = failure
        report(tally, None)
    return failures


def missing_references(skies: Sequence[Task]) -> list[Task]:
    """A task for each prompt of these skies whose references are not there."""
    from . import references

    tasks = {task.number: replace(task, job=None) for task in skies}.values()
    return [task for task in tasks if not references.kept(task.references, references.about(task.request))]


def _engine(threads: int) -> Any:
    import cv2
    import torch

    from ..engine import Engine

    if threads:
        cv2.setNumThreads(threads)
        torch.set_num_threads(threads)
    return Engine()


def _work(task: Task, engine: Any, announce: Callable[[Event], None], cancelled: Callable[[], bool]) -> Failure | None:
    """Do one task, here or in a worker."""
    try:
        if task.job:
            return _make_sky(task, task.job, engine, announce, cancelled)
        return _make_references(task, engine, announce, cancelled)
    except SkyloopError as error:
        return failed(error).data


def _make_references(
    task: Task, engine: Any, announce: Callable[[Event], None], cancelled: Callable[[], bool]
) -> Failure | None:
    from ..jobs.failures import as_skyloop_error
    from . import references

    try:
        for event in references.make(task.request, task.references, engine):
            announce(event)
            if cancelled():
                raise KeyboardInterrupt
    except Exception as error:  # the boundary of a task: the other prompts go on
        return failed(as_skyloop_error(error)).data
    return None


def _make_sky(
    task: Task, folder: Path, engine: Any, announce: Callable[[Event], None], cancelled: Callable[[], bool]
) -> Failure | None:
    from .. import pipeline
    from . import references

    generate = partial(pipeline.generate, reference=references.load(task.references))
    if task.request in staging.recover(folder):
        return None
    with staging.staged(folder, task.request) as job:
        last = runner.run(job, generate, announce, engine=engine, cancelled=cancelled)
        if last.type == "cancelled":
            raise KeyboardInterrupt
        if last.type == "failed":
            return {**last.data, "log": str(staging.keep_log(job, folder))}
        staging.publish(job, folder)
        (folder / _SCORES).unlink(missing_ok=True)
    return None


def _score(skies: Sequence[Task], scorers: Sequence[NamedScorer], report: Report) -> dict[str, Failure]:
    """Put what scorers say of finished skies into ``scores.json`` beside them, unless it is there."""
    from .scorers import perspective_views

    todo = [(task, new) for task in skies if (new := [s for s in scorers if s.given not in read_scores(task)])]
    tally, failures = Tally("scores", len(todo)), {}
    for task, new in todo:
        known = read_scores(task)
        try:
            assert task.job
            views, fps = perspective_views(task.job / "sky.mp4")
            for scorer in new:
                known[scorer.given] = scorer.score(views, fps, task.request.prompt)
        except SkyloopError as error:
            tally.failed += 1
            failures[task.name] = failed(error).data
        atomic_write(_scores_of(task), json.dumps(known, indent=1).encode())
        tally.done += 1
        report(tally, None)
    return failures


def _scores_of(task: Task) -> Path:
    assert task.job
    return task.job / _SCORES


def read_scores(task: Task) -> dict[str, dict[str, float]]:
    """``{scorer as given: {NAME.figure: number}}`` of a finished sky."""
    try:
        return json.loads(_scores_of(task).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}

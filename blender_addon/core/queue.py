"""The jobs that this Blender has asked for and that have not ended: which one runs, which wait, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...backend.protocol import GenerateRequest
from . import jobs


@dataclass(eq=False)
class Task:
    """A job from the press of the button to its end. ``reached`` is how far each phase ever came."""

    folder: Path
    request: GenerateRequest
    claim: jobs.Claim
    sent: bool = False  # to the process that runs now
    leaving: bool = False  # the user took it out; its end is only awaited
    reached: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    memory_restarts: int = 0
    moved_on: bool = True  # further than ever since it was last started again

    @property
    def title(self) -> str:
        return jobs.shorten(self.request.prompt)

    @property
    def id(self) -> str:
        """The job's name in commands and events."""
        return str(self.folder)

    def note(self, phase: str, done: int) -> None:
        """Progress of a phase. What had to be done again after a restart is none."""
        if done > self.reached.get(phase, 0):
            self.reached[phase] = done
            self.moved_on = True


class JobQueue:
    """The order is the backend's: what the add-on expects shows at once, and the ``queue`` event sets it right."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.running: Task | None = None
        self.paused = False

    @property
    def waiting(self) -> list[Task]:
        """Those whose turn comes, next first."""
        return [t for t in self.tasks if t is not self.running and not t.leaving]

    def find(self, job_id: str) -> Task | None:
        return next((t for t in self.tasks if t.id == job_id), None)

    def next(self) -> Task | None:
        """Let the next one run, if none does and nothing holds it."""
        if self.running is None and not self.paused and (waiting := self.waiting):
            self.running = waiting[0]
            return self.running
        return None

    def end(self, task: Task) -> None:
        """Forget a task: it is done, failed or cancelled."""
        self.tasks.remove(task)
        if self.running is task:
            self.running = None
        task.claim.release()

    def move(self, task: Task, to: int) -> None:
        """Give a waiting task the place ``to``, 0 the next to run."""
        others = [t for t in self.waiting if t is not task]
        others.insert(to, task)
        rest = [t for t in self.tasks if t not in others]
        self.tasks = rest + others

    def follow(self, data: dict[str, Any]) -> None:
        """A ``queue`` event of the backend. Jobs it does not name are on their way to it, or have just ended."""
        named = data.get("waiting")
        waiting = [str(name) for name in named] if isinstance(named, list) else []
        place = {name: n for n, name in enumerate(waiting)}
        self.paused = bool(data.get("paused"))
        if running := self.find(str(data.get("running", ""))):
            self.running = running
        elif self.paused and self.running and self.running.id in place:
            self.running = None  # halted and out of memory: it waits like the others
        self.tasks.sort(key=lambda task: -1 if task is self.running else place.get(task.id, len(place)))

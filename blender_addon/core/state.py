"""What the session can be doing and what a user sees of it: states, progress, problems."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ...backend.protocol import ErrorKind, Event
from ...backend.runtime.console import WORDS as INSTALLER_PHASES


class State(StrEnum):
    NOT_INSTALLED = "not_installed"
    INSTALLING = "installing"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    FAILED = "failed"


NOT_SET_UP = frozenset({State.NOT_INSTALLED, State.INSTALLING})
GENERATING = frozenset({State.STARTING, State.RUNNING, State.CANCELLING})
LABELS = {
    State.NOT_INSTALLED: "The generator is not set up",
    State.INSTALLING: "Setting up the generator",
    State.READY: "Ready",
    State.STARTING: "Starting the generator",
    State.RUNNING: "Generating",
    State.CANCELLING: "Cancelling",
    State.FAILED: "The last run failed",
}
PHASES = INSTALLER_PHASES | {
    "remove": "Removing files",
    "load": "Loading the model",
    "layout": "Composing the sky",
    "upsample": "Enlarging the sky",
    "read": "Reading the pictures",
    "refine": "Refining the sky",
    "decode": "Writing the movie",
    "light": "Looking for the sun",
    "measure": "Checking the result",
    "downloading": "Downloading",
    "checking": "Checking files",
    "copying": "Copying",
    "encoding": "Encoding the film",
    "compressing": "Compressing the frames",
    "frames": "Writing the pictures",
    "faces": "Writing the pictures",
    "repeating": "Repeating the loop",
    "copy": "Copying",
    "packing": "Packing",
    "scene": "Copying the scene",
    "archive": "Writing the archive",
}


@dataclass(frozen=True)
class Progress:
    """How far the present phase is: ``done`` of ``total`` ``unit``s; a total of 0 means nobody knows.

    ``speed`` is in units a second, 0 while nobody can tell.
    """

    name: str
    done: int = 0
    total: int = 0
    unit: str = ""
    speed: float = 0.0

    @staticmethod
    def of(event: Event) -> Progress:
        """A ``phase`` event of the backend or the installer."""
        data = event.data
        try:
            return Progress(str(data["name"]), int(data["done"]), int(data["total"]), str(data.get("unit", "")))
        except (KeyError, TypeError, ValueError):
            return Progress("Working")

    @property
    def factor(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def label(self) -> str:
        """The phase's name for people; ``refine 2`` is the second part of ``refine``."""
        first, _, number = self.name.partition(" ")
        if number.isdigit() and first in PHASES:
            return f"{PHASES[first]}, part {number}"
        return PHASES.get(self.name, self.name.capitalize())

    @property
    def left_s(self) -> int:
        """Seconds that the phase goes on at this speed; 0 when nobody can tell."""
        return round((self.total - self.done) / self.speed) if self.speed > 0 and self.total else 0

    @property
    def amount(self) -> str:
        """How far the phase is, without its name; empty where nobody knows."""
        if self.unit == "MB":
            return f"{self.done} of {self.total} MB" if self.total else f"{self.done} MB"
        return f"{100 * self.factor:.0f} %" if self.total > 1 else ""

    @property
    def pace(self) -> str:
        """Speed and time left, as far as they are known."""
        words = [f"{self.speed:.1f} MB/s" if self.speed < 10 else f"{self.speed:.0f} MB/s"] if self.unit == "MB" else []
        words += [f"{self.left_s // 60}:{self.left_s % 60:02d} left"] if self.left_s else []
        return ", ".join(words) if self.speed > 0 else ""

    @property
    def text(self) -> str:
        """What a progress bar says."""
        return f"{self.label}: {self.amount}" if self.amount else self.label


@dataclass(frozen=True)
class Problem:
    """An error to show until the next attempt, the file that tells more, and the job that can be tried again.

    ``onward`` says what another attempt can go on from, where it can.
    """

    kind: ErrorKind
    message: str
    hint: str
    log: Path | None = None
    job: Path | None = None
    onward: str = ""

    @property
    def line(self) -> str:
        return " ".join(filter(None, (self.message, self.hint, self.onward)))

    @property
    def repairable(self) -> bool:
        """Whether the advice is to repair the generator."""
        return "Repair" in self.hint

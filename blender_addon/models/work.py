"""What is done to the models: downloading, checking, removing, moving. The backend's command line does it, as a child
of Blender's; one at a time, as it changes one folder. Where there is no window, and so no timer, the caller waits.
"""

import logging
import re
import time
from dataclasses import dataclass, field, replace

import bpy

from ...backend.protocol import ErrorKind, SkyloopError, bad_request
from .. import places, redraw
from ..core.installing import Pace
from ..core.state import Progress
from ..core.stock import advice
from ..core.tool import Tool, backend_command
from . import shelf

log = logging.getLogger(__name__)

PERIOD_S = 0.25
_ADDRESS = re.compile(r"https?://\S+")


@dataclass
class Work:
    """``title`` says what it is for; ``model`` is the id of the one that is downloaded, empty for anything else."""

    title: str
    model: str
    tool: Tool
    progress: Progress = field(default_factory=lambda: Progress("Preparing"))
    pace: Pace = field(default_factory=Pace)

    def done(self) -> bool:
        """Take in what the command has said; whether it has ended."""
        ended = self.tool.done()
        if self.tool.progress.total:
            told = self.tool.progress
            self.progress = replace(told, speed=self.pace.of(told, time.monotonic()))
        return ended


_current: Work | None = None
_problem: SkyloopError | None = None


def current() -> Work | None:
    return _current


def problem() -> SkyloopError | None:
    """Why the last one failed, in Blender's words, until it is dismissed or another is started."""
    return _problem


def dismiss() -> None:
    global _problem
    _problem = None


def why_not() -> str:
    """What keeps another from being started; empty when nothing does."""
    return f"{_current.title}: wait for it, or cancel it" if _current else ""


def environ() -> dict[str, str]:
    """What the preferences say of the hub, for the child alone. Raises ``SkyloopError`` for what is no address."""
    found = places.preferences()
    if found is None:
        return {}
    named = {"HF_TOKEN": found.hub_token.strip(), "HF_ENDPOINT": found.hub_mirror.strip().rstrip("/")}
    if named["HF_ENDPOINT"] and not _ADDRESS.fullmatch(named["HF_ENDPOINT"]):
        raise bad_request(
            f"The mirror {named['HF_ENDPOINT'][:60]} is no address.",
            "Enter one that begins with https:// in the preferences, or leave it empty.",
        )
    return {name: value for name, value in named.items() if value}


def start(title: str, *words: str, model: str = "") -> None:
    """Run ``models WORDS``. Raises ``SkyloopError``; without a window also when the command fails."""
    global _current
    if _current:
        raise bad_request(f"{_current.title} is still under way.", "Wait for it, or cancel it.")
    dismiss()
    command = backend_command("models", *words, home=places.runtime_home())
    _current = Work(title, model, Tool(command, environ=environ()))
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=PERIOD_S, persistent=True)
        return
    while step():
        time.sleep(PERIOD_S)
    if error := _problem:
        dismiss()
        raise error


def cancel() -> None:
    if _current:
        _current.tool.cancel()


def end() -> None:
    """Blender quits, or the add-on is switched off. A download goes on from there another time."""
    global _current
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _current:
        _current.tool.end()
    _current = None
    dismiss()


def _tick() -> float | None:
    """Never raises: Blender would drop the timer without a word."""
    try:
        return PERIOD_S if step() else None
    except Exception:
        log.exception("models")
        end()
        return None


def step() -> bool:
    """One look at the work; whether to look again."""
    global _current, _problem
    if _current is None:
        return False
    redraw.panels()
    if not _current.done():
        return True
    work, _current = _current, None
    if work.tool.error and work.tool.error.kind is not ErrorKind.CANCELLED:
        _problem = in_words(work.tool.error)
    shelf.refresh()
    return False


def in_words(error: SkyloopError) -> SkyloopError:
    """The command line's refusal, with what to do in Blender instead of commands to type."""
    return SkyloopError(error.kind, error.message, advice(error.hint))

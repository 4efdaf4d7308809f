"""One command of the backend under way for a sky: measuring its light, writing its pictures. Blender goes on meanwhile.

At most one at a time. Where there is no window, and so no timer, the caller waits for it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import bpy

from ...backend.protocol import ErrorKind, SkyloopError, bad_request
from .. import delivery, places, redraw
from ..core.tool import Tool, backend_command
from ..ui import tr

log = logging.getLogger(__name__)

PERIOD_S = 0.2


@dataclass
class Work:
    """``title`` says what it is for; ``then`` is called on the main thread when it has succeeded."""

    title: str
    tool: Tool
    then: Callable[[], None]
    waiting: str = ""  # what has to end before its result can be shown


_current: Work | None = None
_problem: SkyloopError | None = None


def current() -> Work | None:
    return _current


def problem() -> SkyloopError | None:
    """Why the last one failed, until it is dismissed or another is started."""
    return _problem


def dismiss() -> None:
    global _problem
    _problem = None


def command(*words: str) -> list[str]:
    """``python -m backend WORDS`` in the private runtime. Raises ``SkyloopError`` when it is not installed."""
    return backend_command(*words, home=places.runtime_home())


def start(title: str, words: list[str], then: Callable[[], None]) -> None:
    """Run a command line, then ``then``. Raises ``SkyloopError``; without a window also when the command fails."""
    global _current
    if _current:
        raise bad_request(f"{_current.title} is still under way.", "Wait for it, or cancel it.")
    dismiss()
    _current = Work(title, Tool(words), then)
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=PERIOD_S, persistent=True)
        return
    work, _current = _current, None
    work.tool.wait()
    if work.tool.error:
        raise work.tool.error
    then()


def cancel() -> None:
    if _current:
        _current.tool.cancel()


def end() -> None:
    """Blender quits, or the add-on is switched off."""
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
        return PERIOD_S if _step() else None
    except Exception:
        log.exception("work")
        end()
        return None


def _step() -> bool:
    """One look at the work; whether to look again."""
    global _current, _problem
    if _current is None:
        return False
    redraw.panels()
    if not _current.tool.done():
        return True
    _current.waiting = delivery.obstacle() if not _current.tool.error else ""
    if _current.waiting:
        return True
    work, _current = _current, None
    error = work.tool.error
    if error is None:
        try:
            work.then()
        except RuntimeError as raised:  # an operator's refusal
            error = SkyloopError(ErrorKind.INTERNAL, str(raised).strip().removeprefix("Error: "))
    if error and error.kind is not ErrorKind.CANCELLED:
        _problem = error
    return False


def text() -> str:
    """What the panel says of the work under way."""
    if _current is None:
        return ""
    if _current.waiting:
        return f"{tr(_current.title)}: {_current.waiting}"
    return tr(_current.title)

"""One command of the backend under way for a sky: measuring its light, writing its pictures."""

from collections.abc import Callable
from dataclasses import dataclass

from ...backend.protocol import ErrorKind, SkyloopError
from .. import delivery, places, work
from ..core.tool import Tool, backend_command
from ..ui import tr


@dataclass
class Work(work.Work):
    """``then`` is called when it has succeeded: it changes the World, and waits until that disturbs nobody."""

    then: Callable[[], None]
    waiting: str = ""  # what has to end before its result can be shown

    def done(self) -> bool:
        if not super().done():
            return False
        self.waiting = delivery.obstacle() if not self.tool.error else ""
        return not self.waiting

    def follow(self) -> SkyloopError | None:
        if self.tool.error:
            return self.tool.error
        try:
            self.then()
        except RuntimeError as raised:  # an operator's refusal
            return SkyloopError(ErrorKind.INTERNAL, str(raised).strip().removeprefix("Error: "))
        return None


works = work.Works[Work]("sky")
current, problem = works.current, works.problem
cancel, dismiss, end = works.cancel, works.dismiss, works.end


def command(*words: str) -> list[str]:
    """``python -m backend WORDS`` in the private runtime. Raises ``SkyloopError`` when it is not installed."""
    return backend_command(*words, home=places.runtime_home())


def start(title: str, words: list[str], then: Callable[[], None]) -> None:
    """Run a command line, then ``then``. Raises ``SkyloopError``; without a window also when the command fails."""
    works.begin(lambda: Work(title, Tool(words), then))


def text() -> str:
    """What the panel says of the work under way."""
    if (now := works.current()) is None:
        return ""
    return f"{tr(now.title)}: {now.waiting}" if now.waiting else tr(now.title)

"""Setting up the generator: what is known of it, at which stage it is, and what can be done about it.

Whatever may take long is found out in a thread; panels read the last answer. ``tick()`` takes new ones.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from ...backend import runtime
from ...backend.runtime.survey import Survey, survey
from .installed import InstalledRuntime
from .installing import Cancelled, Chore, Doing, Report
from .session import Session
from .state import State

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 8.0  # while it is not ready: another Blender may be setting it up, a disk may come back
SLOW_S = 5.0


class Stage(StrEnum):
    """Where the set-up stands; the panel shows one of these."""

    LOOKING = "looking"
    NONE = "none"
    HALF = "half"
    OUTDATED = "outdated"
    BROKEN = "broken"
    GONE = "gone"
    INSTALLING = "install"
    REPAIRING = "repair"
    MOVING = "move"
    REMOVING = "remove"
    READY = "ready"


BUSY_STAGES = frozenset({Stage.INSTALLING, Stage.REPAIRING, Stage.MOVING, Stage.REMOVING})


def stage_of(state: State, doing: Doing | None, condition: str) -> Stage:
    """The stage, from what the session does and what was found on the disk (empty: not looked yet)."""
    if state is State.INSTALLING:
        return Stage(doing or Doing.INSTALL)
    if state is not State.NOT_INSTALLED:
        return Stage.READY
    if condition in ("", "ready"):  # ready: found by the survey, which the session has yet to hear of
        return Stage.LOOKING
    return Stage(condition)


class SetUp:
    """The set-up of one session. All methods belong to the session's thread.

    ``switch(home)`` is called when the generator is in another folder from now on, ``remember(home)`` when it was seen
    at work in one, ``known()`` says in which folder that was last; ``skies()`` are the folders of skies.
    """

    def __init__(
        self,
        session: Session,
        *,
        switch: Callable[[Path], None],
        remember: Callable[[str], None],
        known: Callable[[], str],
        skies: Callable[[], list[Path]],
    ) -> None:
        self._facts: Survey | None = None
        self._session, self._switch, self._remember, self._known, self._skies = session, switch, remember, known, skies
        self._surveyor: _Surveyor | None = None
        self._looked_s = 0.0
        self._chore: Chore | None = None

    @property
    def facts(self) -> Survey | None:
        """What the last survey found; None before the first, and for a runtime that cannot be set up."""
        return self._facts if self.runtime else None

    @property
    def stage(self) -> Stage:
        chore = self._session.chore
        return stage_of(self._session.state, chore.doing if chore else None, self.facts.condition if self.facts else "")

    @property
    def slow(self) -> bool:
        """Whether looking takes so long that the disk may not answer at all."""
        return self._surveyor is not None and time.monotonic() - self._looked_s > SLOW_S

    @property
    def looking(self) -> bool:
        """Whether a thread is busy looking; one that waits for a disk is not."""
        return self._surveyor is not None and not self.slow

    @property
    def runtime(self) -> InstalledRuntime | None:
        """The runtime, if it is one that can be set up."""
        found = self._session.runtime
        return found if isinstance(found, InstalledRuntime) else None

    def look(self) -> None:
        """Find out anew, in a thread; ``tick`` takes the answer."""
        if self.runtime:
            self._looked_s = time.monotonic()
            named = self._facts.accelerator if self._facts else ""
            self._surveyor = _Surveyor(self.runtime.home, self._known(), named, self._skies())

    def tick(self) -> bool:
        """Take what was found; whether there is something new to show."""
        if (chore := self._session.chore) is not self._chore:
            self._chore = chore
            if chore is None:  # done, failed or cancelled
                self.look()
        surveyor = self._surveyor
        if surveyor is None:
            idle = self._session.not_installed and not self._session.busy
            if idle and time.monotonic() - self._looked_s > LOOK_AGAIN_S:
                self.look()
            return False
        if surveyor.is_alive():
            return self.slow and self.facts is None
        self._surveyor, before = None, self._facts
        if self.runtime is None or surveyor.home != self.runtime.home or surveyor.found is None:
            return False
        self._facts = found = surveyor.found
        if found.condition == "ready":
            self._session.refresh()  # another Blender may have made it
            if self._known() != str(found.home):
                self._remember(str(found.home))
        return found != before

    def forget(self) -> None:
        """Another folder is looked at from now on."""
        self._facts = None
        self.look()

    # --- what can be done --------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Set it up, go on with it, or bring it up to date. Raises ``SkyloopError`` when the session is busy."""
        self._session.set_up(Chore(Doing.INSTALL, self._session.runtime.install))

    def repair(self, *, online: bool) -> None:
        """Check every file and mend what is damaged. Raises as :meth:`install`."""
        installed = self._installed()

        def act(report: Report, cancelled: Cancelled) -> None:
            installed.repair(report, cancelled, online=online)

        self._session.set_up(Chore(Doing.REPAIR, act))

    def move(self, chosen: Path, *, source: Path | None = None) -> None:
        """Move it to the folder ``chosen``, or into one of ours in it; from ``source`` if it is elsewhere.

        Raises as :meth:`install`.
        """
        installed, moved = InstalledRuntime(source) if source else self._installed(), []

        def act(report: Report, cancelled: Cancelled) -> None:
            moved.append(installed.move(chosen, report, cancelled))

        def then() -> None:
            self._remember(str(moved[0]))
            self._switch(moved[0])

        self._session.set_up(Chore(Doing.MOVE, act, then))

    def bring(self) -> None:
        """Move it from the folder where it is to the one that is chosen now. Raises as :meth:`install`."""
        facts = self.facts
        assert facts and facts.other
        self.move(facts.home, source=facts.other)

    def use_other(self) -> None:
        """Choose the folder again where it is."""
        facts = self.facts
        assert facts and facts.other
        self._switch(facts.other)

    def remove(self, *, old: bool = False) -> None:
        """Remove it; with ``old`` only what earlier versions left. Raises as :meth:`install`."""
        installed = self._installed()

        def act(report: Report, cancelled: Cancelled) -> None:
            installed.remove(report, cancelled, old=old)

        self._session.set_up(Chore(Doing.REMOVE, act))

    def start_over(self) -> None:
        """Give up a folder that is gone: the next set-up is in the chosen one."""
        runtime.forget_move(self._installed().home)
        self._remember("")
        self._session.refresh()
        self.forget()

    def _installed(self) -> InstalledRuntime:
        assert self.runtime
        return self.runtime


class _Surveyor(threading.Thread):
    """Looks at a home; ``found`` is None until it has, and when it could not."""

    def __init__(self, home: Path | None, known: str, accelerator: str, skies: list[Path]) -> None:
        super().__init__(name="skyloop-survey", daemon=True)
        self.home = home
        self.found: Survey | None = None
        self._about: dict[str, Any] = {"known": known, "accelerator": accelerator, "skies": skies}
        self.start()

    def run(self) -> None:
        try:
            self.found = survey(self.home, **self._about)
        except OSError:
            log.exception("survey")

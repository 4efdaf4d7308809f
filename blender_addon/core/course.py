"""The course of one job through its phases: which are behind it, which come, and how long it takes yet as a whole.

What a phase should take comes from earlier skies (:class:`Past`), scaled to this one; how fast this job really is shows
in the phases that it has begun. Pure bookkeeping: the clock is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...backend.protocol import GenerateRequest
from .state import Progress

SURE_AFTER_S, SURE_SHARE = 3.0, 0.02  # earlier than this a phase's pace says little
# Of a sky of the built-in model, 512 x 256 and 16 frames, on a processor: only the proportions count.
USUAL_S = {"load": 2.0, "layout": 30.0, "refine": 30.0, "decode": 4.0, "light": 0.2, "measure": 30.0}
USUAL_WORK = 512 * 256 * 16
WINDOW_PX = 128  # of the field of view, as the built-in model sees it; what is finer takes a refinement
FIXED = ("load",)  # takes as long whatever the size
BETWEEN = ("read", "upsample")  # short, and within the phases that they lead to


@dataclass(frozen=True)
class Past:
    """What an earlier sky took: ``seconds`` by phase, for ``work`` pixels of all its frames."""

    model: str
    work: int
    seconds: Mapping[str, float]


@dataclass
class Phase:
    """One line of the list: ``share`` is how far it is, from 0 to 1; ``spent_s`` is how long it took until now."""

    name: str
    expected_s: float
    share: float = 0.0
    gained: float = 0.0  # in this run: what came from a checkpoint took no time
    spent_s: float = 0.0
    begun: bool = False
    ended: bool = False

    @property
    def sure(self) -> bool:
        """Whether its own pace can be relied on."""
        return self.spent_s >= SURE_AFTER_S and self.gained > SURE_SHARE


def work_of(request: GenerateRequest) -> int:
    return request.width * request.height * request.frames


def expected(request: GenerateRequest, past: Sequence[Past]) -> dict[str, float]:
    """The phases of a job in their order, with seconds to expect: as the earlier sky that is most like it had."""
    work = work_of(request)
    alike = [one for one in past if one.model == request.model and one.work and one.seconds]
    nearest = min(alike, key=lambda one: max(one.work, work) / min(one.work, work), default=None)
    known, scale = (nearest.seconds, work / nearest.work) if nearest else (USUAL_S, work / USUAL_WORK)
    order = list(USUAL_S)
    names = [name for name in known if kind_of(name) in order]
    names.sort(key=lambda name: (order.index(kind_of(name)), name))
    if nearest is None and request.width * request.fov_deg / 360 < 1.25 * WINDOW_PX:
        names.remove("refine")
    if request.measure and "measure" not in names:
        names.append("measure")
    if not request.measure:
        names = [name for name in names if name != "measure"]
    return {name: known.get(name, USUAL_S[kind_of(name)]) * (1.0 if name in FIXED else scale) for name in names}


def kind_of(name: str) -> str:
    """``refine 2`` is a ``refine``."""
    return name.partition(" ")[0]


class Course:
    """Follows one job."""

    def __init__(self, expected_s: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self.phases = [Phase(name, seconds) for name, seconds in expected_s.items()]
        self._clock = clock
        self._now: Phase | None = None
        self._since_s: float | None = None

    def note(self, progress: Progress) -> None:
        """A phase has come so far."""
        name, share = progress.name, progress.factor
        if kind_of(name) in BETWEEN:
            return
        self._count()
        phase = next((one for one in self.phases if one.name == name), None) or self._unforeseen(name)
        if phase is not self._now:
            if self._now:
                self._now.ended = True
            self.phases = [one for one in self.phases if one.begun or not self._is_before(one, phase)]
            self._now = phase
        elif phase.begun:
            phase.gained += max(0.0, share - phase.share)
        phase.begun, phase.share, phase.ended = True, share, share >= 1.0
        self._since_s = self._clock()

    def pause(self) -> None:
        """Time does not count until the next :meth:`note`."""
        self._count()
        self._since_s = None

    def left_s(self) -> float | None:
        """Seconds until the job is done; None while nothing is known of its pace."""
        begun = [one for one in self.phases if one.gained > 0]
        planned = sum(one.expected_s * one.gained for one in begun)
        if planned <= 0 or not any(one.sure for one in begun):
            return None
        pace = sum(one.spent_s for one in begun) / planned
        left = 0.0
        for one in self.phases:
            whole = one.spent_s / one.gained if one.sure else one.expected_s * pace
            left += 0.0 if one.ended else whole * (1 - one.share)
        return max(0.0, left - self._since())  # it counts down between two notes

    def share(self) -> float:
        """How far the whole job is, from 0 to 1, by what its phases should take."""
        whole = sum(one.expected_s for one in self.phases)
        return sum(one.expected_s * (1.0 if one.ended else one.share) for one in self.phases) / whole if whole else 0.0

    @property
    def now(self) -> Phase | None:
        return self._now

    def _since(self) -> float:
        """Seconds since the last note; none in a pause."""
        return 0.0 if self._since_s is None else self._clock() - self._since_s

    def _count(self) -> None:
        if self._now:
            self._now.spent_s += self._since()
        self._since_s = self._clock()

    def _is_before(self, one: Phase, other: Phase) -> bool:
        return self.phases.index(one) < self.phases.index(other)

    def _unforeseen(self, name: str) -> Phase:
        """A phase that earlier skies did not have comes after the present one."""
        alike = [one.expected_s for one in self.phases if kind_of(one.name) == kind_of(name)]
        phase = Phase(name, alike[-1] if alike else USUAL_S.get(kind_of(name), 5.0))
        self.phases.insert(self.phases.index(self._now) + 1 if self._now else 0, phase)
        return phase

"""Work in threads whose outcome the owner takes in its own time."""

from __future__ import annotations

import importlib
import threading
import time

from .sessions import session_module  # noqa: F401  (which makes the package importable)

errands_module = importlib.import_module("skyloop.blender_addon.core.errands")


def turn_until_done(errands, timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while errands.busy:
        assert time.monotonic() < end
        errands.tick()
        time.sleep(0.001)


def test_the_outcome_comes_in_the_owners_thread() -> None:
    errands, taken, gate = errands_module.Errands(), [], threading.Event()
    errands.begin(
        lambda: gate.wait(5) and threading.get_ident(), lambda found: taken.append((found, threading.get_ident()))
    )
    errands.tick()
    assert errands.busy and not taken, "nobody waits for it"
    gate.set()
    turn_until_done(errands)
    (worker, owner) = taken[0]
    assert worker != owner == threading.get_ident()


def test_what_breaks_off_is_handed_over_as_none_and_a_new_one_may_be_begun_meanwhile() -> None:
    errands, taken = errands_module.Errands(), []

    def again(found: object) -> None:
        taken.append(found)
        errands.begin(lambda: "second", taken.append)

    errands.begin(lambda: 1 // 0, again)
    turn_until_done(errands)
    assert taken == [None, "second"]


def test_the_end_waits_for_what_is_under_way() -> None:
    errands, done = errands_module.Errands(), []
    errands.begin(lambda: (time.sleep(0.05), done.append(True)))
    errands.finish()
    assert done and not errands.busy


def test_who_needs_quiet_waits_for_every_thread_of_ours_but_not_for_ever() -> None:
    gate, errands = threading.Event(), errands_module.Errands()
    other = threading.Thread(target=gate.wait, name="somebody-elses", daemon=True)
    other.start()
    errands.begin(gate.wait)
    assert not errands_module.settled(0.05)
    threading.Timer(0.05, gate.set).start()
    assert errands_module.settled(5.0)

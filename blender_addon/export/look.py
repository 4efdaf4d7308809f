"""Film and folder of the next export, as last looked at: in a thread, as a disk may be slow to answer."""

import time

import bpy

from .. import redraw, session
from ..core.exporting import Found, Place, look

FRESH_S = 2.0

_seen: tuple[Place, Found, float] | None = None  # and when that was, on the monotonic clock
_asked: object | None = None  # the latest request for a look, until it is answered


def at(place: Place) -> Found | None:
    """What is known of a place; None before the first look. Asks for another one when it is not fresh."""
    if bpy.app.background:  # where no answer would ever come
        return look(place)
    known = _seen if _seen and _seen[0] == place else None
    if _asked is None and (known is None or time.monotonic() - known[2] > FRESH_S):
        _ask(place)
    return known[1] if known else None


def now(place: Place) -> Found:
    """Look at once, as the button is pressed."""
    forget()
    return look(place)


def forget() -> None:
    """The folder has changed, or the add-on is switched off."""
    global _seen, _asked
    _seen = _asked = None


def _ask(place: Place) -> None:
    global _asked
    _asked = asked = object()

    def take(found: Found | None) -> None:
        global _seen, _asked
        if _asked is asked:  # else it was for another time
            _asked = None
            if found:
                _seen = (place, found, time.monotonic())
            redraw.panels()

    session.current().errands.begin(lambda: look(place), take)
    session.wake()

"""Which models are on this computer, as last looked: in a thread, when Blender asks first and after every change."""

from .. import places, session
from ..core.stock import Held, Stock, look

_stock: Stock | None = None
_asked: object | None = None  # the latest request for a look, until it is answered


def stock() -> Stock | None:
    """What the last look found; None before the first. Asks for one when there is none of the present folder."""
    home = places.runtime_home()
    if _asked is None and (_stock is None or _stock.home != home):
        refresh()
    return _stock if _stock and _stock.home == home else None


def held(model_id: str) -> Held | None:
    """What is here of one model; None where nobody has looked."""
    now = stock()
    return now.of(model_id) if now else None


def refresh() -> None:
    """Look again, in a thread; :meth:`.session.BlenderSession.step` takes the answer."""
    global _asked
    home, now = places.runtime_home(), session.current()
    _asked = asked = object()

    def take(found: Stock | None) -> None:
        global _stock, _asked
        if _asked is asked:  # else a newer one is on its way
            _asked = None
            _stock = found or Stock(home, home or places.home_root(), None)
            now.revision += 1

    now.errands.begin(lambda: look(home), take)
    session.wake()


def forget() -> None:
    """The add-on is switched off."""
    global _stock, _asked
    _stock = _asked = None

"""What walks through Blender are written with; it runs inside Blender, each walk as ``--python walk_*.py``.

A walk is a generator: it does a step, as a user would, and yields the seconds until the next, in which Blender draws
and answers. It looks at the screen from outside Blender (ffmpeg, tesseract) and clicks with a mouse (xdotool). What it
notes goes to the test as JSON. Standard library and bpy only.
"""

import csv
import importlib
import io
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy

Walk = Generator[float, None, None]
MODULE = "bl_ext.user_default.skyloop"
ARGS: dict[str, Any] = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
OUT = Path(ARGS["out"])
OCR_SCALE = 3  # small type on a screen is too small for tesseract
DARKEST, FAINTEST = 110, 70  # of what is read, in red: what may be pressed, and captions and what is grey
PATIENCE_S = 0.4  # in which Blender draws and answers
BEGAN_S = time.monotonic()
_noted: dict[str, Any] = {}

bpy.context.preferences.view.show_splash = False  # in a timer it would be too late
bpy.context.preferences.view.show_tooltips = False  # they would lie over what is to be read


@dataclass
class Word:
    """A word that can be read on the screen, with its place in the picture in pixels from the top left."""

    text: str
    x: int
    y: int
    width: int
    height: int


def part(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def note(**facts: Any) -> None:
    """Tell the test."""
    _noted.update(facts)


def start(walk: Walk, after_s: float = 1.5) -> None:
    """Walk, then quit Blender. An exception ends the walk and is told to the test."""

    def step() -> float | None:
        try:
            return next(walk)
        except StopIteration:
            _finish("")
        except Exception:
            _finish(traceback.format_exc())
        return None

    bpy.app.timers.register(step, first_interval=after_s, persistent=True)


def _finish(error: str) -> None:
    if error:
        shot("error")
    (OUT / "noted.json").write_text(json.dumps({"error": error, **_noted}, default=str), encoding="utf-8")
    bpy.ops.wm.quit_blender()


def until(condition: Callable[[], Any], timeout_s: float, what: str = "") -> Walk:
    """Wait while Blender goes on, until ``condition`` holds. Raises ``TimeoutError``."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what or f"not within {timeout_s} s: {condition}")
        yield 0.1


def window() -> bpy.types.Window:
    return bpy.context.window_manager.windows[0]


def view3d() -> bpy.types.Area:
    return next(area for area in window().screen.areas if area.type == "VIEW_3D")


def region(kind: str) -> bpy.types.Region:
    return next(region for region in view3d().regions if region.type == kind)


def override() -> Any:
    """The context of somebody who presses a button in the 3D View."""
    return bpy.context.temp_override(window=window(), area=view3d(), region=region("WINDOW"))


def open_tab(name: str) -> Walk:
    """Press N and choose a tab of the sidebar."""
    view3d().spaces.active.show_region_ui = True
    yield 1.0
    region("UI").active_panel_category = name
    view3d().tag_redraw()
    yield 0.5


def frame_of(kind: str) -> tuple[int, int, int, int]:
    """x, y, width, height of a region of the 3D View, in screen pixels from the top left."""
    where = region(kind)
    return window().x + where.x, window().height - where.y - where.height, where.width, where.height


def shot(name: str, of: str = "") -> Path:
    """A picture of the screen, or of the region ``of`` that kind, as ``name``.png."""
    return grab(name, *(frame_of(of) if of else ()))


def grab(name: str, *crop: int) -> Path:
    """A picture of the screen as ``name``.png; ``crop``: x, y, width, height."""
    picture = OUT / f"{name}.png"
    shape = "crop={2}:{3}:{0}:{1}".format(*crop) if crop else "null"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "x11grab", "-i", os.environ["DISPLAY"], "-frames:v", "1"]
    subprocess.run([*command, "-vf", shape, str(picture)], check=True, stdin=subprocess.DEVNULL)
    return picture


def read(picture: Path, darkest: int = DARKEST) -> list[Word]:
    """The words in a picture of Blender."""
    big = picture.with_suffix(".big.png")
    # Dark type on white, whatever shines through a panel; in red, as warnings are red and what is chosen is blue.
    black = f"lut=y='255-clip(2.5*(val-{darkest}),0,255)'"
    enlarge = f"scale={OCR_SCALE}*iw:-1:flags=lanczos,format=gbrp,extractplanes=r,{black}"
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(picture), "-vf", enlarge, str(big)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    command = ["tesseract", str(big), "-", "--psm", "11", "tsv"]
    alone = os.environ | {"OMP_THREAD_LIMIT": "1"}  # tesseract is faster so
    found = subprocess.run(command, check=True, env=alone, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    big.unlink()
    return [
        Word(row["text"], *(int(row[k]) // OCR_SCALE for k in ("left", "top", "width", "height")))
        for row in csv.DictReader(io.StringIO(found.stdout), delimiter="\t", quoting=csv.QUOTE_NONE)
        if row["text"] and row["text"].strip()
    ]


def show(name: str, of: str = "UI", *, faint: bool = False) -> Walk:
    """Take a picture once nothing moves, and tell the test what can be read on it, and what is ``faint``."""
    before = b""
    for _ in range(10):
        yield PATIENCE_S
        now = shot(name, of).read_bytes()
        if now == before:
            break
        before = now
    for key, darkest in {name: DARKEST, **({f"{name}_faint": FAINTEST} if faint else {})}.items():
        note(**{key: [asdict(word) for word in read(OUT / f"{name}.png", darkest)]})


def click(phrase: str, of: str = "UI", *, above_px: int = 0, timeout_s: float = 60.0) -> Walk:
    """Wait for the words to be on the screen and click them, or so far above. Raises ``LookupError`` without them."""
    end = time.monotonic() + timeout_s
    while True:
        place = yield from seen(phrase, of, timeout_s)
        left, top = frame_of(of)[:2]
        x, y = left + place[0], top + place[1]
        yield PATIENCE_S
        last = phrase.split()[-1].lower()
        if any(word.text.lower() == last for word in read(grab("here", x - 130, y - 12, 190, 24))):
            break  # nothing has moved it away meanwhile
        if time.monotonic() > end:
            raise LookupError(f"{phrase!r} does not stay where it is")
    print(f"{time.monotonic() - BEGAN_S:6.1f} s: click {phrase!r}", flush=True)
    xdotool("mousemove", x, y - above_px)
    yield PATIENCE_S  # Blender notes what is under the mouse first
    xdotool("click", 1)
    yield PATIENCE_S
    left, top, width, height = frame_of("WINDOW")
    xdotool("mousemove", left + width // 3, top + height // 2)  # no tooltip over what is looked at next
    yield PATIENCE_S


def seen(phrase: str, of: str = "UI", timeout_s: float = 20.0) -> Generator[float, None, tuple[int, int]]:
    """Wait for the words to be on the screen; their place in the region. Raises ``LookupError``."""
    end = time.monotonic() + timeout_s
    while True:
        words = read(shot("seen", of))
        if place := find(words, phrase):
            return place
        if time.monotonic() > end:
            raise LookupError(f"{phrase!r} is not among {' '.join(word.text for word in words)!r}")
        yield PATIENCE_S


def find(words: Iterable[Word], phrase: str) -> tuple[int, int] | None:
    """The middle of a phrase's last word in a picture, in pixels; None when it is not there."""
    words, wanted = list(words), phrase.lower().split()
    for first in range(len(words) - len(wanted) + 1):
        run = words[first : first + len(wanted)]
        if [word.text.lower() for word in run] == wanted:
            return run[-1].x + run[-1].width // 2, run[-1].y + run[-1].height // 2
    return None


def xdotool(*command: object) -> None:
    subprocess.run(["xdotool", *map(str, command)], check=True, stdin=subprocess.DEVNULL)

"""A real browser for the exports that are pages: Chromium without a window, drawing WebGL in software."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.calibration import BITS, SQUARE_DEG, SQUARES_PITCH, in_view

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SOFTWARE_GL = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SMALL = 640, 360


def chromium() -> str:
    """The path of a Chromium; the test is left out, with the reason, where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.skip(f"no browser on this machine: install one of {', '.join(_NAMES)}")
    return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """The browser; only one at a time, as its driver wants it."""
    path = chromium()
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=_SOFTWARE_GL)
        try:
            yield started
        finally:
            started.close()


@contextlib.contextmanager
def without_webgl(beside: Browser) -> Iterator[Browser]:
    """A second one, that cannot draw in 3D."""
    started = beside.browser_type.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-3d-apis"])
    try:
        yield started
    finally:
        started.close()


class Visit:
    """A page that was opened, with all that it asked for and complained about."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.requests, self.complaints = list[str](), list[str]()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self._hear(said.type, said.text))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "GPU stall due to ReadPixels" not in text:  # a picture was taken of it
            self.complaints.append(text)

    def open(self, url: str) -> None:
        self.page.goto(url)

    def shown(self) -> None:
        """Wait until the film's frame is drawn."""
        self.page.wait_for_function("film.readyState >= 2 && !film.seeking")
        self.drawn()

    def drawn(self) -> None:
        """Wait until what was changed last is on the screen."""
        self.page.evaluate("async () => { for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame); }")

    def turn(self, **where: float) -> None:
        self.page.evaluate("hash => { location.hash = hash; }", "&".join(f"{k}={v:g}" for k, v in where.items()))
        self.shown()

    def picture(self) -> np.ndarray:
        """What is on the screen, (height, width, 3) uint8 RGB, without the controls."""
        data = self.page.screenshot(style="#bar, #hint, #begin { visibility: hidden }")
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


@contextlib.contextmanager
def visit(
    started: Browser, url: str, *, before: str = "", size: tuple[int, int] = SMALL, **options: Any
) -> Iterator[Visit]:
    """Open ``url`` in a new window of that size; ``before`` is a script that runs first."""
    context = started.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    try:
        made = Visit(context)
        if before:
            context.add_init_script(before)
        made.open(url)
        yield made
    finally:
        context.close()


def squares(size: tuple[int, int], fov_deg: float) -> list[list[int]]:
    """Where on a screen of that size, looking straight ahead, the calibration film's squares are: (column, row)."""
    width, height = size
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    where = in_view(np.stack([columns, rows], axis=2).astype(np.float64), 0, 0, fov_deg)
    yaws = [(bit + 0.5 - BITS / 2) * SQUARE_DEG for bit in range(BITS)]
    return [[round(float(number)) for number in where(yaw, SQUARES_PITCH)] for yaw in yaws]


class _Quiet(SimpleHTTPRequestHandler):
    """Python's own server: it answers no Range requests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Ranges(_Quiet):
    """Answers Range requests, as web servers do."""

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the browser has enough
            self.wfile.write(data[first : last + 1])


@contextlib.contextmanager
def served(folder: Path, *, ranges: bool = True) -> Iterator[str]:
    """Serve a folder; the address, without a slash at its end. ``ranges``: whether parts of files can be asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Ranges if ranges else _Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

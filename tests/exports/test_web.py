"""The web page, in a real browser: what is seen where, that it moves and loops, how it is handled, what it asks for.

Pixels are read from pictures of the window, as a user sees them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from backend.exports import web
from backend.exports.request import ExportRequest
from backend.exports.run import export
from tests import calibration
from tests.calibration import BACK, COLORS, DOWN, FRONT, LEFT, RIGHT, UP, in_view, number_in
from tests.exports.browser import SMALL, Visit, browser, served, squares, visit, without_webgl

FOV = 75
FRAMES, FPS = 12, 6
ABOUT_ONE = 3  # steps of 255 that a colour may be off after the codec
IWER = Path(__file__).with_name("iwer") / "iwer.min.js"
CALM: dict[str, Any] = {"reduced_motion": "reduce"}  # the page begins paused, and turns at once
VIEWS = {FRONT: (0, 0), RIGHT: (90, 0), BACK: (180, 0), LEFT: (-90, 0), UP: (0, 60), DOWN: (0, -60)}

Export = Callable[..., Path]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=FRAMES, width=512, fps=FPS)


@pytest.fixture(scope="module")
def exported(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports the film with those parts of the request, once for each."""
    made = dict[str, Path]()

    def give(**wanted: object) -> Path:
        key = repr(sorted(wanted.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("export") / "page"
            request = ExportRequest(**{"source": str(film), "target": "web", "out": str(made[key])} | wanted)  # type: ignore[arg-type]
            for _ in export(request):
                pass
        return made[key]

    return give


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def site(exported: Export) -> Iterator[str]:
    with served(exported()) as address:
        yield f"{address}/index.html"


def worst(seen: Visit, yaw: float, pitch: float, fov: float = FOV) -> float:
    """By how much the colours in sight are off at most, in steps of 255."""
    found = calibration.color_errors(in_view(seen.picture(), yaw, pitch, fov))
    assert found
    return max(found.values())


def see_all_around(seen: Visit, time: float = 0.0) -> None:
    for direction, (yaw, pitch) in VIEWS.items():
        seen.turn(yaw=yaw, pitch=pitch, t=time)
        sample = in_view(seen.picture(), yaw, pitch, FOV)
        assert np.abs(sample(*direction) - COLORS[direction]).max() <= ABOUT_ONE, direction
        assert worst(seen, yaw, pitch) <= ABOUT_ONE, direction


def test_all_directions_from_a_server(chromium: Browser, site: str) -> None:
    with visit(chromium, site, **CALM) as seen:
        seen.shown()
        see_all_around(seen)
        assert seen.complaints == []


def test_all_directions_from_a_double_click(chromium: Browser, exported: Export) -> None:
    with visit(chromium, (exported() / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        see_all_around(seen)
        assert seen.complaints == []


def test_a_simple_server_will_do(chromium: Browser, exported: Export) -> None:
    """Such as ``python3 -m http.server``, from which a film cannot be sought in."""
    with (
        served(exported(), ranges=False) as address,
        visit(chromium, f"{address}/index.html#t=1.01", **CALM) as seen,
    ):
        seen.shown()
        assert number_in(in_view(seen.picture(), 0, 0, FOV)) == 6
        assert worst(seen, 0, 0) <= ABOUT_ONE and seen.complaints == []


def test_the_webm_is_as_good(chromium: Browser, site: str) -> None:
    with visit(chromium, "about:blank", **CALM) as seen:
        seen.page.route("**/sky.mp4", lambda route: route.abort())
        seen.open(site)
        seen.shown()
        assert seen.page.evaluate("film.currentSrc").endswith("sky.webm")
        see_all_around(seen)


@pytest.mark.parametrize("turned", [
    {"facing": "blender", "front_deg": 30.0},
    {"facing": "blender", "front_deg": -120.0, "prerotate": True},
    {"prerotate": True},
])  # fmt: skip
def test_facing_is_built_in(chromium: Browser, exported: Export, turned: dict[str, object]) -> None:
    ahead = turned.get("front_deg", 0.0)
    assert isinstance(ahead, float)
    with visit(chromium, (exported(**turned) / "sky.html").as_uri() + f"#yaw={ahead:g}", **CALM) as seen:
        seen.shown()
        found = calibration.color_errors(in_view(seen.picture(), ahead, 0, FOV), turned_deg=ahead)
        assert FRONT in found and max(found.values()) <= ABOUT_ONE


def test_there_is_no_seam_and_no_mark_at_the_poles(chromium: Browser, exported: Export) -> None:
    """Behind, where the picture's ends meet, and around the zenith, where all of a row is one point."""
    with visit(chromium, (exported() / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        seen.turn(yaw=180, pitch=15, fov=25)  # above the word, below the patches
        band = seen.picture()[90:160].astype(int)
        assert np.abs(band - np.array(COLORS[BACK])).max() <= ABOUT_ONE
        seen.turn(yaw=45, pitch=90, fov=40)
        assert np.abs(seen.picture()[:, 200:440].astype(int) - np.array(COLORS[UP])).max() <= ABOUT_ONE


def test_an_address_says_where_and_when_to_begin(chromium: Browser, site: str) -> None:
    for frame in (0, 5, FRAMES - 1):
        with visit(chromium, f"{site}?pitch=-20#yaw=90&fov=50&t={frame / FPS + 0.01:.3f}", **CALM) as seen:
            seen.shown()
            sample = in_view(seen.picture(), 90, -20, 50)
            assert number_in(sample, 90) == frame
            assert np.abs(sample(90, -14) - COLORS[RIGHT]).max() <= ABOUT_ONE


def test_an_address_with_nonsense_begins_as_usual(chromium: Browser, site: str) -> None:
    with visit(chromium, f"{site}#yaw=abc&pitch=Infinity&fov=&t=", **CALM) as seen:
        seen.shown()
        assert worst(seen, 0, 0) <= ABOUT_ONE and seen.complaints == []


def test_every_frame_is_drawn_also_over_the_loop_point(chromium: Browser, site: str) -> None:
    """What WebGL draws is read after each drawing: two rounds in a row have every frame, in order. A busy machine may
    drop one now and then; a loop with a gap would drop one in each round."""
    size, rounds = (320, 180), list(range(FRAMES)) * 2
    with visit(chromium, site, size=size) as seen:
        seen.shown()
        numbers: list[int] = seen.page.evaluate(_WATCH, [squares(size, FOV), rounds, 15 * FRAMES])
    assert numbers[-len(rounds) :] == rounds, numbers


_WATCH = """async ([squares, rounds, most]) => {
  const copy = new OffscreenCanvas(view.width, view.height).getContext('2d', { willReadFrequently: true });
  const seen = [], late = performance.now() + 60000;
  while (performance.now() < late && seen.length < most && seen.slice(-rounds.length).join() !== rounds.join()) {
    await new Promise(requestAnimationFrame);  // the page asked earlier: it has drawn already
    copy.clearRect(0, 0, view.width, view.height);
    copy.drawImage(view, 0, 0);
    const pixels = squares.map(([x, y]) => copy.getImageData(x, y, 1, 1).data);
    if (pixels.some((pixel) => pixel[3] === 0)) continue;  // nothing new was drawn
    const number = pixels.reduce((sum, pixel) => 2 * sum + (pixel[0] > 127 ? 1 : 0), 0);
    if (seen[seen.length - 1] !== number) seen.push(number);
  }
  return seen;
}"""


def looks_at(seen: Visit, direction: tuple[int, int]) -> bool:
    """Whether that direction's colour is in the middle of the window, or a little above."""
    seen.drawn()
    height, width = SMALL[1], SMALL[0]
    above = seen.picture()[height // 2 - 42, width // 2].astype(int)
    return bool(np.abs(above - COLORS[direction]).max() <= 8)


def test_dragging_takes_the_sky_along(chromium: Browser, site: str) -> None:
    with visit(chromium, site, **CALM) as seen:
        seen.shown()
        mouse, pixel = seen.page.mouse, 2 * math.tan(math.radians(FOV / 2)) / SMALL[1] * 180 / math.pi
        for _ in range(2):  # to the left, twice 45°: what is to the right comes
            mouse.move(600, 40)
            mouse.down()
            mouse.move(600 - 45 / pixel, 40, steps=5)
            mouse.up()
        assert looks_at(seen, RIGHT)


def test_keys_look_around_zoom_and_pause(chromium: Browser, site: str) -> None:
    with visit(chromium, site, **CALM) as seen:
        seen.shown()
        keys = seen.page.keyboard
        for _ in range(90 // 12 + 1):
            keys.press("ArrowLeft")
        assert looks_at(seen, LEFT)
        for _ in range(6):
            keys.press("ArrowUp")
        assert looks_at(seen, UP)
        before = worst(seen, -96, 72)
        for _ in range(2):
            keys.press("+")
        seen.drawn()
        assert before <= ABOUT_ONE and worst(seen, -96, 72, FOV / 1.15**2) <= ABOUT_ONE
        assert seen.page.evaluate("film.paused")
        keys.press("Space")
        seen.page.wait_for_function("!film.paused && film.currentTime > 0.2")
        keys.press("Space")
        seen.page.wait_for_function("film.paused")
        keys.press("f")
        seen.page.wait_for_function("document.fullscreenElement")


def test_after_a_click_the_keys_mean_the_sky_again(chromium: Browser, site: str) -> None:
    with visit(chromium, site, **CALM) as seen:
        seen.shown()
        seen.page.get_by_role("button", name="Zoom in").click()
        seen.page.keyboard.press("Space")
        seen.page.wait_for_function("!film.paused")
        seen.drawn()
        assert worst(seen, 0, 0, FOV / 1.25) <= ABOUT_ONE, "it was zoomed once"
        seen.page.evaluate("document.body.classList.add('quiet')")
        seen.page.wait_for_function("getComputedStyle(bar).opacity === '0'")


def test_the_wheel_zooms(chromium: Browser, site: str) -> None:
    with visit(chromium, site, **CALM) as seen:
        seen.shown()
        seen.page.mouse.move(300, 100)
        seen.page.mouse.wheel(0, -200)
        seen.drawn()
        assert worst(seen, 0, 0, FOV * math.exp(-0.25)) <= ABOUT_ONE


def test_a_finger_turns_and_two_zoom(chromium: Browser, site: str) -> None:
    with visit(chromium, site, has_touch=True, **CALM) as seen:
        seen.shown()
        touch = seen.page.context.new_cdp_session(seen.page)

        def point(kind: str, *at: tuple[float, float]) -> None:
            touch.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(at)]},
            )

        for _ in range(2):
            point("touchStart", (100, 60))
            for x in range(130, 301, 34):
                point("touchMove", (x, 60))
            point("touchEnd")
        assert looks_at(seen, LEFT)
        seen.turn(yaw=0, pitch=0)
        point("touchStart", (270, 60), (370, 60))
        point("touchMove", (245, 60), (395, 60))
        point("touchEnd")
        seen.drawn()
        assert worst(seen, 0, 0, FOV * 100 / 150) <= ABOUT_ONE


def test_turning_the_phone_turns_the_view(chromium: Browser, site: str) -> None:
    with visit(chromium, site, is_mobile=True, has_touch=True, **CALM) as seen:
        phone = seen.page.context.new_cdp_session(seen.page)

        def hold(alpha: float, beta: float = 90, gamma: float = 0) -> None:
            phone.send("DeviceOrientation.setDeviceOrientationOverride", {"alpha": alpha, "beta": beta, "gamma": gamma})

        hold(20)
        seen.shown()
        seen.page.get_by_role("button", name="Look by moving the phone").tap()
        seen.page.wait_for_function("gyroscope.getAttribute('aria-pressed') === 'true'")
        hold(20.1)
        seen.page.wait_for_timeout(300)
        assert looks_at(seen, FRONT), "what was ahead stays ahead"
        hold(20.1 + 270)  # counted to the left
        seen.page.wait_for_timeout(300)
        assert looks_at(seen, RIGHT)
        hold(20.1, 170)
        seen.page.wait_for_timeout(300)
        assert looks_at(seen, UP)


def test_a_phone_that_asks_first_may_be_refused(chromium: Browser, site: str) -> None:
    """As on iOS."""
    asks = "DeviceOrientationEvent.requestPermission = async () => 'denied';"
    with visit(chromium, site, before=asks, is_mobile=True, has_touch=True, **CALM) as seen:
        seen.shown()
        button = seen.page.get_by_role("button", name="Look by moving the phone")
        button.tap()
        seen.page.get_by_text("did not allow").wait_for()
        assert button.get_attribute("aria-pressed") == "false" and seen.complaints == []


def test_within_another_page(chromium: Browser, exported: Export, tmp_path: Path) -> None:
    """The sky is there; the wheel scrolls the page around it until one has clicked into the sky."""
    readme = (exported() / "README.txt").read_text(encoding="utf-8")
    frame = re.findall(r"<iframe .*</iframe>", readme)[0].replace("FOLDER", "sky")
    shutil.copytree(exported(), tmp_path / "sky")
    page = f"<!doctype html><body style='margin:0'><div style='width:640px'>{frame}</div><p style='height:3000px'>More"
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    with served(tmp_path) as address, visit(chromium, "about:blank", **CALM) as seen:
        seen.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        seen.open(f"{address}/index.html")
        inside = seen.page.frames[1]
        inside.wait_for_function("film.readyState >= 2")
        inside.add_style_tag(content="#bar, #hint, #begin { visibility: hidden }")
        seen.drawn()
        assert worst(seen, 0, 0) <= ABOUT_ONE
        seen.page.mouse.move(320, 60)
        seen.page.mouse.wheel(0, 100)
        seen.page.wait_for_function("scrollY > 50")
        seen.page.evaluate("scrollTo(0, 0)")
        seen.page.mouse.click(320, 60)
        seen.page.mouse.wheel(0, -200)
        seen.page.wait_for_timeout(300)
        assert seen.page.evaluate("scrollY") == 0 and worst(seen, 0, 0, FOV * math.exp(-0.25)) <= ABOUT_ONE
        assert seen.complaints == []


def test_a_headset_sees_the_sky_with_both_eyes(chromium: Browser, site: str) -> None:
    with visit(chromium, site, before=IWER.read_text(encoding="utf-8") + HEADSET) as seen:
        seen.shown()
        seen.page.get_by_role("button", name="Enter VR").click()
        seen.page.wait_for_function("headset.getAttribute('aria-label') === 'Leave VR'")
        numbers = set[int]()
        for _ in range(40):
            picture = seen.picture()
            eyes = [in_view(eye, 0, 0, 90) for eye in (picture[:, : SMALL[0] // 2], picture[:, SMALL[0] // 2 :])]
            assert all(np.abs(eye(*FRONT) - COLORS[FRONT]).max() <= ABOUT_ONE for eye in eyes)
            numbers |= {number_in(eyes[0])}
            if len(numbers) > 2:
                break
        assert len(numbers) > 2, "the film goes on"
        seen.page.evaluate("device.quaternion.set(0, 0.7071068, 0, 0.7071068)")  # a turn to the left
        seen.page.wait_for_timeout(500)
        picture = seen.picture()
        assert np.abs(in_view(picture[:, : SMALL[0] // 2], -90, 0, 90)(*LEFT) - COLORS[LEFT]).max() <= ABOUT_ONE
        seen.page.evaluate("headset.click()")
        seen.page.wait_for_function("headset.getAttribute('aria-label') === 'Enter VR'")
        seen.drawn()
        assert worst(seen, 0, 0) <= ABOUT_ONE and seen.complaints == []
        seen.page.get_by_role("button", name="Enter VR").click()
        seen.page.wait_for_function("headset.getAttribute('aria-label') === 'Leave VR'")


HEADSET = """
  window.device = new IWER.XRDevice(IWER.metaQuest3);
  device.stereoEnabled = true;
  device.installRuntime({ forceInstall: true });
"""
# A headset that has media layers: it takes note of the layer that it is given, and draws nothing.
_LAYERS = """
  window.given = null;
  window.XRMediaBinding = class { createEquirectLayer(video, how) { return { video, how }; } };
  const ask = navigator.xr.requestSession.bind(navigator.xr);
  navigator.xr.requestSession = async (...how) => {
    const session = await ask(...how), update = session.updateRenderState.bind(session);
    Object.defineProperty(session, 'enabledFeatures', { value: [...session.enabledFeatures, 'layers'] });
    session.updateRenderState = (state) => { if (state.layers) window.given = state.layers[0]; else update(state); };
    return session;
  };
"""


def test_a_headset_that_draws_films_itself_is_given_the_film(chromium: Browser, exported: Export) -> None:
    """The layer's centre lies ahead of its transform (-Z): with the front at 30° and the view at 75°, 45° left."""
    page = (exported(facing="blender", front_deg=30.0) / "sky.html").as_uri() + "#yaw=75"
    with visit(chromium, page, before=IWER.read_text(encoding="utf-8") + HEADSET + _LAYERS) as seen:
        seen.shown()
        seen.page.wait_for_function("!film.paused")
        seen.page.get_by_role("button", name="Enter VR").click()
        seen.page.wait_for_function("given")
        layout, same = seen.page.evaluate("[given.how.layout, given.video === film]")
        turn = seen.page.evaluate("(({ x, y, z, w }) => [x, y, z, w])(given.how.transform.orientation)")
        half = math.radians(45) / 2
        assert same and layout == "mono" and turn == pytest.approx([0, math.sin(half), 0, math.cos(half)], abs=1e-5)
        seen.drawn()
        assert in_view(seen.picture(), 0, 0, 90)(*FRONT).max() < 40, "the page draws no second sky over it"
        seen.page.evaluate("headset.click()")
        seen.page.wait_for_function("headset.getAttribute('aria-label') === 'Enter VR'")
        seen.drawn()
        found = calibration.color_errors(in_view(seen.picture(), 75, 0, FOV), turned_deg=30)
        assert found and max(found.values()) <= ABOUT_ONE and seen.complaints == []


def test_nothing_is_asked_of_other_places(chromium: Browser, site: str, exported: Export) -> None:
    for page in (site, (exported() / "sky.html").as_uri()):
        with visit(chromium, page) as seen:
            seen.shown()
            seen.page.wait_for_function("!film.paused && film.currentTime > 0.5")
            place = page.rsplit("/", 1)[0]
            assert [url for url in seen.requests if not url.startswith((place, "blob:", "data:"))] == []
            if page != site:
                assert [url for url in seen.requests if not url.startswith(("blob:", "data:"))] == [page]
            assert seen.complaints == []


def test_the_folder_opened_from_the_disk_says_what_to_open(chromium: Browser, exported: Export) -> None:
    with visit(chromium, (exported() / "index.html").as_uri()) as seen:
        seen.page.get_by_role("alert").get_by_role("link", name="sky.html").click()
        seen.page.wait_for_url("**/sky.html")
        seen.shown()
        assert seen.complaints == []


# A browser that plays nothing before the user did something.
_REFUSES = """
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    if (navigator.userActivation.isActive) return play.call(this);
    return Promise.reject(new DOMException('', 'NotAllowedError'));
  };
"""


def test_a_browser_that_wants_a_tap_first_gets_a_button(chromium: Browser, exported: Export) -> None:
    with visit(chromium, (exported() / "sky.html").as_uri(), before=_REFUSES) as seen:
        seen.shown()
        begin = seen.page.get_by_role("button", name="Play").and_(seen.page.locator("#begin"))
        begin.wait_for()
        assert seen.page.evaluate("film.paused") and worst(seen, 0, 0) <= ABOUT_ONE
        begin.click()
        seen.page.wait_for_function("!film.paused && film.currentTime > 0.2")
        assert begin.is_hidden() and seen.complaints == []


def test_less_motion_is_respected(chromium: Browser, site: str) -> None:
    with visit(chromium, site, **CALM) as seen:
        seen.shown()
        seen.page.locator("#begin").wait_for()
        assert seen.page.evaluate("film.paused && film.currentTime === 0")


def test_without_webgl_it_says_so_and_shows_the_picture(chromium: Browser, exported: Export) -> None:
    with without_webgl(chromium) as started, visit(started, (exported() / "sky.html").as_uri()) as seen:
        assert "WebGL" in seen.page.get_by_role("alert").inner_text()
        assert seen.page.evaluate("message.style.background").count("data:image/jpeg")


def test_without_the_codec_it_says_so(chromium: Browser, site: str) -> None:
    with visit(chromium, "about:blank") as seen:
        for name in ("sky.mp4", "sky.webm"):
            seen.page.route(f"**/{name}", lambda route: route.fulfill(body=b"not a film", content_type="video/mp4"))
        seen.open(site)
        said = seen.page.get_by_role("alert")
        said.wait_for()
        assert "H.264" in said.inner_text()
        said.get_by_role("button", name="Close").click()
        seen.drawn()
        assert worst(seen, 0, 0) <= ABOUT_ONE, "the poster can be looked around in"


def test_it_can_be_used_without_seeing_or_pointing(chromium: Browser, site: str) -> None:
    with visit(chromium, site) as seen:
        page = seen.page
        seen.shown()
        assert page.title() == "calibration" and page.locator("html").get_attribute("lang") == "en"
        assert page.locator("meta[name=description]").get_attribute("content")
        assert page.get_by_role("heading", level=1).count() == page.get_by_role("main").count() == 1
        names = (
            page.get_by_role("toolbar")
            .get_by_role("button")
            .evaluate_all("found => found.filter(b => b.checkVisibility()).map(b => b.ariaLabel || b.textContent)")
        )
        assert names == ["Pause", "Zoom out", "Zoom in", "Full screen"]
        page.evaluate("document.body.classList.add('quiet')")
        order = []
        for _ in range(len(names) + 1):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id"))
            ring, shown = page.evaluate(
                "(s => [parseFloat(s.outlineWidth), s.outlineStyle])(getComputedStyle(document.activeElement))"
            )
            assert ring >= 2 and shown == "solid", order
        assert order == ["view", "play", "further", "nearer", "full"]
        page.wait_for_function("getComputedStyle(bar).opacity === '1'")  # faded controls come back for the keyboard
        page.locator("#play").focus()
        page.keyboard.press("Space")
        page.wait_for_function("film.paused")
        page.get_by_role("toolbar").get_by_role("button", name="Play").wait_for()
        for button in page.locator("#bar button:visible").all():
            box = button.bounding_box()
            assert box and min(box["width"], box["height"]) >= 44, "large enough for a finger"


def test_white_on_the_controls_can_be_read_over_any_sky() -> None:
    """WCAG 2: 4.5 to 1 for text, with the bar's own ground over the brightest sky."""
    css = (Path(web.__file__).with_name("web_files") / "index.html").read_text(encoding="utf-8")
    red, green, blue, alpha = map(float, re.findall(r"#bar, #hint {.*?rgba\(([^)]*)\)", css, re.DOTALL)[0].split(","))
    ground = [alpha * part + (1 - alpha) * 255 for part in (red, green, blue)]
    assert (_luminance([0xF4, 0xF6, 0xFA]) + 0.05) / (_luminance(ground) + 0.05) >= 4.5


def _luminance(color: list[float]) -> float:
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_title_may_hold_anything(chromium: Browser, film: Path, tmp_path: Path) -> None:
    name = """a <b>"sky"</b> & 'more' %%ABOUT%%"""
    (tmp_path / f"{name}.mp4".replace("/", "∕")).write_bytes(film.read_bytes())
    name = name.replace("/", "∕")
    for _ in export(ExportRequest(source=str(tmp_path / f"{name}.mp4"), target="web", out=str(tmp_path / "out"))):
        pass
    with visit(chromium, (tmp_path / "out" / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        assert seen.page.title() == name and seen.complaints == []


def test_a_clip_too_large_for_one_page_is_made_smaller_there(
    film: Path, tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = film.stat().st_size
    monkeypatch.setattr(web, "_MOST_INSIDE_BYTES", size * 9 // 10)
    monkeypatch.setattr(web, "_SMALLEST_INSIDE_PX", 64)
    steps = export(ExportRequest(source=str(film), target="web", out=str(tmp_path / "out"), prerotate=True))
    document = None
    while document is None:
        try:
            next(steps)
        except StopIteration as end:
            document = end.value
    assert any("sky.html shows it at" in note for note in document["notes"])
    with visit(chromium, (tmp_path / "out" / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        assert seen.page.evaluate("film.videoWidth") < 512
        sample = in_view(seen.picture(), 0, 0, FOV)
        assert np.abs(sample(*FRONT) - COLORS[FRONT]).max() <= ABOUT_ONE


def test_the_bundles_are_made_of_the_sources() -> None:
    files = Path(web.__file__).with_name("web_files")
    digest = hashlib.sha256()
    for source in sorted((files / "source").iterdir()):
        digest.update(source.read_bytes())
    for bundle in ("viewer.js", "viewer_scene.js"):
        text = (files / bundle).read_text(encoding="utf-8")
        assert f"Source {digest.hexdigest()} */" in text.splitlines()[0], f"run build.mjs: {bundle} is out of date"
        assert not re.search(r"</script|<!--", text, re.IGNORECASE), "it would end the script that it is inside of"
    assert (files / "viewer.js").stat().st_size < 560_000


def test_the_licence_of_what_is_inside_comes_along(exported: Export) -> None:
    text = (exported() / "licenses.txt").read_text(encoding="utf-8")
    assert "three.js" in text and "The MIT License" in text and "WITHOUT WARRANTY OF ANY KIND" in text


def test_what_the_page_is_told_is_plain(exported: Export) -> None:
    page = (exported() / "index.html").read_text(encoding="utf-8")
    told = re.search(r'<script type="application/json" id="about">(.*?)</script>', page)
    assert told and json.loads(told[1])["sources"] == [["sky.mp4", "video/mp4"], ["sky.webm", "video/webm"]]
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "https://" not in page

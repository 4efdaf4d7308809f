"""Cube maps: what each engine finds in a direction is what the film shows there."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.exports.cubemap import FACES, ORDERS, Cube, faces, turns
from backend.exports.orientation import ENGINES
from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.media.stills import read_image
from backend.protocol import SkyloopError
from backend.sphere import erp_directions
from tests import calibration
from tests.calibration import COLORS, WORDS
from tests.exports.browser import browser, visit

CUBE = Path(__file__).with_name("cube.html")
WIDTH = 512
# How each engine's camera looks through its cube map, as documented by the engine: the direction that is looked up in
# the cube for one that lies (right, up, ahead) of the viewer.
LOOKED_UP = {
    "opengl": lambda right, up, ahead: (right, up, ahead),
    "three": lambda right, up, ahead: (-right, up, -ahead),  # world (right, up, -ahead), then flipEnvMap
    "unity": lambda right, up, ahead: (right, up, ahead),
    "unreal": lambda right, up, ahead: (ahead, right, up),
}


def look_up(found: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The colours (..., 3) of a cube map in directions, nearest pixel: OpenGL 4.6 §8.13, tables 8.18 and 8.19."""
    size = found["px"].shape[0]
    ax, ay, az = np.abs(x), np.abs(y), np.abs(z)
    made = np.zeros((*x.shape, 3), np.uint8)
    # face: (where it is taken, major axis, s, t)
    cases = {
        "px": ((ax >= ay) & (ax >= az) & (x > 0), ax, -z, -y),
        "nx": ((ax >= ay) & (ax >= az) & (x <= 0), ax, z, -y),
        "py": ((ay > ax) & (ay >= az) & (y > 0), ay, x, z),
        "ny": ((ay > ax) & (ay >= az) & (y <= 0), ay, x, -z),
        "pz": ((az > ax) & (az > ay) & (z > 0), az, x, -y),
        "nz": ((az > ax) & (az > ay) & (z <= 0), az, -x, -y),
    }
    for face, (where, major, s, t) in cases.items():
        column = np.clip(((s / major + 1) / 2 * size).astype(int), 0, size - 1)
        row = np.clip(((t / major + 1) / 2 * size).astype(int), 0, size - 1)
        made[where] = found[face][row[where], column[where]]
    return made


def panorama(found: dict[str, np.ndarray], order: str, width: int) -> np.ndarray:
    """What an engine shows all around, as an equirectangular frame."""
    right, ahead, up = np.moveaxis(erp_directions(width // 2, width).double().numpy(), -1, 0)
    return look_up(found, *LOOKED_UP[order](right, up, ahead))


def smooth(width: int) -> np.ndarray:
    """A frame without a line in it: colours that change evenly over the sphere."""
    return np.round(127.5 + 100 * erp_directions(width // 2, width).double().numpy()).astype(np.uint8)


@pytest.mark.parametrize("order", ORDERS)
def test_each_engine_sees_the_film_in_its_directions(order: str) -> None:
    seen = panorama(faces(Cube(WIDTH // 4), calibration.frame(77, WIDTH), order), order, WIDTH)
    sample = calibration.on_frame(seen)
    errors = calibration.color_errors(sample)
    assert len(errors) == len(COLORS) + 4 * 5
    assert max(errors.values()) <= 3, errors
    assert [calibration.number_in(sample, yaw) for yaw in WORDS] == [77] * 4


@pytest.mark.parametrize("order", ORDERS)
def test_faces_together_are_the_frame_again(order: str) -> None:
    frame = smooth(WIDTH)
    seen = panorama(faces(Cube(WIDTH // 4), frame, order), order, WIDTH)
    assert np.abs(seen.astype(int) - frame).max() <= 3, "a pixel of a face is some of the film's wide"
    assert np.abs(seen.astype(int) - frame).mean() < 0.6


@pytest.mark.parametrize("order", ORDERS)
def test_every_edge_of_the_cube_goes_on_in_another_face(order: str) -> None:
    """Each of the 24 sides of faces is found on another face, one pixel on, and differs by no more than neighbours."""
    size = 64
    found = {face: made.astype(int) for face, made in faces(Cube(size), smooth(4 * size), order).items()}
    inside = max(np.abs(np.diff(made, axis=axis)).max() for made in found.values() for axis in (0, 1))
    sides = {face: _sides(made) for face, made in found.items()}
    for face, of_face in sides.items():
        for side in of_face:
            steps = [
                np.abs(side - neighbour[::way]).max()
                for other, of_other in sides.items()
                if other != face
                for neighbour in of_other
                for way in (1, -1)
            ]
            assert min(steps) <= inside, face


def _sides(made: np.ndarray) -> list[np.ndarray]:
    return [made[0], made[-1], made[:, 0], made[:, -1]]


def test_poles_and_the_seam_leave_no_mark() -> None:
    """Of a frame that is smooth on the sphere, second differences in faces are no larger where poles and the
    seam are than elsewhere."""
    size = 128
    pictures = Cube(size).pictures(smooth(4 * size))
    for name in ("up", "down", "behind"):
        curved = np.abs(np.diff(pictures[name].astype(int), 2, axis=1)).max()
        assert curved <= np.abs(np.diff(pictures["ahead"].astype(int), 2, axis=1)).max() + 1, name


@pytest.mark.parametrize(("picture", "yaw"), [("ahead", 0), ("right", 90), ("behind", 180), ("left", -90)])
def test_words_read_as_in_the_film(picture: str, yaw: int) -> None:
    """Not mirrored and not upside down: the word is most alike to the film's as it is written there."""
    frame = np.roll(calibration.frame(0, 1024), -round(yaw / 360 * 1024), axis=1)
    word = _white(frame[512 // 2 + 10 : 512 // 2 + 36, 512 - 60 : 512 + 60])
    face = _white(cv2.resize(Cube(256).pictures(calibration.frame(0, 1024))[picture], (326, 326)))  # 4 / pi as large

    def alike(template: np.ndarray) -> float:
        return float(cv2.matchTemplate(face, template, cv2.TM_CCOEFF_NORMED).max())

    assert alike(word) > 0.8
    turned = [word[:, ::-1], word[::-1], word[::-1, ::-1]]
    assert alike(word) > 0.1 + max(alike(np.ascontiguousarray(template)) for template in turned)


def _white(rgb: np.ndarray) -> np.ndarray:
    return rgb.min(axis=2).astype(np.float32)


def test_the_tables_of_faces() -> None:
    """As proved with ffmpeg's v360 for OpenGL (rludfb) and three.js (lrudbf, up and down half round), and as Unreal's
    page "Creating Cubemaps" says."""
    upright = dict.fromkeys(FACES, 0)
    assert [name for name, _ in turns("opengl").values()] == ["right", "left", "up", "down", "ahead", "behind"]
    assert {face: quarters for face, (_, quarters) in turns("opengl").items()} == upright
    assert [name for name, _ in turns("three").values()] == ["left", "right", "up", "down", "behind", "ahead"]
    assert {face: quarters for face, (_, quarters) in turns("three").items()} == upright | {"py": 2, "ny": 2}
    assert turns("unity") == turns("opengl")
    unreal = turns("unreal")
    assert unreal["px"] == ("ahead", 1) and unreal["nx"] == ("behind", 3)
    assert unreal["py"] == ("right", 2) and unreal["ny"] == ("left", 0)
    assert unreal["pz"] == ("up", 1) and unreal["nz"] == ("down", 1), "right, which is +Y, is at the top of both"


def test_a_graphics_card_finds_each_face_where_the_table_says() -> None:
    """WebGL looks the faces up: what stands for OpenGL here is OpenGL. For the other orders the axes are those that
    their engines have."""
    with browser() as started, visit(started, CUBE.as_uri()) as opened:
        for order in ORDERS:
            made = faces(Cube(WIDTH // 4), calibration.frame(77, WIDTH), order)
            urls = [_data_url(made[face]) for face in FACES]
            axes = np.array([LOOKED_UP[order](*unit) for unit in np.eye(3)]).tolist()
            shown = opened.page.evaluate("([urls, axes, width]) => panorama(urls, ...axes, width)", [urls, axes, WIDTH])
            data = np.frombuffer(base64.b64decode(shown.partition(",")[2]), np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert pixels is not None
            sample = calibration.on_frame(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            assert max(calibration.color_errors(sample).values()) <= 3, order
            assert [calibration.number_in(sample, yaw) for yaw in WORDS] == [77] * 4, order
        assert opened.complaints == []


def _data_url(rgb: np.ndarray) -> str:
    png = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR))[1]
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()


def exported(film: Path, out: Path, **wanted: object) -> dict[str, object]:
    options = {name: wanted.pop(name) for name in ("order", "layout", "frame") if name in wanted}
    request = ExportRequest(source=str(film), target="cubemap", out=str(out), options=options, **wanted)  # type: ignore[arg-type]  # as a caller's
    steps = export(request)
    phases = []
    try:
        while True:
            phases.append(next(steps))
    except StopIteration as end:
        assert phases and phases[-1].data["done"] == phases[-1].data["total"]
        return end.value


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("cubemap") / "sky.mp4", frames=3, width=WIDTH)


def test_all_frames_become_numbered_faces_and_strips(film: Path, tmp_path: Path) -> None:
    done = exported(film, tmp_path / "faces", frame=-1, order="unity")
    names = [f"sky_{n:04d}_{face}.png" for n in range(3) for face in FACES]
    assert sorted(path.name for path in (tmp_path / "faces").glob("*.png")) == sorted(names)
    assert done["open"] in names
    exported(film, tmp_path / "strips", frame=-1, order="unity", layout="strip")
    for number in range(3):
        strip = read_image(tmp_path / "strips" / f"sky_{number:04d}.png")
        whole = {face: read_image(tmp_path / "faces" / f"sky_{number:04d}_{face}.png") for face in FACES}
        assert np.array_equal(strip, np.concatenate(list(whole.values()), axis=1))
        assert calibration.number_in(calibration.on_frame(panorama(whole, "unity", WIDTH))) == number
    readme = (tmp_path / "faces" / "README.txt").read_text(encoding="utf-8")
    assert "px right, nx left" in readme and "Skybox/Cubemap" in readme


@pytest.mark.parametrize("order", ORDERS)
def test_facing_blender_puts_the_sky_where_imported_geometry_is(film: Path, tmp_path: Path, order: str) -> None:
    exported(film, tmp_path / "out", order=order, facing="blender", front_deg=90.0)
    found = {face: read_image(tmp_path / "out" / f"sky_{face}.png") for face in FACES}
    sample = calibration.on_frame(panorama(found, order, WIDTH))
    ahead_deg = ENGINES["three" if order == "opengl" else order].ahead_deg
    assert max(calibration.color_errors(sample, turned_deg=ahead_deg + 90).values()) <= 3


def test_two_runs_are_equal_to_the_byte(film: Path, tmp_path: Path) -> None:
    def run(name: str) -> dict[str, str]:
        exported(film, tmp_path / name, order="unreal")
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((tmp_path / name).iterdir())
        }

    assert run("one") == run("two")


def test_a_frame_that_is_not_there_is_refused_before_anything_is_written(film: Path, tmp_path: Path) -> None:
    with pytest.raises(SkyloopError, match="3 frames") as caught:
        exported(film, tmp_path / "out", frame=3)
    assert caught.value.kind == "bad_request"
    assert not (tmp_path / "out").exists()

"""A scene under the sky of the web page: where it stands, and the light that falls on it."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.media.video import VideoWriter
from backend.protocol import SkyloopError
from tests import calibration
from tests.calibration import BACK, COLORS, FRONT, in_view
from tests.exports.browser import SMALL, browser, served, visit
from tests.exports.test_web import CALM, FOV, HEADSET, IWER, Export, exported, film

__all__ = ["exported", "film"]  # fixtures

MIRROR = {"pbrMetallicRoughness": {"metallicFactor": 1, "roughnessFactor": 0}}
MATTE = {"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1}}
PLAIN = {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 1, 1]}, "extensions": {"KHR_materials_unlit": {}}}
AHEAD, RIGHT_OF = (0.0, 0.0, -4.0), (4.0, 0.0, 0.0)  # of the eye, in glTF's axes, metres
CAMERA = {"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}}


def write_glb(
    path: Path,
    cubes: list[tuple[tuple[float, float, float], dict[str, Any]]],
    camera: Sequence[float] | None = None,
    moves: tuple[tuple[float, float, float], ...] = (),
    **more: Any,
) -> Path:
    """A scene of cubes two metres wide, each with its place and material, and a camera at the matrix ``camera``; the
    first cube ``moves`` to a new place each second."""
    points, normals, corners = [], [], [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    for axis in range(3):
        for side in (-1, 1):
            for a, b in corners if side > 0 else corners[::-1]:
                points.append(np.roll([side, a, b], axis))
                normals.append(np.roll([side, 0, 0], axis))
    indices = [4 * face + corner for face in range(6) for corner in (0, 1, 2, 0, 2, 3)]
    data = np.array(points, np.float32).tobytes() + np.array(normals, np.float32).tobytes()
    ends = [0, 288, 576, 576 + 2 * len(indices)]
    data += np.array(indices, np.uint16).tobytes()
    accessors: list[dict[str, Any]] = [
        {"bufferView": 0, "componentType": 5126, "count": 24, "type": "VEC3", "min": [-1] * 3, "max": [1] * 3},
        {"bufferView": 1, "componentType": 5126, "count": 24, "type": "VEC3"},
        {"bufferView": 2, "componentType": 5123, "count": len(indices), "type": "SCALAR"},
    ]
    if moves:
        last = len(moves) - 1
        data += np.arange(len(moves), dtype=np.float32).tobytes() + np.array(moves, np.float32).tobytes()
        ends += [ends[-1] + 4 * len(moves), ends[-1] + 16 * len(moves)]
        accessors += [
            {"bufferView": 3, "componentType": 5126, "count": last + 1, "type": "SCALAR", "min": [0], "max": [last]},
            {"bufferView": 4, "componentType": 5126, "count": last + 1, "type": "VEC3"},
        ]
        moved = {"sampler": 0, "target": {"node": 0, "path": "translation"}}
        more["animations"] = [{"samplers": [{"input": 3, "output": 4, "interpolation": "STEP"}], "channels": [moved]}]
    nodes: list[dict[str, Any]] = [{"mesh": n, "translation": place} for n, (place, _) in enumerate(cubes)]
    if camera:
        nodes.append({"camera": 0, "matrix": list(camera)})
        more["cameras"] = [CAMERA]
    told = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "scene": 0,
        "nodes": nodes,
        "materials": [material for _, material in cubes],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": n}]}
            for n in range(len(cubes))
        ],
        "accessors": accessors,
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": end - start}
            for start, end in zip(ends, ends[1:], strict=False)
        ],
        "buffers": [{"byteLength": len(data)}],
    } | more
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(data), len(text), 0x4E4F534A)
    path.write_bytes(head + text + struct.pack("<II", len(data), 0x004E4942) + data)
    return path


def at_eye(*place: float) -> list[float]:
    """The matrix of a camera there that looks ahead (-Z)."""
    return [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, *place, 1]


@pytest.fixture(scope="module")
def chromium() -> Any:
    with browser() as started:
        yield started


MAGENTA = (255, 0, 255)


def middle(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return picture[height // 2 - 3 : height // 2 + 3, width // 2 - 3 : width // 2 + 3].reshape(-1, 3).mean(axis=0)


def test_scene_and_sky_are_turned_alike(chromium: Browser, exported: Export, tmp_path: Path) -> None:
    """The sky's front is at 30°, as in Blender; a cube ahead and one to the right are where Blender has them."""
    scene = write_glb(tmp_path / "a.glb", [(AHEAD, PLAIN), (RIGHT_OF, PLAIN)], at_eye(0, 0, 0))
    out = exported(gltf=str(scene), facing="blender", front_deg=30.0)
    with served(out) as address, visit(chromium, f"{address}/index.html", **CALM) as seen:
        seen.shown()
        seen.turn(yaw=0, pitch=0, fov=FOV)
        picture = seen.picture()
        assert np.abs(middle(picture) - MAGENTA).max() <= 1
        sample = in_view(picture, 0, 0, FOV)
        # A face two metres wide at three metres: 18.4° to each side.
        assert np.abs(sample(17.5, 0) - MAGENTA).max() <= 1 and sample(19.5, 0)[2] < 100
        found = calibration.color_errors(sample, turned_deg=30)
        assert found[FRONT] <= 3
        seen.turn(yaw=90)
        assert np.abs(middle(seen.picture()) - MAGENTA).max() <= 1
        seen.turn(yaw=60)
        assert np.abs(in_view(seen.picture(), 60, 0, FOV)(55, 0) - COLORS[FRONT]).max() <= 3
        assert seen.complaints == []


def test_the_page_begins_where_the_camera_of_the_scene_looks(
    chromium: Browser, exported: Export, tmp_path: Path
) -> None:
    """A camera at +X that looks back to -X, so to the left, sees the cube at the origin."""
    turned = [0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 6, 0, 0, 1]
    scene = write_glb(tmp_path / "a.glb", [((0, 0, 0), PLAIN)], turned)
    with visit(chromium, (exported(gltf=str(scene)) / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        picture = seen.picture()
        assert np.abs(middle(picture) - MAGENTA).max() <= 1
        yfov = np.degrees(CAMERA["perspective"]["yfov"])
        sample = in_view(picture, -90, 0, yfov)
        assert np.abs(sample(-90, 10.5) - MAGENTA).max() <= 1, "an edge one metre up, five away: 11.3°"
        assert np.abs(sample(-90, 12.5) - COLORS[-90, 10]).max() <= 3


def test_a_scene_without_a_camera_is_seen_whole(chromium: Browser, exported: Export, tmp_path: Path) -> None:
    scene = write_glb(tmp_path / "a.glb", [((5, 3, 0), PLAIN)])
    with visit(chromium, (exported(gltf=str(scene)) / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        picture = seen.picture()
        assert np.abs(middle(picture) - MAGENTA).max() <= 1
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(int)
        assert np.abs(edge - MAGENTA).max(axis=1).min() > 50


def test_the_sky_lights_the_scene(chromium: Browser, exported: Export, tmp_path: Path) -> None:
    """The side of a cube that one sees is lit by what is across: a mirror shows it, a matte one sums half the sky."""
    cubes = [(AHEAD, MIRROR), ((-4.0, 0.0, 0.0), MATTE), ((0.0, 0.0, 4.0), MATTE)]
    scene = write_glb(tmp_path / "a.glb", cubes, at_eye(0, 0, 0))
    with visit(chromium, (exported(gltf=str(scene)) / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        seen.turn(yaw=0, pitch=0, fov=FOV)
        sample = in_view(seen.picture(), 0, 0, FOV)
        assert np.abs(sample(0, 10) - COLORS[BACK]).max() <= 8  # filtered, and through half floats
        for looks, lit_from in ((-90, 90), (180, 0)):
            seen.turn(yaw=looks)
            assert np.abs(middle(seen.picture()) - white_lit_from(lit_from)).max() <= 8, looks


def white_lit_from(yaw: float) -> np.ndarray:
    """The colour of white paper that faces that yaw under the calibration film's first frame, by Lambert's law."""
    sky = calibration.frame(0, 512).astype(float) / 255
    light = np.where(sky <= 0.04045, sky / 12.92, ((sky + 0.055) / 1.055) ** 2.4)
    pitches, yaws = (
        np.deg2rad(90 - (np.arange(256) + 0.5) / 256 * 180),
        np.deg2rad((np.arange(512) + 0.5) / 512 * 360 - 180),
    )
    falls = np.clip(np.outer(np.cos(pitches), np.cos(yaws - np.deg2rad(yaw))), 0, None) * np.cos(pitches)[:, None]
    seen = np.tensordot(falls, light, 2) / falls.sum()
    return 255 * np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)


def test_the_light_follows_the_film(chromium: Browser, tmp_path: Path) -> None:
    """A film that is red, then green: so is what a mirror shows."""
    film = tmp_path / "two.mp4"
    colors = (200, 30, 30), (30, 200, 30)
    with VideoWriter(film, 256, 128, 1, 2) as writer:
        for color in colors:
            writer.write(np.full((128, 256, 3), color, np.uint8))
    scene = write_glb(tmp_path / "mirror.glb", [(AHEAD, MIRROR)], at_eye(0, 0, 0))
    for _ in export(ExportRequest(source=str(film), target="web", out=str(tmp_path / "out"), gltf=str(scene))):
        pass
    with visit(chromium, (tmp_path / "out" / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        for time, color in enumerate(colors):
            seen.turn(t=time)
            seen.page.wait_for_timeout(700)  # it is taken anew twice a second
            seen.drawn()
            assert np.abs(middle(seen.picture()) - color).max() <= 8
        assert seen.complaints == []


def test_what_moves_in_the_scene_does_so_while_the_film_plays(
    chromium: Browser, exported: Export, tmp_path: Path
) -> None:
    """A cube jumps from ahead to behind at the first second, and back at the second."""
    path = write_glb(tmp_path / "a.glb", [(AHEAD, PLAIN)], at_eye(0, 0, 0), moves=(AHEAD, (0.0, 0.0, 4.0), AHEAD))
    with visit(chromium, (exported(gltf=str(path)) / "sky.html").as_uri(), **CALM) as seen:
        seen.shown()
        seen.turn(yaw=0, pitch=0, fov=FOV)
        seen.page.wait_for_timeout(1500)
        assert np.abs(middle(seen.picture()) - MAGENTA).max() <= 1, "it waits with the film"
        seen.page.keyboard.press("Space")
        where = [bool(np.abs(middle(seen.picture()) - MAGENTA).max() <= 1) for _ in range(2)]
        for _ in range(60):
            if len(set(where)) == 2:
                break
            seen.page.wait_for_timeout(100)
            where.append(bool(np.abs(middle(seen.picture()) - MAGENTA).max() <= 1))
        assert set(where) == {True, False} and seen.complaints == []


def test_in_a_headset_the_scene_stands_before_the_sky(chromium: Browser, exported: Export, tmp_path: Path) -> None:
    scene = write_glb(tmp_path / "a.glb", [((1, 2, -4), PLAIN)], at_eye(1, 2, 0))
    page = (exported(gltf=str(scene)) / "sky.html").as_uri()
    with visit(chromium, page, before=IWER.read_text(encoding="utf-8") + HEADSET) as seen:
        seen.shown()
        seen.page.get_by_role("button", name="Enter VR").click()
        seen.page.wait_for_function("headset.getAttribute('aria-label') === 'Leave VR'")
        seen.page.evaluate("film.pause()")
        seen.page.wait_for_timeout(500)
        picture = seen.picture()
        for eye in (picture[:, : SMALL[0] // 2], picture[:, SMALL[0] // 2 :]):
            assert np.abs(middle(eye) - MAGENTA).max() <= 1
            assert np.abs(in_view(eye, 0, 0, 90)(0, 21) - COLORS[FRONT]).max() <= 3
        assert seen.complaints == []


@pytest.mark.parametrize(("more", "says"), [
    ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "compress"),
    ({"images": [{"uri": "wood.png"}]}, "wood.png"),
    ({"buffers": 7}, "damaged"),
])  # fmt: skip
def test_a_scene_that_the_page_cannot_show_is_refused_first(
    film: Path, tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    scene = write_glb(tmp_path / "a.glb", [(AHEAD, PLAIN)], **more)
    with pytest.raises(SkyloopError) as refused:
        next(export(ExportRequest(source=str(film), target="web", out=str(tmp_path / "out"), gltf=str(scene))))
    assert refused.value.exit_code == 2 and says in f"{refused.value.message} {refused.value.hint}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.glb"]

"""An export as the panel sees it, without Blender: places, problems, what comes out, the command that does it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import calibration

# As the add-on has them: modules of the whole package.
REQUEST: dict[str, Any] = {"source": "/skies/a", "target": "web", "out": "/out"}


@pytest.fixture(scope="module")
def exporting(skyloop: ModuleType) -> Any:
    return importlib.import_module("skyloop.blender_addon.core.exporting")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "sky.mp4", frames=5, width=256, fps=12)


def asked(exporting: Any, **others: Any) -> Any:
    return exporting.ExportRequest(**(REQUEST | others))


def looked(exporting: Any, film: Path, chosen: Path | None = None) -> Any:
    return exporting.look(exporting.Place(film, chosen, film.parent / "made", "aurora-web"))


def test_a_new_folder_is_named_after_the_sky_with_a_number_where_that_is_taken(exporting: Any, tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        found = exporting.free_name(tmp_path, "aurora-web")
        found.mkdir()
        names.append(found.name)
    assert names == ["aurora-web", "aurora-web-2", "aurora-web-3"]


def test_a_look_tells_size_and_length_of_a_film_and_of_a_jobs(exporting: Any, film: Path) -> None:
    for source in (film, film.parent):
        found = looked(exporting, source)
        assert (found.film.width, found.film.frames, found.problem, found.earlier) == (256, 5, None, False)
    assert found.out.name == "aurora-web"


@pytest.mark.parametrize("what", ["file", "full", "earlier", "empty"])
def test_a_folder_that_is_taken_is_told(exporting: Any, film: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "file":
        out.write_bytes(b"")
    else:
        out.mkdir()
    if what == "full":
        (out / "mine.txt").write_bytes(b"")
    if what == "earlier":
        (out / exporting.MANIFEST).write_bytes(b"{}")
    found = looked(exporting, film, out)
    told = exporting.problems(asked(exporting, out=str(out)), found)
    expected = {"file": "is no folder", "full": "mine.txt", "earlier": "Switch Replace on", "empty": ""}[what]
    assert (expected in f"{told[0].message} {told[0].hint}") if expected else told == []
    assert found.earlier == (what == "earlier")
    if what == "earlier":
        assert exporting.problems(asked(exporting, force=True), found) == []


def test_a_film_that_is_missing_or_a_frame_that_is_not_in_it_is_told(exporting: Any, film: Path) -> None:
    gone = looked(exporting, film.parent / "gone.mp4")
    assert "gone.mp4 is missing" in exporting.problems(asked(exporting), gone)[0].message
    frame = asked(exporting, target="stills", options={"frame": 5})
    found = looked(exporting, film)
    assert [error.hint for error in exporting.problems(frame, found)] == ["Use 0 to 4, or -1 for all."]
    assert exporting.problems(replace(frame, options={"frame": 4}), found) == []


def test_what_comes_out_is_said_as_the_export_does_it(exporting: Any, film: Path) -> None:
    small = looked(exporting, film).film
    large = replace(small, width=8192)
    web, stills = asked(exporting), asked(exporting, target="stills", options={"frame": -1})
    assert exporting.outcome(web, small) == "256 x 128, 5 frames"
    assert exporting.outcome(web, large) == "4096 x 2048, 5 frames" and exporting.is_smaller(web, large)
    assert exporting.outcome(stills, large) == "8192 x 4096, 5 frames" and not exporting.is_smaller(stills, large)
    assert exporting.outcome(asked(exporting, target="stills"), small) == "256 x 128, one frame"
    beside = asked(exporting, target="scene", options={"beside": "web"})
    assert exporting.outcome(beside, large) == "4096 x 2048, 5 frames"
    assert exporting.outcome(replace(web, height=512), None) == "1024 x 512"
    assert "As large as the film" in exporting.outcome(web, None)
    assert "too large" in exporting.problems(replace(web, height=4096), looked(exporting, film))[0].message


def test_the_command_line_understands_what_it_is_given(exporting: Any) -> None:
    """Back through the real parser: nothing is lost, and a path or number that begins with a dash is no option."""
    from backend.commands import export as command
    from backend.commands.parser import parse

    whole = asked(
        exporting,
        source="/skies/northern lights",
        target="stills",
        out="/out/-here",
        facing="blender",
        front_deg=-0.00001,
        prerotate=True,
        height=512,
        force=True,
        options={"format": "png", "frame": -1},
    )
    for request in (whole, asked(exporting), asked(exporting, gltf="/a b/scene.glb", front_deg=-90.0)):
        words = exporting.command_words(request)
        got = command._request(parse([*words, "--json"]))
        assert vars(got) == vars(request) | {"options": dict(request.options)}


def test_hints_name_what_the_panel_has(exporting: Any) -> None:
    titles = {"size": "Height", "codec": "Codec", "force": "Replace"}
    said = exporting.advised("Use --codec hevc, or --size 4096x2048; or --force.", titles.__getitem__)
    assert said == "Use Codec hevc, or Height 2048; or Replace."


@pytest.mark.parametrize(("unit", "done", "left"), [("frame", 84, "12 frames left"), ("frame", 96, ""), ("MB", 1, "")])
def test_what_is_left_is_told_in_frames(exporting: Any, skyloop: ModuleType, unit: str, done: int, left: str) -> None:
    progress = importlib.import_module("skyloop.blender_addon.core.state").Progress("frames", done, 96, unit)
    assert exporting.amount_left(progress) == left


def test_only_where_an_engine_turns_it_can_pixels_be_turned_instead(exporting: Any) -> None:
    names = {name for name, target in exporting.TARGETS.items() if exporting.turns(target)}
    assert names == {"web", "godot", "unity", "unreal", "usd"}
    scene = exporting.TARGETS["scene"]
    assert exporting.turns(scene, "godot") and not exporting.turns(scene, "hdr")

"""What every export keeps to: a beginner's README, relative paths, nothing left after a cancel, the same twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backend.exports.folder import MANIFEST
from backend.exports.request import ExportRequest
from backend.exports.run import README, export
from backend.exports.targets import TARGETS
from backend.protocol import Event, SkyloopError
from tests import calibration

ALONE = [name for name in TARGETS if name != "scene"]  # which needs a scene: test_scene.py
_TEXTS = {".txt", ".html", ".gd", ".gdshader", ".tscn", ".cs", ".py", ".usda", ".json", ".meta"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration.write(tmp_path_factory.mktemp("film") / "calibration.mp4", frames=6, width=256, fps=12)


def run(request: ExportRequest) -> tuple[list[Event], dict[str, Any]]:
    steps, seen = export(request), list[Event]()
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def asked(film: Path, target: str, out: Path) -> ExportRequest:
    return ExportRequest(source=str(film), target=target, out=str(out))


@pytest.mark.parametrize("target", ALONE)
def test_an_export_is_whole_and_says_how_to_use_it(film: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "out here"
    events, document = run(asked(film, target, out))
    assert events and all(event.type == "phase" for event in events)
    for name in {event.data["name"] for event in events}:
        last = [event.data for event in events if event.data["name"] == name][-1]
        assert last["done"] == last["total"] > 0, name
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert set(document["files"]) == set(files) and document["open"] in files
    assert document["bytes"] == sum(path.stat().st_size for path in files.values())
    readme = files[README].read_text(encoding="utf-8")
    steps = re.findall(r"^\d\. .+$", readme, re.MULTILINE)
    assert 1 <= len(steps) <= 5 and "Skyloop" in readme
    assert json.loads(files[MANIFEST].read_text(encoding="utf-8"))["files"].keys() == files.keys() - {MANIFEST}
    for name, path in files.items():
        assert " " not in name and path.stat().st_size > 0
        if path.suffix in _TEXTS:
            text = path.read_text(encoding="utf-8")
            assert "\r" not in text and str(tmp_path) not in text and "@@" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["out here"]


@pytest.mark.parametrize("target", ALONE)
def test_a_cancel_leaves_nothing(film: Path, tmp_path: Path, target: str) -> None:
    steps = export(asked(film, target, tmp_path / "out"))
    next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ALONE)
def test_the_same_twice(film: Path, tmp_path: Path, target: str) -> None:
    """So that an export can be kept in version control, and made anew without a change."""
    a, b = tmp_path / "a", tmp_path / "b"
    run(asked(film, target, a))
    run(asked(film, target, b))
    names = sorted(path.relative_to(a) for path in a.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(b) for path in b.rglob("*") if path.is_file())
    assert [name.name for name in names if (a / name).read_bytes() != (b / name).read_bytes()] == []


@pytest.mark.parametrize("target", ALONE)
def test_a_film_that_is_no_sky_is_refused_before_anything_is_made(tmp_path: Path, target: str) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no film")
    with pytest.raises(SkyloopError) as refused:
        run(asked(tmp_path / "x.mp4", target, tmp_path / "out"))
    assert refused.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]

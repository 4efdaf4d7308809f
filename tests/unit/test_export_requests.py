"""Bad exports are refused before work starts, with what would be right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.commands import main
from backend.exports.limits import fitting_height, limit
from backend.exports.request import ExportRequest
from backend.exports.targets import TARGETS, Option
from backend.protocol import MAX_HEIGHT_PX, SkyloopError

STILLS = ExportRequest(source="/sky.mp4", target="stills", out="/out")


def test_every_target_can_be_asked_for_with_its_defaults() -> None:
    for name, target in TARGETS.items():
        request = replace(STILLS, target=name)
        assert request.problems() == []
        for option in target.options:
            assert option.problem(option.default) == "", (name, option.name)
            for choice in option.choices:
                assert replace(request, options={option.name: choice}).problems() == []
        assert 128 <= limit(request).advised <= limit(request).most <= MAX_HEIGHT_PX


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "gadot"}, "target 'gadot': use one of web, "),
        ({"facing": "north"}, "use forward or blender"),
        ({"front_deg": 1000.0}, "front 1000: use -180 to 180"),
        ({"front_deg": float("nan")}, "front nan"),
        ({"height": 100}, "use a multiple of 16 from 128"),
        ({"gltf": "/a.glb"}, "does not go into stills: use target web, "),
        ({"options": {"codec": "h264"}}, "codec is not for target stills: it has format, frame"),
        ({"options": {"format": "gif"}}, "format 'gif': use jpeg or png"),
        ({"options": {"frame": -2}}, "frame -2: use -1 to 4095"),
        ({"options": {"frame": "2"}}, "frame '2' is no int"),
        ({"options": {"frame": True}}, "frame 'True' is no int"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(change: dict[str, object], said: str) -> None:
    found = replace(STILLS, **change).problems()  # type: ignore[arg-type]  # wrong ones are the point
    assert len(found) == 1 and said in found[0]
    with pytest.raises(SkyloopError, match=r".") as refused:
        replace(STILLS, **change).validated()  # type: ignore[arg-type]  # the same
    assert refused.value.exit_code == 2


def test_a_number_that_is_none_is_no_number() -> None:
    option = Option("boost", "Boost", "", 4.0, limits=(0.0, 10.0))
    assert option.problem(float("nan")) and option.problem(float("inf")) and not option.problem(10.0)


def test_sizes_are_what_the_target_plays() -> None:
    godot = replace(STILLS, target="godot")
    assert fitting_height(godot, 512) == 512
    assert fitting_height(godot, 4096) == limit(godot).advised
    assert fitting_height(godot, 500) == 496
    assert fitting_height(replace(godot, height=limit(godot).most), 512) == limit(godot).most
    with pytest.raises(SkyloopError, match="8192x4096 is too large for Godot") as refused:
        fitting_height(replace(godot, height=4096), 512)
    assert f"{limit(godot).most}" in refused.value.hint


@pytest.mark.parametrize(
    "words",
    [
        ["export"],
        ["export", "sky.mp4", "--target", "web"],
        ["export", "sky.mp4", "--out", "x"],
        ["export", "sky.mp4", "--target", "nothing", "--out", "x"],
        ["export", "sky.mp4", "--target", "stills", "--out", "x", "--frame", "first"],
        ["export", "sky.mp4", "--target", "stills", "--out", "x", "--codec", "h264"],
        ["export", "sky.mp4", "--target", "stills", "--out", "x", "--size", "100x100"],
        ["export", "sky.mp4", "--target", "stills", "--out", "x", "--size", "512x512"],
        ["export", "gone.mp4", "--target", "stills", "--out", "x"],
    ],
)
def test_the_command_line_refuses_in_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if "gone.mp4" not in words:
        Path("sky.mp4").write_bytes(b"a film")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("skyloop: ")
    assert not Path("x").exists()

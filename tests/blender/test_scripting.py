"""The add-on without a window, driven by scripts: the examples of docs/scripting.md work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import FRAMES, Blender


def test_the_examples_work_as_they_stand(blender: Blender, repository: Path, tmp_path: Path) -> None:
    found = blender.ask("scripting:run", root=tmp_path, page=repository / "docs" / "scripting.md")
    first, many, tried, directed, *_, last = found["worlds"]
    assert first["Scene"].startswith("Skyloop: northern lights")
    for prompt in ("sunset over the sea", "stars over hills", "storm over the desert"):
        assert many[prompt] == f"Skyloop: {prompt}"
    assert tried["Scene"].startswith("Skyloop: storm over the desert")
    assert found["regions"] == ["stars", "full moon"] and directed
    assert last["Scene"] == "World"  # the user's own, whatever skies came after it
    assert (found["frames"], found["front_deg"]) == (FRAMES, 90.0)
    assert (tmp_path / "shot.blend").is_file()
    assert {"stills", "--frame=-1", "--facing=blender"} <= set(found["exported"])


def test_a_script_is_told_what_went_wrong(blender: Blender) -> None:
    said = blender.ask("scripting:fails")
    assert "9 GB" in said and "smaller size" in said


def test_the_table_names_every_operator_with_what_it_takes(blender: Blender, repository: Path) -> None:
    page = (repository / "docs" / "scripting.md").read_text(encoding="utf-8")
    calls = re.findall(r"^\| `(\w+)\((.*?)\)`", page, re.MULTILINE)
    told = {name: sorted(re.findall(r"\w+", given)) for name, given in calls}
    assert len(told) == len(calls)
    assert told == blender.ask("scripting:operators")

"""Nothing is cut where the sidebar is narrow, nor on a screen of double resolution."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from ..blender.conftest import film  # noqa: F401
from .screen import Screen, finished_job

WIDTHS = {"wide": 480, "narrow": 292}  # of the sidebar with its tabs, in pixels at scale 1; 292 is Blender's own

ENLARGED = 0.1  # a step of Blender's own, twice: the sidebar has room for 234 pixels then


@pytest.mark.parametrize(
    ("scale", "size", "pictures"), [(1.0, (1000, 6400), ["narrow", "enlarged"]), (2.0, (1800, 9200), ["narrow"])]
)
def test_every_word_of_the_wide_sidebar_is_in_the_narrow_one(
    screen: Screen,
    film: Path,  # noqa: F811
    tmp_path: Path,
    scale: float,
    size: tuple[int, int],
    pictures: list[str],
) -> None:
    job = finished_job(film, tmp_path / "sky")
    walked = screen.walk(
        "walk_narrow.py",
        tmp_path,
        size=size,
        timeout_s=400.0,
        scale=scale,
        widths=WIDTHS,
        enlarged=ENLARGED if "enlarged" in pictures else 0.0,
        job=job,
    )
    assert walked.noted["wide_width"] > 1.5 * walked.noted["narrow_width"]
    for name in pictures:
        seen = words(f"{walked.text(name)} {walked.text(f'{name}_faint')}")
        assert len(seen) > 60, "too little can be read"
        missing = [word for word in words(walked.text("wide")) if not difflib.get_close_matches(word, seen, 1, 0.75)]
        cut = [*missing, *sorted(ends(walked.text(f"{name}_faint")) - ends(walked.text("wide_faint")))]
        assert not cut, f"cut at {walked.noted[f'{name}_width']} pixels: {cut}; {tmp_path}/{name}.png"


def ends(text: str) -> set[str]:
    """What Blender puts dots to because it is too long for its place, and what has them anyway: "Graphics ..."."""
    return set(re.findall(r"\w\S* ?(?:\.\.+|…)(?!\S)", text))


def words(text: str) -> list[str]:
    """The words that are long enough to be told from what icons are read as."""
    return sorted({word.lower() for word in re.findall(r"[A-Za-z]{4,}", text)})

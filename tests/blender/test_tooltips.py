"""Everything says under the mouse what it is for, in Blender's style."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from .conftest import Blender

LEAST_WORDS = 3
# They are never drawn: what they hold together is.
HOLDERS = {"pointer", "collection"}


@pytest.fixture(scope="module")
def tooltips(blender: Blender) -> list[dict[str, Any]]:
    found = blender.ask("tooltips:tooltips")
    assert {"operator", "float", "string", "boolean", "choice", "slider"} <= {tip["kind"] for tip in found}
    return [tip for tip in found if tip["kind"] not in HOLDERS]


def test_everything_says_what_it_is_for(tooltips: list[dict[str, Any]]) -> None:
    assert _of(tip for tip in tooltips if len(tip["text"].split()) < LEAST_WORDS) == []


def test_a_tooltip_says_more_than_the_name(tooltips: list[dict[str, Any]]) -> None:
    assert _of(tip for tip in tooltips if tip["text"].casefold() == tip["name"].casefold()) == []


def test_tooltips_are_written_as_blenders(tooltips: list[dict[str, Any]]) -> None:
    assert _of(tip for tip in tooltips if tip["text"].endswith((".", "…", " "))) == []
    assert _of(tip for tip in tooltips if tip["text"][:1].islower()) == []
    assert _of(tip for tip in tooltips if "\n" in tip["text"] or "  " in tip["text"]) == []


def test_names_begin_with_a_capital_and_end_without_a_mark(tooltips: list[dict[str, Any]]) -> None:
    endings = ("...", "three.js")  # more is asked first; a name that begins small
    named = [tip for tip in tooltips if not tip["name"].endswith(endings)]
    assert _of(tip for tip in named if not tip["name"] or tip["name"][:1].islower() or tip["name"][-1:] in ".:") == []


def _of(tips: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(tip["of"], tip["name"], tip["text"]) for tip in tips]

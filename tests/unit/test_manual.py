"""The manual names what there is to press, and what it links to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import words

DOCS = Path(__file__).resolve().parents[2] / "docs"
# In bold, but not to be pressed in our panels: keys, Blender's own, and the beginnings of items.
ELSEWHERE = {"I", "N", "Z", "space bar", "status bar", "+", "-"}


def test_every_button_in_the_manual_exists() -> None:
    bold = set(re.findall(r"(?<!\*)\*\*([^*]+)\*\*", (DOCS / "manual.md").read_text(encoding="utf-8")))
    pressed = {name.replace("…", "...") for name in bold if name[0].isupper() and not name.endswith((".", ":"))} | {
        name for name in bold if name.endswith("...")
    }
    assert len(pressed) > 50
    assert pressed - ELSEWHERE - words.of_addon() == set()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    titles = [
        re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ]
    for link in re.findall(r"\]\(([^)#]*#?[^)]*)\)", text):
        file, _, title = link.partition("#")
        if not link.startswith("http"):
            assert (page.parent / file).exists() if file else title in titles, link


def _anchor(title: str) -> str:
    """As web pages make it of a headline."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")

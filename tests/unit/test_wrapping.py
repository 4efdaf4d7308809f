"""Lines are full but never too wide, in any script, and nothing is lost at their ends."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from blender_addon.core.wrapping import width, wrapped


def test_words_are_wrapped_as_ever() -> None:
    text = "Blender is set to stay offline. It needs the internet for this download only; nothing of yours is sent."
    for columns in (20, 33, 60, 200):
        assert wrapped(text, columns) == textwrap.wrap(text, columns, break_on_hyphens=False)


def test_japanese_breaks_between_characters_but_no_line_begins_with_a_mark() -> None:
    text = "ジェネレーターの準備ができていません。Skyloop タブを見てください。「完了」を押すと、VR が終わります。"
    for columns in range(20, 60):
        lines = wrapped(text, columns)
        assert all(width(line) <= columns for line in lines)
        assert not any(line[0] in "、。」ー" for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert any("Skyloop" in line for line in lines)


@given(st.text(alphabet="ab 空。、「」éß°-", max_size=60), st.integers(4, 30))
def test_nothing_is_lost(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(line and line == line.strip() for line in lines)

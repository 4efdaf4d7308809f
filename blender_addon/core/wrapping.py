"""Text over several lines, also in scripts that put no spaces between words."""

from __future__ import annotations

import re
import unicodedata

# What may not begin a line stays with what is before it, an opening bracket with what follows.
_CLOSING, _OPENING = "、。，．・：；？！）」』】”’ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ%°", "（「『【“‘"
_PIECE = rf"[{_OPENING}]*(?:[^\W\u2e80-\uffef][^\s\u2e80-\uffef]*|[^\s])[{_CLOSING}]*\s*"


def wrapped(text: str, columns: int) -> list[str]:
    """The lines of ``text``, none wider than ``columns``, where a Chinese or Japanese character counts as two."""
    lines, line = [], ""
    for piece in _pieces(text, columns):
        if line and width(line + piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(mark) in "WF" else 1 for mark in text)


def _pieces(text: str, columns: int) -> list[str]:
    """What no line breaks up: words with the spaces after them, or single characters. What exceeds a line is cut."""
    found: list[str] = []
    for word in re.findall(r"\S+\s*", text):
        for piece in re.findall(_PIECE, word) if any(width(mark) == 2 for mark in word) else [word]:
            while width(piece.rstrip()) > columns:
                found.append(piece[: max(1, columns // 2 if width(piece[0]) == 2 else columns)])
                piece = piece[len(found[-1]) :]
            if piece.strip():
                found.append(piece)
            else:
                found[-1] += piece
    return found

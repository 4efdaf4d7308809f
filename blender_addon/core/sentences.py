"""Sentences that were put together in English, in another language.

A label is looked up whole. A sentence with figures or names in it, ``The film a.mp4 is missing.``, arrives here
finished, from any depth of the add-on or from the generator. It is known again by its form, ``The film {1} is
missing.``
"""

from __future__ import annotations

import re
from collections.abc import Mapping

WIDE = 0x2E80  # from here on characters are Chinese and Japanese, which have a full stop of their own
_BLANK = re.compile(r"\{(\d+)\}")


class Sentences:
    """``words`` are ``{English: translation}``; in forms, the blanks ``{1}``, ``{2}`` … stand for what is filled in.

    What is said of something named before a colon, ``Moon: its prompt is empty``, is looked up without the name.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = {english: text for english, text in words.items() if not _BLANK.search(english)}
        forms = sorted((english for english in words if _BLANK.search(english)), key=_spelled_out, reverse=True)
        self._forms = [(_pattern(form), words[form]) for form in forms]

    def translated(self, text: str) -> str:
        """``text`` in the other language, with what fills its blanks; as it is where it is not known."""
        if text in self._words:
            return self._words[text]
        for pattern, form in self._forms:
            if found := pattern.fullmatch(text):
                return _BLANK.sub(lambda blank: self.translated(found[int(blank[1])]), form)
        if text.endswith(".") and text[:-1] in self._words:  # said elsewhere as a tooltip, which has no period
            known = self._words[text[:-1]]
            return known + ("。" if ord(known[-1]) >= WIDE else ".")
        whose, colon, rest = text.partition(": ")
        return f"{whose}: {self.translated(rest)}" if colon else text


def _spelled_out(form: str) -> int:
    """How much of a form is fixed: of two that fit, the one that says more is meant."""
    return len(_BLANK.sub("", form))


def _pattern(form: str) -> re.Pattern[str]:
    """Blanks are numbered from 1 in the order of the English sentence."""
    return re.compile("(.+?)".join(re.escape(part) for part in _BLANK.split(form)[::2]), re.DOTALL)

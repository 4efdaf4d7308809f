"""Every word of the add-on in every language, with the same blanks to fill."""

from __future__ import annotations

import re

import pytest

from tests import words

BLANK = re.compile(r"\{[^}]*\}")


def test_the_words_are_found() -> None:
    found = words.of_addon()
    for text in (
        "Generate Sky",  # a label
        "Stop the present work",  # an operator's docstring
        "The same seed and settings give the same sky",  # a property's description
        "{count} unfinished: see History",  # a sentence with a blank
        "Composing the sky",  # a phase
        "A sky cannot be {1} pixels wide: use a multiple of 32, such as {2}.",  # put together without Blender
        "The disk of {1} is full.",  # from the generator
        "once playback stops",  # a part of a sentence
    ):
        assert text in found
    assert not {"Skyloop Sky", "SKYLOOP_PT_main"} & found


@pytest.mark.parametrize("language", words.languages())
def test_nothing_is_left_in_english_and_nothing_is_stale(language: str) -> None:
    have, wanted = words.translations(language), words.of_addon()
    assert wanted - have.keys() == set()
    assert have.keys() - wanted == set()


@pytest.mark.parametrize("language", words.languages())
def test_blanks_and_marks_are_kept(language: str) -> None:
    for english, text in words.translations(language).items():
        assert sorted(BLANK.findall(text)) == sorted(BLANK.findall(english)), english
        assert text.strip() and text == text.strip(), english
        assert not english.isascii() or "\n" not in text, english


def test_why_a_button_is_grey_is_translated() -> None:
    """Blender shows it as it is given, unlike labels and reports."""
    assert words.untranslated() == []

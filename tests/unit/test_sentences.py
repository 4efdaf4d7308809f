"""Sentences are known again by their form."""

from __future__ import annotations

from blender_addon.core.sentences import Sentences

GERMAN = Sentences(
    {
        "The film {1} is missing.": "Der Film {1} fehlt.",
        "{1} is missing.": "{1} fehlt.",
        "It takes {1}, and {2} are free.": "Von {2} freien werden {1} gebraucht.",
        "about {1} min": "etwa {1} min",
        "The prompt": "Der Prompt",
        "{name} of {count}": "{name} von {count}",
    }
)


def test_whole_texts_and_forms() -> None:
    assert GERMAN.translated("The prompt") == "Der Prompt"
    assert GERMAN.translated("The film a.mp4 is missing.") == "Der Film a.mp4 fehlt."  # not "{1} is missing."
    assert GERMAN.translated("a.mp4 is missing.") == "a.mp4 fehlt."
    assert GERMAN.translated("It takes 2 GB, and 1 GB are free.") == "Von 1 GB freien werden 2 GB gebraucht."


def test_what_fills_a_blank_is_translated_too() -> None:
    assert GERMAN.translated("It takes about 5 min, and about 2 min are free.") == (
        "Von etwa 2 min freien werden etwa 5 min gebraucht."
    )
    assert GERMAN.translated("The prompt is missing.") == "Der Prompt fehlt."


def test_what_is_said_of_something_named() -> None:
    assert GERMAN.translated("The prompt: about 5 min") == "The prompt: etwa 5 min"


def test_a_tooltip_as_a_sentence() -> None:
    assert GERMAN.translated("The prompt.") == "Der Prompt."
    assert Sentences({"The prompt": "プロンプト"}).translated("The prompt.") == "プロンプト。"


def test_what_is_not_known_stays() -> None:
    for text in ("", "Etwas fehlt.", " is missing.", "a of b", "The film {1} is missing", "(((", "a: b: c", "\\1 {1}"):
        assert GERMAN.translated(text) == text


def test_paths_with_any_marks_come_through() -> None:
    for path in (r"C:\temp\1{2}", "/a (b)/[c].mp4", "{1}", "näm\ne"):
        assert GERMAN.translated(f"The film {path} is missing.") == f"Der Film {path} fehlt."

"""The words of each language arrive where Blender shows them."""

from __future__ import annotations

import pytest

from tests import words

from .screen import Screen, Walked

LABEL, TITLE, DESCRIPTION = "Style", "History", "Draw another seed and keep it"
FORM = "A sky cannot be {1} pixels wide: use a multiple of 32, such as {2}."


@pytest.fixture(scope="module")
def languages(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("languages")
    return screen.walk(
        "walk_languages.py",
        folder,
        size=(1000, 2600),
        languages=words.languages(),
        label=LABEL,
        title=TITLE,
        description=DESCRIPTION,
        form=filled(FORM),
    )


@pytest.mark.parametrize("language", words.languages())
def test_labels_buttons_titles_and_tooltips(languages: Walked, language: str) -> None:
    said, table = languages.noted[language], words.translations(language)
    assert said["locale"] == language
    assert said["button"] == table["Generate Sky"]
    assert said["title"] == table[TITLE]
    assert said["description"] == table[DESCRIPTION]
    assert said["phase"] == table["Composing the sky"]
    assert said["label"] != LABEL  # Blender's own word


@pytest.mark.parametrize("language", words.languages())
def test_sentences_with_figures_in_them(languages: Walked, language: str) -> None:
    assert languages.noted[language]["form"] == filled(words.translations(language)[FORM]) != filled(FORM)


@pytest.mark.parametrize("language", words.languages())
def test_grey_buttons_say_why(languages: Walked, language: str) -> None:
    assert words.translations(language)["Nothing is being made"] in languages.noted[language]["grey"]


def filled(form: str) -> str:
    return form.replace("{1}", "100").replace("{2}", "96")


def test_english_stays_english(languages: Walked) -> None:
    assert languages.noted["en_US"]["form"] == filled(FORM)
    assert languages.noted["en_US"]["title"] == TITLE


def test_the_panel_changes_its_language(languages: Walked) -> None:
    shown = ["en_US", *words.languages()]
    assert len({(languages.folder / f"{language}.png").read_bytes() for language in shown}) == len(shown)

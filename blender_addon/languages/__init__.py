"""What Skyloop says in other languages: one file of ``{English: translation}`` for each, handed to Blender.

Blender then translates labels, tooltips and reports by itself; sentences that are put together go through ``ui.tr``.
In the files, ``{name}`` is filled in after the translation, ``{1}`` was filled in before (see ``core/sentences.py``).
"""

import functools
import json
from pathlib import Path

import bpy

from ..core.sentences import Sentences
from ..places import PACKAGE

CLASSES = ()
LANGUAGES = ("de_DE", "ja_JP", "zh_HANS")
# Titles of our panels have a context of their own: Blender has other words in mind for some, such as History (of undo).
OWN = "Skyloop"
# The contexts in which Blender looks words up: operators have one of their own for what is on their buttons.
CONTEXTS = ("*", "Operator", OWN)


def register() -> None:
    bpy.app.translations.register(PACKAGE, {language: _table(language) for language in LANGUAGES})


def unregister() -> None:
    bpy.app.translations.unregister(PACKAGE)


def sentence(text: str) -> str:
    """``text`` in the language of Blender's interface, whether it is in the files as it is or by its form."""
    known = bpy.app.translations.pgettext_iface(text)
    language = bpy.app.translations.locale
    if known != text or language not in LANGUAGES or not bpy.context.preferences.view.use_translate_interface:
        return known
    return _formed(language, text)


@functools.lru_cache(maxsize=1024)  # panels ask for the same few sentences at every redraw
def _formed(language: str, text: str) -> str:
    return _sentences(language).translated(text)


@functools.cache
def _sentences(language: str) -> Sentences:
    return Sentences(_words(language))


def _words(language: str) -> dict[str, str]:
    return json.loads(Path(__file__).with_name(f"{language}.json").read_text(encoding="utf-8"))


def _table(language: str) -> dict[tuple[str, str], str]:
    return {(context, english): text for english, text in _words(language).items() for context in CONTEXTS}

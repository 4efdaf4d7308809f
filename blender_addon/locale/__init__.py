"""What Skyloop says in other languages: one file of ``{English: translation}`` for each, handed to Blender.

Blender then translates labels, tooltips and reports by itself; sentences that are put together go through ``ui.tr``.
"""

import json
from pathlib import Path

import bpy

from ..places import PACKAGE

CLASSES = ()
LANGUAGES = ("de_DE", "ja_JP", "zh_HANS")
# The contexts in which Blender looks words up: operators have one of their own for what is on their buttons.
CONTEXTS = ("*", "Operator")


def register() -> None:
    bpy.app.translations.register(PACKAGE, {language: _table(language) for language in LANGUAGES})


def unregister() -> None:
    bpy.app.translations.unregister(PACKAGE)


def _table(language: str) -> dict[tuple[str, str], str]:
    words = json.loads(Path(__file__).with_name(f"{language}.json").read_text(encoding="utf-8"))
    return {(context, english): text for english, text in words.items() for context in CONTEXTS}

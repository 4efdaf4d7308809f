"""Every word that the add-on shows, read from its source; and which of them a language lacks.

    python3 -m tests.words          lists what is missing or no longer used, by language

Standard library only.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ADDON = Path(__file__).resolve().parents[1] / "blender_addon"
LOCALE = ADDON / "locale"
# Not in Blender's window: the headless command, what runs it inside, and what binds processes together.
UNSEEN = {"headless.py", "background.py", "__main__.py", "leash.py"}
# Calls whose strings are for programs or logs.
_SILENT = re.compile(r"^(log|_logger|logger|re|assert)$|Error$|^(getattr|hasattr|isinstance|RuntimeError)$")
# Names of data, files and formats, which stay what they are in every language.
KEPT = re.compile(r"^(Skyloop( .*)?|OpenXR|H\.264|[A-Z0-9_]+|([A-Z][a-z]+){2,}|[A-Za-z]+_(Vector|Float|Color))$")
_SPOKEN = re.compile(r"^[A-Z0-9{“\"'…(][^\n]*[A-Za-z]{2}|^[A-Z][a-z]+\b", re.DOTALL)


def of_addon() -> set[str]:
    """All English texts that may be shown."""
    files = [f for f in sorted(ADDON.rglob("*.py")) if f.name not in UNSEEN]
    return {text for file in files for text in _texts(ast.parse(file.read_text(encoding="utf-8")))}


def _texts(tree: ast.Module) -> Iterator[str]:
    silent = set(map(id, _docstrings(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and _is_operator(node) and (text := ast.get_docstring(node)):
            yield " ".join(text.split())
        if isinstance(node, ast.Call) and _SILENT.search(_root(node.func)):
            silent.update(id(inner) for inner in ast.walk(node) if isinstance(inner, ast.Constant))
        if isinstance(node, ast.JoinedStr):  # put together: ``tr("… {name} …").format(…)`` can be translated, this not
            silent.update(id(inner) for inner in ast.walk(node) if isinstance(inner, ast.Constant))
        if isinstance(node, ast.Subscript):
            silent.add(id(node.slice))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            text = node.value
            if _SPOKEN.match(text) and not KEPT.match(text) and not text.startswith("SKYLOOP"):
                yield text


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    yield statement.value


def _is_operator(node: ast.ClassDef) -> bool:
    return any("Operator" in ast.unparse(base) for base in node.bases)


def _root(function: ast.expr) -> str:
    """``log`` of ``log.error``, ``KeyError`` of ``KeyError``."""
    while isinstance(function, ast.Attribute):
        function = function.value
    return function.id if isinstance(function, ast.Name) else ""


def translations(language: str) -> dict[str, str]:
    return json.loads((LOCALE / f"{language}.json").read_text(encoding="utf-8"))


def languages() -> list[str]:
    return sorted(f.stem for f in LOCALE.glob("*.json"))


def main() -> int:
    wanted, complete = of_addon(), True
    for language in languages():
        have = set(translations(language))
        complete &= have == wanted
        for mark, found in (("missing", wanted - have), ("unused", have - wanted)):
            for text in sorted(found):
                print(f"{language} {mark}: {text!r}")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())

"""Every word that the add-on shows, read from its source; and which of them a language lacks.

    python3 -m tests.words          lists what is missing or no longer used, by language

Standard library only.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from backend.exports.targets import TARGETS, sentence

ADDON = Path(__file__).resolve().parents[1] / "blender_addon"
LOCALE = ADDON / "languages"
# Not in Blender's window: the headless command, what runs it inside, and what binds processes together.
UNSEEN = {"headless.py", "background.py", "__main__.py", "leash.py"}
# What the add-on shows of the generator: why a request cannot be done, or what went wrong.
GENERATOR = (
    "denoise.py",
    "engine.py",
    "exports",
    "inputs.py",
    "methods",
    "protocol.py",
    "jobs",
    "media",
    "models",
    "models/store",
    "runtime",
)
_CATALOGUE = ADDON.parent / "backend" / "models" / "catalogue.toml"
_REFUSALS, _DESCRIBES = ("SkyloopError", "SetupError", "bad_request", "Limit"), ("describe", "problem")
_NOTES = re.compile(r"_?notes?|told|problems|about_light", re.IGNORECASE)  # of an export, and what stands against it
_TABLES = {"failures.py"}
# Calls whose strings are for programs or logs.
_SILENT = re.compile(
    r"^(log|_log|_logger|logger|logging|re|assert|getattr|hasattr|isinstance|removeprefix|startswith)$"
    r"|(?<!Skyloop)(?<!Lost)(Error|Exception|Exit)$"
)
# Words that are given to these are shown, whatever they look like.
_SAYING = ("tr", "paragraph", "poll_message_set")
# Names of data, files, formats and checks, and Blender's of nodes and sockets: the same in every language.
KEPT = re.compile(
    r"(Skyloop(/\w+)?( ([A-Z][a-z]+ ?)+)?|OpenXR|H\.264|[A-Z0-9_]+|([A-Z][a-z]+){2,}|[A-Za-z]+_(Vector|Float|Color)"
    r"|ShaderNode\w+|GIZMO_\w+|steering \{1\}|Color|Emission|Film|From (Min|Max)|Given|Math|Non-Color"
    r"|Linear Rec\.709|Operator|Value|Vector|YouTube|HEVC \(H\.265\)|Godot|Unity|Unreal|OpenGL, KTX|three\.js|OpenEXR"
    r"|Radiance HDR)"
)
_SPOKEN = re.compile(r"^[A-Z0-9{“\"'…(][^\n]*[A-Za-z]{2}|^[A-Z][a-z]+\b", re.DOTALL)
_PHRASE = re.compile(r"[a-z]+( [a-z']+[,:;]?)+\.?")
_WORD_IN_FORM = re.compile(r"(^|[ }])[a-z]{2,}[ :]|[ }][a-z]{2,}(?=[ :.?,)]|$)|^[A-Z][a-z]+ ")
# Prompts: the model reads English.
_PROMPTS = {"styles.py"}


def of_addon() -> set[str]:
    """All English texts that may be shown; what an f-string fills in is ``{1}``, ``{2}`` and so on."""
    files = [f for f in sorted(ADDON.rglob("*.py")) if f.name not in UNSEEN]
    found = {text for file in files for text in _texts(_parsed(file), phrases=file.name not in _PROMPTS)}
    found |= {text for file in _generator() for text in _refusals(_parsed(file))} | set(_of_models())
    found |= {text for file in _generator() if file.parent.name == "exports" for text in _notes(_parsed(file))}
    found |= {text for text in _of_targets() if not KEPT.fullmatch(text)}
    return found | {text for file in _generator() if file.name in _TABLES for text in _listed(_parsed(file))}


def untranslated() -> list[str]:
    """Where the add-on shows text in a way that Blender does not translate, or puts it together without ``ui.tr``."""
    return [
        f"{file.relative_to(ADDON)}:{given.lineno}: {ast.unparse(given)}"
        for file in sorted(ADDON.rglob("*.py"))
        if file.name not in UNSEEN
        for node in ast.walk(_parsed(file))
        if isinstance(node, ast.Call)
        for given in _as_it_is(node)
    ]


def _as_it_is(call: ast.Call) -> Iterator[ast.expr]:
    if _name(call.func) == "poll_message_set":
        yield from (given for given in call.args[:1] if not isinstance(given, ast.Call))
    shown = [keyword.value for keyword in call.keywords if keyword.arg == "text"]
    for given in [*shown, *(call.args[1:2] if _name(call.func) == "report" else [])]:
        if isinstance(given, ast.JoinedStr) and _WORD_IN_FORM.search(_form(given)):
            yield given


def _generator() -> Iterator[Path]:
    for name in GENERATOR:
        place = ADDON.parent / "backend" / name
        yield from [place] if place.is_file() else sorted(place.glob("*.py"))


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _texts(tree: ast.Module, phrases: bool) -> Iterator[str]:
    silent, said = set(map(id, _docstrings(tree))), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and _is_operator(node) and (text := ast.get_docstring(node)):
            yield " ".join(text.split())
        if isinstance(node, ast.Call) and any(_SILENT.search(name(node.func)) for name in (_root, _name)):
            silent.update(id(inner) for inner in ast.walk(node))
        if isinstance(node, ast.Call) and _name(node.func) in _SAYING:
            said.update(id(given) for given in node.args)
        if isinstance(node, ast.JoinedStr):
            silent.update(id(inner) for inner in ast.walk(node) if isinstance(inner, ast.Constant))
        if isinstance(node, ast.Subscript):
            silent.add(id(node.slice))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            silent.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr) and _WORD_IN_FORM.search(form := _form(node)) and not KEPT.fullmatch(form):
            yield form
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            spoken = id(node) in said or _SPOKEN.match(text) or (phrases and _PHRASE.fullmatch(text))
            if spoken and not KEPT.fullmatch(text) and not text.startswith("SKYLOOP"):
                yield text


def _listed(tree: ast.Module) -> Iterator[str]:
    """What a table of errors says; what is filled in arrives in it, so its blanks are numbered."""
    silent = set(map(id, _docstrings(tree)))
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in silent else None
        if isinstance(text, str) and re.fullmatch(r"[A-Z{].* .*\.", text):
            yield _numbered(text)


def _numbered(text: str) -> str:
    count = itertools.count(1)
    return re.sub(r"{\w+}", lambda blank: f"{{{next(count)}}}", text)


def _refusals(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _refuses(node.func):
            for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield from _either(given)
        if isinstance(node, ast.FunctionDef) and node.name in _DESCRIBES:  # what will compute
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value:
                    yield from _either(inner.value)


def _of_models() -> Iterator[str]:
    """What each model is good for, what it needs, and what its licence asks."""
    for model in tomllib.loads(_CATALOGUE.read_text(encoding="utf-8"))["model"]:
        limits = model.get("licence", {}).get("limits")
        yield from filter(None, (model.get("summary"), model.get("needs"), limits))


def _of_targets() -> Iterator[str]:
    """What a sky can be exported for, and what can be chosen then."""
    for target in TARGETS.values():
        yield from (target.title, sentence(target.help))
        for option in target.options:
            yield from (option.title, sentence(option.help), *option.choices.values())


def _notes(tree: ast.Module) -> Iterator[str]:
    """Sentences in functions and names that say what they hold are notes, or that are appended to such."""
    silent = set(map(id, _docstrings(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            named = node.name
        elif isinstance(node, ast.Assign | ast.AugAssign):
            named = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        elif isinstance(node, ast.Call) and _name(node.func) == "append":
            named = _root(node.func)
        else:
            continue
        if _NOTES.fullmatch(named):
            formed = [inner for inner in ast.walk(node) if isinstance(inner, ast.JoinedStr)]
            parts = {id(part) for inner in formed for part in ast.walk(inner) if part is not inner}
            for inner in ast.walk(node):
                if id(inner) not in parts | silent and isinstance(inner, ast.Constant | ast.JoinedStr):
                    yield from (text for text in _either(inner) if re.search("[a-z] ", text))


def _refuses(function: ast.expr) -> bool:
    return _name(function) in _REFUSALS or (_name(function) == "error" and _root(function) in ("self", "job"))


def _either(given: ast.expr) -> Iterator[str]:
    for part in [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]:
        if isinstance(part, ast.JoinedStr) and re.search("[a-z]{2}", re.sub(r"{\d+}", "", _form(part))):
            yield _form(part)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
            yield part.value


def _form(node: ast.JoinedStr) -> str:
    """``The film {1} is missing.`` of ``f"The film {path} is missing."``."""
    count, parts = 0, []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(part.value)
        else:
            parts.append(f"{{{(count := count + 1)}}}")
    return "".join(parts)


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


def _name(function: ast.expr) -> str:
    """``report`` of ``self.report``."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


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

"""An Unreal to run editor scripts in, that knows what the package ``unreal-stub`` (5.6) says and nothing else.

Every class, method, number of arguments, enumeration member and editor property that a script uses has to be in the
stub, else the script fails as it would in the editor. The stub itself cannot be imported, so its text is read.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOTS = {"_WrapperBase", "_ObjectBase", "object", "StructBase", "EnumBase"}
_TOP = re.compile(r"^(?:class|def) (\w+)\b", re.MULTILINE)
_PLUGIN = re.compile(r"- \*\*Plugin\*\*: (\w+)")
_PROPERTY = re.compile(r"^ +- ``(\w+)`` \([^)]*\):  \[Read-(Write|Only)\]", re.MULTILINE)


class Thing:
    """An object, struct or enumeration of Unreal's; ``properties`` are those that were set."""

    def __init__(self, *values: object) -> None:
        self.values = values
        self.properties = dict[str, Any]()

    @classmethod
    def static_class(cls) -> type[Thing]:
        return cls

    @classmethod
    def cast(cls, thing: object) -> Any:
        if not isinstance(thing, cls):
            raise TypeError(f"{type(thing).__name__} is no {cls.__name__}")
        return thing

    def set_editor_property(self, name: str, value: object) -> None:
        kind = next((_stub(owner)[name] for owner in type(self).__mro__ if name in _stub(owner)), "")
        if kind != "Write":
            raise AttributeError(f"{type(self).__name__} has no editor property {name} that can be set")
        self.properties[name] = value

    def set_editor_properties(self, properties: dict[str, object]) -> None:
        for name, value in properties.items():
            self.set_editor_property(name, value)


def _stub(owner: type) -> dict[str, str]:
    return owner.__dict__.get("stub", {})


class Unreal(types.ModuleType):
    """The module ``unreal``. ``answers`` gives what methods return, by ``Class.method``; others return None. ``calls``
    are all calls in order, as (name, object or class, arguments). What a plugin brings is there only for those
    of ``plugins``."""

    def __init__(self, answers: dict[str, Callable[..., Any]], plugins: frozenset[str]) -> None:
        super().__init__("unreal")
        self.answers = answers
        self.plugins = plugins
        self.calls = list[tuple[str, Any, tuple[Any, ...]]]()
        self._text = _stub_text()
        starts = [(match.start(), match[1]) for match in _TOP.finditer(self._text)]
        ends = [start for start, _ in starts[1:]] + [len(self._text)]
        self._blocks = {name: (start, end) for (start, name), end in zip(starts, ends, strict=True)}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._blocks:
            raise AttributeError(f"unreal has no {name}")
        start, end = self._blocks[name]
        plugin = _PLUGIN.search(self._text[start:end])
        if plugin and plugin[1] not in self.plugins:
            raise AttributeError(f"unreal has {name} only with the plugin {plugin[1]}")
        node = ast.parse(self._text[start:end]).body[0]
        made = self._class(node, self._text[start:end]) if isinstance(node, ast.ClassDef) else self._function(node, "")
        setattr(self, name, made)
        return made

    def _class(self, node: ast.ClassDef, block: str) -> type[Thing]:
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        namespace: dict[str, Any] = {"stub": dict(_PROPERTY.findall(block.split('"""')[1]))}
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                namespace[part.target.id] = f"{node.name}.{part.target.id}"
            elif isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                namespace.setdefault(part.name, self._member(part, node.name))
        found = tuple(getattr(self, base) for base in bases if base not in _ROOTS)
        return type(node.name, found or (Thing,), namespace)

    def _member(self, node: ast.FunctionDef, owner: str) -> Any:
        kinds = {decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)}
        made = self._function(node, owner)
        return property(made) if "property" in kinds else classmethod(made) if "classmethod" in kinds else made

    def _function(self, node: Any, owner: str) -> Callable[..., Any]:
        """Checks the number of arguments, remembers the call and gives the answer."""
        name = f"{owner}.{node.name}".lstrip(".")
        most = len(node.args.args)
        least = most - len(node.args.defaults)

        def call(*values: Any) -> Any:
            if not least <= len(values) <= most:
                raise TypeError(f"{name} takes {least} to {most} arguments, not {len(values)}")
            mine = values[1:] if owner else values
            self.calls.append((name, values[0] if owner else None, mine))
            answer = self.answers.get(name)
            return answer(*values) if answer else None

        return call


def _stub_text() -> str:
    found = importlib.util.find_spec("unreal")
    assert found and found.origin, "unreal-stub is part of the test environment"
    return Path(found.origin).with_name("unreal.py").read_text(encoding="utf-8-sig")

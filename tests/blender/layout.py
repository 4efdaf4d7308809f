"""A stand-in for ``bpy.types.UILayout``, as Blender draws nothing without a window: checks calls, notes texts."""

from types import SimpleNamespace
from typing import Any

import bpy

FUNCTIONS = bpy.types.UILayout.bl_rna.functions


class Layout:
    """Knows what the real one knows: functions, their arguments, icons, properties, operators. ``said`` is shared."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def __setattr__(self, name: str, value: Any) -> None:
        assert name == "said" or name in bpy.types.UILayout.bl_rna.properties, name
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(name)
        parameters = FUNCTIONS[name].parameters
        special = {"prop": self._prop, "operator": self._operator}.get(name)

        def call(*args: Any, **named: Any) -> Any:
            inputs = [p.identifier for p in parameters if not p.is_output]
            given = dict(zip(inputs, args, strict=False)) | named
            assert set(given) <= set(inputs), f"{name}({set(given) - set(inputs)})"
            if "icon" in given:
                assert given["icon"] in parameters["icon"].enum_items, given["icon"]
            return special(given) if special else self._other(given)

        return call

    def _prop(self, given: dict[str, Any]) -> None:
        self.said.append(given.get("text") or given["data"].bl_rna.properties[given["property"]].name)

    def _operator(self, given: dict[str, Any]) -> SimpleNamespace:
        category, name = given["operator"].split(".")
        rna = getattr(getattr(bpy.ops, category), name).get_rna_type()
        self.said.append(f"[{given.get('text') or rna.name}]")
        return SimpleNamespace()

    def _other(self, given: dict[str, Any]) -> "Layout":
        if given.get("text"):
            self.said.append(given["text"])
        return Layout(self.said)


def drawn(panel: type, context: bpy.types.Context) -> str:
    """All the text of a panel as it would be drawn now; empty when it would not be."""
    if hasattr(panel, "poll") and not panel.poll(context):
        return ""
    said: list[str] = []
    # Blender alone makes panels; their functions, though, are plain ones.
    functions = {name: value for name, value in vars(panel).items() if callable(value)}
    stand_in: Any = type("StandIn", (), functions)()
    stand_in.layout = Layout(said)
    stand_in.draw(context)
    return " ".join(said)

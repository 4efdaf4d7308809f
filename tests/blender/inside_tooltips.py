"""What Blender says about everything of Skyloop's under the mouse."""

from collections.abc import Iterator
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import MODULE, part


def tooltips(_: dict[str, Any]) -> list[dict[str, Any]]:
    """``{of, name, text, kind}`` of every operator, property, choice and slider that is shown."""
    addon_utils.enable(MODULE, default_set=True)
    return list(_all())


def _all() -> Iterator[dict[str, Any]]:
    for cls in part("blender_addon.registration").CLASSES:
        if issubclass(cls, bpy.types.Operator):
            namespace, name = cls.bl_idname.split(".")
            rna = getattr(getattr(bpy.ops, namespace), name).get_rna_type()
            yield {"kind": "operator", "of": cls.bl_idname, "name": rna.name, "text": rna.description}
            yield from _properties(cls.bl_idname, rna)
        elif issubclass(cls, bpy.types.PropertyGroup | bpy.types.AddonPreferences):
            yield from _properties(cls.__name__, cls.bl_rna)
    for slider in part("blender_addon.sky.nodes").SLIDERS:
        yield {"kind": "slider", "of": "Skyloop Sky", "name": slider.name, "text": slider.description}


def _properties(owner: str, rna: Any) -> Iterator[dict[str, Any]]:
    inherited = {p.identifier for p in rna.base.properties} if rna.base else set()
    for prop in rna.properties:
        if prop.identifier in inherited | {"rna_type"} or prop.is_hidden:
            continue
        place = f"{owner}.{prop.identifier}"
        yield {"kind": prop.type.lower(), "of": place, "name": prop.name, "text": prop.description}
        if prop.type == "ENUM":
            for item in prop.enum_items_static:
                yield {
                    "kind": "choice",
                    "of": f"{place}={item.identifier}",
                    "name": item.name,
                    "text": item.description,
                }

"""Every panel of the tab open at once, in a wide sidebar, a narrow one, and perhaps enlarged in that; at a resolution
scale."""

from typing import Any

import bpy
import walking as w


def walk() -> w.Walk:
    bpy.context.preferences.view.ui_scale = w.ARGS["scale"]
    session = w.part("blender_addon.session").current()
    session.runtime = w.part("blender_addon.core.installed").CommandRuntime(["false"])
    session.refresh()
    scene = bpy.context.scene
    scene.skyloop.prompt, scene.skyloop.direct.only_camera = "northern lights", True
    bpy.ops.skyloop.apply_world(job=w.ARGS["job"])
    bpy.ops.skyloop.choose_model(model="ltx-2b")  # one with much to say
    with w.override():
        bpy.ops.skyloop.region_add()
    bpy.context.view_layer.objects.active.skyloop.prompt = "moon"
    for cls in panels():
        bpy.utils.unregister_class(cls)
    for cls in reversed(panels()):
        cls.bl_options = set()  # open from the start
        bpy.utils.register_class(cls)
    yield 1.0
    yield from w.open_tab("Skyloop")
    for name, width in w.ARGS["widths"].items():
        yield from drag_to(round(width * w.ARGS["scale"]))
        yield from w.show(name, faint=True)
        w.note(**{f"{name}_width": w.region("UI").width})
    if not w.ARGS["enlarged"]:
        return
    region = w.region("UI")
    with bpy.context.temp_override(window=w.window(), area=w.view3d(), region=region):
        bpy.ops.view2d.zoom_in(zoomfacx=w.ARGS["enlarged"], zoomfacy=w.ARGS["enlarged"])  # as Ctrl and + do
    yield from w.show("enlarged", faint=True)
    w.note(enlarged_width=region.view2d.region_to_view(region.width, 0)[0] - region.view2d.region_to_view(0, 0)[0])


def panels() -> list[Any]:
    """Those of the tab, children before their parents."""
    found = [
        cls
        for cls in w.part("blender_addon.registration").CLASSES
        if issubclass(cls, bpy.types.Panel) and getattr(cls, "bl_category", "") == "Skyloop"
    ]
    return found[::-1]


def drag_to(width: int) -> w.Walk:
    """Drag the sidebar's edge with the mouse; again where Blender was too busy to see it. Raises ``TimeoutError``."""
    for _ in range(5):
        left, top, now, height = w.frame_of("UI")
        if abs(now - width) < 8:
            return
        left, y = left - 3, top + height // 2  # outside of it, as within it belongs to what lies there
        w.xdotool("mousemove", left, y)
        yield w.PATIENCE_S
        w.xdotool("mousedown", 1)
        yield w.PATIENCE_S
        for step in (0.3, 0.6, 1.0):
            w.xdotool("mousemove", left + round((now - width) * step), y)
            yield w.PATIENCE_S
        w.xdotool("mouseup", 1)
        yield w.PATIENCE_S
    raise TimeoutError(f"the sidebar cannot be dragged to {width} pixels: it has {w.region('UI').width}")


w.start(walk())

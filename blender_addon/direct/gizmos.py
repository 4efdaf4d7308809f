"""Handles of the selected region in the viewport: one to drag it over the sky, one at its edge for the radius."""

import bpy
from mathutils import Matrix

from ..core import directions
from ..core.directions import Vector
from . import overlay, regions, view
from .operators import SKYLOOP_OT_region_drag, SKYLOOP_OT_region_resize

SIZE_PX = 10.0


class SKYLOOP_GGT_region(bpy.types.GizmoGroup):
    """Flat handles, as the sky has no depth; they follow the view."""

    bl_idname = "SKYLOOP_GGT_region"
    bl_label = "Sky Region"
    bl_space_type = "VIEW_3D"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SCALE"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return overlay.shown_in(context) and regions.is_region(context.view_layer.objects.active)

    def setup(self, context: bpy.types.Context) -> None:
        self.middle = self._handle("VIEW_PAN", SKYLOOP_OT_region_drag.bl_idname)
        self.edge = self._handle("ARROW_LEFTRIGHT", SKYLOOP_OT_region_resize.bl_idname)

    def _handle(self, icon: str, operator: str) -> bpy.types.Gizmo:
        made = self.gizmos.new("GIZMO_GT_button_2d")
        made.icon, made.draw_options = icon, {"BACKDROP", "OUTLINE"}
        made.scale_basis = SIZE_PX
        made.color, made.color_highlight = (0.1, 0.1, 0.1), (0.9, 0.9, 0.9)
        made.alpha, made.alpha_highlight = 0.6, 0.9
        made.target_set_operator(operator)
        return made

    def draw_prepare(self, context: bpy.types.Context) -> None:
        scene, thing = context.scene, context.view_layer.objects.active
        at = regions.direction_of(scene, thing) if regions.is_region(thing) else None
        ahead = directions.direction(*at) if at else None
        around = ahead is not None and thing.skyloop.around
        self._put(self.middle, context, [ahead] if ahead and not around else [])
        rims = directions.rims(ahead, thing.skyloop.radius_deg, around=around) if ahead else []
        self._put(self.edge, context, [point for rim in rims for point in rim])

    def _put(self, handle: bpy.types.Gizmo, context: bpy.types.Context, places: list[Vector]) -> None:
        """Show it at the first of the places that is in view."""
        margin = 2 * SIZE_PX * context.preferences.system.ui_scale
        region = context.region
        for place in places:
            found = view.to_pixels(region, context.region_data, place)
            if found and all(
                margin < x < size - margin for x, size in zip(found, (region.width, region.height), strict=True)
            ):
                handle.matrix_basis = Matrix.Translation((*found, 0.0))
                handle.hide = False
                return
        handle.hide = True


CLASSES = (SKYLOOP_GGT_region,)

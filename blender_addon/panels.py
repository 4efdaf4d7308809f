"""The Skyloop tab in the 3D View's sidebar. Drawing only reads what is known already: no disk, no waiting."""

import textwrap
from pathlib import Path

import bpy

from . import session, world
from .core.jobs import Listed
from .core.state import State
from .operators import (
    SKYLOOP_OT_apply_world,
    SKYLOOP_OT_cancel,
    SKYLOOP_OT_copy_report,
    SKYLOOP_OT_delete_job,
    SKYLOOP_OT_dismiss,
    SKYLOOP_OT_front_from_camera,
    SKYLOOP_OT_generate,
    SKYLOOP_OT_install,
    SKYLOOP_OT_match_timeline,
    SKYLOOP_OT_open_folder,
    SKYLOOP_OT_open_log,
    SKYLOOP_OT_pause,
    SKYLOOP_OT_queue_move,
    SKYLOOP_OT_queue_remove,
    SKYLOOP_OT_recall,
    SKYLOOP_OT_refresh_history,
    SKYLOOP_OT_release,
    SKYLOOP_OT_restore_world,
    SKYLOOP_OT_resume_job,
    SKYLOOP_OT_resume_queue,
)

MAX_ROWS = 8


def paragraph(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", beside: float = 0.0
) -> None:
    """Text over as many lines as the sidebar's width asks for; labels do not wrap by themselves.

    ``beside`` is the width, in units of a button's height, that other things on the same line take.
    """
    region, scale = context.region, context.preferences.system.ui_scale
    taken = 60.0 + 20.0 * (beside + (icon != "NONE"))
    columns = max(20, int((region.width / scale - taken) / 6.0)) if region else 40
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, columns)):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


class SkyloopPanel:
    """What all panels of the tab share."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Skyloop"


class SKYLOOP_PT_main(SkyloopPanel, bpy.types.Panel):
    bl_label = "Skyloop"

    def draw(self, context: bpy.types.Context) -> None:
        now = session.current()
        if now.problem:
            self.draw_problem(context, now)
        if now.state in (State.NOT_INSTALLED, State.INSTALLING):
            self.draw_setup(context, now)
        else:
            self.draw_request(context, now)

    def draw_setup(self, context: bpy.types.Context, now: session.BlenderSession) -> None:
        layout = self.layout
        if now.state is State.INSTALLING:
            layout.label(text="Setting up the generator", icon="IMPORT")
            layout.progress(factor=now.progress.factor, text=now.progress_text)
            layout.operator(SKYLOOP_OT_cancel.bl_idname, icon="X")
            paragraph(layout, context, "You can go on working. If it is interrupted, it goes on from there next time.")
            return
        paragraph(
            layout,
            context,
            "Skyloop needs its generator, which is set up once in a folder of its own: about 2 GB to download and "
            "keep, 8 GB with an NVIDIA card.",
            icon="INFO",
        )
        column = layout.column()
        column.scale_y = 1.5
        column.operator(SKYLOOP_OT_install.bl_idname, icon="IMPORT")
        if not bpy.app.online_access:
            paragraph(
                layout, context, "Blender is set to stay offline. The download needs online access; nothing else does."
            )
            layout.operator("screen.userpref_show", text="Open Preferences", icon="PREFERENCES").section = "SYSTEM"

    def draw_request(self, context: bpy.types.Context, now: session.BlenderSession) -> None:
        layout, settings = self.layout, context.scene.skyloop
        column = layout.column()
        column.prop(settings, "prompt", text="", placeholder="A sky in a few words", icon="OUTLINER_OB_FONT")
        column.row(align=True).prop(settings, "quality", expand=True)
        if settings.quality == "CUSTOM":
            column.prop(settings, "custom_width")
        column = layout.column()
        column.scale_y = 1.5
        if now.queue.tasks:
            column.operator(SKYLOOP_OT_generate.bl_idname, text="Add to Queue", icon="ADD")
        else:
            column.operator(SKYLOOP_OT_generate.bl_idname, icon="RENDER_ANIMATION")
        problems = settings.request(device="auto").problems() if settings.prompt else []
        for problem in problems[:1]:
            paragraph(layout, context, problem, icon="INFO")
        if now.queue.tasks:
            self.draw_running(layout, now)
            self.draw_waiting(layout, now)
        elif now.unfinished:
            layout.label(text=f"{len(now.unfinished)} unfinished: see History", icon="RECOVER_LAST")
        if now.just_done:
            self.draw_result(context, now, now.just_done)

    def draw_running(self, layout: bpy.types.UILayout, now: session.BlenderSession) -> None:
        row = layout.row(align=True)
        if task := now.queue.running:
            row.progress(factor=now.progress.factor, text=now.progress_text)
        else:
            row.label(text=now.label)
        if now.queue.paused:
            row.operator(SKYLOOP_OT_resume_queue.bl_idname, text="", icon="PLAY")
            row.operator(SKYLOOP_OT_release.bl_idname, text="", icon="MEMORY")
        else:
            row.operator(SKYLOOP_OT_pause.bl_idname, text="", icon="PAUSE")
        row.operator(SKYLOOP_OT_cancel.bl_idname, text="", icon="X")
        if task:
            layout.label(text=task.title)
        if icon := now.picture(now.preview, now.preview_edition):
            layout.template_icon(icon_value=icon, scale=9.0)

    def draw_waiting(self, layout: bpy.types.UILayout, now: session.BlenderSession) -> None:
        waiting = now.queue.waiting
        if not waiting:
            return
        column = layout.column(align=True)
        column.label(text=f"{len(waiting)} waiting:", icon="TIME")
        for task in waiting[:MAX_ROWS]:
            row = column.row(align=True)
            row.label(text=task.title)
            for direction, icon in (("UP", "TRIA_UP"), ("DOWN", "TRIA_DOWN")):
                button = row.operator(SKYLOOP_OT_queue_move.bl_idname, text="", icon=icon)
                button.job, button.direction = str(task.folder), direction
            row.operator(SKYLOOP_OT_queue_remove.bl_idname, text="", icon="X").job = str(task.folder)
        if len(waiting) > MAX_ROWS:
            column.label(text=f"and {len(waiting) - MAX_ROWS} more")

    def draw_result(self, context: bpy.types.Context, now: session.BlenderSession, job: Path) -> None:
        box = self.layout.box()
        if icon := now.picture(job / "poster.png"):
            box.template_icon(icon_value=icon, scale=9.0)
        applied = context.scene.world and context.scene.world.skyloop.job == str(job)
        row = box.row(align=True)
        if applied:
            row.label(text="Done: this is the World now", icon="CHECKMARK")
        else:
            row.operator(SKYLOOP_OT_apply_world.bl_idname, icon="WORLD").job = str(job)
        row.operator(SKYLOOP_OT_open_folder.bl_idname, text="", icon="FILE_FOLDER").path = str(job)

    def draw_problem(self, context: bpy.types.Context, now: session.BlenderSession) -> None:
        problem = now.problem
        assert problem
        box = self.layout.box()
        row = box.row()
        column = row.column()
        column.alert = True
        paragraph(column, context, problem.message, icon="ERROR", beside=2.0)
        row.operator(SKYLOOP_OT_dismiss.bl_idname, text="", icon="X", emboss=False)
        for text in filter(None, (problem.hint, problem.onward)):
            paragraph(box, context, text)
        row = box.row(align=True)
        if problem.job:
            row.operator(SKYLOOP_OT_resume_job.bl_idname, icon="PLAY").job = str(problem.job)
        if problem.log:
            row.operator(SKYLOOP_OT_open_log.bl_idname, icon="TEXT")
        row.operator(SKYLOOP_OT_copy_report.bl_idname, icon="COPYDOWN")


class SKYLOOP_PT_settings(SkyloopPanel, bpy.types.Panel):
    bl_label = "Settings"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().state not in (State.NOT_INSTALLED, State.INSTALLING)

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.skyloop
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "negative")
        column = layout.column(align=True)
        row = column.row()
        row.enabled = not settings.random_seed
        row.prop(settings, "seed")
        column.prop(settings, "random_seed")
        column = layout.column(align=True)
        column.prop(settings, "frames")
        column.prop(settings, "fps")
        column.prop(settings, "loop")
        layout.prop(settings, "fov_deg")
        column = layout.column(align=True)
        column.prop(settings, "steps")
        column.prop(settings, "guidance")
        layout.prop(settings, "auto_apply")


class SKYLOOP_PT_world(SkyloopPanel, bpy.types.Panel):
    bl_label = "World"
    bl_parent_id = "SKYLOOP_PT_main"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = True
        layout.use_property_decorate = False
        row = layout.row(align=True)
        row.prop(scene.skyloop, "front_deg")
        row.operator(SKYLOOP_OT_front_from_camera.bl_idname, text="", icon="CAMERA_DATA")
        if not world.is_sky(scene.world):
            return
        nodes = scene.world.node_tree.nodes if scene.world.node_tree else ()
        background = next((n for n in nodes if n.bl_idname == "ShaderNodeBackground"), None)
        if background:
            layout.prop(background.inputs["Strength"], "default_value", text="Strength")
        self.draw_timeline(context, scene)
        layout.operator(SKYLOOP_OT_restore_world.bl_idname, icon="LOOP_BACK")

    def draw_timeline(self, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        scene_fps, sky_fps = scene.render.fps / scene.render.fps_base, scene.world.skyloop.fps
        if abs(scene_fps - sky_fps) > 0.01:
            paragraph(
                self.layout,
                context,
                f"The scene runs at {scene_fps:g} fps, the sky was made for {sky_fps:g}.",
                icon="INFO",
            )
            button = self.layout.operator(
                SKYLOOP_OT_match_timeline.bl_idname, text=f"Set Scene to {sky_fps:g} fps", icon="TIME"
            )
            button.fps, button.frame_range = True, False
        image = world.sky_image(scene.world)
        if image and (scene.frame_end - scene.frame_start + 1) % max(1, image.frame_duration):
            button = self.layout.operator(
                SKYLOOP_OT_match_timeline.bl_idname,
                text=f"Set Scene to Frames 1-{image.frame_duration}",
                icon="PREVIEW_RANGE",
            )
            button.fps, button.frame_range = False, True


class SKYLOOP_UL_history(bpy.types.UIList):
    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index) -> None:
        now = session.current()
        if index < len(now.history):
            layout.label(text=item.name, icon_value=now.picture(now.history[index].folder / "poster.png"))


class SKYLOOP_PT_history(SkyloopPanel, bpy.types.Panel):
    bl_label = "History"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, shown = self.layout, context.window_manager.skyloop
        row = layout.row()
        row.template_list("SKYLOOP_UL_history", "", shown, "history", shown, "history_index", rows=4)
        row.operator(SKYLOOP_OT_refresh_history.bl_idname, text="", icon="FILE_REFRESH")
        now = session.current()
        if job := now.chosen():
            self.draw_job(context, now, job)
        else:
            paragraph(layout, context, "Finished skies appear here.")
        if now.unfinished:
            self.draw_unfinished(now.unfinished)

    def draw_job(self, context: bpy.types.Context, now: session.BlenderSession, job: Listed) -> None:
        layout, card, folder = self.layout, job.card, str(job.folder)
        if icon := now.picture(job.folder / "poster.png"):
            layout.template_icon(icon_value=icon, scale=8.0)
        paragraph(layout, context, card.prompt)
        paragraph(layout, context, f"{card.width} x {card.height}, {card.frames} frames, seed {card.seed}")
        row = layout.row(align=True)
        row.operator(SKYLOOP_OT_apply_world.bl_idname, icon="WORLD").job = folder
        row.operator(SKYLOOP_OT_recall.bl_idname, text="", icon="COPYDOWN").job = folder
        row.operator(SKYLOOP_OT_open_folder.bl_idname, text="", icon="FILE_FOLDER").path = folder
        row.operator(SKYLOOP_OT_delete_job.bl_idname, text="", icon="TRASH").job = folder

    def draw_unfinished(self, found: list[Listed]) -> None:
        box = self.layout.box()
        box.label(text="Unfinished", icon="RECOVER_LAST")
        for job in found[:MAX_ROWS]:
            row = box.row(align=True)
            row.label(text=job.title)
            text = "Resume" if job.resumable else "Start Again"
            row.operator(SKYLOOP_OT_resume_job.bl_idname, text=text, icon="PLAY").job = str(job.folder)
            row.operator(SKYLOOP_OT_delete_job.bl_idname, text="", icon="TRASH").job = str(job.folder)
        if len(found) > MAX_ROWS:
            box.label(text=f"and {len(found) - MAX_ROWS} more")


CLASSES = (SKYLOOP_PT_main, SKYLOOP_PT_settings, SKYLOOP_PT_world, SKYLOOP_UL_history, SKYLOOP_PT_history)

"""What can be done with a sky that was made earlier."""

import math
import random
from dataclasses import replace
from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from .. import places, session
from ..core import jobs
from ..core.words import size_text
from ..create.properties import MAX_SEED
from ..create.request import recall
from ..ui import Action, tr

MAX_ROWS = 8  # of a list in a panel or dialog


class SKYLOOP_OT_delete_job(Action, bpy.types.Operator):
    """Delete the files of this sky from the disk"""

    bl_idname = "skyloop.delete_job"
    bl_label = "Delete from Disk"
    bl_options = {"REGISTER"}  # No UNDO: the files are gone.

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        ask = context.window_manager.invoke_confirm
        listed = session.current().listed(Path(self.job))
        name = listed.title if listed else Path(self.job).name
        text = tr("{name}: this cannot be undone").format(name=name)
        return ask(self, event, title=self.bl_label, message=text, confirm_text="Delete", icon="WARNING")

    def act(self, context: bpy.types.Context) -> None:
        session.current().delete(jobs.known(Path(self.job), session.current().roots()))
        session.wake()


class SKYLOOP_OT_recall(Action, bpy.types.Operator):
    """Set prompt, seed and all other settings to those of this sky"""

    bl_idname = "skyloop.recall"
    bl_label = "Use These Settings"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def act(self, context: bpy.types.Context) -> None:
        recall(context.scene, jobs.read(Path(self.job)).request)


class SKYLOOP_OT_reroll(Action, bpy.types.Operator):
    """Make this sky once more, with the same settings and a new seed"""

    bl_idname = "skyloop.reroll"
    bl_label = "New Seed"
    bl_options = {"REGISTER"}  # No UNDO: only applying the result changes the file.

    job: StringProperty(name="Sky", description="The folder of an earlier sky", options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return session.current().why_not

    def act(self, context: bpy.types.Context) -> None:
        now = session.current()
        earlier = jobs.read(jobs.known(Path(self.job), now.roots())).request
        seed = random.randrange(MAX_SEED + 1)
        now.generate_for(context.scene, replace(earlier, seed=seed, device=places.device()))
        session.wake()


class SKYLOOP_OT_pin(Action, bpy.types.Operator):
    """Mark this sky as a favourite, or no longer. Favourites stay when space is freed"""

    bl_idname = "skyloop.pin"
    bl_label = "Favourite"
    bl_options = {"REGISTER"}  # No UNDO: the mark is with the files of the sky.

    job: StringProperty(name="Sky", description="The folder of an earlier sky", options={"SKIP_SAVE", "HIDDEN"})
    pinned: BoolProperty(name="Favourite", description="Whether it is one", default=True, options={"SKIP_SAVE"})

    def act(self, context: bpy.types.Context) -> None:
        now = session.current()
        now.pin(jobs.known(Path(self.job), now.roots()), self.pinned)
        session.wake()


class SKYLOOP_OT_free_space(Action, bpy.types.Operator):
    """Delete old skies from the disk. Favourites, unfinished ones and those that this file uses stay"""

    bl_idname = "skyloop.free_space"
    bl_label = "Free Space"
    bl_options = {"REGISTER"}  # No UNDO: the files are gone.

    keep_mb: IntProperty(
        name="Keep at Most (MB)",
        description="Quick candidates go first, then the oldest skies, until the rest takes no more than this",
        min=0,
        default=1000,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.keep_mb = math.ceil(session.current().archive.used_bytes / 2e6)  # half of it
        ask = context.window_manager.invoke_props_dialog
        return ask(self, width=340, title=self.bl_label, confirm_text="Delete")

    def draw(self, context: bpy.types.Context) -> None:
        layout, now = self.layout, session.current()
        layout.prop(self, "keep_mb")
        goes, used = now.to_free(self.keep_mb * 1e6), size_text(now.archive.used_bytes)
        if not goes:
            layout.label(text=tr("Nothing to delete: {size} in all").format(size=used), translate=False)
            return
        freed = size_text(sum(job.bytes for job in goes))
        text = tr("Deletes {count}: {freed} of {size}. This cannot be undone:")
        layout.label(text=text.format(count=len(goes), size=used, freed=freed), icon="ERROR", translate=False)
        column = layout.column(align=True)
        column.scale_y = 0.8
        for job in goes[:MAX_ROWS]:
            column.label(text=f"{job.title}  ({size_text(job.bytes)})", icon="BLANK1", translate=False)
        if len(goes) > MAX_ROWS:
            column.label(text=tr("and {count} more").format(count=len(goes) - MAX_ROWS), icon="BLANK1", translate=False)

    def act(self, context: bpy.types.Context) -> None:
        now = session.current()
        count = len(now.to_free(self.keep_mb * 1e6))
        now.free(self.keep_mb * 1e6)
        self.report({"INFO"}, tr("{count} deleted").format(count=count))
        session.wake()


class SKYLOOP_OT_open_folder(Action, bpy.types.Operator):
    """Show the files of this sky"""

    bl_idname = "skyloop.open_folder"
    bl_label = "Open Folder"
    bl_options = {"REGISTER"}

    path: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def act(self, context: bpy.types.Context) -> set[str]:
        folder = jobs.known(Path(self.path), session.current().roots())
        return bpy.ops.wm.path_open(filepath=str(folder))


class SKYLOOP_OT_refresh_history(Action, bpy.types.Operator):
    """Look again for skies on the disk"""

    bl_idname = "skyloop.refresh_history"
    bl_label = "Refresh"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        session.current().scan_history()
        session.wake()


CLASSES = (
    SKYLOOP_OT_delete_job,
    SKYLOOP_OT_recall,
    SKYLOOP_OT_reroll,
    SKYLOOP_OT_pin,
    SKYLOOP_OT_free_space,
    SKYLOOP_OT_open_folder,
    SKYLOOP_OT_refresh_history,
)

"""The buttons that set the generator up, repair it, move it and take it away."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ...backend.protocol import SkyloopError
from .. import session
from ..ui import refused, tr

OFFLINE = "It is downloaded once: allow online access first. Everything works offline afterwards"


def why_not_change(now: session.BlenderSession) -> str:
    """What stands in the way of changing the generator; empty when nothing does."""
    if now.installing:
        return "Wait for the set-up to end, or cancel it"
    if now.busy:
        return "Wait until the queue is empty, or cancel what is in it"
    return "" if now.setup.runtime else "This generator is started by a command; there is nothing to set up"


def allowed(operator: type[bpy.types.Operator], reason: str) -> bool:
    """What ``poll`` returns: whether there is no ``reason`` against it, which else is in the tooltip."""
    operator.poll_message_set(tr(reason))
    return not reason


def begin(operator: bpy.types.Operator, change: Callable[[], None]) -> set[str]:
    """Start a change of the generator; what ``execute`` returns."""
    try:
        change()
    except SkyloopError as error:
        return refused(operator, error)
    session.wake()
    return {"FINISHED"}


class SKYLOOP_OT_install(bpy.types.Operator):
    bl_idname = "skyloop.install"
    bl_label = "Set Up Skyloop"
    bl_description = (
        "Download and set up the generator in a folder of its own. Blender's own Python is not touched, and what was "
        "downloaded before is not downloaded again"
    )
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return allowed(cls, why_not_change(session.current()) or ("" if bpy.app.online_access else OFFLINE))

    def execute(self, context: bpy.types.Context) -> set[str]:
        return begin(self, session.current().setup.install)


class SKYLOOP_OT_repair(bpy.types.Operator):
    bl_idname = "skyloop.repair"
    bl_label = "Repair"
    bl_description = (
        "Check every file of the generator, and bring back what is missing or damaged. What is good is not downloaded"
    )
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return allowed(cls, why_not_change(session.current()))

    def execute(self, context: bpy.types.Context) -> set[str]:
        return begin(self, partial(session.current().setup.repair, online=bpy.app.online_access))


class SKYLOOP_OT_move_generator(bpy.types.Operator):
    """Move the generator to another folder or disk. It stays in use where it is until the copy has passed its test"""

    bl_idname = "skyloop.move_generator"
    bl_label = "Move Here"
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    directory: StringProperty(
        name="Folder", description="The folder to move to", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.current()
        return allowed(cls, why_not_change(now) or ("The generator is not set up yet" if now.not_installed else ""))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = Path(bpy.path.abspath(self.directory)).absolute()
        return begin(self, partial(session.current().setup.move, folder))


class SKYLOOP_OT_bring_generator(bpy.types.Operator):
    """Move the generator from its old folder to the one that is chosen now"""

    bl_idname = "skyloop.bring_generator"
    bl_label = "Move It Here"
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return allowed(cls, why_not_change(session.current()) or _why_no_other())

    def execute(self, context: bpy.types.Context) -> set[str]:
        return begin(self, session.current().setup.bring)


class SKYLOOP_OT_use_there(bpy.types.Operator):
    """Go on using the generator in its old folder"""

    bl_idname = "skyloop.use_there"
    bl_label = "Use It There"
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return allowed(cls, why_not_change(session.current()) or _why_no_other())

    def execute(self, context: bpy.types.Context) -> set[str]:
        return begin(self, session.current().setup.use_other)


def _why_no_other() -> str:
    facts = session.current().setup.facts
    return "" if facts and facts.other else "There is no generator in another folder"


class SKYLOOP_OT_remove_generator(bpy.types.Operator):
    """Remove the generator from this computer. Your skies stay, and it can be set up again at any time"""

    bl_idname = "skyloop.remove_generator"
    bl_label = "Remove Generator"
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    old: BoolProperty(
        name="Older Only",
        description="Only what earlier versions left behind",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return allowed(cls, why_not_change(session.current()))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        facts = session.current().setup.facts
        mb = (facts.old_mb if self.old else facts.size_mb + facts.downloads_mb) if facts else 0
        message = tr("Frees {size}. Your skies stay.").format(size=size_text(mb))
        ask = context.window_manager.invoke_confirm
        return ask(self, event, title=self.bl_label, message=message, confirm_text="Remove", icon="WARNING")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return begin(self, partial(session.current().setup.remove, old=self.old))


class SKYLOOP_OT_look_again(bpy.types.Operator):
    """Look again whether the generator is there, and how much room"""

    bl_idname = "skyloop.look_again"
    bl_label = "Look Again"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        now = session.current()
        now.refresh()
        now.setup.look()
        session.wake()
        return {"FINISHED"}


class SKYLOOP_OT_start_over(bpy.types.Operator):
    """Give up the folder that is not there any more, and set the generator up anew in the chosen one"""

    bl_idname = "skyloop.start_over"
    bl_label = "Set Up Anew"
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return allowed(cls, why_not_change(session.current()))

    def execute(self, context: bpy.types.Context) -> set[str]:
        return begin(self, session.current().setup.start_over)


class SKYLOOP_OT_allow_online(bpy.types.Operator):
    bl_idname = "skyloop.allow_online"
    bl_label = "Allow Online Access"
    bl_description = (
        "Let Blender's extensions use the internet: a setting of Blender's, in Preferences > System > Network, which "
        "you can take back at any time. Skyloop needs it to download the generator once. No sky, prompt or picture is "
        "ever sent"
    )
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set(
            tr(
                "Online access is allowed"
                if bpy.app.online_access
                else "Blender was started with --offline-mode: start it without"
            )
        )
        return not bpy.app.online_access and not bpy.app.online_access_override

    def execute(self, context: bpy.types.Context) -> set[str]:
        # Blender's own button, so that it is Blender's setting that the user changes, in Blender's way.
        return bpy.ops.extensions.userpref_allow_online()


def size_text(mb: int) -> str:
    """A size for people: "350 MB", "1.3 GB"."""
    return f"{mb / 1000:.1f} GB" if mb >= 995 else f"{mb} MB"


CLASSES = (
    SKYLOOP_OT_install,
    SKYLOOP_OT_repair,
    SKYLOOP_OT_move_generator,
    SKYLOOP_OT_bring_generator,
    SKYLOOP_OT_use_there,
    SKYLOOP_OT_remove_generator,
    SKYLOOP_OT_look_again,
    SKYLOOP_OT_start_over,
    SKYLOOP_OT_allow_online,
)

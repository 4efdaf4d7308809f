"""The buttons that set the generator up, repair it, move it and take it away."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import session
from ..core.setup import SetUp
from ..ui import Action, tr

OFFLINE = "It is downloaded once: allow online access first. Everything works offline afterwards"


def why_not_change(now: session.BlenderSession) -> str:
    """What stands in the way of changing the generator; empty when nothing does."""
    if now.installing:
        return "Wait for the set-up to end, or cancel it"
    if now.busy:
        return "Wait until the queue is empty, or cancel what is in it"
    return "" if now.setup.runtime else "This generator is started by a command; there is nothing to set up"


class _Change(Action):
    """A change of the generator, once nothing else is under way."""

    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return why_not_change(session.current())

    def act(self, context: bpy.types.Context) -> None:
        self.change(session.current().setup)
        session.wake()

    def change(self, setup: SetUp) -> None:
        """Start it. Raises ``SkyloopError``."""
        raise NotImplementedError


class SKYLOOP_OT_install(_Change, bpy.types.Operator):
    bl_idname = "skyloop.install"
    bl_label = "Set Up Skyloop"
    bl_description = (
        "Download and set up the generator in a folder of its own. Blender's own Python is not touched, and what was "
        "downloaded before is not downloaded again"
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return super().why_not(context) or ("" if bpy.app.online_access else OFFLINE)

    def change(self, setup: SetUp) -> None:
        setup.install()


class SKYLOOP_OT_repair(_Change, bpy.types.Operator):
    bl_idname = "skyloop.repair"
    bl_label = "Repair"
    bl_description = (
        "Check every file of the generator, and bring back what is missing or damaged. What is good is not downloaded"
    )

    def change(self, setup: SetUp) -> None:
        setup.repair(online=bpy.app.online_access)


class SKYLOOP_OT_move_generator(_Change, bpy.types.Operator):
    """Move the generator to another folder or disk. It stays in use where it is until the copy has passed its test"""

    bl_idname = "skyloop.move_generator"
    bl_label = "Move Here"

    directory: StringProperty(
        name="Folder", description="The folder to move to", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        missing = session.current().not_installed
        return super().why_not(context) or ("The generator is not set up yet" if missing else "")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def change(self, setup: SetUp) -> None:
        setup.move(Path(bpy.path.abspath(self.directory)).absolute())


class SKYLOOP_OT_bring_generator(_Change, bpy.types.Operator):
    """Move the generator from its old folder to the one that is chosen now"""

    bl_idname = "skyloop.bring_generator"
    bl_label = "Move It Here"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return super().why_not(context) or _why_no_other()

    def change(self, setup: SetUp) -> None:
        setup.bring()


class SKYLOOP_OT_use_there(_Change, bpy.types.Operator):
    """Go on using the generator in its old folder"""

    bl_idname = "skyloop.use_there"
    bl_label = "Use It There"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return super().why_not(context) or _why_no_other()

    def change(self, setup: SetUp) -> None:
        setup.use_other()


def _why_no_other() -> str:
    facts = session.current().setup.facts
    return "" if facts and facts.other else "There is no generator in another folder"


class SKYLOOP_OT_remove_generator(_Change, bpy.types.Operator):
    """Remove the generator from this computer. Your skies stay, and it can be set up again at any time"""

    bl_idname = "skyloop.remove_generator"
    bl_label = "Remove Generator"

    old: BoolProperty(
        name="Older Only",
        description="Only what earlier versions left behind",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        facts = session.current().setup.facts
        mb = (facts.old_mb if self.old else facts.size_mb + facts.downloads_mb) if facts else 0
        message = tr("Frees {size}. Your skies stay.").format(size=size_text(mb))
        ask = context.window_manager.invoke_confirm
        return ask(self, event, title=self.bl_label, message=message, confirm_text="Remove", icon="WARNING")

    def change(self, setup: SetUp) -> None:
        setup.remove(old=self.old)


class SKYLOOP_OT_look_again(Action, bpy.types.Operator):
    """Look again whether the generator is there, and how much room"""

    bl_idname = "skyloop.look_again"
    bl_label = "Look Again"
    bl_options = {"REGISTER"}

    def act(self, context: bpy.types.Context) -> None:
        now = session.current()
        now.refresh()
        now.setup.look()
        session.wake()


class SKYLOOP_OT_start_over(_Change, bpy.types.Operator):
    """Give up the folder that is not there any more, and set the generator up anew in the chosen one"""

    bl_idname = "skyloop.start_over"
    bl_label = "Set Up Anew"

    def change(self, setup: SetUp) -> None:
        setup.start_over()


class SKYLOOP_OT_allow_online(Action, bpy.types.Operator):
    bl_idname = "skyloop.allow_online"
    bl_label = "Allow Online Access"
    bl_description = (
        "Let Blender's extensions use the internet: a setting of Blender's, in Preferences > System > Network, which "
        "you can take back at any time. Skyloop needs it to download the generator once. No sky, prompt or picture is "
        "ever sent"
    )
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if bpy.app.online_access:
            return "Online access is allowed"
        return "Blender was started with --offline-mode: start it without" if bpy.app.online_access_override else ""

    def act(self, context: bpy.types.Context) -> set[str]:
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

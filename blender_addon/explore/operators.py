"""Four quick skies to choose among: made, looked at, chosen, made in full; and variations of one that is done."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
from bpy.props import IntProperty, StringProperty

from ...backend.protocol import ErrorKind, GenerateRequest, SkyloopError, bad_request
from .. import places, session
from ..core import candidates, jobs
from ..core.checks import Severity, about, amount
from ..core.jobs import Purpose
from ..create.properties import MAX_SEED
from ..create.request import estimate_of, found_in, recall_words, request_of
from ..direct.request import prepare
from ..ui import Action, refused, tr

ASK_ABOVE_S = 300.0
OF_THE_FULL_SKY = ("size", "length", "start", "seed")  # what candidates have of their own


def wanted(scene: bpy.types.Scene) -> GenerateRequest:
    """The full sky that the scene asks for. Raises ``SkyloopError``."""
    request = request_of(scene, device=places.device())
    return replace(request, **prepare(scene, places.output_root()))


def cells(scene: bpy.types.Scene) -> list[candidates.Cell]:
    """What the grid shows for a scene."""
    now = session.current()
    return candidates.cells(now.candidates, now.queue, request_of(scene, device="auto").prompt)


def chosen(scene: bpy.types.Scene) -> candidates.Cell | None:
    """The finished candidate that was chosen, while it is in the grid."""
    name = scene.skyloop.explore.chosen
    return next((c for c in cells(scene) if c.listed and c.folder.name == name), None)


def why_not_try(context: bpy.types.Context) -> str:
    """Why no candidates can be made, as a sentence; empty when they can."""
    errors = (c for c in found_in(context) if c.severity is Severity.ERROR and c.place not in OF_THE_FULL_SKY)
    return next((c.message for c in errors), "")


def in_use() -> set[Path]:
    """The folders that a World of this file shows or a waiting sky is made from, that a scene has chosen, or that its
    next sky starts from."""
    found = session.current().in_use()
    found |= {Path(scene.skyloop.explore.source) for scene in bpy.data.scenes if scene.skyloop.explore.source}
    names = {scene.skyloop.explore.chosen for scene in bpy.data.scenes} - {""}
    return found | {root / name for root in places.candidates_roots() for name in names}


def queue(scene: bpy.types.Scene, count: int, of_seed: Callable[[int], GenerateRequest]) -> None:
    """Ask for ``count`` candidates of different seeds, after cleaning up old ones. Raises ``SkyloopError``."""
    now = session.current()
    requests = [of_seed(seed) for seed in random.sample(range(MAX_SEED + 1), count)]
    needed_mb = sum(estimate_of(request).disk_mb for request in requests)
    if now.free_mb is not None and needed_mb > now.free_mb:
        text = f"They may take {amount(needed_mb)} on the disk, and {amount(now.free_mb)} are free."
        raise SkyloopError(ErrorKind.DISK_FULL, text, "Free some space or choose another folder.")
    candidates.clean_up(places.candidates_root(), in_use(), count)
    for request in requests:
        now.generate_for(scene, request, Purpose.CANDIDATE)
    session.wake()


def folder_of(scene: bpy.types.Scene, job: str) -> Path:
    """The candidate that an operator is about: the one named, else the chosen one. Raises ``SkyloopError``."""
    if job:
        folder = jobs.known(Path(job), session.current().roots())
    elif found := chosen(scene):
        folder = found.folder
    else:
        raise bad_request("No candidate is chosen.", "Choose one in the grid first.")
    if Purpose.of(folder) is not Purpose.CANDIDATE or not jobs.read(folder).finished:
        raise bad_request(f"{folder.name} is no finished candidate.", "Choose one that has a picture.")
    return folder


class SKYLOOP_OT_try_candidates(Action, bpy.types.Operator):
    """Make quick, small skies of the prompt with different seeds, to choose one before the full size is made"""

    bl_idname = "skyloop.try_candidates"
    bl_label = "Try Four"
    bl_options = {"REGISTER"}  # No UNDO: it changes no file of Blender's.

    count: IntProperty(
        name="Count",
        description="How many skies are made",
        min=1,
        max=candidates.MOST,
        default=candidates.COUNT,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return why_not_try(context)

    def act(self, context: bpy.types.Context) -> None:
        sky = wanted(context.scene)
        queue(context.scene, self.count, lambda seed: candidates.candidate_of(sky, seed))


class SKYLOOP_OT_more_candidates(Action, bpy.types.Operator):
    """Make more of these, with other seeds"""

    bl_idname = "skyloop.more_candidates"
    bl_label = "Four More"
    bl_options = {"REGISTER"}

    count: IntProperty(
        name="Count",
        description="How many skies are made",
        min=1,
        max=candidates.MOST,
        default=candidates.COUNT,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        found = any(c.listed for c in cells(context.scene))
        return session.current().why_not or ("" if found else "There are no candidates yet: press Try Four")

    def act(self, context: bpy.types.Context) -> None:
        first = next(c for c in cells(context.scene) if c.listed)
        request = replace(jobs.read(first.folder).request, device=places.device())
        queue(context.scene, self.count, lambda seed: replace(request, seed=seed))


class SKYLOOP_OT_vary(Action, bpy.types.Operator):
    """Make variations of a finished sky: the same kind and layout, other details. They are as large as the sky"""

    bl_idname = "skyloop.vary"
    bl_label = "Four Variations"
    bl_options = {"REGISTER"}

    job: StringProperty(
        name="Sky", description="The folder of a finished sky; empty for the present World's", options={"SKIP_SAVE"}
    )
    count: IntProperty(
        name="Count",
        description="How many skies are made",
        min=1,
        max=candidates.MOST,
        default=candidates.COUNT,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return session.current().why_not

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first where it takes long."""
        try:
            made = self._made(context)
        except SkyloopError as error:
            return refused(self, error)
        cost = estimate_of(candidates.variation_of(made.request, made.folder, 0, places.device()))
        if cost.seconds * self.count < ASK_ABOVE_S:
            return self.execute(context)
        time = tr(about(cost.seconds * self.count))
        text = tr("{count} variations take {time}").format(count=self.count, time=time)
        ask = context.window_manager.invoke_confirm
        return ask(self, event, title=self.bl_label, message=text, confirm_text="Make Them")

    def act(self, context: bpy.types.Context) -> None:
        made = self._made(context)
        variation_of, device = candidates.variation_of, places.device()
        queue(context.scene, self.count, lambda seed: variation_of(made.request, made.folder, seed, device))

    def _made(self, context: bpy.types.Context) -> jobs.Job:
        world = context.scene.world
        job = self.job or (world.skyloop.job if world else "")
        if not job:
            raise bad_request("The World is no sky of Skyloop's.", "Apply one first, or choose one in History.")
        made = jobs.read(jobs.known(Path(job), session.current().roots()))
        if not made.finished:
            raise bad_request("That sky is not finished.", "Choose one that is.")
        return made


class SKYLOOP_OT_choose_candidate(Action, bpy.types.Operator):
    """Choose this one: its prompt and seed become those of the scene; size and length stay as they are"""

    bl_idname = "skyloop.choose_candidate"
    bl_label = "Choose"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(name="Candidate", description="Its folder", options={"SKIP_SAVE", "HIDDEN"})

    def act(self, context: bpy.types.Context) -> None:
        settings = context.scene.skyloop
        folder = folder_of(context.scene, self.job)
        request = jobs.read(folder).request
        recall_words(settings, request)
        settings.seed, settings.random_seed = min(request.seed, MAX_SEED), False
        settings.model, settings.fov_deg, settings.guidance = request.model, request.fov_deg, request.guidance
        settings.explore.chosen = folder.name


class SKYLOOP_OT_make_candidate(Action, bpy.types.Operator):
    """Make the full sky of this candidate, in the size and length of the settings"""

    bl_idname = "skyloop.make_candidate"
    bl_label = "Make This One"
    bl_options = {"REGISTER"}

    job: StringProperty(
        name="Candidate", description="Its folder; empty for the chosen one", options={"SKIP_SAVE", "HIDDEN"}
    )

    def act(self, context: bpy.types.Context) -> None:
        folder = folder_of(context.scene, self.job)
        request = candidates.refined(jobs.read(folder).request, folder, wanted(context.scene))
        candidates.pin(folder)
        session.current().generate_for(context.scene, request)
        session.wake()


class SKYLOOP_OT_keep_candidate(Action, bpy.types.Operator):
    """Take this one as it is among the finished skies, and make it the World"""

    bl_idname = "skyloop.keep_candidate"
    bl_label = "Keep This One"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(
        name="Candidate", description="Its folder; empty for the chosen one", options={"SKIP_SAVE", "HIDDEN"}
    )

    def act(self, context: bpy.types.Context) -> set[str]:
        kept = candidates.keep(folder_of(context.scene, self.job))
        session.current().scan_history()
        session.wake()
        return bpy.ops.skyloop.apply_world(job=str(kept))


class SKYLOOP_OT_show_candidate(Action, bpy.types.Operator):
    """Look at this one as the World of the scene. The World that was there is kept"""

    bl_idname = "skyloop.show_candidate"
    bl_label = "Show as World"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(
        name="Candidate", description="Its folder; empty for the chosen one", options={"SKIP_SAVE", "HIDDEN"}
    )

    def act(self, context: bpy.types.Context) -> set[str]:
        folder = folder_of(context.scene, self.job)
        candidates.pin(folder)  # a saved file may show it for longer than the grid does
        return bpy.ops.skyloop.apply_world(job=str(folder))


class SKYLOOP_OT_discard_candidates(Action, bpy.types.Operator):
    """Delete these from the disk, except one that the World shows or a sky was made of; those that wait are not made"""

    bl_idname = "skyloop.discard_candidates"
    bl_label = "Discard"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if cells(context.scene) else "There are no candidates"

    def act(self, context: bpy.types.Context) -> None:
        now, scene = session.current(), context.scene
        scene.skyloop.explore.chosen = ""
        used = in_use()
        for cell in cells(scene):
            if cell.running:
                now.cancel()
            elif cell.listed is None:
                now.remove(cell.folder)
            elif cell.folder not in used:
                candidates.discard(cell.folder)
        now.scan_history()
        session.wake()


class SKYLOOP_OT_start_from_prompt(Action, bpy.types.Operator):
    """Make the next sky from the prompt alone, not from an earlier sky"""

    bl_idname = "skyloop.start_from_prompt"
    bl_label = "Start from the Prompt Alone"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        context.scene.skyloop.explore.source = ""


CLASSES = (
    SKYLOOP_OT_try_candidates,
    SKYLOOP_OT_more_candidates,
    SKYLOOP_OT_vary,
    SKYLOOP_OT_choose_candidate,
    SKYLOOP_OT_make_candidate,
    SKYLOOP_OT_keep_candidate,
    SKYLOOP_OT_show_candidate,
    SKYLOOP_OT_discard_candidates,
    SKYLOOP_OT_start_from_prompt,
)

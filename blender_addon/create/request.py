"""From a scene's settings to a request, what can be said about it before it is made, and back from an earlier one."""

import contextlib
import math
import random
from collections.abc import Mapping
from typing import Any

import bpy

from ...backend.protocol import GenerateRequest, SkyloopError, bad_request
from .. import places, session
from ..core.checks import Check, Facts, Fix, Severity, checks, why_not
from ..core.estimate import Estimate, device_kind, expected
from ..core.model_checks import ModelFacts
from ..core.settings import CUSTOM, QUALITIES, size_of
from ..core.stock import known
from ..core.styles import style_words, styled, unstyled
from ..direct import regions
from ..direct.request import conditions
from ..direct.request import problems as steering_problems
from ..models import lora, shelf, work
from ..sky import world
from .properties import MAX_SEED, fps_of, scene_fps
from .steering import recall_steering


def request_of(scene: bpy.types.Scene, *, device: str) -> GenerateRequest:
    """The request as it stands; whether it can be done is its own :meth:`GenerateRequest.problems` to say."""
    settings = scene.skyloop
    width, height = size_of(settings.quality, settings.custom_width)
    return GenerateRequest(
        prompt=styled(settings.prompt, style_words(settings.style, settings.style_text)),
        negative=settings.negative,
        width=width,
        height=height,
        frames=settings.frames,
        fps=fps_of(settings),
        loop=settings.loop,
        seed=settings.seed,
        model=settings.model,
        steps=settings.steps,
        guidance=round(settings.guidance, 3),
        fov_deg=round(settings.fov_deg, 3),
        device=device,
        loras=lora.requested(scene),
        **(_start(settings) | conditions(scene)),
    )


def _start(settings: Any) -> dict[str, Any]:
    """The earlier sky that all of the next one is made from, and how far it changes."""
    explore = settings.explore
    return {"source": explore.source, "strength": round(explore.strength, 3)} if explore.source else {}


def recall(scene: bpy.types.Scene, request: GenerateRequest) -> None:
    """Set everything as an earlier request had it, to repeat or vary it. Raises ``SkyloopError``."""
    if request.seed > MAX_SEED:
        raise bad_request(f"Seed {request.seed} is larger than Blender's fields hold.", f"Use up to {MAX_SEED}.")
    settings = scene.skyloop
    settings.model = request.model  # before the size and length, which may follow it
    sizes = {(q.width, q.height): q.id for q in QUALITIES}
    settings.quality = sizes.get((request.width, request.height), CUSTOM)
    settings.custom_width = request.width
    recall_words(settings, request)
    settings.random_seed = False
    settings.match_scene_fps = False  # before the frames, which it changes
    for name in ("frames", "fps", "loop", "seed", "steps", "guidance", "fov_deg"):
        setattr(settings, name, getattr(request, name))
    lora.recall(scene, request)
    whole = request.from_whole
    settings.explore.source = request.source if whole else ""
    settings.explore.strength = request.strength if whole else settings.explore.strength
    recall_steering(scene, request)


def recall_words(settings: Any, request: GenerateRequest) -> None:
    """Set what the sky looks like as an earlier request had it."""
    settings.negative = request.negative
    settings.prompt, settings.style = unstyled(request.prompt)


def new_seed(settings: Any) -> None:
    settings.seed = random.randrange(MAX_SEED + 1)


def estimate_of(request: GenerateRequest) -> Estimate:
    """What ``request`` will take on this computer."""
    now = session.current()
    cards = [job.card for job in (*now.history, *now.candidates)]
    past = sorted(cards, key=lambda card: -card.written_ns)
    devices = now.client.devices if now.client else ()
    return expected(request, device_kind(request.device, devices, past), past)


def found_in(context: bpy.types.Context) -> list[Check]:
    """Everything there is to say about the request as it stands, errors first. Only looks at what is known already."""
    scene = context.scene
    facts = Facts(
        request=request_of(scene, device=places.device()),
        prompt=scene.skyloop.prompt,
        models=tuple(known()),
        model=_model(scene),
        expect=estimate_of,
        free_mb=session.current().free_mb,
        memory_mb=computing()[1],
        scene_fps=scene_fps(scene),
        front_off_deg=_front_off_deg(scene),
        steering=tuple(steering_problems(scene)),
        loras=tuple(lora.problems(scene)),
        regions=tuple(thing.name for thing in regions.of_scene(scene)),
        why_not=_runtime(session.current()),
    )
    return checks(facts)


def why_not_generate(context: bpy.types.Context) -> str:
    """What stands in the way of Generate, as a sentence; empty when nothing does."""
    return why_not(found_in(context))


def _runtime(now: session.BlenderSession) -> Check | None:
    if now.installing:
        return Check("installing", "setup", Severity.ERROR, now.why_not)
    if not now.not_installed:
        return None
    if bpy.app.online_access:
        return Check("setup", "setup", Severity.ERROR, now.why_not, Fix("Set Up Skyloop", operator="skyloop.install"))
    fix = Fix("Open Preferences", operator="screen.userpref_show", arguments={"section": "SYSTEM"})
    return Check("setup", "setup", Severity.ERROR, f"{now.why_not}, once Blender may go online for it", fix)


def _model(scene: bpy.types.Scene) -> ModelFacts | None:
    """What is known of the chosen model; None for one that is not in the catalogue."""
    if (entry := known().get(scene.skyloop.model)) is None:
        return None
    held, now = shelf.held(entry.id), work.current()
    kind, memory_mb = computing()
    return ModelFacts(
        entry=entry,
        condition=held.condition if held else "",
        getting=bool(now and now.model == entry.id),
        kind=kind,
        memory_mb=memory_mb,
    )


def computing() -> tuple[str, float | None]:
    """The kind of what computes, and its memory in MB; None until the generator has said so."""
    client, chosen = session.current().client, places.device()
    for device in client.devices if client else ():
        kind = str(device.get("id", "")).partition(":")[0]
        if chosen in ("auto", kind) and device.get("memory_mb"):
            return kind, float(device["memory_mb"])
    return "", None


def _front_off_deg(scene: bpy.types.Scene) -> float | None:
    """How far the active camera looks past the middle of the sky; None without one, or where it looks straight up."""
    if scene.camera is None:
        return None
    with contextlib.suppress(SkyloopError):
        off = world.camera_front_deg(scene.camera) - scene.skyloop.front_deg
        return math.remainder(off, 360.0)
    return None


def assign(settings: Any, values: Mapping[str, Any]) -> None:
    """Set properties of the scene's ``skyloop`` by dotted name, those first that turn others: the model, the rate."""
    first = ("model", "match_scene_fps")
    for name in sorted(values, key=lambda n: first.index(n) if n in first else len(first)):
        owner, _, last = name.rpartition(".")
        setattr(settings.path_resolve(owner) if owner else settings, last, values[name])

"""From a scene's settings to a request, and back."""

import bpy

from ...backend.protocol import GenerateRequest, bad_request
from .. import places, session
from ..core.settings import CUSTOM, QUALITIES, size_of
from ..direct.request import conditions
from .properties import MAX_SEED


def request_of(scene: bpy.types.Scene, *, device: str) -> GenerateRequest:
    """The request as it stands; whether it can be done is its own :meth:`GenerateRequest.problems` to say."""
    settings = scene.skyloop
    width, height = size_of(settings.quality, settings.custom_width)
    return GenerateRequest(
        prompt=settings.prompt,
        negative=settings.negative,
        width=width,
        height=height,
        frames=settings.frames,
        fps=round(settings.fps, 3),
        loop=settings.loop,
        seed=settings.seed,
        steps=settings.steps,
        guidance=round(settings.guidance, 3),
        fov_deg=round(settings.fov_deg, 3),
        device=device,
        **conditions(scene),
    )


def recall(scene: bpy.types.Scene, request: GenerateRequest) -> None:
    """Set everything as an earlier request had it, to repeat or vary it. Raises ``SkyloopError``."""
    if request.seed > MAX_SEED:
        raise bad_request(f"Seed {request.seed} is larger than Blender's fields hold.", f"Use up to {MAX_SEED}.")
    settings = scene.skyloop
    sizes = {(q.width, q.height): q.id for q in QUALITIES}
    settings.quality = sizes.get((request.width, request.height), CUSTOM)
    settings.custom_width = request.width
    settings.random_seed = False
    for name in ("prompt", "negative", "frames", "fps", "loop", "seed", "steps", "guidance", "fov_deg"):
        setattr(settings, name, getattr(request, name))


def why_not_generate(context: bpy.types.Context) -> str:
    """What stands in the way of Generate, as a sentence; empty when nothing does."""
    now = session.current()
    if now.installing:
        return f"{now.label}: wait for it, or cancel it"
    if now.not_installed:
        return "The generator is not installed yet: press Install"
    problems = request_of(context.scene, device=places.device()).problems()
    return problems[0] if problems else ""

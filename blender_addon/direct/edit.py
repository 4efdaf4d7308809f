"""A part of the present sky made anew: the request for it, which keeps all that the sky is."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import bpy

from ...backend.protocol import GenerateRequest, bad_request
from ..core import directions, jobs
from ..sky import world
from . import painting


def source_of(scene: bpy.types.Scene) -> jobs.Job:
    """The job that made the sky of the scene's World. Raises ``SkyloopError`` when there is none any more."""
    if not world.is_sky(scene.world) or not scene.world.skyloop.job:
        raise bad_request("The World is not a sky of Skyloop's yet.", "Generate or apply one first.")
    folder = Path(scene.world.skyloop.job)
    if not folder.is_dir():
        raise bad_request(f"The files of this sky are no longer in {folder}.", "Generate it again, or apply another.")
    job = jobs.read(folder)
    if not job.movie.is_file():
        raise bad_request(f"{job.movie} is missing.", "Generate this sky again, or apply another.")
    return job


def why_not(scene: bpy.types.Scene) -> str:
    """Why no part of the present sky can be made anew, as far as is known without looking at files."""
    return "" if world.is_sky(scene.world) else "The World is not a sky of Skyloop's yet: generate or apply one first"


def part_of(
    job: jobs.Job,
    *,
    device: str,
    prompt: str = "",
    mask: Path | None = None,
    mask_at: tuple[float, float, float] | None = None,
) -> GenerateRequest:
    """The job's sky with a part made anew: as it was described, with another seed, or from a ``prompt`` of its own.

    Size, length, rate and loop are the sky's, as are its model and how strongly it moves. What it started from is left
    out, which would only bring the same again.
    """
    made = job.request
    return replace(
        made,
        prompt=prompt.strip() or made.prompt,
        regions=() if prompt.strip() else made.regions,
        source=str(job.folder),
        mask=str(mask or ""),
        mask_at=mask_at,
        seed=random.randrange(2**31),
        strength=1.0,
        image="",
        image_yaw_deg=0.0,
        image_pitch_deg=0.0,
        image_fov_deg=0.0,
        motion_mask=made.motion_mask if made.motion_mask and Path(made.motion_mask).is_file() else "",
        camera=(),
        device=device,
    ).validated()


def around(scene: bpy.types.Scene, yaw_deg: float, pitch_deg: float, radius_deg: float) -> tuple[float, float, float]:
    """``mask_at`` of a direction of the world, for the present sky."""
    yaw = directions.to_sky(yaw_deg, painting.front_deg(scene))
    return round(yaw, 3), round(pitch_deg, 3), round(radius_deg, 3)

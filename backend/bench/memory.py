"""What layouts take of a card's memory: at several sizes of sky, under artificial limits, and rung by rung."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice
from typing import Any

import torch

from ..denoise import Schedule, denoise
from ..fields import Fields
from ..film import Film
from ..models import loading, memory_plan
from ..models.base import VideoModel
from ..models.catalogue import Entry
from ..models.memory_plan import GB, Plan, Rung, Sizes
from ..models.sparing import Sparing
from ..protocol import SkyloopError
from ..render import source_of
from . import gauges
from .networks import MODELS, the_entry
from .parts import Bench, Found
from .subject import Subject, canvas_of, sizes_of, subject

SIZES = (1024, 4096, 8192)
LIMITS_GB = (8, 12, 16, 24)
_BATCHES = 3
_HOST_GB = 100  # that rungs are laid out for


def peak(bench: Bench, name: str) -> Found:
    """The most memory of the card at several sizes: of the first window batches of a step, which are all alike, and of
    decoding the first tiles."""
    found = subject(name, bench.device, tiny=bench.tiny)
    for part in MODELS[name].parts:  # all are there from the first size on
        found.model.family.parts[part]
    for width in (256, 512) if bench.tiny else SIZES:
        yield {"width": width, **_some_work(bench, found, found.model, width)}
    found.close()


def _some_work(bench: Bench, found: Subject, model: VideoModel, width: int) -> dict[str, Any]:
    """Memory and seconds of a few window batches of a sky of ``width`` pixels, and of decoding a few tiles of it."""
    canvas = canvas_of(found, width, bench.latents(found))
    scale, sigmas = found.entry.preset.guidance, bench.sigmas(found)
    facts: dict[str, Any] = {}
    with gauges.peaks(bench.device) as most:
        start = last = time.perf_counter()
        steps = denoise(model, canvas, found.prompts, Schedule(sigmas[:2], [scale]))
        for _ in islice(steps, _BATCHES):
            gauges.settle(bench.device)
            last, before = time.perf_counter(), last
            facts["batch_s"] = last - before
        del steps
        facts["denoise_s"] = last - start
    facts["denoise_peak_mb"] = most.get("peak_mb", 0.0)
    with gauges.peaks(bench.device) as most:
        start = time.perf_counter()
        source = source_of(model, canvas, range(2), Fields())
        if isinstance(source, Film):
            pieces = source.develop()
            with closing(pieces), torch.inference_mode():
                next(pieces, None)
        gauges.settle(bench.device)
        facts["decode_s"] = time.perf_counter() - start
    facts["decode_peak_mb"] = most.get("peak_mb", 0.0)
    return facts | {"peak_mb": max(facts["denoise_peak_mb"], facts["decode_peak_mb"])}


def limits(bench: Bench, name: str) -> Found:
    """Whether the planner's layout works under artificial limits: some window batches and tiles with all parts."""
    entry, before = the_entry(MODELS[name], tiny=bench.tiny), None
    for gigabytes in LIMITS_GB:
        facts: dict[str, Any] = {"limit_gb": gigabytes, "catalogue_min_gb": entry.memory.min_gb}
        with gauges.limited(bench.device, gigabytes):
            sizes = sizes_of(name, bench.device, tiny=bench.tiny)
            try:
                plan = _planned(bench, entry, sizes, gigabytes)
            except SkyloopError as error:
                yield facts | {"refused": error.line}
                continue
            facts |= plan.to_json()
            if (plan.rung, plan.window_batch) == before:
                yield facts | {"as": "the limit before"}
                continue
            before = plan.rung, plan.window_batch
            yield facts | _tried(bench, name, plan)


def rungs(bench: Bench, name: str) -> Found:
    """Every rung of the ladder, those too that no limit leads to: what it takes, and how much slower it is."""
    sizes, below = sizes_of(name, bench.device, tiny=bench.tiny), None
    room = int(max(LIMITS_GB) * GB)
    while plan := memory_plan.choose(sizes, room, int(_HOST_GB * GB), below=below):
        below = plan.rung
        yield plan.to_json() | _tried(bench, name, plan)


def _tried(bench: Bench, name: str, plan: Plan) -> dict[str, Any]:
    """Some work as it is laid out by ``plan``, or as that goes down while memory runs out."""
    try:
        found = subject(name, bench.device, tiny=bench.tiny, plan=plan)
        sparing = Sparing(found.model, leaner=found.model.leaner)
        work = _some_work(bench, found, sparing, 256 if bench.tiny else 1024)
        went = found.model.plan.rung, found.model.together
        down = f"{went[0]}{'' if went[1] else ', branches in turn'}" if went != (plan.rung, plan.together) else ""
        tile = sparing.spec.clip_cells
        found.close()
        return {"completed": True, "went_down_to": down, "tile": tile, **work}
    except (RuntimeError, SkyloopError) as error:
        return {"completed": False, "error": str(error)[:300]}
    finally:
        found = sparing = None
        gauges.free(bench.device)


def _planned(bench: Bench, entry: Entry, sizes: Sizes, gigabytes: float) -> Plan:
    if bench.device.type == "cuda":
        return loading.planned(entry, sizes, bench.device)
    rung = (Rung.LEAVES, Rung.BLOCKS, Rung.SWAPPED, Rung.RESIDENT)[LIMITS_GB.index(int(gigabytes))]
    return Plan(rung=rung, window_batch=1, device_bytes=0, host_bytes=0)  # to see that they run

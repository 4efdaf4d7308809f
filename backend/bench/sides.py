"""Side by side on one network: our method, and the paper's the way its reference runs it.

The reference's way: one window after the other, the two branches of guidance one after the other, nothing compiled
(:mod:`..methods.dynamicscaler` has its windows). Ours: as the engine runs any model. Both denoise the same sky in as
many steps, in the same precision, and are timed up to the clean canvas. What would take too long is run in part: then
``measured`` is the share of its forwards that were run, and seconds are those times the number of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from ..fields import Fields
from ..methods import Task, dynamicscaler, skyloop
from ..methods.offset_shifting import OffsetShiftingDenoiser
from ..methods.projection import ProjectionDenoiser
from ..models.base import View, Wrapped
from ..models.tuning import can_compile
from ..protocol import GenerateRequest
from ..sizes import stage_levels
from ..windows import layout
from . import gauges
from .parts import Bench
from .subject import Subject, bare, subject

FRAMES = (16, 64)
_SAMPLE, _WARM = 16, 2


def sides(bench: Bench, name: str) -> Iterator[dict[str, Any]]:
    """Seconds, forwards of the denoiser and peak memory of either, at 16 and 64 frames of 2048x1024."""
    found = subject(name, bench.device, tiny=bench.tiny)
    theirs = {frames: _theirs(found, _task(InTurn(found), found, frames, bench)) for frames in FRAMES}
    for frames in FRAMES:
        yield {"frames": frames, "way": "reference", **theirs[frames]}
    for frames in FRAMES:
        yield {"frames": frames, "way": "skyloop", **_ours(found, frames, theirs[frames]["seconds"], bench)}
    if can_compile(bench.device) and bench.left > 180:  # as long jobs are
        start = time.perf_counter()
        found.model.compile()
        _warm(found)
        yield {"way": "compiling", "seconds": time.perf_counter() - start}
        for frames in FRAMES:
            yield {"frames": frames, "way": "compiled", **_ours(found, frames, theirs[frames]["seconds"], bench)}
    found.close()


def _warm(found: Subject) -> None:
    """One call of either kind."""
    spec = found.model.spec
    for guided in (True, False):
        bare(found, spec.at_once(2.0 if guided else 1.0), spec.frames, guided=guided)()
    gauges.settle(found.device)


class InTurn(Wrapped):
    """Evaluates the branches of guidance one after the other."""

    def __init__(self, found: Subject) -> None:
        super().__init__(found.model, window_batch=1)
        self.family = found.model.family

    @torch.inference_mode()
    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        levels = self.family.levels
        factor, timestep = levels.native(sigma)
        seen = x.to(self.device) * factor
        wanted = self.family.raw(seen, timestep, prompts, views)
        unwanted = self.family.raw(seen, timestep, [negative] * len(x), views)
        return levels.clean(unwanted + guidance * (wanted - unwanted), seen, sigma)


def _task(model: Any, found: Subject, frames: int, bench: Bench) -> Task:
    preset, width = found.entry.preset, 256 if bench.tiny else 2048
    request = GenerateRequest(
        prompt="sky", width=width, height=width // 2, frames=frames, fps=8.0, method="dynamicscaler",
        steps=4 if bench.tiny else preset.steps, guidance=preset.guidance,
    )  # fmt: skip
    return Task(model, request, found.prompts, Fields())


def _theirs(found: Subject, task: Task) -> dict[str, Any]:
    """Each of the two kinds of steps is sampled: on the sphere, and in the plane."""
    request, spec, steps = task.request, task.model.spec, task.request.steps
    chart = dynamicscaler.panorama_chart(request, spec)
    coarse, first = dynamicscaler.halved(chart, request, spec), dynamicscaler.coarse_steps(steps)
    stages = [(ProjectionDenoiser, chart, first), (OffsetShiftingDenoiser, coarse, steps - first)]
    if (chart.rows, chart.columns) != (coarse.rows, coarse.columns):
        stages.append((OffsetShiftingDenoiser, chart, steps - first))
    seconds, windows, sampled = 0.0, 0, 0
    with gauges.peaks(found.device) as most:
        for kind, at, count in stages:
            denoiser = dynamicscaler.denoiser(kind, task, at)
            here = sum(len(denoiser.places(step)) for step in range(count))
            run = dynamicscaler.denoise_in_turn(
                task, denoiser, lambda at=at: dynamicscaler.start_noise(task, at), range(count), "sample"
            )
            each, of = _sample(run, found.device)
            seconds, windows, sampled = seconds + each * here, windows + here, sampled + of
    return {"seconds": seconds, "forwards": 2 * windows, "measured": sampled / windows, **most}


def _sample(run: Any, device: torch.device) -> tuple[float, int]:
    """Seconds a window, of a few after the first."""
    with closing(run):
        for _ in range(_WARM):
            next(run)
        gauges.settle(device)
        start, done = time.perf_counter(), 0
        for p in run:
            done += p.evaluations > 0
            if done == _SAMPLE:
                break
        gauges.settle(device)
        return (time.perf_counter() - start) / done, done


def _ours(found: Subject, frames: int, theirs_s: float, bench: Bench) -> dict[str, Any]:
    """All of it, as long as time allows."""
    task = _task(found.model, found, frames, bench)
    _warm(found)
    with gauges.peaks(found.device) as most:
        run, done, start = skyloop.compose(task), 0, time.perf_counter()
        stages: dict[str, float] = {}
        last = start
        whole = True
        with closing(run):
            for p in run:
                done += p.evaluations
                stages[p.stage] = stages.get(p.stage, 0.0) + time.perf_counter() - last
                last = time.perf_counter()
                if bench.left < 20:
                    whole = False
                    break
        gauges.settle(found.device)
        taken = time.perf_counter() - start
    total = done if whole else max(done, evaluations(task))
    seconds = taken * total / done
    facts = {"seconds": seconds, "forwards": total, "measured": done / total, "faster": theirs_s / seconds}
    return facts | {"stages_s": stages, "windows_at_once": task.model.spec.window_batch} | most


def evaluations(task: Task) -> int:
    """Of the denoiser, by ``skyloop``: every window once, and twice where it is guided."""
    spec, request, found = task.model.spec, task.request, 0
    stages = skyloop.plan(request, spec)
    levels_of = stage_levels(task.model.sigmas, request.steps, len(stages), stages[0][0].kind == "erp")
    for number, charts in enumerate(stages):
        sizes = [(c.rows, c.columns, c.wrap) for c in charts]
        levels = levels_of[number]
        shape = spec.panorama if charts[0].kind == "erp" and spec.panorama else (spec.cells,)
        schedule = skyloop.guided(levels, request.guidance, spec.guided_above)
        for step, scale in enumerate(schedule.guidance):
            last = number == len(stages) - 1 and levels[step + 1] == 0
            windows = layout(sizes, task.frames, request.loop, step, (task.window, *shape), spec.lead, last)
            found += len(windows) * (1 if scale == 1 else 2)
    return found

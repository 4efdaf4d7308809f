"""What is measured of foundation models; each part yields what it found, one measurement at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..canvas import Canvas
from ..denoise import Schedule, denoise
from ..models.placement import compute_dtype
from ..models.tuning import can_compile, compiled
from ..sizes import window_of
from . import gauges
from .subject import Subject, bare, canvas_of, subject

Found = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Bench:
    """``ends``: of ``time.monotonic``, when to stop; nothing is begun that is known not to be done by then."""

    device: torch.device
    tiny: bool
    ends: float

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    def latents(self, found: Subject) -> int:
        """Of a loop whose windows are as long as the model's own, or if that is long, half as long."""
        spec = found.model.spec
        return max(spec.least_frames, spec.frames // 2) if spec.lead else spec.frames

    def sigmas(self, found: Subject) -> list[float]:
        return found.model.sigmas(found.entry.preset.steps)


def rate(bench: Bench, _name: str) -> Found:
    """What the card multiplies at best."""
    dtype = compute_dtype(bench.device)
    yield {"tflops": gauges.matmul_rate(bench.device, dtype) / 1e12, "dtype": str(dtype)}


# --- the denoiser alone


def forward(bench: Bench, name: str) -> Found:
    """One evaluation as the engine makes it, in several ways, against the rate of matrix products."""
    best = next(rate(bench, name))["tflops"]
    found = subject(name, bench.device, tiny=bench.tiny)
    frames = found.model.spec.frames
    operations = gauges.operations(bare(found, 1, frames, guided=found.guided))

    def taken(how: str, windows: int) -> dict[str, Any]:
        call = bare(found, windows, frames, guided=found.guided)
        with gauges.peaks(bench.device) as peak:
            once = gauges.seconds(call, bench.device, runs=1, warm=1)
            runs = 1 if once > 2 else 3
            each = gauges.seconds(call, bench.device, runs=runs, warm=0) / windows
        tflops = operations / each / 1e12
        facts = {"how": how, "windows": windows, "seconds": each, "tflop": operations / 1e12, "tflops": tflops}
        return facts | {"share": tflops / best, **peak}

    one = taken("as loaded", 1)
    light = one["seconds"] < 1  # several at once may keep the card busier
    yield one
    if light:
        yield taken("as loaded", 2)
        yield taken("as loaded", 4)
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION,
                      SDPBackend.MATH], set_priority=True):  # fmt: skip
        yield taken("cuDNN attention first", 1)
    if volumes := [m for m in found.denoiser.modules() if isinstance(m, torch.nn.Conv3d)]:
        before = [m.weight.data for m in volumes]
        for m in volumes:
            m.weight.data = m.weight.data.contiguous(memory_format=torch.channels_last_3d)
        yield taken("3-D convolutions with channels last", 1)
        for m, weight in zip(volumes, before, strict=True):
            m.weight.data = weight
    if can_compile(bench.device) and bench.left > 90:
        start = time.perf_counter()
        compiled(found.denoiser)
        bare(found, 1, frames, guided=found.guided)()
        gauges.settle(bench.device)
        yield {"how": "compiling", "seconds": time.perf_counter() - start}
        yield taken("compiled", 1)
        if light:
            yield taken("compiled", 2)
    found.close()


# --- the engine around it


def engine(bench: Bench, name: str) -> Found:
    """Seconds of two steps of a whole sky over those of as many bare calls, at the batch that the planner chooses."""
    found = subject(name, bench.device, tiny=bench.tiny)
    spec = found.model.spec
    canvas = canvas_of(found, 256 if bench.tiny else 2048, bench.latents(found))
    frames = window_of(canvas.frames, True, spec)
    scale = found.entry.preset.guidance
    schedule = Schedule(bench.sigmas(found)[:3], [scale, scale])
    call = bare(found, spec.window_batch, frames, guided=found.guided)
    each = gauges.seconds(call, bench.device, runs=2, warm=1)

    def batches(model: Any) -> tuple[float, list[int]]:
        """Seconds, and evaluations of each batch."""
        work, start = _copy(canvas), time.perf_counter()
        fresh = partial(_copy, canvas)
        steps = denoise(model, work, found.prompts, schedule, fresh=lambda: fresh().latents)
        evaluated = [p.evaluations for p in steps if p.evaluations]
        gauges.settle(bench.device)
        return time.perf_counter() - start, evaluated

    taken, evaluated = batches(found.model)
    hollow, _ = batches(_Hollow(found))
    bare_s = sum(evaluated) / (spec.window_batch * (2 if found.guided else 1)) * each
    yield {
        "windows_at_once": spec.window_batch, "frames": frames, "batches": len(evaluated), "engine_s": taken,
        "bare_s": bare_s, "ratio": taken / bare_s, "bare_batch_s": each, "host_s": hollow,
    }  # fmt: skip
    found.close()


class _Hollow:
    """A model that predicts nothing: for how long the engine takes besides."""

    def __init__(self, found: Subject) -> None:
        self.spec, self.device, self.halo = found.model.spec, torch.device("cpu"), found.model.halo

    def predict(self, x: Tensor, *_: Any) -> Tensor:
        return x


def _copy(canvas: Canvas) -> Canvas:
    return replace(canvas, latents=[z.clone() for z in canvas.latents])


# --- loops


def closure(bench: Bench, name: str) -> Found:
    """How far the frames at a loop's join are from those of an endless loop, by how many latents of its other end are
    decoded before them. Random weights, which mix the past in more than trained ones do."""
    found = subject(name, bench.device, tiny=bench.tiny)
    model, spec = found.model, found.model.spec
    ring, cells = 8, 4 if bench.tiny else 16
    z = torch.randn(spec.channels, ring, cells, cells, generator=torch.Generator().manual_seed(2))
    after, t = spec.around[1], spec.time_ratio

    def decoded(before: int) -> Tensor:
        index = torch.arange(-before, ring + after) % ring
        frames = torch.cat([piece.cpu() for piece in model.decode_clip(z[:, index])])
        first = spec.lead + t * (before - spec.lead) if before else 0
        return frames[first : first + t * ring]

    endless = decoded(2 * ring)
    scale = float(endless.std())
    steps = (endless - endless.roll(1, 0)).abs().mean((1, 2, 3))
    for before in range(spec.lead, 13 if not bench.tiny else 3):
        close = decoded(before)
        error = (close - endless).abs().mean((1, 2, 3))
        step = float((close[0] - close[-1]).abs().mean())
        yield {
            "before": before, "around": list(spec.around), "first_frame": float(error[0]) / scale,
            "first_latent": float(error[:t].mean()) / scale, "worst": float(error.max()) / scale,
            "loop": step / float(steps.median()),
        }  # fmt: skip
    found.close()

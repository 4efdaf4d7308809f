"""What a sky will take, before it is made: counted as the engine does it, timed as finished skies were."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import counting, estimate, inputs
from backend.camera import ever_seen
from backend.conditioning import Prompts, region_share
from backend.controls import REFINE_STRENGTH, VARIATION_STRENGTH
from backend.counting import evaluations
from backend.coverage import cap_or_band, inside, seen
from backend.estimate import BUILT_IN, Rates, calibrated, kind_of
from backend.fields import Fields
from backend.jobs.index import Card
from backend.known import Known
from backend.methods import Task, method, skyloop
from backend.models.base import View
from backend.models.builtin import SPEC, BuiltinModel
from backend.models.catalogue import entries
from backend.protocol import METHODS, CameraKey, GenerateRequest, Region
from backend.sphere import erp_directions
from tests.oracle import Oracle

SKY = GenerateRequest(prompt="x")


class Counter(Oracle):
    """The built-in model's shape and schedule, and no work at all."""

    def __init__(self, model: str = "builtin") -> None:
        super().__init__()
        facts = counting.model_facts(replace(SKY, model=model))
        names = ("frames", "cells", "ratio", "time_ratio", "lead", "least_frames", "guided_above", "panorama")
        self.spec = replace(SPEC, window_batch=64, **{name: getattr(facts, name) for name in names})
        self.levels = facts.levels if model != "builtin" else BuiltinModel.sigmas.__get__(self)

    def sigmas(self, steps: int) -> list[float]:
        return self.levels(steps)

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        return x


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents come from nowhere, as what is in them does not change how many windows there are."""

    def empty(charts: list, frames: int) -> Iterator[Any]:
        yield from ()
        return [torch.zeros(SPEC.channels, frames, c.rows, c.columns) for c in charts]

    monkeypatch.setattr(skyloop, "upsample", lambda _, canvas, charts, __: empty(charts, canvas.frames))
    monkeypatch.setattr(Known, "_source", lambda self, charts, *_: empty(charts, self.frames))
    monkeypatch.setattr(inputs, "source_size", lambda request: (512, 256))


@torch.inference_mode()
def counted(request: GenerateRequest) -> int:
    """How many evaluations the engine does."""
    facts = counting.model_facts(request)
    full = replace(request, steps=request.steps or facts.steps, guidance=request.guidance or facts.guidance)
    prompts = Prompts([object() for _ in range(1 + len(request.regions))], object(), request.regions)
    denoising = method(request.method)(Task(Counter(request.model), full, prompts, Fields()))
    return sum(progress.evaluations for progress in denoising)


SIZES = [
    (256, 1, 2, True, 90.0), (256, 16, 0, True, 90.0), (512, 16, 8, True, 90.0), (512, 5, 9, False, 60.0),
    (512, 16, 3, True, 110.0), (1024, 16, 0, True, 90.0), (1024, 24, 12, True, 90.0), (1024, 40, 6, False, 90.0),
    (1024, 1, 12, True, 40.0), (2048, 16, 12, True, 90.0), (640, 96, 4, True, 75.0), (4096, 16, 2, False, 90.0),
]  # fmt: skip


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(("width", "frames", "steps", "loop", "fov_deg"), SIZES)
def test_evaluations_are_those_of_the_engine(width: int, frames: int, steps: int, loop: bool, fov_deg: float) -> None:
    request = replace(SKY, width=width, height=width // 2, frames=frames, steps=steps, loop=loop, fov_deg=fov_deg)
    assert evaluations(request) == counted(request)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("change", [
    {"flat": True, "wrap": True, "width": 768, "height": 256},
    {"flat": True, "width": 400, "height": 144, "frames": 24},
    {"guidance": 1.0},
])  # fmt: skip
def test_evaluations_of_planes_and_without_guidance(change: dict[str, Any]) -> None:
    assert evaluations(replace(SKY, **change)) == counted(replace(SKY, **change))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "skyloop"])
@pytest.mark.parametrize("change", [{}, {"frames": 40, "loop": False}, {"flat": True, "width": 320, "height": 256}])
def test_evaluations_of_other_methods(name: str, change: dict[str, Any]) -> None:
    request = replace(SKY, **{"method": name, "width": 512, "height": 256, "steps": 3} | change)
    assert evaluations(request) == counted(request)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("model", ["wan21-1.3b", "wan21-14b-4step", "cogvideox-2b", "svd-xt", "animatelcm", "ltx-2b"])
@pytest.mark.parametrize("method", METHODS)
def test_evaluations_of_models_that_see_time(model: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own noise levels, guidance and latents in time, with small windows."""
    small = [replace(e, window=replace(e.window, frames=7, cells=8)) if e.family != "builtin" else e for e in entries()]
    monkeypatch.setattr(counting, "entries", lambda: small)
    for frames, loop, width in ((16, True, 256), (7, True, 512), (30, True, 512), (50, False, 256), (2, False, 512)):
        request = replace(SKY, model=model, frames=frames, loop=loop, width=width, height=width // 2, method=method)
        request = replace(request, steps=0 if method == "skyloop" else 3)
        assert evaluations(request) == counted(request)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("change", [
    {}, {"width": 256, "height": 128, "loop": False, "frames": 40}, {"guidance": 1.0, "steps": 5},
    {"flat": True, "width": 320, "height": 256}, {"method": "multidiffusion", "steps": 2},
    {"regions": (Region(0.0, 0.0, 30.0, "a"),)}, {"source": "x", "strength": 0.6},
])  # fmt: skip
def test_evaluations_where_the_layout_is_made_in_one_window(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [
        replace(e, window=replace(e.window, frames=7, cells=8), panorama=(6, 12)) if e.architecture.circular else e
        for e in entries()
    ]
    monkeypatch.setattr(counting, "entries", lambda: small)
    for model in ("wan21-1.3b", "ltx-2b"):
        request = replace(SKY, **{"model": model, "width": 512, "height": 256} | change)
        if request.regions:  # as regions are counted about right: only of the window that sees all
            whole, *_ = counting.stages(request)
            assert counting._prompts_a_window(request, whole) == 2
        else:
            assert evaluations(request) == counted(request)


AHEAD, BEHIND, ABOVE = Region(0.0, 20.0, 60.0, "a"), Region(180.0, 20.0, 60.0, "b"), Region(None, 90.0, 40.0, "c")
PAN = (CameraKey(0, 170.0, 0.0, 50.0), CameraKey(15, -150.0, 0.0, 50.0))


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("change", [
    {"regions": (AHEAD,)}, {"regions": (AHEAD, BEHIND, ABOVE)}, {"regions": (Region(30.0, 10.0, 20.0, "d"),)},
    {"camera": PAN}, {"camera": (CameraKey(0, 10.0, 80.0, 40.0, 1.0, 30.0),), "width": 2048, "height": 1024},
    {"source": "/sky", "mask_at": (90.0, 20.0, 20.0)}, {"source": "/sky", "mask_at": (0.0, -80.0, 40.0)},
])  # fmt: skip
def test_evaluations_by_direction_are_about_those_of_the_engine(change: dict[str, Any]) -> None:
    request = replace(SKY, **change)
    assert evaluations(request) == pytest.approx(counted(request), rel=0.15)
    assert evaluations(request) != evaluations(SKY)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("strength", [0.1, REFINE_STRENGTH, 0.3, VARIATION_STRENGTH, 0.95])
@pytest.mark.parametrize("width", [512, 1024])
def test_evaluations_of_a_source_made_anew(strength: float, width: int) -> None:
    request = replace(SKY, width=width, height=width // 2, source="/sky", strength=strength)
    assert evaluations(request) == counted(request)


def test_parts_of_the_sphere_are_those_of_the_engine() -> None:
    directions = erp_directions(180, 360)
    weight = torch.cos(torch.linspace(-torch.pi / 2, torch.pi / 2, 180))[:, None].expand(180, 360)

    def part(where: Tensor) -> float:
        return float((where * weight).sum() / weight.sum())

    for region in (AHEAD, ABOVE, Region(None, 0.0, 20.0, "x"), Region(10.0, 5.0, 180.0, "x")):
        share = region_share(region, directions)
        assert cap_or_band(region, 0.0) == pytest.approx(part(share > 0), abs=0.02)
        assert inside(region, 0.0) == pytest.approx(part(share >= 1), abs=0.02)
    for keys in (PAN, (CameraKey(0, 0.0, 70.0, 60.0, 1.5, 40.0),)):
        request = replace(SKY, camera=keys)
        assert seen(keys, 0.0) == pytest.approx(part(ever_seen(request, range(16), directions)), rel=0.3)


def test_estimating_needs_only_the_standard_library() -> None:
    code = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; import backend.estimate"
    code += "; print(sorted(m for m in sys.modules if m in ('torch', 'numpy', 'bpy')))"
    root = Path(estimate.__file__).parent.parent
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True).strip() == "[]"


# --- time


def card(seconds: dict[str, float], written: int = 1, **change: Any) -> Card:
    facts: dict[str, Any] = {
        "prompt": "x", "model": "builtin", "method": "skyloop", "seed": 1, "width": 1024, "height": 512, "frames": 16,
        "stamp": (written, 1, 1, written, 1, 1), "fps": 8.0, "device": "processor, 2 threads",
        "evaluations": evaluations(SKY), "seconds": tuple(seconds.items()), "peak_memory_mb": 700,
    }  # fmt: skip
    return Card(**facts | change)


WORK = {"load": 2.0, "layout": 60.0, "refine": 27.0, "preview": 6.0, "checkpoint": 1.2, "upsample": 8.0, "decode": 10.0}


def test_a_sky_like_a_finished_one_takes_as_long() -> None:
    plain = replace(SKY, measure=False)
    found = estimate.estimate(plain, "cpu", [card(WORK)])
    assert found.seconds == pytest.approx(sum(WORK.values()), rel=0.1)
    assert found.memory_mb == pytest.approx(700)
    assert found.evaluations == evaluations(SKY)
    measured = estimate.estimate(SKY, "cpu", [card(WORK | {"measure": 100.0})])
    assert measured.seconds == pytest.approx(sum(WORK.values()) + 100, rel=0.1)


def test_what_is_faster_slower_or_elsewhere_counts_as_it_should() -> None:
    slow = [card({k: 10 * v for k, v in WORK.items()}, written=n) for n in range(5)]
    fast = [card(WORK, written=100 + n) for n in range(estimate.LATEST)]
    draft = replace(SKY, measure=False)
    seconds = estimate.estimate(draft, "cpu", [*fast, *slow]).seconds
    assert seconds == estimate.estimate(draft, "cpu", fast).seconds, "the latest count"
    other = [replace(c, device="NVIDIA H100 80GB HBM3") for c in slow]
    assert estimate.estimate(draft, "cpu", [*other, *fast]).seconds == seconds
    unfinished = [replace(c, evaluations=0, seconds=()) for c in slow]
    assert estimate.estimate(draft, "cpu", [*unfinished, *fast]).seconds == seconds
    odd = [*fast, card({"layout": 9999.0}, written=200)]
    assert estimate.estimate(draft, "cpu", odd).seconds < 1.1 * seconds, "one that was paused"


def test_more_of_anything_takes_longer_and_a_draft_less() -> None:
    for kind in BUILT_IN:
        usual = estimate.estimate(SKY, kind)
        assert estimate.estimate(replace(SKY, measure=False), kind).seconds < usual.seconds
        for change in ({"width": 2048, "height": 1024}, {"frames": 64}, {"steps": 30}, {"regions": (AHEAD, BEHIND)}):
            assert estimate.estimate(replace(SKY, **change), kind).seconds > usual.seconds
        assert usual.disk_mb > 50
    assert estimate.estimate(replace(SKY, width=8192, height=4096), "cuda").memory_mb == 610


def test_where_nothing_is_finished_the_usual_counts() -> None:
    assert calibrated("cuda", []) == BUILT_IN["cuda"]
    assert isinstance(calibrated("abacus", []), Rates)
    assert [kind_of(n) for n in ("processor, 8 threads", "Apple GPU", "NVIDIA RTX 4090")] == ["cpu", "mps", "cuda"]


def test_a_larger_model_takes_longer_and_its_own_memory() -> None:
    small, large = (replace(SKY, model=model, measure=False) for model in ("wan21-1.3b", "wan21-14b"))
    known = estimate.estimate(small, "cuda", [card(WORK)])
    assert known == estimate.estimate(small, "cuda"), "skies of another model tell nothing"
    assert estimate.estimate(SKY, "cuda").seconds < known.seconds < estimate.estimate(large, "cuda").seconds
    assert known.memory_mb < estimate.estimate(large, "cuda").memory_mb

"""The paper's method and the baselines, on models whose exact answer is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import sphere
from backend.canvas import Canvas
from backend.charts import Chart
from backend.conditioning import Prompts
from backend.evaluation.borders import border_arcs
from backend.fields import Fields
from backend.media.video import read_frames
from backend.methods import Task, method, offset_shifting, projection, sweep
from backend.methods.baselines import fixed_windows
from backend.methods.dynamicscaler import Denoiser, coarse_steps, panorama_chart, upsample_latents
from backend.methods.offset_shifting import OffsetShiftingDenoiser, temporal_spans
from backend.methods.projection import ProjectionDenoiser
from backend.methods.syncdiffusion import Synchronisation, gradient, look
from backend.models import denoiser as builtin
from backend.pipeline import generate
from backend.protocol import METHODS, GenerateRequest, SkyloopError
from tests.backend.test_pipeline import OracleEngine
from tests.oracle import SPEC, Oracle, SmoothOracle

SMALL = GenerateRequest(prompt="anything", width=256, height=128, steps=4, seed=7, guidance=1.0)
BASELINES = ("multidiffusion", "syncdiffusion", "independent", "native")


def compose(name: str, request: GenerateRequest, model: Oracle | None = None) -> tuple[Canvas, int]:
    """The clean canvas of a method, and how many evaluations it says that it took."""
    task = Task(model or Oracle(), request, Prompts(["anything"], ""), Fields())
    denoising, evaluations, latest = method(name)(task), 0, (0, 0)
    while True:
        try:
            progress = next(denoising)
        except StopIteration as finished:
            assert latest[0] == latest[1]
            return finished.value, evaluations
        latest = (progress.done, progress.total)
        evaluations += progress.evaluations


def planar(rows: int, columns: int, *, frames: int = 16, loop: bool = True, wrap: bool = True, steps: int = 8,
           ) -> OffsetShiftingDenoiser:  # fmt: skip
    chart = Chart("plane", rows, columns, wrap=wrap)
    return OffsetShiftingDenoiser(chart, frames, loop, 0.125, SPEC, torch.ones(1, rows, columns), steps)


def spherical(rows: int, shares: Tensor | None = None) -> ProjectionDenoiser:
    chart = Chart("erp", rows, 2 * rows, wrap=True)
    shares = torch.ones(1, rows, 2 * rows) if shares is None else shares
    return ProjectionDenoiser(chart, 16, True, 0.125, SPEC, shares, 8)


def sweep_all(model: Oracle, denoiser: Denoiser, noisy: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Through the first so many of eight steps; the noisy canvas after them, and its predictions."""
    noisy, clean = noisy.clone(), torch.zeros_like(noisy)
    sigmas, generator = model.sigmas(8), torch.Generator().manual_seed(5)
    for i in range(steps):
        level = sweep.Level(sigmas[i], sigmas[i + 1], 1.0, sweep.mixing_ratio(i, 8))
        footprints = map(denoiser.footprint, denoiser.places(i))
        list(sweep.sweep(model, noisy, clean, footprints, Prompts(["anything"], ""), level, generator))
    return noisy, clean


def noise(rows: int, columns: int, frames: int = 16) -> Tensor:
    return torch.randn(2, frames, rows, columns, generator=torch.Generator().manual_seed(1))


# --- One order-dependent step


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 0.3), (0.5, 0.7), (0.2, 1.0)])
def test_noise_added_back_reaches_the_promised_level(lower: float, upper: float) -> None:
    generator = torch.Generator().manual_seed(2)
    x = (1 - lower) * 3.0 + lower * torch.randn(100_000, generator=generator)
    y = sweep.renoise_between(x, lower, upper, torch.randn(100_000, generator=generator))
    assert abs(y.mean() - (1 - upper) * 3.0) < 0.01
    assert abs(y.std() - upper) < 0.01


def test_cells_denoised_twice_need_their_noise_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlapped windows keep the variance that windows side by side have only if each finds its noise level."""
    monkeypatch.setattr(sweep, "mixing_ratio", lambda step, steps: 0.0)
    once, _ = sweep_all(Oracle(), planar(16, 64), noise(16, 64), 8)
    kept, _ = sweep_all(Oracle(), planar(32, 64), noise(32, 64), 8)
    monkeypatch.setattr(sweep, "renoise_between", lambda x, lower, upper, fresh: x)
    lost, _ = sweep_all(Oracle(), planar(32, 64), noise(32, 64), 8)
    assert abs(kept.var() / once.var() - 1) < 0.03
    assert lost.var() < 0.93 * once.var()


def test_mixing_costs_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's re-balancing averages two partly independent latents: known, and kept."""
    mixed, _ = sweep_all(Oracle(), planar(32, 64), noise(32, 64), 8)
    monkeypatch.setattr(sweep, "mixing_ratio", lambda step, steps: 0.0)
    apart, _ = sweep_all(Oracle(), planar(32, 64), noise(32, 64), 8)
    assert mixed.var() < 0.97 * apart.var()


def test_mixing_falls_from_half_to_none_in_twenty_of_48_steps() -> None:
    assert sweep.mixing_ratio(0, 48) == 0.5
    assert sweep.mixing_ratio(10, 48) == pytest.approx(0.25)
    assert sweep.mixing_ratio(20, 48) == sweep.mixing_ratio(47, 48) == 0.0
    assert sweep.mixing_ratio(2, 12) == pytest.approx(sweep.mixing_ratio(8, 48))


def test_the_last_writer_wins() -> None:
    entries, targets = sweep.last_writers(torch.tensor([4, 2, 4, 7, 2]))
    assert dict(zip(targets.tolist(), entries.tolist(), strict=True)) == {2: 4, 4: 2, 7: 3}


def test_a_nan_is_named() -> None:
    denoiser, start = planar(16, 32), noise(16, 32)
    start[0, 0, 0, 20] = math.nan
    with pytest.raises(SkyloopError, match="NaN"):
        sweep_all(Oracle(block=16), denoiser, start, 1)


# --- Offset Shifting Denoiser


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("size", [(16, 16), (16, 32), (32, 64), (18, 50), (21, 37), (64, 128)])
def test_every_step_covers_the_plane(size: tuple[int, int], wrap: bool) -> None:
    denoiser = planar(*size, wrap=wrap)
    layouts = set()
    for step in range(20):
        hit = torch.zeros(size[0] * size[1], dtype=torch.bool)
        for window in denoiser.places(step):
            hit[denoiser.footprint(window).cells] = True
        assert hit.all()
        layouts.add(str([(w.rows.index[0], w.columns.index[0]) for w in denoiser.places(step)]))
    if wrap:
        assert len(layouts) == 16


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("frames", [16, 17, 24, 40, 100])
def test_every_step_covers_all_frames(frames: int, loop: bool) -> None:
    for step in range(12):
        spans = [span.index for span in temporal_spans(frames, step, 12, loop, SPEC)]
        assert set(torch.cat(spans).tolist()) == set(range(frames))
        assert all(len(s) == 16 for s in spans)
        if not loop:
            assert all(bool((s.diff() == 1).all()) for s in spans)
    starts = {int(temporal_spans(frames, step, 12, True, SPEC)[0].index[0]) for step in range(8)}
    assert len(starts) == 8


def test_columns_abut_and_rows_overlap() -> None:
    denoiser = planar(64, 128)
    for step in (0, 5):
        hits = torch.zeros(64 * 128, dtype=torch.long)
        for window in denoiser.places(step):
            hits.index_add_(0, denoiser.footprint(window).cells.flatten(), torch.ones(256, dtype=torch.long))
        hits = hits.reshape(64, 128)
        assert bool((hits == hits[:, :1]).all())
        assert hits[:, 0].sum() == 5 * 16


def test_turning_the_noise_by_a_window_turns_the_planar_result() -> None:
    denoiser, start = planar(16, 64), noise(16, 64)
    straight, _ = sweep_all(Oracle(block=16), denoiser, start, 8)
    turned, _ = sweep_all(Oracle(block=16), denoiser, start.roll(16, -1), 8)
    torch.testing.assert_close(turned, straight.roll(16, -1))


# --- Panorama projection denoising


def test_views_turn_from_ring_to_ring() -> None:
    angles = projection.viewing_angles(0)
    assert len(angles) == projection.VIEWS == 44
    pitches = [abs(math.degrees(pitch)) for _, pitch in angles]
    assert pitches == sorted(pitches, reverse=True)
    turned = projection.viewing_angles(3)
    for (yaw, pitch), (then, same) in zip(angles, turned, strict=True):
        assert same == pitch
        assert math.degrees(then - yaw) == pytest.approx(36)


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (170.0, 45.0), (-100.0, -75.0), (30.0, 90.0)])
def test_gathering_and_scattering_are_nearest(yaw: float, pitch: float) -> None:
    rows, size, fov = 128, 16, math.radians(100)
    a, b = math.radians(yaw), math.radians(pitch)
    cells = sphere.erp_directions(rows, 2 * rows)
    pixels = sphere.view_directions(torch.tensor([a]), torch.tensor([b]), torch.tensor([fov]), size, size)[0]
    gathered = cells.flatten(0, 1)[projection.gather_cells(a, b, fov, size, rows, 2 * rows)]
    diagonal = 1.01 * math.hypot(math.pi / rows / 2, math.pi / rows / 2)
    assert (gathered - pixels).norm(dim=-1).max() < diagonal
    seen, nearest = projection.seen_cells(cells, a, b, fov, size)
    apart = (cells.flatten(0, 1)[seen][:, None] - pixels.flatten(0, 1)).norm(dim=-1)
    own = apart.gather(1, nearest[:, None])[:, 0]
    middle = 2 * math.tan(fov / 2) / size  # a pixel in the middle of the view, the largest there is
    assert own.max() < 0.75 * middle
    assert (own <= apart.min(1).values + 0.05 * middle).float().mean() > 0.95


def test_the_views_of_a_step_see_everything() -> None:
    denoiser = spherical(64)
    for step in range(5):
        seen = torch.zeros(64 * 128, dtype=torch.bool)
        for place in denoiser.places(step):
            cells = denoiser.footprint(place).seen
            assert cells is not None
            seen[cells] = True
        assert seen.all()


def test_cells_that_no_view_hits_still_lose_their_noise() -> None:
    """On a canvas denser than the views most cells lie between their pixels. From pure noise to .875 of it, the
    oracle predicts nothing, so that exactly .875 of their own noise is left."""
    denoiser, start = spherical(64), noise(64, 128)
    after, _ = sweep_all(Oracle(), denoiser, start, 1)
    hit = torch.zeros(64 * 128, dtype=torch.bool)
    for place in denoiser.places(0):
        hit[denoiser.footprint(place).cells] = True
    assert 0.3 < hit.float().mean() < 0.9
    torch.testing.assert_close(after.flatten(2)[..., ~hit], 0.875 * start.flatten(2)[..., ~hit])
    # Where views overlap, half of what was there is mixed in, which costs variance but leaves no other level.
    assert 0.4 < after.flatten(2)[..., hit].std() < 0.9


def test_all_of_the_sphere_shows_the_prediction() -> None:
    """A picture that the model always predicts fills the clean canvas, between the views' pixels too."""

    class Sure(Oracle):
        def predict(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
            return torch.full_like(x, 3.0)

    _, clean = sweep_all(Sure(), spherical(64), noise(64, 128), 1)
    assert bool((clean == 3.0).all())


def test_a_view_takes_the_prompt_of_its_centre() -> None:
    pitch = sphere.yaw_pitch(sphere.erp_directions(32, 64))[1]
    shares = torch.stack([(pitch < 0.5).float(), (pitch >= 0.5).float()])
    denoiser = spherical(32, shares)
    for place in denoiser.places(0):
        assert denoiser.footprint(place).prompt == int(place[2] > 0.5)


def test_the_hand_off_keeps_noise_white() -> None:
    start = noise(64, 128)
    coarse = projection.decimate(start, 32, 64)
    torch.testing.assert_close(coarse, start[:, :, ::2, ::2])


# --- Global Motion Guidance and the whole


def test_upsampling_is_circular_and_keeps_a_constant() -> None:
    chart, coarse = Chart("erp", 32, 64, wrap=True), noise(16, 32)[:, 0]
    assert upsample_latents(torch.full((2, 16, 32), 0.7), chart).sub(0.7).abs().max() < 1e-5
    turned = upsample_latents(coarse.roll(1, -1), chart)
    torch.testing.assert_close(turned, upsample_latents(coarse, chart).roll(2, -1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("steps", "expected"), [(48, 15), (12, 4), (8, 2), (2, 1), (1, 0)])
def test_the_share_of_coarse_steps(steps: int, expected: int) -> None:
    assert coarse_steps(steps) == expected


def sphere_count(width: int, steps: int, times: Callable[[int], int]) -> int:
    """Windows of the paper's method by its layout alone: views, then columns x rows at half and at full size."""
    coarse = coarse_steps(steps)
    total = sum(44 * times(i) for i in range(coarse))
    for columns in (max(16, width // 16), width // 8):
        rows = max(16, columns // 2)
        each = columns // 16 * (math.ceil((rows - 16) / 12) + 1)
        total += sum(each * times(i) for i in range(steps - coarse))
    return total


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize(("width", "frames", "steps"), [(256, 16, 4), (512, 16, 8), (256, 24, 4)])
def test_evaluations_of_the_papers_method(width: int, frames: int, steps: int, guidance: float) -> None:
    model = Oracle()
    request = replace(SMALL, width=width, height=width // 2, frames=frames, steps=steps, guidance=guidance)
    canvas, evaluations = compose("dynamicscaler", request, model)

    def times(step: int) -> int:
        return 1 if frames == 16 else 3 if step < steps / 2 else 2

    assert len(model.calls) == sphere_count(width, steps, times)
    assert evaluations == len(model.calls) * (1 if guidance == 1 else 2)
    assert canvas.latents[0].shape == (2, frames, width // 16, width // 8)


@pytest.mark.parametrize(
    ("name", "windows"),
    [("independent", 8), ("multidiffusion", 8 * 3 * 2), ("syncdiffusion", 8 * 3 * 2), ("native", 1)],
)
def test_evaluations_of_the_baselines(name: str, windows: int) -> None:
    model, request = Oracle(), replace(SMALL, width=512, height=256, steps=3)
    _, evaluations = compose(name, request, model)
    assert sum(shape[0] for shape, _, _ in model.calls) == evaluations
    last = 2 if name == "native" else windows  # its one temporal window meets itself in the last step
    assert evaluations == 2 * windows + last


def test_unit_variance_in_every_stage() -> None:
    """The whole schedule on data of unit variance: what the mixing costs, and no more."""
    canvas, _ = compose("dynamicscaler", replace(SMALL, width=512, height=256, steps=24))
    assert 0.6 < canvas.latents[0].var() < 1.15
    flat, _ = compose("dynamicscaler", replace(SMALL, width=256, height=256, flat=True, wrap=True, steps=24))
    assert 0.6 < flat.latents[0].var() < 1.15


# --- The baselines


def border_step(latents: Tensor, every: int = 16) -> float:
    """Mean step across columns where windows meet, over the median of all."""
    steps = (latents - latents.roll(1, -1)).abs().mean((0, 1, 2))
    return float(steps[::every].mean() / steps.median())


def test_independent_windows_leave_borders() -> None:
    canvas, _ = compose("independent", replace(SMALL, width=512, height=256, steps=8), Oracle(smooth=SmoothOracle()))
    assert border_step(canvas.latents[0]) > 3


def test_a_flat_average_blurs_where_windows_disagree() -> None:
    request = replace(SMALL, width=512, height=256, steps=8)
    variance = {}
    for name in ("independent", "multidiffusion"):
        canvas, _ = compose(name, request, Oracle(block=16))
        variance[name] = float(canvas.latents[0].var())
    assert variance["multidiffusion"] < 0.8 * variance["independent"]


@pytest.mark.parametrize("name", ["independent", "multidiffusion"])
def test_turning_the_noise_by_a_window_turns_the_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = noise(16, 64)
    request = replace(SMALL, width=512, height=128, flat=True, wrap=True)
    results = []
    for turn in (0, 16):
        turned = start.roll(turn, -1)
        monkeypatch.setattr("backend.methods.white_noise", lambda *_, z=turned: [z.clone()])
        results.append(compose(name, request, Oracle(block=16))[0].latents[0])
    torch.testing.assert_close(results[1], results[0].roll(16, -1))


def test_the_native_pass_is_one_window() -> None:
    model = Oracle()
    compose("native", replace(SMALL, width=512, height=256), model)
    assert {shape[2:] for shape, _, _ in model.calls} == {(16, 32, 64)}


def test_a_look_is_pulled_toward_the_anchors() -> None:
    """The closed form is the gradient that it claims to be, and following it brings the looks together."""
    window, anchor = (3 + k * noise(16, 16) for k in (1.0, 2.0))
    x = window.clone().double().requires_grad_()
    (mean, deviation), (mean_a, deviation_a) = (look(t.double().unflatten(2, (4, -1))) for t in (x, anchor))
    loss = ((mean - mean_a).square().sum() + (deviation - deviation_a).square().sum()) / 2 * (16 * 4 * 16)
    (expected,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(gradient(window, anchor), expected.float(), atol=1e-4, rtol=1e-4)


def test_synchronised_windows_agree_in_colour() -> None:
    task = Task(Oracle(), replace(SMALL, width=512, height=256), Prompts(["anything"], ""), Fields())
    windows = fixed_windows(task, overlap=0.5)
    ramp = torch.linspace(-1, 1, 64).expand(2, 16, 32, 64).clone()
    guide = Synchronisation(windows, 64, until=0.5)
    assert guide([ramp], [ramp.mean(1, keepdim=True)], slice(0, 16), 0.4)[0] is ramp
    pulled = guide([ramp], [ramp.mean(1, keepdim=True)], slice(0, 16), 0.6)[0]
    means = [z[..., :16].mean() - z[..., 24:40].mean() for z in (ramp, pulled)]
    assert abs(means[1]) < 0.75 * abs(means[0])


def test_the_learned_places_are_stretched_in_order() -> None:
    denoiser = builtin.Denoiser(dim=64, depth=2)
    assert denoiser.places(8, 8) is denoiser.space
    rows = torch.arange(8.0)[:, None].expand(8, 8).reshape(1, 1, 64, 1).expand(-1, -1, -1, 64)
    denoiser.space.data.copy_(rows)
    stretched = denoiser.places(16, 32)[0, 0].detach().reshape(16, 32, 64)
    assert bool((stretched.diff(dim=0) > 0).all())
    torch.testing.assert_close(stretched[:, 3], stretched[:, 30])


def test_the_built_in_denoiser_takes_other_sizes() -> None:
    torch.manual_seed(0)
    denoiser = builtin.Denoiser(dim=64, depth=2)
    torch.nn.init.normal_(denoiser.out.weight)  # zero at first, so that anything would do
    text = builtin.Condition(torch.zeros(1, 3, 256), torch.zeros(1, 3, dtype=torch.bool), torch.full((1, 3), 0.1))
    wide = torch.randn(1, 12, 16, 16, 48)
    velocity = denoiser(wide, torch.tensor([0.5]), text)
    assert velocity.shape == wide.shape
    assert bool(velocity.isfinite().all())
    assert velocity.detach().std() > 0


# --- From the request to the movie


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "changes",
    [{}, {"loop": False}, {"frames": 24}, {"frames": 24, "loop": False}, {"frames": 5}, {"steps": 1},
     {"flat": True, "width": 400, "height": 144}, {"flat": True, "wrap": True, "width": 128, "height": 128}],
    ids=str,
)  # fmt: skip
def test_every_method_makes_every_movie(
    name: str, changes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if changes:  # measuring once a method is enough
        monkeypatch.setattr("backend.measuring.measured", lambda *_, **__: ())
    request, engine = replace(SMALL, method=name, guidance=2.0, **changes), OracleEngine()
    list(generate(request, tmp_path, engine=engine, reference=[]))
    result = json.loads((tmp_path / "result.json").read_text())
    calls = sum(shape[0] for shape, _, _ in engine.oracle.calls)
    assert calls <= result["evaluations"] <= 2 * calls
    frames = list(read_frames(tmp_path / "sky.mp4"))
    assert len(frames) == request.frames
    assert all(f.shape == (request.height, request.width, 3) and f.std() > 1 for f in frames) or request.steps == 1


@pytest.mark.parametrize("name", [name for name in METHODS if name != "skyloop"])
def test_the_last_borders_are_known(name: str) -> None:
    """What the border figure needs: the windows of the last step, of which the last writer owns what it covers."""
    canvas, _ = compose(name, replace(SMALL, width=512, height=256, steps=2))
    arcs = border_arcs(canvas.charts, canvas.windows, spacing_deg=4.0)
    assert arcs is not None
    assert len(arcs[0]) > (15 if name == "native" else 60)


@pytest.mark.parametrize("name", BASELINES)
def test_the_batch_does_not_change_a_baseline(name: str) -> None:
    results = [compose(name, SMALL, Oracle(block=16, window_batch=n))[0].latents[0] for n in (1, 50)]
    assert torch.equal(*results)


@pytest.mark.parametrize("name", METHODS)
def test_the_seed_decides(name: str) -> None:
    first, again, other = (compose(name, replace(SMALL, seed=s))[0].latents[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_panoramas_have_a_cell_for_eight_pixels() -> None:
    for width, columns in ((256, 32), (512, 64), (800, 96), (2048, 256)):
        chart = panorama_chart(replace(SMALL, width=width, height=width // 2), SPEC)
        assert (chart.rows, chart.columns) == (columns // 2, columns)
    assert SPEC.cells == offset_shifting.SHIFTS_PER_WINDOW

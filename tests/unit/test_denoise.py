"""Laws of the denoiser on models whose exact answer is known."""

from __future__ import annotations

import torch

from backend import sphere
from backend.canvas import Canvas, exchange, overlaps, white_noise
from backend.charts import Chart, sphere_charts
from backend.conditioning import Prompts
from backend.denoise import Schedule, denoise
from backend.motion_guidance import renoise
from backend.solver import solver_step
from tests.oracle import Oracle, SmoothOracle

STEPS = 8


def run(
    model: Oracle, charts: list[Chart], noise: list[torch.Tensor], loop: bool = True, steps: int = STEPS
) -> list[torch.Tensor]:
    canvas = Canvas(charts, [n.clone() for n in noise], loop, 0.125)
    schedule = Schedule(model.sigmas(STEPS)[: steps + 1], [1.0] * steps)
    progress = list(denoise(model, canvas, Prompts(["anything"], ""), schedule))
    assert progress[-1].done == progress[-1].total
    return canvas.latents


def noise_for(charts: list[Chart], frames: int = 16, seed: int = 0) -> list[torch.Tensor]:
    return white_noise(charts, 2, frames, torch.Generator().manual_seed(seed))


def test_data_of_unit_variance_keeps_it() -> None:
    plane = [Chart("plane", 40, 72, wrap=True)]
    result = run(Oracle(), plane, noise_for(plane))[0]
    assert abs(result.std() - 1) < 0.1
    neighbours = (result[..., 1:] * result[..., :-1]).mean() / result.var()
    assert abs(neighbours) < 0.02


def test_batching_does_not_change_a_bit() -> None:
    charts = sphere_charts(64, 16)
    noise = noise_for(charts)
    results = [run(Oracle(block=16, window_batch=n), charts, noise) for n in (1, 5, 64)]
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_turning_the_noise_by_a_window_turns_the_result() -> None:
    band = [Chart("plane", 16, 64, wrap=True)]
    noise = noise_for(band)
    # The last step is left out: its cross-fading windows are no tiling of the circle by sixteens.
    straight = run(Oracle(block=16), band, noise, steps=STEPS - 1)[0]
    turned = run(Oracle(block=16), band, [n.roll(16, -1) for n in noise], steps=STEPS - 1)[0]
    torch.testing.assert_close(turned, straight.roll(16, -1))


def test_shifting_windows_heal_borders(monkeypatch) -> None:
    """On smooth data with an exact model, borders that move stay far below borders that never do."""
    plane = [Chart("plane", 16, 64, wrap=True)]

    def worst_step() -> float:
        result = run(Oracle(smooth=SmoothOracle()), plane, noise_for(plane))[0]
        steps = (result - result.roll(1, -1)).abs().mean((0, 1, 2))
        return float(steps.max() / steps.median())

    moving = worst_step()
    monkeypatch.setattr("backend.windows.offset", lambda step, axis: 0.0)
    assert moving < 0.6 * worst_step()


def test_charts_agree_where_they_overlap() -> None:
    charts = sphere_charts(128, 16)
    d = [c.directions(*sphere.grid(c.rows, c.columns)) for c in charts]
    # The band shows x, the caps show z: after the exchange both show the same there.
    clean = [(x[..., 0] if i == 0 else x[..., 2])[None, None] for i, x in enumerate(d)]
    agreed = exchange(charts, clean, overlaps(charts))
    for o in overlaps(charts):
        own = agreed[o.chart][0, 0].flatten()[o.cells]
        there = sphere.sample(agreed[o.other][:, 0][None], o.u[None], o.v[None], wrap=charts[o.other].wrap)[0, 0, 0]
        middle = (o.weight > 0.3) & (o.weight < 0.7)
        apart = (clean[o.chart][0, 0].flatten()[o.cells] - there).abs()[middle].mean()
        assert (own - there).abs()[middle].mean() < 0.6 * apart


def test_solver_is_exact_for_one_known_picture() -> None:
    """When the prediction never changes, any number of steps lands on it, along the straight line of the flow."""
    picture, noise = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    x, before, sigmas = noise.clone(), None, [1.0, 0.8, 0.5, 0.2, 0.0]
    for i in range(4):
        x = solver_step(x, picture, before, (sigmas[max(0, i - 1)], sigmas[i], sigmas[i + 1]))
        before = picture
        torch.testing.assert_close(x, (1 - sigmas[i + 1]) * picture + sigmas[i + 1] * noise)


def test_second_order_beats_first() -> None:
    """Against the exact flow of unit normal data, 8 steps with memory are closer than 8 without."""
    sigmas = torch.linspace(1, 0, 9).tolist()
    start = torch.tensor(1.0)
    errors = []
    for memory in (True, False):
        x, before = start, None
        for i in range(8):
            a = 1 - sigmas[i]
            clean = x * a / (a * a + sigmas[i] ** 2)
            x = solver_step(x, clean, before if memory else None, (sigmas[max(0, i - 1)], sigmas[i], sigmas[i + 1]))
            before = clean
        errors.append(abs(float(x) - 1.0))  # the exact flow keeps the norm of a unit normal
    assert errors[0] < 0.5 * errors[1]


def test_refining_starts_at_the_promised_noise_level() -> None:
    noise = torch.randn(100_000, generator=torch.Generator().manual_seed(4))
    start = renoise(torch.ones(100_000), noise, 0.6)
    assert abs(start.mean() - 0.4) < 0.01
    assert abs(start.std() - 0.6) < 0.01

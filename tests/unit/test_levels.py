"""Laws of noise levels: what the networks see is what they were trained on, whoever counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.models.levels import Flow, Levels, VarianceExploding, VariancePreserving, spread
from backend.solver import solver_step


@pytest.fixture
def diffusers() -> Any:
    return pytest.importorskip("diffusers")


def betas(schedule: str) -> np.ndarray:
    if schedule == "linear":
        return np.linspace(0.00085, 0.012, 1000)
    return np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2


def alphas(schedule: str, zero_snr: bool = False) -> list[float]:
    a = np.sqrt(np.cumprod(1 - betas(schedule)))
    if zero_snr:
        a = (a - a[-1]) * a[0] / (a[0] - a[-1])
    return list(a**2)


LEVELS: dict[str, Callable[[], Levels]] = {
    "flow": Flow,
    "flow shift 5": lambda: Flow(5.0),
    "noise": lambda: VariancePreserving(alphas("linear"), "noise"),
    "velocity": lambda: VariancePreserving(alphas("scaled_linear"), "velocity"),
    "velocity, zero SNR": lambda: VariancePreserving(alphas("scaled_linear", zero_snr=True), "velocity"),
    "lcm": lambda: VariancePreserving(alphas("linear"), "noise", range(999, 0, -20)),
    "edm": lambda: VarianceExploding(0.002, 700.0),
}
each = pytest.mark.parametrize("levels", [make() for make in LEVELS.values()], ids=list(LEVELS))


def answer(levels: Levels, clean: float, noise: float, sigma: float) -> float:
    """What a network that knows the truth returns."""
    if isinstance(levels, Flow):
        return noise - clean
    if isinstance(levels, VarianceExploding):
        b = sigma / (1 - sigma)
        return (noise - b * clean) / math.sqrt(b * b + 1)
    assert isinstance(levels, VariancePreserving)
    a, b = levels.scales(sigma)
    return noise if levels.predicts == "noise" else a * noise - b * clean


@each
@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.data())
def test_a_network_that_knows_the_truth_gives_the_clean_latents_back(levels: Levels, steps: int, data: Any) -> None:
    sigma = data.draw(st.sampled_from(levels.sigmas(steps)[:-1]))
    clean, noise = data.draw(st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
    factor, _ = levels.native(sigma)
    x = factor * ((1 - sigma) * clean + sigma * noise)
    found = levels.clean(torch.tensor(answer(levels, clean, noise, sigma), dtype=torch.float64), x, sigma)
    assert float(found) == pytest.approx(clean, abs=1e-9)


@each
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120))
def test_levels_fall_from_where_noise_begins_to_nothing(levels: Levels, steps: int) -> None:
    sigmas = levels.sigmas(steps)
    assert len(sigmas) == steps + 1
    assert all(a > b for a, b in zip(sigmas, sigmas[1:], strict=False))
    assert 0.9 < sigmas[0] <= 1 and sigmas[-1] == 0


@each
def test_what_the_network_is_first_given_has_the_spread_it_was_trained_with(levels: Levels) -> None:
    """White noise times ``start``, and then times ``native``: a and b of the clean latents and the noise."""
    sigma = levels.sigmas(20)[0]
    factor, _ = levels.native(sigma)
    assert factor * levels.start == pytest.approx(1.0, abs=1e-6)


@each
def test_a_timestep_says_its_level(levels: Levels) -> None:
    times = [levels.native(s)[1] for s in levels.sigmas(30)[:-1]]
    assert all(a > b for a, b in zip(times, times[1:], strict=False))
    if isinstance(levels, VariancePreserving):
        assert all(t == int(t) for t in times) and times[0] == 999


@each
def test_one_step_of_truth_from_anywhere_is_exact(levels: Levels) -> None:
    """For the solver on the canvas, all are one and the same."""
    clean, noise = torch.randn(2, 50, dtype=torch.float64)
    sigmas = levels.sigmas(7)
    for solver in ("euler", "multistep"):
        x, before = (1 - sigmas[0]) * clean + sigmas[0] * noise, None
        for k in range(7):
            factor, _ = levels.native(sigmas[k])
            seen = x * factor
            out = torch.tensor(
                [answer(levels, float(c), float(n), sigmas[k]) for c, n in zip(clean, noise, strict=True)],
                dtype=torch.float64,
            )
            found = levels.clean(out, seen, sigmas[k])
            x = solver_step(x, found, before, (sigmas[k - 1] if k else 1.0, sigmas[k], sigmas[k + 1]), solver)
            before = found
            assert (x - (1 - sigmas[k + 1]) * clean - sigmas[k + 1] * noise).abs().max() < 1e-9
        assert (x - clean).abs().max() < 1e-9


# --- against diffusers' schedulers ----------------------------------------------------------------------------------


def linear(**options: Any) -> dict[str, Any]:
    return {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "linear",
        "timestep_spacing": "trailing",
    } | options


@pytest.mark.parametrize(("predicts", "zero_snr"), [("noise", False), ("velocity", False), ("velocity", True)])
def test_variance_preserving_is_ddim(diffusers: Any, predicts: Any, zero_snr: bool) -> None:
    kind = {"noise": "epsilon", "velocity": "v_prediction"}[predicts]
    ddim = diffusers.DDIMScheduler(
        **linear(beta_schedule="scaled_linear"),
        clip_sample=False,
        prediction_type=kind,
        rescale_betas_zero_snr=zero_snr,
    )
    levels = VariancePreserving(ddim.alphas_cumprod.tolist(), predicts)
    ddim.set_timesteps(10)
    sigmas = levels.sigmas(10)
    for k, t in enumerate(ddim.timesteps):
        factor, timestep = levels.native(sigmas[k])
        assert timestep == int(t)
        x, out = torch.randn(2, 100, dtype=torch.float64)
        theirs = ddim.step(out, int(t), x * factor)
        clean = levels.clean(out, x * factor, sigmas[k])
        assert (clean - theirs.pred_original_sample).abs().max() <= 1e-5 * clean.abs().max()
        after = solver_step(x, clean, None, (1.0, sigmas[k], sigmas[k + 1]), "euler")
        back = levels.native(sigmas[k + 1])[0]
        assert (after * back - theirs.prev_sample).abs().max() <= 1e-5 * clean.abs().max()


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_variance_preserving_with_zero_snr_is_cogvideox(diffusers: Any, shift: float) -> None:
    ddim = diffusers.CogVideoXDDIMScheduler(
        snr_shift_scale=shift, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
    )  # fmt: skip
    levels = VariancePreserving(ddim.alphas_cumprod.tolist(), "velocity")
    assert levels.sigmas(50)[0] == 1.0 and levels.scales(1.0) == (0.0, 1.0) and levels.start == 1.0
    ddim.set_timesteps(8)  # diffusers is exact where that divides 1000
    sigmas = levels.sigmas(8)
    assert [levels.native(s)[1] for s in sigmas[:-1]] == ddim.timesteps.tolist()
    x = theirs = torch.randn(100, dtype=torch.float64)
    for k, t in enumerate(ddim.timesteps):
        out = torch.randn(100, dtype=torch.float64)
        theirs = ddim.step(out, int(t), theirs)[0]
        clean = levels.clean(out, x * levels.native(sigmas[k])[0], sigmas[k])
        x = solver_step(x, clean, None, (1.0, sigmas[k], sigmas[k + 1]), "euler")
    assert (x - theirs).abs().max() < 1e-6


def test_variance_exploding_is_euler_with_karras_levels(diffusers: Any) -> None:
    euler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
        prediction_type="v_prediction", sigma_min=0.002, sigma_max=700.0, steps_offset=1, timestep_spacing="leading",
        timestep_type="continuous", use_karras_sigmas=True,
    )  # fmt: skip
    levels = VarianceExploding(0.002, 700.0)
    for steps in (4, 25):
        euler.set_timesteps(steps)
        sigmas = levels.sigmas(steps)
        ratios = [s / (1 - s) for s in sigmas]
        assert ratios == pytest.approx(euler.sigmas.tolist(), rel=1e-5)
        assert levels.start * (1 + ratios[0]) == pytest.approx(float(euler.init_noise_sigma))
        for k, t in enumerate(euler.timesteps):
            factor, timestep = levels.native(sigmas[k])
            assert timestep == pytest.approx(float(t), abs=1e-5)
            x, out = torch.randn(2, 100)
            noisy = x / (1 - sigmas[k])
            seen = euler.scale_model_input(noisy, t)
            assert (seen - x * factor).abs().max() < 1e-5 * seen.abs().max()
            theirs = euler.step(out, t, noisy)
            clean = levels.clean(out, x * factor, sigmas[k])
            assert (clean - theirs.pred_original_sample).abs().max() < 1e-4
            after = solver_step(x, clean, None, (1.0, sigmas[k], sigmas[k + 1]), "euler")
            assert (after / (1 - sigmas[k + 1]) - theirs.prev_sample).abs().max() < 1e-4 * noisy.abs().max()


@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
def test_flow_is_flow_match_euler(diffusers: Any, shift: float) -> None:
    """Given the levels before the shift: left to itself, the scheduler ends at one a little above the last."""
    euler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    levels = Flow(shift)
    euler.set_timesteps(sigmas=[1 - k / 8 for k in range(8)])
    sigmas = levels.sigmas(8)
    assert sigmas == pytest.approx(euler.sigmas.tolist(), abs=1e-6)
    x = theirs = torch.randn(100)
    for k, t in enumerate(euler.timesteps):
        out = torch.randn(100)
        assert levels.native(sigmas[k]) == (1.0, pytest.approx(float(t), abs=1e-3))
        theirs = euler.step(out, t, theirs)[0]
        x = solver_step(x, levels.clean(out, x, sigmas[k]), None, (1.0, sigmas[k], sigmas[k + 1]), "euler")
    assert (x - theirs).abs().max() < 1e-5


# --- models distilled to a few steps --------------------------------------------------------------------------------

falling = st.lists(st.integers(10, 990), min_size=1, max_size=12, unique=True).map(  # as far apart as levels are
    lambda s: [1.0, *(level / 1000 for level in sorted(s, reverse=True)), 0.0]
)


@given(falling, st.integers(1, 30))
def test_fewer_steps_than_trained_are_some_of_them_and_more_lie_between(trained: list[float], steps: int) -> None:
    found = spread(trained, steps)
    assert len(found) == steps + 1 and (found[0], found[-1]) == (1.0, 0.0)
    assert all(a > b for a, b in zip(found, found[1:], strict=False))
    if steps < len(trained):
        assert set(found) <= set(trained)
    if steps == len(trained) - 1:
        assert found == trained


@pytest.mark.parametrize("steps", range(1, 51))
def test_latent_consistency_models_are_asked_at_the_timesteps_of_their_scheduler(diffusers: Any, steps: int) -> None:
    lcm = diffusers.LCMScheduler(**{k: v for k, v in linear().items() if k != "timestep_spacing"})
    lcm.set_timesteps(steps)
    levels = VariancePreserving(lcm.alphas_cumprod.tolist(), "noise", range(999, 0, -20))
    assert [levels.native(s)[1] for s in levels.sigmas(steps)[:-1]] == lcm.timesteps.tolist()

"""Noise levels told from the catalogue are those of the models."""

from __future__ import annotations

import pytest
import torch

from backend.models.catalogue import entry
from backend.models.levels import Flow, Levels, VarianceExploding, VariancePreserving
from backend.models.schedules import LCM, levels_of


def cog(shift: float) -> list[float]:
    schedulers = pytest.importorskip("diffusers")
    return schedulers.CogVideoXDDIMScheduler(
        snr_shift_scale=shift, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
        rescale_betas_zero_snr=True,
    ).alphas_cumprod.tolist()  # fmt: skip


def of_model(model: str) -> Levels:
    linear = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64), 0).tolist()
    made = {
        "builtin": lambda: Flow(2.0),
        "wan21-1.3b": lambda: Flow(3.0),
        "ltx-2b": lambda: Flow(trained=(*entry(model).preset.sigmas, 0.0)),
        "animatediff": lambda: VariancePreserving(linear, "noise"),
        "animatelcm": lambda: VariancePreserving(linear, "noise", tuple(LCM)),
        "svd-xt": lambda: VarianceExploding(0.002, 700.0),
        "cogvideox-2b": lambda: VariancePreserving(cog(3.0), "velocity"),
        "cogvideox-5b": lambda: VariancePreserving(cog(1.0), "velocity"),
    }
    return made[model]()


MODELS = ("builtin", "wan21-1.3b", "ltx-2b", "animatediff", "animatelcm", "svd-xt", "cogvideox-2b", "cogvideox-5b")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("steps", [1, 4, 25, 30, 1000])
def test_they_agree(model: str, steps: int) -> None:
    ours, theirs = levels_of(entry(model))(steps), of_model(model).sigmas(steps)
    assert ours == pytest.approx(theirs, abs=2e-4)

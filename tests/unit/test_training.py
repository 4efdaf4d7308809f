"""The training loop on a toy: it learns, stops in time, and goes on where it was cut off."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest
import torch
from torch import Tensor, nn

from backend.training.data import sample_view
from backend.training.losses import psnr_db, resampled
from backend.training.trainer import Run, Trainer, learning_rate


def trainer(tmp_path, seconds: float) -> Trainer:
    net = nn.Linear(4, 1)
    run = Run(tmp_path / "out", tmp_path / "work")
    return Trainer(run, "toy", net, around=net, peak=0.05, hold=0.5, seconds=seconds, ema=0.9)


def train(loop: Trainer) -> list[float]:
    goal = torch.tensor([1.0, -2.0, 3.0, 0.5])

    def batches():
        for seed in itertools.count():
            x = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
            yield x, x @ goal

    def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (net(batch[0])[:, 0] - batch[1]).square().mean()

    loop.train(batches(), loss_of, lambda: None)
    return loop.losses


def test_it_learns_and_tells(tmp_path) -> None:
    losses = train(trainer(tmp_path, 0.5))
    assert losses[-1] < 0.01 * losses[0]
    report = json.loads((tmp_path / "out" / "training.json").read_text())
    assert report["toy_steps"] > 20
    assert report["toy_loss"] == pytest.approx(sum(losses[-100:]) / len(losses[-100:]))


def test_it_goes_on_where_it_stopped(tmp_path) -> None:
    first = trainer(tmp_path, 0.3)
    train(first)
    second = trainer(tmp_path, 0.6)
    assert (second.step, second.used) == (first.step, first.used)
    assert torch.equal(second.net.state_dict()["weight"], first.net.state_dict()["weight"])
    train(second)
    assert second.step > first.step


def test_averaged_weights_are_lent_not_kept(tmp_path) -> None:
    loop = trainer(tmp_path, 0.2)
    train(loop)
    own = loop.net.state_dict()["weight"].clone()
    with loop.averaged():
        assert torch.equal(loop.net.state_dict()["weight"], loop.average["weight"])
    assert torch.equal(loop.net.state_dict()["weight"], own)


def test_the_learning_rate_rises_holds_and_falls() -> None:
    rates = [learning_rate(k / 100, 1.0, 0.4) for k in range(101)]
    assert rates[0] < 0.05
    assert rates[2:40] == [1.0] * 38
    assert rates[40:] == sorted(rates[40:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


def test_views_cover_poles_horizon_and_every_size() -> None:
    rng = random.Random(1)
    views = [sample_view(rng) for _ in range(2000)]
    pitches, fovs = ([math.degrees(v[k]) for v in views] for k in (0, 1))
    assert min(pitches) == -90 or min(pitches) < -85
    assert sum(abs(p) > 80 for p in pitches) > 200
    assert sum(abs(p) < 10 for p in pitches) > 400
    assert 20 <= min(fovs) < 25
    assert 105 < max(fovs) <= 110


def test_frames_and_latents_are_resampled_alike() -> None:
    """A ramp looks the same read from the frames and from latents that show the frames in small."""
    u = torch.linspace(-1, 1, 128).expand(128, 128)
    frames = torch.stack([u, u.T, 0 * u])[None].expand(6, -1, -1, -1)
    latents = torch.nn.functional.avg_pool2d(frames, 8)
    torch.manual_seed(3)
    small, small_latents = resampled(frames, latents)
    assert small.shape == (6, 3, 64, 64)
    assert small_latents.shape == (6, 3, 8, 8)
    difference = torch.nn.functional.avg_pool2d(small, 8) - small_latents
    assert difference.abs().mean() < 0.03


def test_psnr_is_the_textbook_one() -> None:
    black = torch.full((1, 3, 8, 8), -1.0)
    assert psnr_db(black + 0.02, black) == pytest.approx(40.0, abs=0.01)

"""The procedural scenes: no seam, real motion, detail that follows the pixel size, captions that keep their secrets."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from backend import sphere  # noqa: E402
from backend.training.scenes import ATTRIBUTES, HELD_OUT, Renderer, Scene, caption, sample_scene  # noqa: E402

SKIES = ATTRIBUTES["sky"]
CALM = Scene("scattered", "day", ground="sea", ridge="islands", seed=21.3, sun_yaw=0.4, sun_pitch=0.9)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer("cpu")


def windows(scenes: int, pitch_deg: float, fov_deg: float, size: int, yaw: float = 0.0):
    fov = torch.full((scenes,), math.radians(fov_deg))
    d = sphere.view_directions(
        torch.full((scenes,), yaw), torch.full((scenes,), math.radians(pitch_deg)), fov, size, size
    )
    return d, math.radians(fov_deg) / size


@pytest.mark.parametrize("sky", SKIES)
def test_picture_goes_on_across_the_back_of_the_sphere(renderer: Renderer, sky: str):
    """A step across yaw 180 degrees changes no more than the steps beside it do."""
    scenes = [replace(sample_scene(random.Random(k), sky), weather="none") for k in range(3)]
    eps = 1e-3
    yaw = torch.tensor([math.pi - 3 * eps, math.pi - eps, -math.pi + eps, -math.pi + 3 * eps])[None, :]
    pitch = torch.linspace(-1.4, 1.4, 200)[:, None]
    d = sphere.direction(*torch.broadcast_tensors(yaw, pitch)).expand(len(scenes), -1, -1, -1)
    image = renderer.shade(scenes, d, torch.full((len(scenes), 1), 3.0), 0.012)[:, 0]
    step = (image[..., 1:] - image[..., :-1]).abs().mean((0, 1, 2))
    assert step[1] <= 2.0 * max(step[0], step[2]) + 2e-3, step.tolist()


@pytest.mark.parametrize("sky", SKIES)
def test_every_sky_moves_and_renders_the_same_twice(renderer: Renderer, sky: str):
    scene = replace(sample_scene(random.Random(5), sky), weather="snowfall" if sky in ("clear", "fog") else "none")
    d, pixel = windows(1, 25.0, 80.0, 48)
    t = torch.tensor([[1.0, 2.5]])
    first, again = renderer.shade([scene], d, t, pixel), renderer.shade([scene], d, t, pixel)
    assert torch.equal(first, again)
    assert (first[:, 0] - first[:, 1]).abs().max() > 0.02


@pytest.mark.parametrize("attribute", sorted(ATTRIBUTES))
def test_every_value_is_sampled_and_gives_a_sound_picture(renderer: Renderer, attribute: str):
    rng = random.Random(11)
    found: dict[str, Scene] = {}
    for _ in range(4000):
        scene = sample_scene(rng)
        found.setdefault(getattr(scene, attribute), scene)
    assert set(found) == set(ATTRIBUTES[attribute])
    scenes = list(found.values())
    for pitch in (-90.0, -12.0, 12.0, 90.0):
        d, pixel = windows(len(scenes), pitch, 100.0, 24, yaw=1.0)
        image = renderer.shade(scenes, d, torch.zeros(len(scenes), 2), pixel)
        assert image.shape == (len(scenes), 2, 3, 24, 24)
        assert torch.isfinite(image).all() and image.min() >= 0.0 and image.max() <= 1.0
        assert (image.mean((1, 2, 3, 4)) > 0.008).all(), "no picture is black"


def test_a_batch_does_not_change_its_members(renderer: Renderer):
    rng = random.Random(2)
    scenes = [sample_scene(rng, sky) for sky in SKIES]
    d, pixel = windows(len(scenes), 0.0, 70.0, 24)
    t = torch.linspace(0, 9, len(scenes))[:, None] + torch.tensor([[0.0, 0.1]])
    together = renderer.shade(scenes, d, t, pixel)
    for i, scene in enumerate(scenes):
        alone = renderer.shade([scene], d[i : i + 1], t[i : i + 1], pixel)
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-3, rtol=0.0)


@pytest.mark.parametrize(
    ("scene", "pitch_deg"),
    [
        (CALM, 35.0),
        (CALM, -30.0),
        (replace(CALM, ground="grass"), -25.0),
        (replace(CALM, ground="desert"), -40.0),
        (replace(CALM, ridge="mountains", ground="rock"), 4.0),
        (replace(CALM, ground="lake"), -12.0),
    ],
)
def test_detail_follows_the_pixel(renderer: Renderer, scene: Scene, pitch_deg: float):
    """Drawn at a quarter of the pixel size and averaged, a window is the one drawn at the full size."""
    size, t = 64, torch.tensor([[2.0]])
    d, pixel = windows(1, pitch_deg, 60.0, size)
    fine_d, fine_pixel = windows(1, pitch_deg, 60.0, 4 * size)
    wanted = F.avg_pool2d(renderer.shade([scene], fine_d, t, fine_pixel)[:, 0], 4)
    filtered, raw = renderer.shade([scene], d, t, pixel)[:, 0], renderer.shade([scene], d, t, pixel / 64.0)[:, 0]
    error, unfiltered = (filtered - wanted).abs().mean(), (raw - wanted).abs().mean()
    assert error < 0.035
    assert error < unfiltered
    step = (filtered[..., 1:] - filtered[..., :-1]).abs().mean()
    wanted_step = (wanted[..., 1:] - wanted[..., :-1]).abs().mean()
    assert 0.5 < step / wanted_step < 1.6, "neither blurred nor noisy"


def test_captions_vary_and_never_use_the_held_out_words():
    rng = random.Random(3)
    held_out = re.compile(
        "|".join(re.escape(w) for group in HELD_OUT.values() for words in group.values() for w in words)
    )
    captions = [caption(sample_scene(rng), rng) for _ in range(5000)]
    assert all(c.strip() and not held_out.search(c) for c in captions)
    assert len(set(captions)) > 4500
    for attribute, groups in HELD_OUT.items():
        assert set(groups) <= set(ATTRIBUTES[attribute]) and all(len(words) >= 2 for words in groups.values())

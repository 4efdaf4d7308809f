"""The built-in model as shipped: its words mean something, its views look where they should, its pictures survive."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch

from backend import sphere
from backend.models.base import View
from backend.models.builtin import WEIGHTS, BuiltinModel
from backend.models.storage import load_weights, save_weights
from backend.protocol import SkyloopError
from backend.training.losses import psnr_db
from backend.training.scenes import HELD_OUT, Renderer, sample_scene

AHEAD = View(math.radians(20), math.radians(90), 0.125)
SKIES = {
    "clear": "clear sky",
    "scattered": "scattered clouds",
    "wispy": "wispy clouds",
    "overcast": "overcast sky",
    "storm": "storm clouds",
    "fog": "fog",
    "stars": "starry sky",
    "aurora": "aurora",
    "nebula": "nebula",
    "alien": "alien sky",
    "underwater": "underwater",
}


@pytest.fixture(scope="module")
def model() -> BuiltinModel:
    return BuiltinModel("cpu")


def noise(n: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 12, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def prompt_and_none(model: BuiltinModel, prompt: str, negative: str = "", windows: int = 1) -> tuple[list, Any]:
    wanted, unwanted = model.encode_text([prompt, negative])
    return [wanted] * windows, unwanted


def first_guess(model: BuiltinModel, prompt: str, view: View = AHEAD, seed: int = 0) -> torch.Tensor:
    """What the model expects of nearly pure noise: the mean picture of a prompt."""
    return model.predict(noise(seed=seed), 0.98, [view], *prompt_and_none(model, prompt), 1.0)[0]


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean())


def test_synonyms_look_alike(model) -> None:
    wanted, same, other = (
        first_guess(model, p) for p in ("northern lights over tundra", "aurora, snow", "desert at noon")
    )
    assert distance(wanted, same) < 0.3 * distance(wanted, other)


def test_words_it_never_saw_mean_their_kind(model) -> None:
    """Held-out synonyms are nearest to their own kind more often than guessing one in eleven could be (p < 0.02)."""
    kinds = {kind: first_guess(model, text) for kind, text in SKIES.items()}
    words = [(kind, phrase) for kind, phrases in HELD_OUT["sky"].items() for phrase in phrases]
    right = 0
    for kind, phrase in words:
        guess = first_guess(model, phrase)
        right += min(kinds, key=lambda k: distance(guess, kinds[k])) == kind
    assert right >= 6, f"{right} of {len(words)}"


def test_the_view_pitch_decides_what_is_seen(model) -> None:
    """Snow under a blue sky: looking up is bluer than looking down."""
    blueness = []
    for pitch in (60, -60):
        view = View(math.radians(pitch), math.radians(80), 0.125)
        picture = model.decode(first_guess(model, "snowy field, clear blue sky at noon", view)[:, 0][None])[0]
        blueness.append(float((picture[2] - picture[0]).mean()))
    assert blueness[0] > blueness[1] + 0.1


def test_the_negative_prompt_pushes_away(model) -> None:
    view, x = [AHEAD], noise()
    plain = model.predict(x, 0.9, view, *prompt_and_none(model, "night sky"), 3.0)
    without = model.predict(x, 0.9, view, *prompt_and_none(model, "night sky", "aurora"), 3.0)
    aurora = model.predict(x, 0.9, view, *prompt_and_none(model, "aurora"), 1.0)
    assert distance(without, aurora) > distance(plain, aurora)


def test_a_window_does_not_depend_on_its_batch(model) -> None:
    x, (texts, none) = noise(3), prompt_and_none(model, "storm over the sea", windows=3)
    views = [AHEAD, View(-1.0, 1.0, 0.1), View(1.5, 0.5, 0.05)]
    together = model.predict(x, 0.5, views, texts, none, 3.0)
    alone = torch.cat([model.predict(x[i : i + 1], 0.5, [views[i]], texts[i : i + 1], none, 3.0) for i in range(3)])
    # bfloat16 products of other shapes round differently; the guidance of 3 multiplies that.
    assert (together - alone).abs().mean() < 0.02 * together.abs().mean()


def test_the_autoencoder_keeps_stars_and_rain(model) -> None:
    """At least 32 dB on freshly rendered scenes of every kind of sky, rain and stars among them."""
    rng, renderer = random.Random(20_000), Renderer("cpu")
    angles = torch.tensor([[rng.uniform(-3, 3), rng.uniform(-0.2, 1.2), rng.uniform(0.6, 1.8)] for _ in SKIES])
    scenes = [sample_scene(rng, sky=kind) for kind in SKIES]
    yaw, pitch, fov = angles.unbind(1)
    directions = sphere.view_directions(yaw, pitch, fov, 128, 128)
    frames = renderer.shade(scenes, directions, torch.zeros(len(scenes), 1), 2 * torch.tan(fov / 2) / 128)
    pictures = frames[:, 0].clamp(0, 1)
    assert psnr_db(model.decode(model.encode(pictures)) * 2 - 1, pictures * 2 - 1) > 32


def test_weights_survive_their_storage(tmp_path) -> None:
    state = {"matrix": torch.randn(64, 128), "vector": torch.randn(64)}
    for int8, tolerance in ((True, 0.03), (False, 0.003)):
        save_weights(state, tmp_path / "w.safetensors", int8=int8)
        for name, value in load_weights(tmp_path / "w.safetensors").items():
            assert (value - state[name]).abs().max() < tolerance
    assert sum(f.stat().st_size for f in WEIGHTS.glob("*.safetensors")) < 32e6


def test_damaged_weights_are_one_clear_error(tmp_path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(SkyloopError, match="w.safetensors cannot be read"):
        load_weights(tmp_path / "w.safetensors")

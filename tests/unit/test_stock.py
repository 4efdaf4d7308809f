"""What models need and what is here of them, in words; and what suits each: data in, sentences out."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blender_addon.__main__ import load_package

load_package()
stock = importlib.import_module("skyloop.blender_addon.core.stock")
checks = importlib.import_module("skyloop.blender_addon.core.model_checks")
settings = importlib.import_module("skyloop.blender_addon.core.settings")
sizes = importlib.import_module("skyloop.backend.sizes")
estimate = importlib.import_module("skyloop.backend.estimate")
GenerateRequest = importlib.import_module("skyloop.backend.protocol").GenerateRequest
MODELS = stock.known()
LARGE = [model for model in MODELS if model != "builtin"]


def said(model: str, **asked: Any) -> dict[str, Any]:
    """The checks of a request for a model that is here, by id."""
    natural = settings.natural(MODELS[model])
    width, height = settings.size_of(natural.quality, 0)
    asked = {"width": width, "height": height, "frames": natural.frames, "fps": natural.fps} | asked
    facts = checks.ModelFacts(entry=MODELS[model], condition="ready", kind="cuda", memory_mb=200_000.0)
    request = GenerateRequest(prompt="stars", model=model, **asked)
    return {check.id: check for check in checks.model_checks(request, facts)}


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_wrong_with_what_a_model_begins_with(model: str) -> None:
    takes_text = "text" in MODELS[model].takes
    assert set(said(model)) == (set() if takes_text else {"picture"})
    assert said(model, image="/a.png") == {}


@pytest.mark.parametrize("model", LARGE)
@pytest.mark.parametrize("frames", [1, 7, 16, 30, 50, 83, 131, 4095])
def test_the_length_that_is_offered_costs_no_detour_and_is_near(model: str, frames: int) -> None:
    clips = estimate.model_facts(GenerateRequest(prompt="stars", model=model))
    check = said(model, image="/a.png", frames=frames).get("loop_length")
    assert (check is None) == (sizes.stride_of(frames, True, clips) == 1)
    if check:
        good = check.fix.settings["frames"]
        assert sizes.stride_of(good, True, clips) == 1 and "loop_length" not in said(model, frames=good)
        assert abs(good - frames) <= clips.time_ratio / 2 or sizes.latents_of(good, True, clips) <= clips.frames


def test_only_few_step_models_insist_on_their_steps() -> None:
    assert "trained_steps" not in said("wan21-1.3b", steps=12, guidance=3.0)
    found = said("fastwan22-5b", steps=12, guidance=3.0)
    assert found["trained_steps"].fix.settings == {"steps": 0}
    assert found["trained_guidance"].fix.settings == {"guidance": 0.0}
    own = MODELS["fastwan22-5b"].preset
    assert said("fastwan22-5b", steps=own.steps, guidance=own.guidance) == {}


@pytest.mark.parametrize(
    ("condition", "getting", "word", "label"),
    [
        ("none", False, "is not on this computer", "Get It (17.6 GB)"),
        ("partial", False, "is not all on this computer yet", "Go On"),
        ("damaged", False, "are damaged", "Mend It"),
        ("partial", True, "is being downloaded", ""),
    ],
)
def test_a_model_that_is_not_here(condition: str, getting: bool, word: str, label: str) -> None:
    entry = replace(MODELS["wan21-1.3b"], size_mb=17600)
    facts = checks.ModelFacts(entry=entry, condition=condition, getting=getting)
    request = GenerateRequest(prompt="stars", model=entry.id, width=2048, height=1024, frames=80)
    (check,) = checks.model_checks(request, facts)
    assert check.severity == "error" and word in check.message
    assert (check.fix.label if check.fix else "") == label
    assert list(checks.model_checks(request, replace(facts, condition="", getting=False))) == [], "nobody has looked"


def test_cards_are_as_large_as_they_are_sold() -> None:
    entry = MODELS["wan21-1.3b"]
    least, comfortable = entry.memory.min_gb, entry.memory.comfortable_gb
    assert stock.fits(entry, "cuda", 950 * least)[0], "an 8 GB card has a little less for programs"
    fine, text = stock.fits(entry, "cuda", 1000 * least - 1500)
    assert not fine and f"{least:g} GB" in text
    assert "a part at a time" in stock.fits(entry, "cuda", 1000 * (least + comfortable) / 2)[1]
    assert stock.fits(entry, "cuda", 1000 * comfortable) == (
        True,
        f"It fits this graphics card ({comfortable:g} GB) as a whole.",
    )
    assert not stock.fits(entry, "cpu", 1e6)[0] and stock.fits(MODELS["builtin"], "cpu", 1.0)[0]


@pytest.mark.parametrize(
    ("hint", "word"),
    [
        ("Get it with: models download wan21-1.3b (about 18 GB).", "Get Model"),
        ("To download it instead, first: models remove wan21-1.3b.", "Remove Model"),
        ("Free some space, or keep the models on another disk: models move FOLDER.", "preferences"),
        ("Read it at https://x.org; if you agree, add --accept-licence.", "accept it"),
        (
            "Accept its conditions at https://x.org/y, make a token at https://z.org, set it as HF_TOKEN.",
            "x.org/y, then",
        ),
        ("Check the internet connection or proxy, then start again.", "Check the internet connection"),
    ],
)
def test_advice_names_what_there_is_to_press(hint: str, word: str) -> None:
    found = stock.advice(hint)
    assert word in found and not any(typed in found for typed in ("models move", "--", "HF_"))


def test_a_look_at_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "wan21-1.3b"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(3000))
    document = {
        "id": folder.name,
        "state": "ready",
        "files": [{"path": "weights", "size": 3000}],
        "local": "",
        "own": [],
    }
    (folder / "skyloop.json").write_text(json.dumps(document), encoding="utf-8")
    found = stock.look(tmp_path)
    assert found.folder == tmp_path / "models" and found.free_mb > 0 and set(found.held) == set(MODELS)
    assert found.held["wan21-1.3b"] == stock.Held("ready", 0.003, (), True) and found.used_mb == 0.003
    assert found.held["builtin"].ready and found.held["hunyuan15"] == stock.Held("none", 0.0, (), False)
    (folder / "weights").write_bytes(bytes(2000))
    assert stock.look(tmp_path).held["wan21-1.3b"].condition == "damaged"
    assert stock.look(tmp_path / "nowhere").held["wan21-1.3b"].condition == "none"


def test_sizes_for_people() -> None:
    assert [stock.gigabytes(mb) for mb in (3.4, 850, 3900, 17600, 126300)] == [
        "3 MB",
        "850 MB",
        "3.9 GB",
        "17.6 GB",
        "126 GB",
    ]

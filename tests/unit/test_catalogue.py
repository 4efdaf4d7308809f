"""The catalogue of models: what it says holds together, and a mistake in it is told by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend import models
from backend.commands.models import _fits
from backend.inputs import check_inputs
from backend.jobs import store
from backend.models.catalogue import FILE, Entry, Memory, check_given, entries, entry, read
from backend.models.families import FAMILIES
from backend.protocol import Command, ErrorKind, GenerateRequest, SkyloopError
from backend.serve.server import Server

TEXT = FILE.read_text(encoding="utf-8")
ALL = entries()
FOUND = [e for e in ALL if e.family != "builtin"]


def test_what_a_card_does_with_a_model() -> None:
    """As they are sold: an 8 GB card has somewhat less than 8000 MB for programs."""
    memory, found = Memory(min_gb=8, comfortable_gb=12, host_gb=16), {}
    for card_mb in (6000, 7600, 11000, 11400, 24000):
        found[card_mb] = memory.on(card_mb)
    assert found == {6000: "", 7600: "parts", 11000: "parts", 11400: "whole", 24000: "whole"}
    model = FOUND[0]
    card, cpu = {"id": "cuda:0", "memory_mb": 1000 * model.memory.comfortable_gb}, {"id": "cpu", "memory_mb": 0}
    shown = [_fits(model, seen) for seen in ([cpu, card], [cpu], [], [{"id": "mps", "memory_mb": 0}])]
    assert shown == ["whole", "slow", "unknown", "unknown"]


def test_every_family_has_a_model_and_every_model_a_family() -> None:
    assert {e.family for e in ALL} == {"builtin", *FAMILIES}
    assert ALL[0].id == "builtin"


@pytest.mark.parametrize("found", FOUND, ids=lambda e: e.id)
def test_a_model_holds_together(found: Entry) -> None:
    window, form = found.window, found.architecture
    native = (window.width_px / form.ratio) * (window.height_px / form.ratio)
    assert window.cells**2 == pytest.approx(native, rel=0.06), "a window sees about as many cells as in training"
    assert not found.preset.sigmas or found.preset.sigmas[0] == 1.0
    assert found.needs.endswith(".") and found.summary.endswith(".") and found.licence.limits.endswith(".")
    assert found.licence.link.startswith("https://")
    assert found.size_mb / 1000 > found.parameters_b, "at least a byte a parameter"
    assert found.gated <= found.licence.accept
    parts = {s.into or p.partition("/")[0] for s in found.source for p in s.files}
    assert {*form.denoisers, "vae", *form.parts, "model_index.json"} <= parts
    assert {lora.file.partition("/")[0] for lora in found.lora} <= parts
    assert {lora.part for lora in found.lora} <= {*form.denoisers}
    assert {single.file for single in found.single} <= parts
    assert all("/" in s.repo and (not s.revision or len(s.revision) == 40) for s in found.source)


def test_a_variant_takes_from_its_base_what_it_does_not_replace() -> None:
    fast, base = entry("fastwan22-5b"), entry("wan22-5b")
    assert fast.extends == base.id and fast.memory == base.memory and fast.preset.negative == base.preset.negative
    files = {(s.repo, p) for s in fast.source for p in s.files}
    assert [repo for repo, p in files if p.startswith("transformer/")] == [
        "FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers"
    ]
    assert ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "vae/*") in files
    assert fast.preset.sigmas == (1.0, 0.757, 0.522) and base.preset.sigmas == ()
    assert not entry("ltx-13b").extends and "Lightricks/LTX-Video" not in {s.repo for s in entry("ltx-13b").source}


@pytest.mark.parametrize(("wrong", "near"), [("wan2.1-1.3b", "wan21-1.3b"), ("LTX-2B", "ltx-2b"), ("svd", "svd-xt")])
def test_a_wrong_id_is_answered_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(SkyloopError) as caught:
        entry(wrong)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert caught.value.hint.startswith(f"Did you mean {near}? Known: builtin, ")
    with pytest.raises(SkyloopError) as caught:
        entry("\n" * 300)
    assert "Did you mean" not in caught.value.hint and "\n" not in caught.value.line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('family = "wan"\n', 'family = "wam"\n', "wan21-1.3b.family must be one of builtin, wan, "),
        ('task = "text"\n', 'task = "texts"\n', "wan21-1.3b: task must be one of text, image, both"),
        ("size_mb = 17600", 'size_mb = "large"', "wan21-1.3b.size_mb must be int"),
        ("size_mb = 17600", "size_mb = 17600\nsise = 3", "wan21-1.3b has an unknown field 'sise'"),
        ("cells = 78, frames = 21", "cells = 77, frames = 21", "wan21-1.3b: window.cells must be a multiple of 2"),
        ("frames_px = 81", "frames_px = 80", "wan21-1.3b: window.frames_px must be 81"),
        ("sigmas = [1.0, 0.757, 0.522]", "sigmas = [1.0, 0.522]", "fastwan22-5b: preset.sigmas must be as many"),
        ("sigmas = [1.0, 0.757, 0.522]", "sigmas = [1.0, 0.5, 0.6]", "fastwan22-5b: preset.sigmas must fall"),
        ("sigmas = [1.0, 0.757, 0.522]", "sigmas = [1000.0, 0.5, 0.2]", "fastwan22-5b: preset.sigmas must be above 0"),
        ('solver = "renoise"', 'solver = "again"', "fastwan22-5b: preset.solver must be one of"),
        ('extends = "wan22-5b"', 'extends = "wan33-5b"', "fastwan22-5b: 'wan33-5b' is no other model"),
        ('id = "wan22-5b"', 'id = "wan21-14b"', "A model has no id, or that of another"),
        ("min_gb = 6, comfortable_gb = 10", "min_gb = 60, comfortable_gb = 10", "wan21-1.3b: memory.min_gb must be"),
        ('repo = "zai-org/CogVideoX-2b"', "rapo = 1", "cogvideox-2b.source[0] has an unknown field 'rapo'"),
        ('summary = "Natural', 'summery = "Natural', "wan21-1.3b has an unknown field 'summery'"),
        ("\nparameters_b = 1.42", "", "wan21-1.3b.parameters_b is missing"),
    ],
)
def test_a_mistake_is_told_by_name(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError) as caught:
        read(TEXT.replace(old, new, 1))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_what_blender_shows_comes_without_torch_and_from_any_home(tmp_path: Path) -> None:
    (about,) = [m for m in models.catalogue(tmp_path) if m["id"] == "svd-xt"]
    assert about["condition"] == "none" and about["folder"] == str(tmp_path / "models" / "svd-xt")
    assert about["gated"] and not about["accepted"] and "1 million" in about["licence_limits"]
    (builtin,) = [m for m in models.catalogue(tmp_path) if m["id"] == "builtin"]
    assert builtin["ready"] and builtin["size_mb"] > 1 and builtin["accepted"]
    code = "import sys; from backend import models; models.catalogue(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "backend.models.store" in loaded
    assert not {"torch", "numpy", "diffusers", "transformers", "huggingface_hub", "safetensors"} & {*loaded}


def test_a_model_that_sets_pictures_in_motion_is_not_begun_without_one() -> None:
    with pytest.raises(SkyloopError, match="there is no picture") as error:
        check_inputs(GenerateRequest(prompt="a river", model="svd-xt"))
    assert error.value.kind is ErrorKind.BAD_REQUEST and "Wan" in error.value.hint
    check_given("svd-xt", image=True)
    for found in ALL:
        if "text" in found.takes:
            check_given(found.id, image=False)


def test_nor_does_it_wait_in_the_queue_for_one(tmp_path: Path) -> None:
    job = store.create(tmp_path / "job", GenerateRequest(prompt="a river", model="svd-xt"))
    server = Server(lambda _: None, locate=lambda _: job)
    with pytest.raises(SkyloopError, match="there is no picture"):
        server.obey(Command(type="generate", job="job"))

"""A model's folder becomes a model that runs, wherever its parts are put."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from backend import commands
from backend.counting import model_facts
from backend.models import loading, store, tuning
from backend.models.base import View
from backend.models.catalogue import entry
from backend.models.memory_plan import Plan, Rung
from backend.models.sparing import Sparing
from backend.protocol import ErrorKind, GenerateRequest, SkyloopError
from tests.backend.test_loras import as_panowan, file_of

MODEL = "wan21-1.3b"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Wan 2.1 in diffusers' layout."""
    at = tmp_path_factory.mktemp("wan")
    torch.manual_seed(0)
    WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
        text_dim=32, freq_dim=16, ffn_dim=32, num_layers=3, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    ).save_pretrained(at / "transformer")  # fmt: skip
    AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1).save_pretrained(at / "vae")
    config = UMT5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    UMT5EncoderModel(config).save_pretrained(at / "text_encoder")
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("\u2581", -2.0)]
    T5Tokenizer(vocab=special + [(c, -3.0) for c in "abcdefgh"], extra_ids=0).save_pretrained(at / "tokenizer")
    return at


@pytest.fixture
def there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "required", lambda _: folder)
    monkeypatch.setattr(store, "single_files", lambda _: {})
    monkeypatch.setattr(store, "root", lambda: tmp_path)
    return tmp_path


def plan(rung: Rung) -> Plan:
    return Plan(rung=rung, window_batch=2, device_bytes=0, host_bytes=0)


def clean(model: Any) -> torch.Tensor:
    x = torch.randn(2, 16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    a, b, negative = model.encode_text(["a sky", "the sea", ""])
    return model.predict(x, 0.7, [View(0.0, 1.5, 0.06)] * 2, [a, b], negative, 5.0)


def test_a_folder_becomes_a_model_that_runs(there: Path) -> None:
    model = loading.load(MODEL, CPU)
    assert model.spec.id == MODEL and model.spec.window_batch == 1 and len(model.spec.revision) == 16
    found = clean(model)
    assert found.shape == (2, 16, 3, 8, 8) and bool(found.isfinite().all())
    frames = torch.cat(list(model.decode_clip(torch.randn(16, 3, 4, 4))))
    assert frames.shape == (9, 3, 32, 32)


def test_the_layout_can_be_asked_for_before(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "condition", lambda name, _=None: "ready" if name == MODEL else "none")
    monkeypatch.setattr(sys.modules["backend.commands.models"], "enter_runtime", lambda _argv: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    chosen = loading.load(MODEL, CPU).plan  # pyright: ignore[reportAttributeAccessIssue]
    assert loading.outlook(MODEL, CPU).rung is chosen.rung is Rung.RESIDENT

    def listed(*more: str) -> str:
        assert commands.main(["models", "list", "--plan", *more]) == 0
        return capsys.readouterr().out

    found = {model["id"]: model for model in json.loads(listed("--json"))}
    assert found[MODEL]["plan"] == chosen.to_json() and "plan" not in found["ltx-2b"]
    assert f"fits: resident, {chosen.to_json()['device_gb']:.1f} GB" in listed()
    monkeypatch.setattr(loading.placement, "free_bytes", lambda _: (100_000_000, 100_000_000))
    assert "free memory" in json.loads(listed("--json"))[1]["plan"]["problem"]


def test_the_text_encoder_is_gone_before_the_denoiser_comes_and_is_not_needed_twice(there: Path) -> None:
    model = loading.load(MODEL, CPU)
    parts: Any = model.family.parts  # pyright: ignore[reportAttributeAccessIssue]
    assert not parts._loaded
    model.encode_text(["a sky"])
    assert not parts._loaded
    again = loading.load(MODEL, CPU)
    again.family.parts._load["text_encoder"] = None  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(again.encode_text(["a sky"])[0]["states"], model.encode_text(["a sky"])[0]["states"])


@pytest.mark.parametrize("rung", [Rung.SWAPPED, Rung.BLOCKS, Rung.LEAVES])
def test_where_parts_are_put_changes_no_bit(there: Path, rung: Rung) -> None:
    want = loading.load(MODEL, CPU)
    model = loading.load(MODEL, CPU, plan=plan(rung))
    assert model.spec.window_batch == 2
    latents = torch.randn(16, 2, 4, 4)
    for _ in range(2):  # denoiser and decoder take turns
        assert torch.equal(clean(model), clean(want))
        for a, b in zip(model.decode_clip(latents), want.decode_clip(latents), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("rung", [Rung.FP8, Rung.FP8_LEAVES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_8_bits_are_a_little_off(there: Path, monkeypatch: pytest.MonkeyPatch, rung: Rung, dtype: torch.dtype) -> None:
    """Also of a network that is computed with in 16 bits, of which some weights stay in 32."""
    want = clean(loading.load(MODEL, CPU))
    monkeypatch.setattr(loading.placement, "compute_dtype", lambda _: dtype)
    model: Any = loading.load(MODEL, CPU, plan=plan(rung))
    assert 0 < float((clean(model) - want).abs().mean() / want.std()) < 0.1
    found = {p.dtype for p in model.family.parts["transformer"].parameters()}
    assert torch.float8_e4m3fn in found and torch.float32 in found


def test_a_lora_changes_what_the_model_says_and_may_show_it_whole_panoramas(there: Path) -> None:
    """Also where its weights are kept in fewer bits: it is added before they are."""
    plain, style = loading.load(MODEL, CPU), file_of(there, as_panowan)
    for layout in (None, plan(Rung.LEAVES), plan(Rung.FP8)):
        changed = loading.load(MODEL, CPU, loras=[(style, 1.0)], plan=layout)
        assert float((clean(changed) - clean(plain)).abs().max()) > 0.1
        assert changed.spec.panorama is None
    noted = file_of(there, as_panowan, "noted", **{"modelspec.title": "equirectangular video"})
    sees = loading.load(MODEL, CPU, loras=[(noted, 1.0)])
    assert sees.spec.panorama == (56, 112) and plain.spec.panorama is None
    assert loading.load(MODEL, CPU, loras=[(noted, 0.0)]).spec.panorama is None
    for strength, counted in ((1.0, (56, 112)), (0.0, None)):
        request = GenerateRequest(prompt="x", model=MODEL, loras=((str(noted), strength),))
        assert model_facts(request).panorama == counted


def test_other_weights_are_another_revision(there: Path, folder: Path, tmp_path: Path) -> None:
    assert loading.fingerprint(folder, {}, ()) == loading.fingerprint(folder, {}, ())
    lora = tmp_path / "style.safetensors"
    lora.write_bytes(b"x" * 100)
    assert loading.fingerprint(folder, {}, [(lora, 1.0)]) != loading.fingerprint(folder, {}, [(lora, 0.5)])
    assert loading.fingerprint(folder, {}, [(lora, 1.0)]) != loading.fingerprint(folder, {}, ())


def test_sizes_are_those_of_what_is_loaded(there: Path, folder: Path) -> None:
    model = loading.load(MODEL, CPU)
    cls = type(model.family)  # pyright: ignore[reportAttributeAccessIssue]
    loads = loading.from_folder(folder, cls.CLASSES, loading.dtypes(cls, CPU))
    sizes = loading.sizes_of(entry(MODEL), cls, loads, CPU)
    clean(model)
    part = model.family.parts["transformer"]  # pyright: ignore[reportAttributeAccessIssue]
    assert sizes.denoiser == sum(p.numel() * p.element_size() for p in part.parameters())
    assert sizes.blocks == 3 and len(sizes.others) == 1


def test_what_is_not_there_is_said_with_the_command_that_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKYLOOP_HOME", str(tmp_path))
    with pytest.raises(SkyloopError) as raised:
        loading.load(MODEL, CPU)
    assert raised.value.kind is ErrorKind.MISSING_MODEL and f"models download {MODEL}" in raised.value.hint


def test_a_card_that_is_too_small_is_refused_before_anything_is_read(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading.placement, "free_bytes", lambda _: (100_000_000, 100_000_000))
    with pytest.raises(SkyloopError) as raised:
        loading.load(MODEL, CPU)
    assert raised.value.kind is ErrorKind.OUT_OF_MEMORY and raised.value.hint


def test_a_damaged_part_is_named_in_one_line(
    there: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    config = json.loads((broken / "vae" / "config.json").read_text())
    (broken / "vae" / "config.json").write_text(json.dumps(config | {"z_dim": 8}))
    monkeypatch.setattr(store, "required", lambda _: broken)
    model = loading.load(MODEL, CPU)
    with pytest.raises(SkyloopError) as raised:
        next(iter(model.decode_clip(torch.randn(16, 1, 4, 4))))
    assert raised.value.kind is ErrorKind.MISSING_MODEL and "vae" in raised.value.message
    assert "\n" not in raised.value.line


def test_where_memory_runs_out_the_model_goes_down_the_ladder_and_the_windows_are_tried_again(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = clean(loading.load(MODEL, CPU))
    model: Any = loading.load(MODEL, CPU)
    family, seen = model.family, []
    raw = family.raw

    def crowded(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append((len(x), model.plan.rung))
        if len(x) > 1 or model.plan.rung is not Rung.LEAVES:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return raw(x, *rest)

    monkeypatch.setattr(family, "raw", crowded)
    below = {Rung.RESIDENT: Rung.SWAPPED, Rung.SWAPPED: Rung.LEAVES}
    monkeypatch.setattr(loading, "planned", lambda *_, **facts: plan(below[facts["below"]]))
    found = clean(Sparing(model, leaner=model.leaner))
    assert torch.allclose(found, want, atol=1e-5)
    tried = [Rung.RESIDENT] * 3 + [Rung.SWAPPED] * 2 + [Rung.LEAVES] * 5
    assert [rung for _, rung in seen] == tried and [n for n, _ in seen] == [4, 2, 1, 2, 1, 2, 1, 1, 1, 1]


def test_where_nothing_is_left_to_try_it_is_said_in_a_sentence(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = loading.load(MODEL, CPU)

    def crowded(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(model.family, "raw", crowded)
    with pytest.raises(SkyloopError) as raised:
        clean(Sparing(model, leaner=model.leaner))
    assert raised.value.kind is ErrorKind.OUT_OF_MEMORY and "whichever way" in raised.value.message


def test_a_compiled_denoiser_is_given_batches_of_one_size(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = loading.load(MODEL, CPU, plan=plan(Rung.RESIDENT))
    want, seen, made = clean(model), [], []
    model.expect(1000)  # there is nothing to compile with here
    monkeypatch.setattr(loading.tuning, "repays", lambda operations, *_, **__: operations > 0)
    monkeypatch.setattr(loading.tuning, "compiled", made.append)
    model.expect(1000)
    raw = model.family.raw
    monkeypatch.setattr(model.family, "raw", lambda x, *rest: (seen.append(len(x)), raw(x, *rest))[1])
    assert torch.allclose(clean(model), want, atol=1e-5)
    x = torch.randn(1, 16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    text, negative = model.encode_text(["a sky", ""])
    alone = model.predict(x, 0.7, [View(0.0, 1.5, 0.06)], [text], negative, 5.0)
    assert len(alone) == 1 and len(made) == 1 and seen == [4, 4]


def test_what_was_compiled_once_repays_sooner_the_next_time(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a Python of the user's, where kernels are gone with the next start of the computer."""
    asked: list[bool] = []
    env = there / "env"
    env.mkdir()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # and restored to what it was
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(loading.tuning, "repays", lambda *_, again, **__: (asked.append(again), True)[1])
    for own in (None, env, env):
        monkeypatch.setattr(loading.tuning.places, "own", lambda own=own: own)
        model: Any = loading.load(MODEL, CPU, plan=plan(Rung.RESIDENT))
        want = clean(model)
        model.expect(1000)
        monkeypatch.setattr(WanTransformer3DModel, "compile_repeated_blocks", lambda *_, **__: None)
        assert torch.allclose(clean(model), want, atol=1e-5)
    assert asked == [False, False, True]
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(env / "kernels")
    other: Any = loading.load(MODEL, CPU, plan=replace(plan(Rung.RESIDENT), window_batch=3))
    other.expect(1000)
    assert asked[-1] is False, "other shapes have other kernels"


@pytest.mark.parametrize("unet", [True, False])
def test_compiling_again_repays_in_a_quarter_of_the_time(monkeypatch: pytest.MonkeyPatch, unet: bool) -> None:
    monkeypatch.setattr(tuning, "can_compile", lambda _: True)
    monkeypatch.setattr(tuning, "matrix_rate", lambda _: 1e14)
    least = {
        a: next(n for n in range(1, 20_000) if tuning.repays(n * 1e13, CPU, unet=unet, again=a)) for a in (False, True)
    }
    assert least[False] == pytest.approx(4 * least[True], abs=4)


def test_without_guidance_there_is_room_for_twice_as_many_windows(there: Path) -> None:
    spec = loading.load(MODEL, CPU, plan=plan(Rung.RESIDENT)).spec
    assert spec.at_once(5.0) == 2 and spec.at_once(1.0) == 4


def test_where_it_cannot_be_compiled_it_runs_as_it_is(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    model: Any = loading.load(MODEL, CPU, plan=plan(Rung.RESIDENT))
    want = clean(model)

    def broken(denoiser: torch.nn.Module) -> None:
        def failing(*_: Any) -> None:
            raise TorchDynamoException("no working compiler")

        denoiser.register_forward_pre_hook(failing)

    monkeypatch.setattr(loading.tuning, "repays", lambda *_, **__: True)
    monkeypatch.setattr(loading.tuning, "compiled", broken)
    model.expect(1000)
    assert torch.equal(clean(model), want)
    assert torch.equal(clean(model), want)


@pytest.mark.parametrize("form", ["safetensors", "gguf"])
def test_weights_may_be_in_a_single_file_also_quantised(
    there: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    whole: Any = loading.load(MODEL, CPU)
    want = clean(whole)
    state = {name: t.contiguous() for name, t in whole.family.parts["transformer"].state_dict().items()}
    file = tmp_path / f"mine.{form}"
    if form == "gguf":
        _write_gguf(file, state)
    else:
        save_file(state, file)
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    for weights in (bare / "transformer").glob("*.safetensors"):
        weights.unlink()
    monkeypatch.setattr(store, "required", lambda _: bare)
    monkeypatch.setattr(store, "single_files", lambda _: {"transformer": file})
    model: Any = loading.load(MODEL, CPU)
    found = clean(model)
    if form == "gguf":
        assert 0 < float((found - want).abs().mean() / want.std()) < 0.05
        assert model.sizes.quantised and model.sizes.denoiser == file.stat().st_size
    else:
        assert torch.equal(found, want)
    assert model.spec.revision != whole.spec.revision


def _write_gguf(file: Path, state: dict[str, torch.Tensor]) -> None:
    """Matrices in 8 bits where their rows are long enough, as such files have them."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(str(file), "wan")
    for name, tensor in state.items():
        values = tensor.numpy()
        if values.ndim == 2 and values.shape[1] % 32 == 0 and "blocks" in name:
            packed = quantize(values, GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_file_that_is_neither_is_refused(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.ckpt"
    file.write_bytes(b"x")
    monkeypatch.setattr(store, "single_files", lambda _: {"transformer": file})
    with pytest.raises(SkyloopError) as raised:
        clean(loading.load(MODEL, CPU))
    assert raised.value.kind is ErrorKind.MISSING_MODEL and "weights.ckpt" in raised.value.message

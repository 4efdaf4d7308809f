"""LoRA files in every form that is in use change a tiny network as they should; others are refused with a reason."""

from __future__ import annotations

import argparse
import json
import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LTXVideoTransformer3DModel, WanTransformer3DModel
from safetensors.torch import save_file
from torch import Tensor

from backend.commands.controls import add_controls, request_fields
from backend.inputs import check_inputs
from backend.models import loras, store
from backend.models.catalogue import entry
from backend.protocol import ErrorKind, GenerateRequest, SkyloopError
from backend.serve.uploads import _with_paths
from tests.backend.conformance import ready
from tests.backend.families.test_wan import TINY

RANK, WIDTH = 3, 24
LAYERS = {  # of the network -> as Wan's authors call them, and what goes in and out
    "attn1.to_q": ("self_attn.q", WIDTH, WIDTH),
    "attn1.to_out.0": ("self_attn.o", WIDTH, WIDTH),
    "attn2.to_k": ("cross_attn.k", WIDTH, WIDTH),
    "ffn.net.0.proj": ("ffn.0", WIDTH, 32),
    "ffn.net.2": ("ffn.2", 32, WIDTH),
}


def network() -> Any:
    torch.manual_seed(0)
    return ready(transformer=WanTransformer3DModel(**TINY))["transformer"]


def changes() -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up of each layer of the network that is changed."""
    generator = torch.Generator().manual_seed(2)
    return {
        f"blocks.{block}.{mine}": (
            torch.randn(RANK, wide, generator=generator) / 5,
            torch.randn(out, RANK, generator=generator) / 5,
        )
        for block in range(2)
        for mine, (_, wide, out) in LAYERS.items()
    }


def authors(layer: str) -> str:
    blocks, number, mine = layer.split(".", 2)
    return f"{blocks}.{number}.{LAYERS[mine][0]}"


def as_diffusers(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    return {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}


def as_bare(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    return {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}


def as_comfy(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    name = f"diffusion_model.{authors(layer)}"
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}


def as_comfy_with_scale(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    """The scale of a half is made up for by the numbers."""
    name = f"diffusion_model.{authors(layer)}"
    alpha = torch.tensor(RANK / 2)
    return {f"{name}.lora_down.weight": down * 2, f"{name}.lora_up.weight": up, f"{name}.alpha": alpha}


def as_diffsynth(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    name = authors(layer)
    return {f"{name}.lora_A.default.weight": down, f"{name}.lora_B.default.weight": up}


def as_panowan(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    return {f"pipe.dit.{key}": tensor for key, tensor in as_diffsynth(down, up, layer).items()}


def as_kohya(down: Tensor, up: Tensor, layer: str) -> dict[str, Tensor]:
    name = f"lora_unet_{authors(layer).replace('.', '_')}"
    alpha = torch.tensor(RANK / 2)
    return {f"{name}.lora_down.weight": down * 2, f"{name}.lora_up.weight": up, f"{name}.alpha": alpha}


FORMS = [as_diffusers, as_bare, as_comfy, as_comfy_with_scale, as_diffsynth, as_panowan, as_kohya]
Form = Callable[[Tensor, Tensor, str], dict[str, Tensor]]


def file_of(folder: Path, form: Form = as_diffusers, name: str = "style", **notes: str) -> Path:
    state: dict[str, Tensor] = {}
    for layer, (down, up) in changes().items():
        state |= form(down, up, layer)
    return written(folder / f"{name}.safetensors", state, **notes)


def written(path: Path, state: dict[str, Tensor], **notes: str) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path, notes or None)
    return path


def weights(of: Any) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in of.named_parameters()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_makes_the_same_change(form: Form, tmp_path: Path) -> None:
    plain, changed = weights(network()), weights(loras.apply(network(), [(file_of(tmp_path, form), 0.5)]))
    assert plain.keys() == changed.keys()  # nothing lies beside the weights
    for name, weight in plain.items():
        layer = name.removesuffix(".weight")
        down, up = changes().get(layer, (torch.zeros(1, 1), torch.zeros(1, 1)))
        wanted = weight + 0.5 * (up @ down) if layer in changes() else weight
        assert torch.allclose(changed[name], wanted, atol=1e-6), name


def test_changes_of_biases_are_taken_as_distilled_models_have_them(tmp_path: Path) -> None:
    """lightx2v's files also have those of norms, which are all zero and left out."""
    state: dict[str, Tensor] = {}
    for layer, (down, up) in changes().items():
        state |= as_comfy(down, up, layer) | {f"diffusion_model.{authors(layer)}.diff_b": torch.randn(len(up))}
    norm = {"diffusion_model.blocks.0.norm3.diff": torch.zeros(WIDTH)}
    plain, file = weights(network()), written(tmp_path / "fast.safetensors", state | norm)
    changed = weights(loras.apply(network(), [(file, 0.5)]))
    for layer, (down, up) in changes().items():
        bias = 0.5 * state[f"diffusion_model.{authors(layer)}.diff_b"]
        assert torch.allclose(changed[f"{layer}.weight"], plain[f"{layer}.weight"] + 0.5 * (up @ down), atol=1e-6)
        assert torch.allclose(changed[f"{layer}.bias"], plain[f"{layer}.bias"] + bias, atol=1e-6)


@torch.no_grad()
def test_beside_weights_that_are_quantised_the_change_is_the_same(tmp_path: Path) -> None:
    file, x = file_of(tmp_path), torch.randn(1, 16, 2, 4, 4)
    inside = loras.apply(network(), [(file, 0.5), (file, 0.25)])
    beside = network()
    before = weights(beside)
    beside.is_quantized = True  # as of a network from a GGUF file
    loras.apply(beside, [(file, 0.5), (file, 0.25)])
    kept = {name.replace(".base_layer.", "."): weight for name, weight in weights(beside).items()}
    assert all(torch.equal(weight, kept[name]) for name, weight in before.items())
    call = {"timestep": torch.tensor([500.0]), "encoder_hidden_states": torch.randn(1, 5, 32), "return_dict": False}
    assert torch.allclose(inside(x, **call)[0], beside(x, **call)[0], atol=1e-4)


def test_several_files_add_up_and_a_strength_of_zero_is_none(tmp_path: Path) -> None:
    one, two = file_of(tmp_path, name="one"), file_of(tmp_path, as_comfy, name="two")
    both = weights(loras.apply(network(), [(one, 0.25), (two, 0.5), (one, 0.0)]))
    together = weights(loras.apply(network(), [(one, 0.75)]))
    assert all(torch.allclose(both[name], weight, atol=1e-6) for name, weight in together.items())


def test_the_other_way_round_it_takes_the_change_away(tmp_path: Path) -> None:
    file, plain = file_of(tmp_path), weights(network())
    back = weights(loras.apply(network(), [(file, 1.0), (file, -1.0)]))
    assert all(torch.allclose(back[name], weight, atol=1e-6) for name, weight in plain.items())


def refused(match: str, call: Callable[[], Any]) -> SkyloopError:
    with pytest.raises(SkyloopError, match=match) as caught:
        call()
    assert caught.value.kind is ErrorKind.BAD_REQUEST and caught.value.hint
    return caught.value


def test_a_file_for_another_model_says_for_which(tmp_path: Path) -> None:
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    down, up = torch.randn(RANK, 320), torch.randn(320, RANK)
    state = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    file, before = written(tmp_path / "sd.safetensors", state), weights(net := network())
    refused("changes no layer .* looks made for Stable Diffusion", lambda: loras.apply(net, [(file, 1.0)]))
    assert all(torch.equal(before[key], value) for key, value in weights(net).items())
    refused("is a LoRA for Stable Diffusion, and Wan 2.1 1.3B", lambda: loras.check(file, entry("wan21-1.3b")))
    loras.check(file, entry("animatediff"))


def test_a_file_for_a_larger_model_says_so(tmp_path: Path) -> None:
    file = written(
        tmp_path / "big.safetensors", as_comfy(torch.randn(RANK, 40), torch.randn(40, RANK), "blocks.0.attn1.to_q")
    )
    refused(
        "another size: in blocks.0.attn1.to_q it is 40 wide, this model 24",
        lambda: loras.apply(network(), [(file, 1.0)]),
    )


def test_that_is_seen_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wan = entry("wan21-1.3b")
    for form in FORMS:
        big = written(
            tmp_path / "big.safetensors", form(torch.randn(RANK, 40), torch.randn(40, RANK), "blocks.0.attn1.to_q")
        )
        loras.check(big, wan)  # nobody knows: the model is not here
        with monkeypatch.context() as patch:
            network().save_pretrained(tmp_path / "transformer")
            patch.setattr(store, "installed", lambda _: tmp_path)
            refused(
                "another size: its layers are 40 wide, those of Wan 2.1 1.3B 24", lambda big=big: loras.check(big, wan)
            )
            loras.check(file_of(tmp_path, form), wan)


def test_over_http_the_files_are_those_that_were_uploaded(tmp_path: Path) -> None:
    (tmp_path / "style.safetensors").write_bytes(b"x")
    there = _with_paths(replace(WAN, loras=(("style.safetensors", 0.5),)), tmp_path)
    assert there.loras == ((str(tmp_path / "style.safetensors"), 0.5),)
    for name in ("other.safetensors", "../style.safetensors", str(tmp_path / "style.safetensors")):
        with pytest.raises(SkyloopError, match="lora 2 .* is not the name of an uploaded file"):
            _with_paths(replace(WAN, loras=(("style.safetensors", 1.0), (name, 1.0))), tmp_path)


def test_what_does_not_fit_of_a_file_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    down, up = torch.randn(RANK, WIDTH), torch.randn(WIDTH, RANK)
    state = as_diffusers(down, up, "blocks.0.attn1.to_q") | as_diffusers(down + 0, up + 0, "blocks.7.attn1.to_q")
    file, plain = written(tmp_path / "deep.safetensors", state), weights(network())
    with caplog.at_level(logging.WARNING, "backend"):
        changed = weights(loras.apply(network(), [(file, 1.0)]))
    assert "deep.safetensors: 1 of its layers" in caplog.text
    assert [name for name in plain if not torch.equal(plain[name], changed[name])] == ["blocks.0.attn1.to_q.weight"]


def test_pickles_and_whole_models_are_refused(tmp_path: Path) -> None:
    wan = entry("wan21-1.3b")
    pickle = tmp_path / "latest-lora.ckpt"
    pickle.write_bytes(b"\x80\x04.")
    assert "convert" in refused("not in the .safetensors format", lambda: loras.check(pickle, wan)).hint
    model = written(tmp_path / "model.safetensors", {"blocks.0.attn1.to_q.weight": torch.randn(4, 4)})
    refused("has no LoRA layers", lambda: loras.check(model, wan))
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(file_of(tmp_path).read_bytes()[:-50])
    refused("cannot be read", lambda: loras.check(torn, wan))


@pytest.mark.parametrize(
    ("key", "families"),
    [
        ("lora_unet_blocks_3_cross_attn_k.lora_down.weight", "wan"),
        ("diffusion_model.blocks.3.ffn.0.lora_A.weight", "wan"),
        ("transformer.blocks.3.attn2.to_k.lora_A.weight", "wan"),
        ("diffusion_model.transformer_blocks.3.attn1.to_k.lora_A.weight", "ltx"),
        ("diffusion_model.transformer_blocks.3.audio_attn1.to_k.lora_A.weight", "ltx2"),
        ("transformer.visual_transformer_blocks.1.self_attention.to_query.lora_A.weight", "kandinsky5"),
        ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight", "animatediff"),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", None),
        ("diffusion_model.double_blocks.3.img_attn_qkv.lora_A.weight", "hunyuan15"),
    ],
)
def test_whom_a_file_is_for_is_seen_in_its_names(key: str, families: str | None) -> None:
    found = loras.looks_made_for([key])
    assert (found is None) == (families is None)
    assert found is None or families in found[0]


def test_a_file_for_ltx_in_comfys_form_changes_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tiny = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=32,
    )  # fmt: skip
    layer = "transformer_blocks.0.attn1.to_q"
    down, up = torch.randn(RANK, 16), torch.randn(16, RANK)
    state = {f"diffusion_model.{layer}.lora_A.weight": down, f"diffusion_model.{layer}.lora_B.weight": up}
    before = weights(tiny)
    after = weights(loras.apply(tiny, [(written(tmp_path / "ltx.safetensors", state), 1.0)]))
    assert torch.allclose(after[f"{layer}.weight"], before[f"{layer}.weight"] + up @ down, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "model", "part"),
    [
        ("wan2.2_t2v_A14b_high_noise_lora_rank64.safetensors", "wan22-a14b", "transformer"),
        ("Aurora-LowNoise.safetensors", "wan22-a14b", "transformer_2"),
        ("slow-highlands.safetensors", "wan22-a14b", ""),
        ("aurora-low.safetensors", "wan21-14b", ""),
    ],
)
def test_of_a_pair_for_two_experts_each_gets_its_own(name: str, model: str, part: str) -> None:
    assert loras.part_of(Path(name), entry(model)) == part


WAN = GenerateRequest(prompt="dawn", model="wan21-1.3b")


def options(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_controls(parser)
    return request_fields(parser.parse_args(words))


def test_the_command_line_says_files_and_strengths(tmp_path: Path) -> None:
    file, odd = (str(file_of(tmp_path, name=name)) for name in ("style", "a=1"))
    assert options()["loras"] == ()
    assert options("--lora", file, "--lora", f"{file}=-0.5", "--lora", odd)["loras"] == (
        (file, 1.0), (file, -0.5), (odd, 1.0))  # fmt: skip
    for words, named in ((f"{file}=much", "'much' is no strength"), ("nowhere.safetensors", "is not there")):
        with pytest.raises(argparse.ArgumentError, match=named):
            options("--lora", words)


def test_a_request_with_files_is_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    file = str(file_of(tmp_path))
    fine = replace(WAN, loras=((file, 0.5),))
    assert GenerateRequest.from_json(json.loads(json.dumps(fine.to_json()))) == fine
    assert fine.problems() == [] and fine.lora_files == ((Path(file), 0.5),)
    check_inputs(fine)
    for wrong, named in (
        (replace(fine, loras=((file, 9.0),)), "lora 1: strength 9: use -2 to 2"),
        (replace(fine, loras=((file, math.nan),)), "lora 1: strength nan"),
        (replace(fine, loras=(("style.safetensors", 1.0),)), "lora 1 .*: use an absolute path"),
        (replace(fine, loras=((file, 0.1),) * 9), "9 of them, use at most 8"),
        (replace(fine, model="builtin"), "the built-in model takes no LoRA files"),
    ):
        assert re.search(named, " ".join(wrong.problems())), named
    refused(
        "is not there|cannot be read", lambda: check_inputs(replace(fine, loras=((f"{tmp_path}/no.safetensors", 1.0),)))
    )
    refused("is a LoRA for Wan, and LTX", lambda: check_inputs(replace(fine, model="ltx-2b")))


def test_its_own_notes_or_its_name_make_a_file_one_for_whole_panoramas(tmp_path: Path) -> None:
    wan = entry("wan21-1.3b")
    plain = file_of(tmp_path, as_panowan, "latest-360")
    noted = file_of(tmp_path, as_panowan, "noted", **{"modelspec.description": "360° panoramas"})
    assert loras.panorama(wan, [plain]) is None
    assert loras.panorama(wan, [plain, noted]) == (56, 112)
    assert loras.panorama(entry("cogvideox-2b"), [noted]) is None, "whose windows do not close to a ring"
    for name in ("PanoWan", "wan2.1-Pano360", "Seamless-Equirectangular", "360_lora", "sky-360deg"):
        assert loras.panorama(wan, [file_of(tmp_path, as_panowan, name)]) == (56, 112)
    for name in ("hispano", "companion", "clip-360p", "style-000360"):
        assert loras.panorama(wan, [file_of(tmp_path, as_panowan, name)]) is None

"""Wan 2.1 against diffusers' pipeline, on tiny random networks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from torch import Tensor
from torch.nn import functional as F

from backend.models.families.family import Text
from backend.models.families.wan import Wan, circular
from backend.models.parts import Parts, from_folder
from tests.backend.conformance import (
    NEGATIVE,
    PROMPT,
    VIEW,
    Case,
    Conformance,
    entry_of,
    floating,
    parts_of,
    ready,
    t5_encoder,
    t5_tokenizer,
)

TINY = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 2,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 32,
}
TINY_VAE = {
    "base_dim": 8,
    "z_dim": 16,
    "dim_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}


def tiny_parts(**others: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    parts = {
        "tokenizer": t5_tokenizer(),
        "text_encoder": t5_encoder(umt5=True),
        "transformer": WanTransformer3DModel(**TINY),
        "vae": AutoencoderKLWan(**TINY_VAE),
    }
    return ready(**parts | others)


def solvers(shift: float) -> list[tuple[Any, Any]]:
    """The engine's, with the schedulers of diffusers that they equal."""
    multistep = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, final_sigmas_type="zero"
    )
    return [("euler", FlowMatchEulerDiscreteScheduler(shift=shift)), ("multistep", floating(multistep))]


def unipc(shift: float) -> Any:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


class WanCase(Case):
    def pipeline_text(self) -> list[Text]:
        found = self.pipe.encode_prompt(PROMPT, NEGATIVE, max_sequence_length=512)
        return [{"states": states[0, : int((states[0].abs().sum(-1) > 0).sum())]} for states in found]

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        mean, std = (torch.tensor(v).view(-1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
        return self.pipe.video_processor.postprocess_video(vae.decode((latents * std + mean)[None]).sample, "pt")[0]


class TestWan(Conformance):
    @staticmethod
    def make() -> WanCase:
        parts = tiny_parts()
        family = Wan(parts_of(parts), entry_of("wan21-1.3b", frames=3, cells=8))
        return WanCase(family, WanPipeline(scheduler=unipc(3.0), **parts), solvers(3.0))


@pytest.fixture(scope="module")
def family() -> Wan:
    entry = entry_of("wan21-1.3b", frames=3, cells=8)
    found = Wan(parts_of(tiny_parts()), entry)
    found.spec = replace(found.spec, panorama=(4, 20))
    return found


@torch.no_grad()
def test_a_whole_panorama_goes_around_and_a_window_does_not(family: Wan) -> None:
    """Turning the panorama turns what the denoiser says, by whole tokens of two columns."""
    text, transformer = family.encode_text(["abc"]), family.parts["transformer"]

    def turned_wrongly(columns: int) -> float:
        x = torch.randn(1, 16, 3, 4, columns)
        plain, turned = (family.raw(each, 500.0, text, [VIEW]) for each in (x, x.roll(6, -1)))
        return float((plain.roll(6, -1) - turned).abs().max() / plain.abs().max())

    before = transformer.rope.freqs_cos.clone()
    assert turned_wrongly(20) < 1e-5
    assert torch.equal(transformer.rope.freqs_cos, before)  # as it was for the windows
    assert turned_wrongly(18) > 1e-2


@torch.no_grad()
def test_positions_around_are_nearly_those_of_a_window(family: Wan) -> None:
    """The finest go around in 10 tokens at about the angle of one radian a token that the denoiser knows."""
    rope = family.parts["transformer"].rope
    plain = rope.freqs_cos.clone()
    with circular(rope, 20, plain.device):
        around = rope.freqs_cos.clone()
    width = rope.w_dim
    assert torch.equal(plain[:, :-width], around[:, :-width])  # time and height are untouched
    assert torch.allclose(around[:10, -width], (torch.arange(10) * 2 * math.pi * 2 / 10).cos(), atol=1e-5)


@torch.no_grad()
def test_loaded_in_half_precision_it_is_the_pipeline_in_half_precision(tmp_path: Path) -> None:
    """With the parts in float32 that diffusers keeps so."""
    parts = tiny_parts()
    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
    kinds = {"text_encoder": torch.bfloat16, "transformer": torch.bfloat16}
    loaded = Parts(from_folder(tmp_path, Wan.CLASSES, kinds), torch.device("cpu"))
    family = Wan(loaded, entry_of("wan21-1.3b", frames=2, cells=4))
    pipe = WanPipeline(scheduler=unipc(3.0), **{name: loaded[name] for name in parts})
    case = WanCase(family, pipe)
    embedder = loaded["transformer"].condition_embedder
    assert embedder.time_embedder.linear_1.weight.dtype == torch.float32
    assert embedder.text_embedder.linear_1.weight.dtype == torch.bfloat16
    theirs, text = case.pipeline_text(), family.encode_text([PROMPT, NEGATIVE])
    assert all(torch.equal(a["states"], b["states"]) for a, b in zip(text, theirs, strict=True))
    states = [F.pad(t["states"], (0, 0, 0, 512 - len(t["states"])))[None] for t in text]
    at = torch.full((1,), 500.0)
    network = loaded["transformer"]
    expected = network(case.noise.bfloat16(), at, states[0], return_dict=False)[0]
    assert torch.equal(family.raw(case.noise, 500.0, text[:1], [VIEW]), expected.float())


def test_few_step_models_take_the_steps_that_they_were_trained_on() -> None:
    """lightx2v's are Euler's method without guidance; FastWan's go up to fresh noise after each step."""
    fast = Wan(parts_of(tiny_parts()), entry_of("wan21-14b-4step", frames=3, cells=8))
    assert (fast.spec.solver, fast.spec.guidance, fast.spec.steps) == ("euler", 1.0, 4)
    scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=5.0)
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25])
    assert fast.levels.sigmas(4) == pytest.approx(scheduler.sigmas.tolist(), abs=1e-5)
    assert fast.levels.sigmas(2) == [fast.levels.sigmas(4)[k] for k in (0, 2, 4)]


def test_clips_can_be_decoded_side_by_side(family: Wan) -> None:
    """What the autoencoder remembers of one is not seen by another."""
    latents = torch.randn(2, 16, 3, 2, 2)
    with torch.no_grad():
        alone = [list(family.decode_clip(z)) for z in latents]
        together = list(zip(*(family.decode_clip(z) for z in latents), strict=True))
    assert [len(piece) for piece in alone[0]] == [1, 4, 4]
    assert all(torch.equal(ours, theirs[k]) for k in range(2) for ours, theirs in zip(alone[k], together, strict=True))


@torch.no_grad()
def test_a_latent_says_nothing_about_frames_before_it(family: Wan) -> None:
    """So of a loop nothing has to be decoded after its end."""
    latents = torch.randn(16, 4, 2, 2)
    other = torch.cat([latents[:, :3], torch.randn(16, 1, 2, 2)], 1)
    frames, others = (torch.cat(list(family.decode_clip(z))) for z in (latents, other))
    assert torch.equal(frames[:9], others[:9]) and not torch.equal(frames[9:], others[9:])
    assert family.spec.around[1] == 0


def test_a_clip_of_a_wrong_length_is_refused(family: Wan) -> None:
    with pytest.raises(ValueError, match="a clip of 8 frames"):
        family.encode_clip(torch.rand(8, 3, 16, 16))

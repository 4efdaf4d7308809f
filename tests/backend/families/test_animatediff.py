"""AnimateDiff on tiny random parts, against diffusers' own pipeline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    MotionAdapter,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.models.base import View
from backend.models.families.animatediff import AnimateDiff
from backend.models.foundation import FoundationModel
from backend.models.parts import Parts
from backend.models.texts import TextCache
from backend.solver import solver_step

torch.set_num_threads(1)
FRAMES, CELLS = 4, 8
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VIEW = View(0.0, 1.0, 0.125)


def entry(**preset: Any) -> SimpleNamespace:
    window = SimpleNamespace(frames=FRAMES, cells=CELLS, fps=8)
    chosen = {"steps": 4, "guidance": 7.5, "solver": "multistep"} | preset
    return SimpleNamespace(id="tiny", window=window, preset=SimpleNamespace(**chosen), takes=("text",), lora=())


@pytest.fixture(scope="module")
def loads() -> dict[str, Any]:
    torch.manual_seed(0)
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{c}</w>" for c in LETTERS)]
    tokenizer = CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=77)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=CELLS, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=32,
        attention_head_dim=2, norm_num_groups=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    adapter = MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=2,
        motion_max_seq_length=8,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    parts = {"unet": unet, "motion_adapter": adapter, "vae": vae, "text_encoder": CLIPTextModel(config)}
    for part in parts.values():
        part.eval().requires_grad_(False)
    return {name: (lambda part=part: part) for name, part in (parts | {"tokenizer": tokenizer}).items()}


def model(loads: dict[str, Any], **preset: Any) -> FoundationModel:
    family = AnimateDiff(Parts(AnimateDiff.loads(loads), torch.device("cpu")), entry(**preset))
    return FoundationModel(family, TextCache())


def sampled(tiny: FoundationModel, noise: torch.Tensor, steps: int, guidance: float, renoise: Any = None):
    sigmas = tiny.sigmas(steps)
    wanted, unwanted = tiny.encode_text(["a river", "blurry"])
    x, before = noise * tiny.spec.start, None
    for k in range(steps):
        clean = tiny.predict(x, sigmas[k], [VIEW], [wanted], unwanted, guidance)
        around = (sigmas[k - 1] if k else 1.0, sigmas[k], sigmas[k + 1])
        fresh = renoise(k) if renoise else None
        x, before = solver_step(x, clean, before, around, tiny.spec.solver, fresh), clean
    return x


def pipeline(loads: dict[str, Any], scheduler: Any) -> AnimateDiffPipeline:
    pipe = AnimateDiffPipeline(
        **{name: load() for name, load in loads.items()},
        scheduler=scheduler,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("solver", ["euler", "multistep", "renoise"])
def test_a_window_is_what_the_pipeline_makes_of_it(loads: dict[str, Any], solver: str) -> None:
    linear = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear"}
    scheduler = {
        "euler": lambda: DDIMScheduler(**linear, clip_sample=False, timestep_spacing="trailing"),
        "multistep": lambda: DPMSolverMultistepScheduler(
            **linear, timestep_spacing="trailing", final_sigmas_type="zero"
        ),
        "renoise": lambda: LCMScheduler(**linear),
    }[solver]()
    noise = torch.randn(1, 4, FRAMES, CELLS, CELLS, generator=torch.Generator().manual_seed(1))
    theirs = pipeline(loads, scheduler)(
        "a river", num_frames=FRAMES, height=64, width=64, num_inference_steps=4, guidance_scale=3.0,
        negative_prompt="blurry", latents=noise.clone(), output_type="latent",
        generator=torch.Generator().manual_seed(2),
    ).frames  # fmt: skip
    again = torch.Generator().manual_seed(2)
    ours = sampled(model(loads, solver=solver), noise, 4, 3.0, lambda k: torch.randn(noise.shape, generator=again))
    print(solver, float((ours - theirs).abs().max()), float(theirs.std()))
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()

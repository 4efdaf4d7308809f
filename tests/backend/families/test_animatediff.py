"""AnimateDiff and AnimateLCM against diffusers' pipeline, on tiny random networks."""

# diffusers annotates its constructors more narrowly than it takes arguments.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
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
from safetensors.torch import save_file
from torch import Tensor

from backend.charts import Chart
from backend.conditioning import Prompts
from backend.denoise import Canvas, Schedule, denoise
from backend.models import loading, loras
from backend.models.catalogue import entry
from backend.models.families.animatediff import LCM_TIMESTEPS, AnimateDiff, in_checkpoint
from backend.models.families.family import Text
from backend.models.parts import Parts, from_folder
from backend.protocol import ErrorKind, SkyloopError
from backend.solver import solver_step
from backend.windows import Span, Window, cover, offset
from tests.backend.conformance import NEGATIVE, PROMPT, Case, Conformance, clip_encoder, clip_tokenizer, entry_of, ready
from tests.backend.families.folders import in_half_precision

FRAMES, CELLS = 4, 8
LINEAR: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear"}
TINY: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "attention_head_dim": 2,
    "norm_num_groups": 2,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
TINY_MOTION: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "motion_layers_per_block": 1,
    "motion_norm_num_groups": 2,
    "motion_num_attention_heads": 2,
}
TINY_VAE: dict[str, Any] = {
    "block_out_channels": (8, 8, 8, 8),
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def tiny_parts(**motion: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return ready(
        tokenizer=clip_tokenizer(),
        text_encoder=clip_encoder(),
        unet=UNet2DConditionModel(**TINY),
        motion_adapter=MotionAdapter(**TINY_MOTION | motion),
        vae=AutoencoderKL(**TINY_VAE),
    )


def family_of(parts: dict[str, Any], model_id: str = "animatediff") -> AnimateDiff:
    loads = AnimateDiff.loads({name: lambda part=part: part for name, part in parts.items()})
    return AnimateDiff(Parts(loads, torch.device("cpu")), entry_of(model_id, frames=FRAMES, cells=CELLS))


class AnimateDiffCase(Case):
    def pipeline_text(self) -> list[Text]:
        wanted, unwanted = self.pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
        return [{"states": wanted[0]}, {"states": unwanted[0]}]

    def branches(self, seen: Tensor, timestep: float, wanted: Text, unwanted: Text) -> Sequence[Tensor]:
        both = self.family.raw(seen.repeat(2, 1, 1, 1, 1), timestep, [unwanted, wanted], [self.view()] * 2)
        return both.flip(0).split(1)

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        video = self.pipe.decode_latents(latents[None])
        return self.pipe.video_processor.postprocess_video(video, "pt")[0]


class TestAnimateDiff(Conformance):
    @staticmethod
    def make() -> AnimateDiffCase:
        parts = tiny_parts()
        trailing = {"timestep_spacing": "trailing"} | LINEAR
        euler = DDIMScheduler(**trailing, clip_sample=False)
        multistep = DPMSolverMultistepScheduler(**trailing, final_sigmas_type="zero")
        pipe = AnimateDiffPipeline(**parts, scheduler=DDIMScheduler(**LINEAR, clip_sample=False, steps_offset=1))
        return AnimateDiffCase(family_of(parts), pipe, [("euler", euler), ("multistep", multistep)])

    def test_its_noise_levels_are_those_of_even_trailing_timesteps(self, case: Case) -> None:
        scheduler = case.solvers[0][1]
        for steps in (4, 25, 30):
            scheduler.set_timesteps(steps)
            assert case.model.sigmas(steps) == pytest.approx(case.sigmas(scheduler), abs=1e-6)

    def test_a_loop_may_begin_anywhere(self, case: Case) -> None:
        """Turning the noise of a ring in time, and its windows with it, turns the film, from its first frame on."""
        frames, steps, turn = 6, 3, 2
        encoded, sigmas = case.model.encode_text([PROMPT, NEGATIVE]), case.model.sigmas(steps)
        whole = Span(torch.arange(CELLS), torch.ones(CELLS))

        def film(noise: Tensor, turn: int) -> Tensor:
            def windows(step: int, _: bool) -> list[Window]:
                spans = cover(frames, FRAMES, offset(step, 0), wrap=True)
                return [Window(0, Span((s.index + turn) % frames, s.weight), whole, whole) for s in spans]

            canvas = Canvas([Chart("plane", CELLS, CELLS)], [noise], loop=True, frame_step_s=1 / 8)
            prompts, schedule = Prompts(encoded[:1], encoded[1]), Schedule(sigmas, [case.guidance] * steps)
            list(denoise(case.model, canvas, prompts, schedule, windows_of=windows))
            return torch.cat(list(case.model.decode_clip(canvas.latents[0])))

        noise = torch.randn(4, frames, CELLS, CELLS)
        plain, turned = film(noise.clone(), 0), film(noise.roll(turn, 1), turn)
        assert (plain - plain.roll(turn, 0)).abs().max() > 0.01
        assert (plain.roll(turn, 0) - turned).abs().max() <= 1e-5


class TestAnimateLcm:
    @staticmethod
    def make() -> AnimateDiffCase:
        parts = tiny_parts(use_motion_mid_block=False)
        pipe = AnimateDiffPipeline(**parts, scheduler=LCMScheduler(**LINEAR))
        return AnimateDiffCase(family_of(parts, "animatelcm"), pipe)

    @pytest.mark.parametrize("steps", [1, 4, 6, 8])
    def test_its_timesteps_are_those_it_was_distilled_to(self, steps: int) -> None:
        scheduler = LCMScheduler(**LINEAR)
        scheduler.set_timesteps(steps)
        levels = family_of({}, "animatelcm").levels
        assert [round(levels.native(s)[1], 6) for s in levels.sigmas(steps)[:-1]] == scheduler.timesteps.tolist()

    def test_what_the_boundary_condition_would_change_is_nothing(self) -> None:
        scheduler = LCMScheduler(**LINEAR)
        for t, most in ((min(LCM_TIMESTEPS), 7e-6), (139, 2e-7)):
            c_skip, c_out = scheduler.get_scalings_for_boundary_condition_discrete(t)
            assert c_skip + (1 - c_out) < 1.6 * most

    @torch.no_grad()
    def test_a_window_is_what_the_pipeline_makes_with_the_same_noise(self) -> None:
        case = self.make()
        model, fresh = case.model, torch.Generator().manual_seed(9)
        theirs = case.pipeline_latents()
        sigmas = model.sigmas(case.steps)
        wanted, unwanted = model.encode_text([PROMPT, NEGATIVE])
        x = case.noise * model.spec.start
        for k, sigma in enumerate(sigmas[:-1]):
            clean = model.predict(x, sigma, [case.view()], [wanted], unwanted, case.guidance)
            noise = torch.randn(x.shape, generator=fresh)
            x = solver_step(x, clean, None, (1.0, sigma, sigmas[k + 1]), model.spec.solver, noise)
        assert (x - theirs).abs().max() <= case.engine_tolerance * theirs.abs().max()


def test_a_window_is_no_longer_than_motion_was_trained_for() -> None:
    longest = MotionAdapter(**TINY_MOTION).config["motion_max_seq_length"]
    assert all(entry(model_id).window.frames <= longest for model_id in ("animatediff", "animatelcm"))


def test_every_frame_of_a_loop_is_like_any_other() -> None:
    """No latent stands for more or less than one frame, and none needs what is beside it to be decoded."""
    spec = family_of(tiny_parts()).spec
    assert (spec.time_ratio, spec.lead, spec.around) == (1, 0, (0, 0))


def test_it_runs_from_a_folder_in_half_precision(tmp_path: Path) -> None:
    in_half_precision(AnimateDiff, tiny_parts(), entry_of("animatediff", frames=FRAMES, cells=CELLS), tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"block_out_channels": (8, 32)},
        {"motion_layers_per_block": 2},
        {"motion_norm_num_groups": 2, "block_out_channels": (8, 16, 16)},
    ],
)
def test_a_motion_adapter_for_another_model_is_refused(wrong: dict[str, Any]) -> None:
    family = family_of(tiny_parts(**wrong))
    with pytest.raises(SkyloopError, match="does not fit") as error:
        family.parts["unet"]
    assert error.value.kind is ErrorKind.MISSING_MODEL


def test_the_denoiser_is_one_network_of_the_weights_of_both() -> None:
    parts = tiny_parts()
    joined = family_of(parts).parts["unet"].state_dict()
    both = parts["unet"].state_dict() | parts["motion_adapter"].state_dict()
    assert joined.keys() == both.keys()
    assert all(joined[name].data_ptr() == tensor.data_ptr() for name, tensor in both.items())  # and no copy


def ldm(parts: dict[str, Any]) -> dict[str, Tensor]:
    """The parts with the names that they have in one file, as Stable Diffusion was published."""
    layers, found = TINY["layers_per_block"], {}
    resnet = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
              "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
    whole = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
             "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}  # fmt: skip

    def block(name: str) -> str:
        side, *rest = name.split(".")
        if side == "mid_block":
            return ".".join(["middle_block", str(1 if rest[0] == "attentions" else 2 * int(rest[1])), *rest[2:]])
        i, kind, j = int(rest[0]), rest[1], int(rest[2])
        if kind == "downsamplers":
            return ".".join([f"input_blocks.{(i + 1) * (layers + 1)}.0.op", *rest[4:]])
        if kind == "upsamplers":
            after = 2 if "CrossAttn" in TINY["up_block_types"][i] else 1
            return ".".join([f"output_blocks.{i * (layers + 1) + layers}.{after}.conv", *rest[4:]])
        at = (
            f"input_blocks.{1 + i * (layers + 1) + j}"
            if side == "down_blocks"
            else f"output_blocks.{i * (layers + 1) + j}"
        )
        return ".".join([at, str(int(kind == "attentions")), *rest[3:]])

    for name, tensor in parts["unet"].state_dict().items():
        theirs = next((new + name[len(old) :] for old, new in whole.items() if name.startswith(old)), None) or block(
            name
        )
        if ".resnets." in name:
            theirs = re.sub("|".join(resnet), lambda m: resnet[m[0]], theirs)
        found[f"model.diffusion_model.{theirs}"] = tensor
    depth = len(TINY_VAE["block_out_channels"]) - 1
    for name, tensor in parts["vae"].state_dict().items():
        theirs = re.sub(r"decoder\.up_blocks\.(\d)", lambda m: f"decoder.up.{depth - int(m[1])}", name)
        for old, new in (
            ("down_blocks", "down"), (r"resnets\.", "block."), (r"mid_block\.block\.0", "mid.block_1"),
            (r"mid_block\.block\.1", "mid.block_2"), (r"mid_block\.attentions\.0", "mid.attn_1"),
            (r"(down|up)samplers\.0", r"\1sample"), ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"),
            ("group_norm", "norm"), (r"to_([qkv])\.", r"\1."), (r"to_out\.0", "proj_out"),
        ):  # fmt: skip
            theirs = re.sub(old, new, theirs)
        attention = "attentions" in name and tensor.ndim == 2
        found[f"first_stage_model.{theirs}"] = tensor[:, :, None, None] if attention else tensor
    words = {
        f"text_model.{name.removeprefix('text_model.')}": t for name, t in parts["text_encoder"].state_dict().items()
    }
    return found | {f"cond_stage_model.transformer.{name}": tensor for name, tensor in words.items()}


@torch.no_grad()
def test_a_checkpoint_in_one_file_brings_its_text_encoder_and_autoencoder_with_it(tmp_path: Path) -> None:
    folder, file, theirs = tmp_path / "folder", tmp_path / "photo.safetensors", tiny_parts()
    for name, part in tiny_parts().items():
        if name != "tokenizer":
            for parameter in part.parameters():
                parameter += 1.0  # what is in the folders is another model
            part.save_pretrained(folder / name)
    save_file({name: tensor.contiguous() for name, tensor in ldm(theirs).items()}, file)
    loads = AnimateDiff.loads(from_folder(folder, AnimateDiff.CLASSES, {}, {"unet": file}))
    unet = theirs["unet"].state_dict()
    joined = loads["unet"]().state_dict()
    assert all(torch.equal(joined[name], tensor) for name, tensor in unet.items())
    for part in ("vae", "text_encoder"):
        ours, wanted = loads[part]().state_dict(), theirs[part].state_dict()
        assert ours.keys() == wanted.keys() and all(torch.equal(ours[name], wanted[name]) for name in ours), part


def test_a_checkpoint_of_the_image_model_alone_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "unet.safetensors"
    save_file({"model.diffusion_model.out.2.bias": torch.zeros(4)}, file)
    assert in_checkpoint(file, from_folder(tmp_path, AnimateDiff.CLASSES, {})) == {}


def test_a_checkpoint_whose_text_encoder_is_not_whole_is_refused(tmp_path: Path) -> None:
    parts = tiny_parts()
    parts["text_encoder"].save_pretrained(tmp_path / "text_encoder")
    file, weights = tmp_path / "broken.safetensors", ldm(parts)
    del weights["cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"]
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file)
    loads = in_checkpoint(file, from_folder(tmp_path, AnimateDiff.CLASSES, {}))
    with pytest.raises(SkyloopError, match="text encoder") as error:
        loads["text_encoder"]()
    assert error.value.kind is ErrorKind.MISSING_MODEL


def test_what_of_a_long_prompt_is_not_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    family = family_of(tiny_parts())
    assert family.encode_text(["a " * 75])[0]["states"].shape == (77, 32) and not caplog.records
    assert family.encode_text(["a " * 80])[0]["states"].shape == (77, 32)
    assert "82 tokens" in caplog.text and "first 77" in caplog.text


@torch.no_grad()
def test_a_panorama_seen_at_once_may_be_turned() -> None:
    """With a LoRA for such: exactly, and without a trace in what windows of other shapes become."""
    parts = tiny_parts()
    loads = AnimateDiff.loads({name: lambda part=part: part for name, part in parts.items()})
    wide = entry_of("animatediff", frames=FRAMES, cells=CELLS, panorama=(8, 16))
    family = AnimateDiff(Parts(loads, torch.device("cpu")), wide)
    text, x = [{"states": torch.randn(77, 32)}], torch.randn(1, 4, FRAMES, 8, 16)
    plain, turned = (family.raw(x.roll(turn, -1), 500, text, []) for turn in (0, 6))
    assert (plain.roll(6, -1) - turned).abs().max() <= 1e-5 * plain.abs().max()
    window, usual = x[..., :8], family_of(parts).raw(x[..., :8], 500, text, [])
    assert torch.equal(family.raw(window, 500, text, []), usual)
    assert (family_of(parts).raw(x, 500, text, []) - plain).abs().max() > 1e-2


@pytest.mark.parametrize(
    "form",
    [
        "unet.{}.processor.to_q_lora.{}.weight",
        "{}.processor.to_q_lora.{}.weight",
        "unet.{}.to_q.lora.{}.weight",
        "{}.to_q.lora.{}.weight",
    ],
)
@torch.no_grad()
def test_a_camera_motion_changes_every_layer_that_it_has(form: str, tmp_path: Path) -> None:
    """Motion LoRAs: of the layers along time, with or without the name of the part in front."""
    network, layers = family_of(tiny_parts()).parts["unet"], {}
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, module in network.named_modules():
        if "motion_modules" in name and name.endswith("attn1"):
            layers[form.format(name, "down")] = torch.randn(2, module.to_q.in_features)
            layers[form.format(name, "up")] = torch.randn(module.to_q.out_features, 2)
    save_file(layers, tmp_path / "zoom.safetensors")
    loras.apply(network, [(tmp_path / "zoom.safetensors", 1.0)])
    changed = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    assert len(changed) == len(layers) // 2 and all("motion_modules" in name for name in changed)


def kohya(network: Any, prefix: str, layers: str, seed: int) -> dict[str, Tensor]:
    """A random LoRA of those layers of a network, with the names that most files for Stable Diffusion have."""
    generator, found = torch.Generator().manual_seed(seed), {}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and layers in name:
            layer = prefix + name.replace(".", "_")
            found[f"{layer}.lora_down.weight"] = torch.randn(2, module.in_features, generator=generator) / 5
            found[f"{layer}.lora_up.weight"] = torch.randn(module.out_features, 2, generator=generator) / 5
            found[f"{layer}.alpha"] = torch.tensor(1.0)
    return found


@torch.no_grad()
def test_a_style_changes_the_networks_as_the_pipeline_changes_them(tmp_path: Path) -> None:
    """A LoRA for Stable Diffusion changes the image model's layers within the joined network, and its text encoder."""
    parts = tiny_parts()
    file = tmp_path / "style.safetensors"
    words = kohya(parts["text_encoder"], "lora_te_text_model_", "self_attn", 3)
    save_file(kohya(parts["unet"], "lora_unet_", "attn", 2) | words, file)
    made = loading.with_loras(
        AnimateDiff.loads({name: lambda part=part: part for name, part in copy.deepcopy(parts).items()}),
        entry("animatediff"),
        [(file, "", 0.8)],
    )
    pipe = AnimateDiffPipeline(**parts, scheduler=DDIMScheduler(**LINEAR))
    x, states, ids = torch.randn(1, 4, FRAMES, CELLS, CELLS), torch.randn(FRAMES, 77, 32), torch.arange(77)[None] % 50
    plain, plain_text = pipe.unet(x, 500, states).sample, pipe.text_encoder(ids)[0]
    pipe.load_lora_into_unet(*pipe.lora_state_dict(file), unet=pipe.unet, adapter_name="style")
    pipe.unet.set_adapters(["style"], [0.8])
    styled = pipe.unet(x, 500, states).sample
    assert (styled - plain).abs().max() > 1e-2
    assert (made["unet"]()(x, 500, states).sample - styled).abs().max() < 1e-4

    def changed(module: Any, name: str) -> None:
        layer = f"lora_te_text_model_{name.replace('.', '_')}"
        if f"{layer}.alpha" in words:
            up, down = words[f"{layer}.lora_up.weight"], words[f"{layer}.lora_down.weight"]
            module.weight += 0.8 * (1.0 / 2) * up @ down

    for name, module in pipe.text_encoder.named_modules():
        changed(module, name)
    styled_text = pipe.text_encoder(ids)[0]
    assert (styled_text - plain_text).abs().max() > 1e-2
    assert (made["text_encoder"]()(ids)[0] - styled_text).abs().max() < 1e-5

"""LTX-Video against diffusers' own pipeline, on tiny random networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXConditionPipeline
from diffusers import LTXVideoTransformer3DModel as Transformer
from diffusers.utils.torch_utils import randn_tensor
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from backend.models.base import Given, View
from backend.models.families.ltx import Ltx
from backend.models.foundation import FoundationModel
from backend.models.parts import Parts
from backend.models.texts import TextCache
from backend.solver import solver_step

CPU = torch.device("cpu")
SIGMAS = (1.0, 0.975, 0.909, 0.725)
F, H, W, FPS = 3, 4, 5, 25
VIEW = View(0.0, 1.5, 1 / FPS)


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    torch.manual_seed(0)
    letters = [(c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz"]
    parts = {
        "transformer": Transformer(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32,
            num_layers=2, caption_channels=32,
        ),
        "vae": AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8, 8), down_block_types=("LTXVideo095DownBlock3D",) * 4,
            decoder_block_out_channels=(8, 16, 32), layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 4,
            spatio_temporal_scaling=(True,) * 4, decoder_spatio_temporal_scaling=(True,) * 3,
            decoder_inject_noise=(False,) * 4, upsample_residual=(True,) * 3, upsample_factor=(2, 2, 2),
            downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"), timestep_conditioning=True,
            spatial_compression_ratio=32, temporal_compression_ratio=8,
        ),
        "text_encoder": T5EncoderModel(T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)),
        "tokenizer": T5Tokenizer(
            vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("▁", -2.0), *letters], extra_ids=0
        ),
    }  # fmt: skip
    parts["vae"].latents_mean.normal_()
    parts["vae"].latents_std.uniform_(0.5, 2)
    return {k: p.eval().requires_grad_(False) if isinstance(p, torch.nn.Module) else p for k, p in parts.items()}


def entry(panorama: Any = None, **preset: Any) -> Any:
    chosen = {"steps": 4, "guidance": 1.0, "solver": "euler", "sigmas": SIGMAS, "decode_timestep": 0.05}
    return SimpleNamespace(
        id="tiny", family="ltx", panorama=panorama, takes=("text", "image"),
        window=SimpleNamespace(cells=4, frames=F, fps=FPS), architecture=SimpleNamespace(ratio=32, time_ratio=8),
        preset=SimpleNamespace(**{**chosen, "decode_noise": 0.025, **preset}),
    )  # fmt: skip


def model_of(parts: dict[str, Any], panorama: Any = None, **preset: Any) -> FoundationModel:
    loads = {name: (lambda part=part: part) for name, part in parts.items()}
    return FoundationModel(Ltx(Parts(loads, CPU), entry(panorama, **preset)), TextCache())


class Recorder:
    """What a denoiser is given and what it returns."""

    def __init__(self, denoiser: torch.nn.Module) -> None:
        self.calls: list[tuple[dict[str, Any], torch.Tensor]] = []
        self.handle = denoiser.register_forward_hook(
            lambda _, args, kwargs, out: self.calls.append((kwargs, out[0])), with_kwargs=True
        )


def piped(tiny: dict[str, Any], guidance: float, **kwargs: Any) -> tuple[torch.Tensor, list]:
    """Latents of diffusers' pipeline, and its calls of the denoiser."""
    pipe = LTXConditionPipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **tiny)
    pipe.set_progress_bar_config(disable=True)
    recorder = Recorder(tiny["transformer"])
    try:
        out = pipe(
            prompt="clouds over the sea", negative_prompt="blur", height=32 * H, width=32 * W, num_frames=8 * F - 7,
            frame_rate=FPS, timesteps=[1000 * s for s in SIGMAS], guidance_scale=guidance, output_type="latent",
            generator=torch.Generator().manual_seed(1), **kwargs,
        ).frames  # fmt: skip
    finally:
        recorder.handle.remove()
    return out, recorder.calls


def sample(model: FoundationModel, x: torch.Tensor, view: View, guidance: float) -> torch.Tensor:
    prompt, negative = model.encode_text(["clouds over the sea", "blur"])
    sigmas, before = model.sigmas(len(SIGMAS)), 1.0
    for now, then in zip(sigmas, sigmas[1:], strict=False):
        clean = model.predict(x, now, [view], [prompt], negative, guidance)
        x, before = solver_step(x, clean, None, (before, now, then), "euler"), now
    return x


def packed(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_every_step_is_the_pipelines(tiny: dict[str, Any], guidance: float) -> None:
    expected, calls = piped(tiny, guidance)
    model = model_of(tiny)
    texts = model.encode_text(["blur", "clouds over the sea"][-1 if guidance == 1 else 0 :])
    for sigma, (given, out) in zip(SIGMAS, calls, strict=True):
        x = given["hidden_states"].transpose(1, 2).reshape(len(texts), -1, F, H, W)
        raw = model.family.raw(x, model.family.levels.native(sigma)[1], texts, [VIEW] * len(texts))
        assert torch.equal(packed(raw), out)
    noise = calls[0][0]["hidden_states"][:1].transpose(1, 2).reshape(1, -1, F, H, W)
    assert (sample(model, noise, VIEW, guidance) - expected).abs().max() < 2e-5


def test_a_given_picture_is_kept_as_the_pipeline_keeps_it(tiny: dict[str, Any]) -> None:
    pixels = torch.rand(3, 32 * H, 32 * W, generator=torch.Generator().manual_seed(5))
    expected, calls = piped(tiny, 1.0, image=pixels[None], image_cond_noise_scale=0.0)
    generator, vae = torch.Generator().manual_seed(1), tiny["vae"]
    noise = randn_tensor((1, 8, F, H, W), generator=generator)
    drawn = vae.encode(pixels[None, :, None] * 2 - 1).latent_dist.sample(generator)[0]
    latents = (drawn - vae.latents_mean[:, None, None, None]) / vae.latents_std[:, None, None, None]
    view, model = VIEW._replace(given=Given(latents, torch.ones(H, W), pixels)), model_of(tiny)
    texts = model.encode_text(["clouds over the sea"])
    for sigma, (given, out) in zip(SIGMAS, calls, strict=True):
        x = given["hidden_states"].transpose(1, 2).reshape(1, -1, F, H, W)
        assert torch.equal(packed(model.family.raw(x, sigma * 1000, texts, [view])), out)
    ours = sample(model, noise, view, 1.0)
    assert (ours - expected).abs().max() < 2e-5
    assert torch.equal(ours[:, :, :1], latents[None])


def test_decoding_is_the_pipelines(tiny: dict[str, Any]) -> None:
    latents = torch.randn(1, 8, F, H, W, generator=torch.Generator().manual_seed(2))
    pipe = LTXConditionPipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **tiny)
    mean, std = tiny["vae"].latents_mean, tiny["vae"].latents_std
    native = pipe._denormalize_latents(latents, mean, std, tiny["vae"].config.scaling_factor)
    expected = tiny["vae"].decode(native, torch.tensor([0.05])).sample
    expected = pipe.video_processor.postprocess_video(expected, output_type="pt")[0]
    ours = torch.cat(list(model_of(tiny).decode_clip(latents[0])))
    assert (ours - expected).abs().max() < 1e-6 and len(ours) == 8 * F - 7


def test_turning_a_whole_panorama_turns_the_prediction(tiny: dict[str, Any]) -> None:
    x = torch.randn(1, 8, F, 4, 8, generator=torch.Generator().manual_seed(3))

    def error(model: FoundationModel) -> float:
        texts = model.encode_text(["clouds"])
        straight, turned = (model.family.raw(y, 600.0, texts, [VIEW]) for y in (x, x.roll(3, -1)))
        return float((straight.roll(3, -1) - turned).abs().max())

    assert error(model_of(tiny, panorama=(4, 8))) < 1e-5 < error(model_of(tiny)) / 100


def test_a_long_clip_is_decoded_as_if_at_once(tiny: dict[str, Any]) -> None:
    latents = torch.randn(8, 40, 2, 2, generator=torch.Generator().manual_seed(4))
    model = model_of(tiny)
    pieces = list(model.decode_clip(latents))
    mean, std = tiny["vae"].latents_mean[:, None, None, None], tiny["vae"].latents_std[:, None, None, None]
    whole = tiny["vae"].decode((latents * std + mean)[None], torch.tensor([0.05])).sample[0].transpose(0, 1)
    whole = (whole / 2 + 0.5).clamp(0, 1)
    assert len(pieces) > 1 and (torch.cat(pieces) - whole).abs().max() < 1e-2 * float(whole.std())


def test_the_rows_of_a_loop_close(tiny: dict[str, Any]) -> None:
    """A ring of latents decoded with what lies before and after it has no step at its end."""
    model = model_of(tiny)
    ring = torch.randn(8, 6, 2, 2, generator=torch.Generator().manual_seed(6))
    before, after = model.spec.around
    around = torch.arange(-before, 6 + after) % 6
    frames = torch.cat(list(model.decode_clip(ring[:, around])))
    start, length = 1 + 8 * (before - 1), 8 * 6
    again = torch.arange(3 - before, 9 + after) % 6  # the same ring, begun three latents later
    later = torch.cat(list(model.decode_clip(ring[:, again])))[start : start + length]
    assert (frames[start : start + length].roll(-24, 0) - later).abs().max() < 2e-2 * float(frames.std())


def test_closing_a_decode_early_leaves_nothing(tiny: dict[str, Any]) -> None:
    import gc

    def alive() -> int:
        gc.collect()
        return sum(isinstance(o, torch.Tensor) for o in gc.get_objects())

    model, latents = model_of(tiny), torch.zeros(8, 40, 2, 2)
    list(model.decode_clip(latents))
    before = alive()
    pieces = model.decode_clip(latents)
    next(pieces)
    pieces.close()
    del pieces
    assert alive() == before

"""What every family of foundation models must fulfil, shown on tiny random networks beside diffusers' own pipeline.

A family's tests subclass :class:`Conformance` and give it a :class:`Case`.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.charts import Chart
from backend.conditioning import Prompts
from backend.denoise import Canvas, Schedule, denoise
from backend.models.base import Solver, View
from backend.models.catalogue import Entry, entry
from backend.models.families.family import Family, Text
from backend.models.foundation import FoundationModel
from backend.models.levels import Levels, VarianceExploding, VariancePreserving
from backend.models.parts import Parts
from backend.models.schedules import levels_of
from backend.models.texts import TextCache
from backend.solver import solver_step
from backend.windows import Span, Window, cover, offset

VIEW = View(0.0, 1.5, 1 / 16)
PROMPT, NEGATIVE = "a bad bag", "cab"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


# --- tiny parts: nothing is read from files -------------------------------------------------------------------------


def t5_tokenizer(length: int = 512) -> Any:
    """Knows the letters."""
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("\u2581", -2.0)]
    return T5Tokenizer(vocab=special + [(c, -3.0) for c in LETTERS], extra_ids=0, model_max_length=length)


def clip_tokenizer() -> Any:
    """Knows the letters."""
    from transformers import CLIPTokenizer

    words = [*LETTERS, *(f"{c}</w>" for c in LETTERS)]
    vocab = {"<|startoftext|>": 0, "<|endoftext|>": 1} | {word: 2 + k for k, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def t5_encoder(umt5: bool = False, width: int = 32) -> Any:
    """States of ``width`` numbers, for :func:`t5_tokenizer`."""
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    config: Any = UMT5Config if umt5 else T5Config
    model: Any = UMT5EncoderModel if umt5 else T5EncoderModel
    return model(config(
        vocab_size=64, d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    ))  # fmt: skip


def clip_encoder(width: int = 32) -> Any:
    """States of ``width`` numbers, for :func:`clip_tokenizer`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(
        vocab_size=64, hidden_size=width, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    ))  # fmt: skip


def ready(**parts: Any) -> dict[str, Any]:
    """Parts as they are after loading: random weights from one seed for all, not training, without gradients."""
    torch.manual_seed(1)
    for part in parts.values():
        if isinstance(part, nn.Module):
            part.eval().requires_grad_(False)
            for parameter in part.parameters():  # also those that are zero or one to begin with
                parameter += 0.02 * torch.randn_like(parameter)
    return parts


def parts_of(components: Mapping[str, Any]) -> Parts:
    """Those components on the processor, as if from a folder."""
    return Parts({name: lambda part=part: part for name, part in components.items()}, torch.device("cpu"))


def entry_of(model_id: str, *, frames: int, cells: int, **changes: Any) -> Entry:
    """A model of the catalogue, with a tiny window; ``changes``: of its fields."""
    found = entry(model_id)
    return replace(found, window=replace(found.window, frames=frames, cells=cells), **changes)


# --- a case: a family, and the pipeline that it must agree with -----------------------------------------------------


class Case:
    """One family beside its pipeline. What differs between pipelines is overridden."""

    steps = 4
    guidance = 3.0
    tolerance = 0.0
    """Of the single window driven with diffusers' own scheduler."""
    engine_tolerance = 1e-4
    """Of the engine's own solver, relative to the largest latent."""

    def __init__(self, family: Family, pipe: Any, solvers: Sequence[tuple[Solver, Any]] = ()) -> None:
        """``pipe``: on the same parts. ``solvers``: of the engine, each with a scheduler that it equals."""
        self.family: Any = family
        self.pipe, self.solvers = pipe, solvers
        self.model = FoundationModel(family, TextCache())
        pipe.set_progress_bar_config(disable=True)
        spec = family.spec
        self.shape = (1, spec.channels, spec.frames, spec.cells, spec.cells)
        generator = torch.Generator().manual_seed(5)
        self.noise = torch.randn(self.shape, generator=generator)

    def frames(self, latents: int) -> int:
        """Of film, for so many latents."""
        spec = self.family.spec
        return spec.time_ratio * (latents - spec.lead) + spec.lead

    def view(self) -> View:
        return VIEW

    def arguments(self) -> dict[str, Any]:
        """Further ones of the pipeline's call."""
        return {}

    def native(self, x: Tensor) -> Tensor:
        """Latents (N, C, F, h, w) in the pipeline's own layout."""
        return x

    def engines(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`native`."""
        return x

    def set_timesteps(self, scheduler: Any) -> None:
        """As the pipeline does, for :attr:`steps` steps."""
        scheduler.set_timesteps(self.steps)

    def pipeline_text(self) -> list[Text]:
        """The prompt and the negative, encoded by the pipeline, as the family has them."""
        raise NotImplementedError

    def pipeline_latents(self) -> Tensor:
        """What the pipeline makes of :attr:`noise`, in the engine's layout."""
        spec = self.family.spec
        side = spec.cells * spec.ratio
        found = self.pipe(
            prompt=PROMPT, negative_prompt=NEGATIVE, height=side, width=side, num_frames=self.frames(spec.frames),
            num_inference_steps=self.steps, guidance_scale=self.guidance, latents=self.native(self.noise),
            output_type="latent", generator=torch.Generator().manual_seed(9), **self.arguments(),
        ).frames  # fmt: skip
        return self.engines(found)

    def branches(self, seen: Tensor, timestep: float, wanted: Text, unwanted: Text) -> Sequence[Tensor]:
        """What the denoiser returns for both branches of guidance, one by one or together as the pipeline does."""
        texts = ((wanted, self.view()), (unwanted, self.family.away(self.view())))
        return [self.family.raw(seen, timestep, [text], [view]) for text, view in texts]

    def guided(self, wanted: Tensor, unwanted: Tensor) -> Tensor:
        return unwanted + self.guidance * (wanted - unwanted)

    def step(self, scheduler: Any, out: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """One step of the scheduler; tensors are in the pipeline's layout."""
        return scheduler.step(out, t, x, return_dict=False)[0]

    def start(self, scheduler: Any) -> float:
        """What the pipeline multiplies given noise by."""
        return float(getattr(scheduler, "init_noise_sigma", 1.0))

    def timestep(self, scheduler: Any, t: Tensor) -> float:
        """What the pipeline tells the denoiser at the scheduler's timestep ``t``."""
        return float(t)

    def scheduler_clean(self, scheduler: Any, out: Tensor, t: Tensor, x: Tensor, k: int) -> Tensor:
        """The scheduler's own clean prediction, of the network's output ``out`` for its noisy latents ``x``."""
        out, x = self.native(out), self.native(x)
        if hasattr(scheduler, "convert_model_output"):
            scheduler._step_index = k
            found = scheduler.convert_model_output(out, sample=x)
        elif type(scheduler).__name__.startswith("FlowMatch"):
            found = x - scheduler.sigmas[k] * out
        else:
            found = scheduler.step(out, t, x).pred_original_sample
        return self.engines(found)

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        """RGB (n, 3, H, W) in [0, 1] that the pipeline's own autoencoder makes of clean latents (C, F, h, w)."""
        raise NotImplementedError

    # How the engine's noise levels relate to a scheduler's.

    def sigmas(self, scheduler: Any) -> list[float]:
        """The engine's noise levels at the scheduler's timesteps, and 0."""
        if isinstance(self.family.levels, VariancePreserving):
            alphas = scheduler.alphas_cumprod.double()[scheduler.timesteps.long()]
            a, b = alphas.sqrt(), (1 - alphas).sqrt()
            return [*(b / (a + b)).tolist(), 0.0]
        sigmas = scheduler.sigmas.double().tolist()
        return [b / (1 + b) for b in sigmas] if isinstance(self.family.levels, VarianceExploding) else sigmas


def scale(levels: Levels, sigma: float) -> float:
    """What the engine's latents are multiplied by to be the scheduler's."""
    return 1 / (1 - sigma) if isinstance(levels, VarianceExploding) else levels.native(sigma)[0]


def floating(scheduler: Any) -> Any:
    """A scheduler of flow models that does not round its timesteps to whole numbers."""
    plain = scheduler.set_timesteps

    def set_timesteps(*args: Any, **options: Any) -> None:
        plain(*args, **options)
        scheduler.timesteps = scheduler.sigmas[:-1] * scheduler.config.num_train_timesteps

    scheduler.set_timesteps = set_timesteps
    return scheduler


# --- the tests ------------------------------------------------------------------------------------------------------


def rolled_windows(columns: int, cells: int, frames: int, step: int, turn: int) -> list[Window]:
    """The windows of a step on a wrap-around canvas one window high and long, turned by ``turn`` cells."""
    whole, high = Span(torch.arange(frames), torch.ones(frames)), Span(torch.arange(cells), torch.ones(cells))
    spans = cover(columns, cells, offset(step, 2), wrap=True)
    return [Window(0, whole, high, Span((s.index + turn) % columns, s.weight)) for s in spans]


def denoised(case: Case, noise: Tensor, turn: int = 0, steps: int = 2) -> Generator[Tensor, None, None]:
    """The wrap-around canvas ``noise`` (C, F, rows, columns) after each batch of windows, in place."""
    model, spec = case.model, case.family.spec
    canvas = Canvas([Chart("plane", *noise.shape[2:], wrap=True)], [noise], loop=False, frame_step_s=1 / 16)
    sigmas = model.sigmas(steps)
    schedule = Schedule(sigmas, [case.guidance] * (len(sigmas) - 1))
    encoded = model.encode_text([PROMPT, NEGATIVE])
    for _ in denoise(
        model, canvas, Prompts(encoded[:1], encoded[1]), schedule,
        windows_of=lambda k, _: rolled_windows(noise.shape[3], spec.cells, spec.frames, k, turn),
    ):  # fmt: skip
        yield canvas.latents[0]


def tensors_alive() -> int:
    gc.collect()
    return sum(issubclass(type(found), Tensor) for found in gc.get_objects())


def decoded(case: Case, latents: Tensor) -> Tensor:
    """All frames of a clip (C, F, h, w), as RGB (n, 3, H, W)."""
    if case.family.spec.clipwise:
        return torch.cat(list(case.model.decode_clip(latents)))
    return case.model.decode(latents.transpose(0, 1))


class Conformance:
    """Subclass it as ``TestX`` and override :meth:`make`."""

    @staticmethod
    def make() -> Case:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls) -> Case:
        return cls.make()

    @pytest.fixture(autouse=True)
    def _without_gradients(self) -> Iterator[None]:
        with torch.no_grad():
            yield

    def test_texts_are_what_the_pipeline_encodes(self, case: Case) -> None:
        for ours, theirs in zip(case.family.encode_text([PROMPT, NEGATIVE]), case.pipeline_text(), strict=True):
            assert ours.keys() == theirs.keys()
            for name, tensor in ours.items():
                assert torch.equal(tensor, theirs[name]), name

    def test_one_window_is_what_the_pipeline_makes(self, case: Case) -> None:
        """With diffusers' own scheduler, and the denoiser as the family calls it."""
        family, scheduler = case.family, case.pipe.scheduler
        wanted, unwanted = case.model.encode_text([PROMPT, NEGATIVE])
        theirs = case.pipeline_latents()
        case.set_timesteps(scheduler)
        scheduler.set_begin_index(0) if hasattr(scheduler, "set_begin_index") else None
        torch.manual_seed(9)
        x = case.native(case.noise) * case.start(scheduler)
        for t in scheduler.timesteps:
            seen = case.engines(scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x)
            timestep = case.timestep(scheduler, t)
            outs = case.branches(seen, timestep, wanted, unwanted)
            x = case.step(scheduler, case.native(case.guided(*outs)), t, x)
        assert theirs.std() > 0
        ours = family.finish(case.engines(x), [case.view()])
        assert (ours - theirs).abs().max() <= case.tolerance

    def test_the_engines_solvers_are_diffusers_schedulers(self, case: Case) -> None:
        """Its own noise levels, solver and guidance make of a window what the pipeline makes with that scheduler."""
        model, plain = case.model, case.pipe.scheduler
        prompt, negative = model.encode_text([PROMPT, NEGATIVE])
        assert case.solvers
        try:
            for solver, scheduler in case.solvers:
                case.pipe.scheduler = scheduler
                theirs = case.pipeline_latents()
                case.set_timesteps(scheduler)
                sigmas = case.sigmas(scheduler)
                x = case.noise * (case.start(scheduler) / scale(case.family.levels, sigmas[0]))
                before = None
                for k in range(case.steps):
                    clean = model.predict(x, sigmas[k], [case.view()], [prompt], negative, case.guidance)
                    around = (sigmas[k - 1] if k else 1.0, sigmas[k], sigmas[k + 1])
                    x, before = solver_step(x, clean, before, around, solver), clean
                assert (x - theirs).abs().max() <= case.engine_tolerance * theirs.abs().max(), solver
        finally:
            case.pipe.scheduler = plain

    def test_clean_predictions_are_the_schedulers(self, case: Case) -> None:
        """At every noise level, of the same output of the network."""
        levels = case.family.levels
        for _, scheduler in case.solvers:
            case.set_timesteps(scheduler)
            sigmas = case.sigmas(scheduler)
            for k, t in enumerate(scheduler.timesteps):
                scheduler._step_index = None
                out, x = torch.randn(case.shape), torch.randn(case.shape)
                theirs = case.scheduler_clean(scheduler, out, t, x * scale(levels, sigmas[k]), k)
                factor, timestep = levels.native(sigmas[k])
                ours = levels.clean(out, x * factor, sigmas[k])
                assert timestep == pytest.approx(case.timestep(scheduler, t), abs=2e-3)
                assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()

    def test_the_catalogue_knows_how_it_sees_time_and_where_guidance_ends(self, case: Case) -> None:
        """What a sky will take is told from the catalogue alone."""
        spec, entry = case.family.spec, case.family.entry
        form = entry.architecture
        assert (spec.time_ratio, spec.lead, spec.ratio) == (form.time_ratio, int(form.causal), form.ratio)
        shortest = [min(facts.least_frames or spec.frames, spec.frames) for facts in (spec, form)]
        assert shortest[0] == shortest[1]
        assert spec.guided_above == pytest.approx(form.guided_above)
        for steps in (entry.preset.steps, 7, 1000):
            assert levels_of(entry)(steps) == pytest.approx(case.model.sigmas(steps), abs=2e-3)

    def test_sigmas_fall_from_noise_to_clean(self, case: Case) -> None:
        for steps in (1, 4, 7):
            sigmas = case.model.sigmas(steps)
            assert len(sigmas) == steps + 1 and sigmas[-1] == 0 and 0.9 < sigmas[0] <= 1
            assert all(a > b for a, b in zip(sigmas, sigmas[1:], strict=False))

    def test_a_batch_is_its_windows_one_by_one(self, case: Case) -> None:
        x = torch.randn(3, *case.shape[1:])
        prompts = case.model.encode_text([PROMPT, NEGATIVE, "e"])
        views = [case.view()] * 3
        together = case.model.predict(x, 0.7, views, prompts, prompts[1], case.guidance)
        for k in range(3):
            alone = case.model.predict(x[k : k + 1], 0.7, views[:1], prompts[k : k + 1], prompts[1], case.guidance)
            assert (together[k] - alone[0]).abs().max() <= 1e-4 * alone.abs().max()
            assert (together[k] - together[k - 1]).abs().max() > 1e-2  # and they do differ

    def test_turning_the_noise_turns_the_sky(self, case: Case) -> None:
        """On a wrap-around canvas, whose windows turn with it: the seam is nowhere."""
        spec = case.family.spec
        noise = torch.randn(spec.channels, spec.frames, spec.cells, 2 * spec.cells)
        turn = spec.cells // 2 + 1
        *_, plain = denoised(case, noise.clone())
        *_, turned = denoised(case, noise.roll(turn, -1), turn)
        assert (plain - noise).abs().max() > 0.1
        assert (plain.roll(turn, -1) - turned).abs().max() <= 1e-5 * plain.abs().max()

    def test_what_is_stopped_in_the_middle_leaves_nothing_behind(self, case: Case) -> None:
        spec = case.family.spec
        clip, noise = torch.randn(case.shape[1:]), torch.randn(spec.channels, spec.frames, spec.cells, 2 * spec.cells)

        def stopped() -> None:
            if spec.clipwise:
                frames = case.model.decode_clip(clip)
                next(frames)
                next(frames, None)
                del frames  # closes it
            else:
                decoded(case, clip)
            canvas = denoised(case, noise)
            next(canvas)
            canvas.close()

        stopped()  # what a network keeps for good, such as tables of positions, is there now
        before = tensors_alive()
        stopped()
        assert tensors_alive() == before

    def test_clips_have_their_frames_and_go_back_to_latents(self, case: Case) -> None:
        spec, model = case.family.spec, case.model
        latents = torch.randn(case.shape[1:])
        frames = decoded(case, latents)
        side = spec.cells * spec.ratio
        assert frames.shape == (case.frames(spec.frames), 3, side, side) and frames.dtype == torch.float32
        assert frames.amin() >= 0 and frames.amax() <= 1 and frames.std() > 0
        back = model.encode_clip(frames) if spec.clipwise else model.encode(frames).transpose(0, 1)
        assert back.shape == latents.shape and back.dtype == torch.float32 and bool(back.isfinite().all())

    def test_decoded_frames_are_the_pipelines(self, case: Case) -> None:
        latents = torch.randn(case.shape[1:])
        ours, theirs = decoded(case, latents), case.pipeline_frames(latents)
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-4

    def test_a_panorama_decoded_with_what_is_around_it_has_no_seam(self, case: Case) -> None:
        """The step across the border of the decoded panorama is one as between any two cells."""
        spec, halo = case.family.spec, case.family.halo
        wide = torch.randn(spec.channels, spec.frames, spec.cells, 2 * spec.cells)
        padded = torch.cat([wide[..., -halo:], wide, wide[..., :halo]], -1)
        frames = decoded(case, padded)[..., halo * spec.ratio : -halo * spec.ratio]
        steps = (frames.roll(1, -1) - frames).abs().mean((0, 1, 2))
        borders = steps[:: spec.ratio]  # that of the panorama first
        assert 1 / 1.3 < borders[0] / borders.mean() < 1.3

"""Kandinsky 5 against diffusers' own pipeline, on tiny random networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo, FlowMatchEulerDiscreteScheduler, Kandinsky5T2VPipeline
from diffusers import Kandinsky5Transformer3DModel as Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from backend.models.families.family import Text
from backend.models.families.kandinsky5 import Kandinsky5, begun
from backend.protocol import SkyloopError
from tests.backend.conformance import (
    NEGATIVE,
    PROMPT,
    VIEW,
    Case,
    Conformance,
    clip_encoder,
    clip_tokenizer,
    decoded,
    entry_of,
    parts_of,
    ready,
)
from tests.backend.families.folders import in_half_precision

F, SIDE = 3, 8


def words() -> Any:
    """A tokenizer of whole words: the pipeline counts on its template being about as long as for Qwen's."""
    vocab = {word: k for k, word in enumerate(["<pad>", "<unk>", "a", "bad", "bag", "cab", "e"])}
    tokenizer = Tokenizer(WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def qwen() -> Any:
    """A text encoder for :func:`words`, with eyes that no test opens."""
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    text = {
        "vocab_size": 400, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 2048, "rope_parameters": rope, "bos_token_id": None,
        "eos_token_id": None,
    }  # fmt: skip
    eyes = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=eyes))


def tiny_parts(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    transformer = Transformer(**{
        "in_visual_dim": 16, "out_visual_dim": 16, "in_text_dim": 16, "in_text_dim2": 32, "time_dim": 16,
        "model_dim": 32, "ff_dim": 32, "num_text_blocks": 1, "num_visual_blocks": 2, "axes_dims": (4, 6, 6),
        "visual_cond": True, **changes,
    })  # fmt: skip
    sizes: Any = (8, 8, 8, 8)
    vae = AutoencoderKLHunyuanVideo(block_out_channels=sizes, layers_per_block=1, norm_num_groups=2)
    return ready(
        transformer=transformer, vae=vae, text_encoder=qwen(), tokenizer=words(),
        text_encoder_2=clip_encoder(), tokenizer_2=clip_tokenizer(), scheduler=FlowMatchEulerDiscreteScheduler(shift=5),
    )  # fmt: skip


class KandinskyCase(Case):
    def __init__(self, **changes: Any) -> None:
        parts = tiny_parts(**changes)
        family = Kandinsky5(parts_of(parts), entry_of("kandinsky5-lite", frames=F, cells=SIDE))
        super().__init__(family, Kandinsky5T2VPipeline(**parts), [("euler", FlowMatchEulerDiscreteScheduler(shift=5))])

    def native(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 4, 1)

    def engines(self, x: Tensor) -> Tensor:
        return x.permute(0, 4, 1, 2, 3)

    def pipeline_latents(self) -> Tensor:
        """The pipeline wants the channels of what is given with the noise."""
        plain = self.native
        extra = torch.zeros(1, F, SIDE, SIDE, 17 if self.pipe.transformer.visual_cond else 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self, "native", lambda x: torch.cat([plain(x), extra], -1))
            return super().pipeline_latents()

    def pipeline_text(self) -> list[Text]:
        found = [self.pipe.encode_prompt(text) for text in (PROMPT, NEGATIVE)]
        return [{"states": states[0], "pooled": pooled[0]} for states, pooled, _ in found]

    def pipeline_frames(self, latents: Tensor) -> Tensor:
        frames = self.pipe.vae.decode(latents[None] / self.pipe.vae.config.scaling_factor).sample
        return self.pipe.video_processor.postprocess_video(frames, "pt")[0]


class TestKandinsky5(Conformance):
    @staticmethod
    def make() -> KandinskyCase:
        return KandinskyCase()

    def test_one_window_is_what_the_pipeline_makes_without_visual_conditions(self) -> None:
        self.test_one_window_is_what_the_pipeline_makes(KandinskyCase(visual_cond=False))

    def test_it_runs_in_half_precision_from_its_folder(self, tmp_path: Path) -> None:
        in_half_precision(Kandinsky5, tiny_parts(), entry_of("kandinsky5-lite", frames=F, cells=SIDE), tmp_path)

    def test_texts_of_other_lengths_go_through_it_alone(self, case: KandinskyCase) -> None:
        calls: list[Any] = []
        handle = case.pipe.transformer.register_forward_hook(lambda _, __, k, ___: calls.append(k), with_kwargs=True)
        texts = case.model.encode_text([PROMPT, NEGATIVE, "bag cab e"])
        case.family.raw(torch.cat([case.noise] * 3), 500.0, texts, [VIEW] * 3)
        handle.remove()
        assert [len(t["states"]) for t in texts][0] == len(texts[2]["states"]) != len(texts[1]["states"])
        assert [len(call["hidden_states"]) for call in calls] == [2, 1]

    def test_positions_are_scaled_as_the_pipeline_scales_them(self, case: KandinskyCase) -> None:
        from backend.models.families.kandinsky5 import scale_factor

        for height, width in ((480, 854), (512, 768), (624, 624), (479, 600), (600, 856), (1024, 1024)):
            assert scale_factor(height, width) == case.pipe._get_scale_factor(height, width)

    def test_turning_a_whole_panorama_turns_the_prediction(self, case: KandinskyCase) -> None:
        x, texts, family = torch.randn(1, 16, F, 8, 16), case.model.encode_text([PROMPT]), case.family

        def error() -> float:
            straight, turned = (family.raw(y, 600.0, texts, [VIEW]) for y in (x, x.roll(6, -1)))
            return float((straight.roll(6, -1) - turned).abs().max())

        plain = error()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(family, "spec", replace(family.spec, panorama=(8, 16)))
            assert error() < plain / 20  # its attention rounds to bfloat16
        assert error() == plain  # and nothing of it stays

    def test_sparse_variants_are_refused_in_a_sentence(self) -> None:
        parts = tiny_parts(attention_type="nabla")
        with pytest.raises(SkyloopError, match="10 s"):
            Kandinsky5(parts_of(parts), entry_of("kandinsky5-lite", frames=F, cells=SIDE))

    def test_a_short_clip_is_decoded_in_runs_like_the_pipelines(self, case: KandinskyCase) -> None:
        for length in (1, 2, 4, 7, 8):
            latents = torch.randn(16, length, 2, 2)
            assert (decoded(case, latents) - case.pipeline_frames(latents)).abs().max() < 1e-5

    @pytest.mark.parametrize("length", [1, 2, 5, 7, 9])
    def test_a_loop_fades_into_itself_as_runs_do_elsewhere(self, case: KandinskyCase, length: int) -> None:
        ring, (before, after) = torch.randn(16, length, 2, 2), case.family.spec.around
        clip = ring[:, torch.arange(-before, length + after) % length]
        frames = decoded(case, clip)
        assert len(frames) == case.frames(length + before + after)
        first, over = (4 * (before + k - 1) + 1 for k in (0, length))
        assert (frames[over] - frames[first]).abs().max() < 1e-5  # what follows on its last frame is its first
        starts = begun(length + before + after)
        assert all(0 < b - a <= 3 for a, b in zip(starts, [*starts[1:], length + before + after - 1], strict=True))

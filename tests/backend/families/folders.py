"""Families as they really are loaded: from a folder, in half precision, each part when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from backend.models.families.family import Family
from backend.models.foundation import FoundationModel
from backend.models.parts import Parts, from_folder
from backend.models.texts import TextCache
from tests.backend.conformance import NEGATIVE, PROMPT, VIEW


def in_half_precision(kind: type[Family], parts: Mapping[str, Any], entry: Any, folder: Path) -> None:
    """Assert that a family whose ``parts`` are saved in ``folder`` makes pictures in bfloat16, near those in float32,
    and that none of its networks is there before it is needed, nor the text encoder after."""
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    networks = {name for name, part in parts.items() if isinstance(part, nn.Module)}
    clean = {}
    for dtype in (torch.float32, torch.bfloat16):
        dtypes = {name: torch.float32 if name in kind.FP32_PARTS else dtype for name in networks}
        held = Parts(kind.loads(from_folder(folder, kind.CLASSES, dtypes)), torch.device("cpu"))
        family = kind(held, entry)
        assert not networks & set(held._loaded)
        model, spec = FoundationModel(family, TextCache()), family.spec
        prompt, negative = model.encode_text([PROMPT, NEGATIVE])
        assert not networks & set(held._loaded)
        x = torch.randn(
            1, spec.channels, spec.frames, spec.cells, spec.cells, generator=torch.Generator().manual_seed(7)
        )
        clean[dtype] = model.predict(x, 0.7, [VIEW], [prompt], negative, 2.0)
        frames = torch.cat(list(model.decode_clip(clean[dtype][0])))
        assert frames.dtype == torch.float32 and bool(frames.isfinite().all())
        assert bool(model.encode_clip(frames).isfinite().all())
    full, half = clean.values()
    assert half.dtype == torch.float32 and 0 < (full - half).abs().mean() < 0.05 * full.std()

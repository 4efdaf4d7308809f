"""Families as they really are loaded: from a folder, in half precision, each part when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from backend.models.families.family import Family
from backend.models.foundation import FoundationModel
from backend.models.memory_plan import LADDER, Plan
from backend.models.parts import Parts, from_folder
from backend.models.placement import IN_8_BITS, Placement
from backend.models.texts import TextCache
from tests.backend.conformance import NEGATIVE, PROMPT, VIEW

CPU = torch.device("cpu")


def in_half_precision(kind: type[Family], parts: Mapping[str, Any], entry: Any, folder: Path) -> None:
    """Assert that a family whose ``parts`` are saved in ``folder`` makes pictures in bfloat16, near those in float32,
    and that none of its networks is there before it is needed, nor the text encoder after; and that in bfloat16 it says
    the same wherever its networks are put, and nearly the same in 8 bits."""
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    networks = {name for name, part in parts.items() if isinstance(part, nn.Module)}
    clean = {}

    def held_in(dtype: torch.dtype, place: Placement | None = None) -> Parts:
        dtypes = {name: torch.float32 if name in kind.FP32_PARTS else dtype for name in networks}
        return Parts(kind.loads(from_folder(folder, kind.CLASSES, dtypes)), CPU, place)

    for dtype in (torch.float32, torch.bfloat16):
        held = held_in(dtype)
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
    for rung in LADDER:
        plan = Plan(rung=rung, window_batch=1, device_bytes=0, host_bytes=0)
        place = Placement(CPU, plan, entry.architecture.denoisers, kind.TEXT_PARTS)
        model = FoundationModel(kind(held_in(torch.bfloat16, place), entry), TextCache())
        prompt, negative = model.encode_text([PROMPT, NEGATIVE])
        found = model.predict(x, 0.7, [VIEW], [prompt], negative, 2.0)
        off = float((found - half).abs().mean() / half.std())
        assert 0 < off < 0.2 if rung in IN_8_BITS else off == 0, (rung, off)

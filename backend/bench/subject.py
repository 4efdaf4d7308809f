"""A model that is ready to be measured: full-size networks of random weights behind the engine's own protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..canvas import Canvas, white_noise
from ..charts import sphere_charts
from ..conditioning import Prompts
from ..models import loading, memory_plan, placement
from ..models.base import View
from ..models.catalogue import Entry
from ..models.memory_plan import Plan, Rung, Sizes
from ..models.parts import Parts
from ..models.texts import TextCache
from ..sizes import sphere_columns
from .networks import MODELS, built, configs_of, loads_of, texts_of, the_entry, the_family

TEXTS = ("northern lights over a frozen lake", "")


@dataclass
class Subject:
    """``plan``: how its parts are placed."""

    name: str
    model: loading.Placed
    entry: Entry
    plan: Plan
    prompts: Prompts

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def denoiser(self) -> Any:
        return self.model.family.parts[self.entry.architecture.denoisers[0]]

    @property
    def guided(self) -> bool:
        return self.entry.preset.guidance != 1

    def close(self) -> None:
        self.model.family.parts.release()


def sizes_of(name: str, device: torch.device, *, tiny: bool) -> Sizes:
    """What its planner is told, of networks that are not built."""
    model = MODELS[name]
    entry, cls = the_entry(model, tiny=tiny), the_family(model)
    dtypes, configs = loading.dtypes(cls, device), configs_of(model, tiny=tiny)
    meta = torch.device("meta")
    made = {part: built(n.where, configs[part], dtypes[part], meta) for part, n in model.parts.items()}
    bytes_of = {part: placement.module_bytes(network) for part, network in made.items()}
    denoiser = bytes_of.pop(entry.architecture.denoisers[0])
    return loading.sized(entry, cls, denoiser, tuple(bytes_of.values()), configs)


def subject(name: str, device: torch.device, *, tiny: bool, plan: Plan | None = None) -> Subject:
    """The model ``name`` of :data:`.networks.MODELS`. ``plan`` resident unless given: then it is made on the host, from
    where the planner's placement takes it."""
    model = MODELS[name]
    entry, cls = the_entry(model, tiny=tiny), the_family(model)
    sizes = sizes_of(name, device, tiny=tiny)
    at = torch.device("cpu") if plan and plan.rung is not Rung.RESIDENT else device
    if plan is None:
        room = placement.free_bytes(device)[0]
        plan = memory_plan.resident(sizes, room)
        assert plan, f"{name} does not fit into {room / 1e9:.1f} GB"
        plan = replace(plan, window_batch=memory_plan.batch(Rung.RESIDENT, sizes, room))
    dtypes = loading.dtypes(cls, device)
    parts = Parts(loads_of(model, dtypes, at, tiny=tiny, quick=at.type == "cpu"), device)
    texts = TextCache()
    for text, states in texts_of(model, tiny=tiny, texts=TEXTS, dtype=placement.compute_dtype(device)).items():
        texts[text] = states
    made = loading.Placed(entry, cls, parts, texts, sizes, plan)
    encoded = made.encode_text(TEXTS)
    return Subject(name, made, entry, plan, Prompts(encoded[:1], encoded[1]))


def bare(found: Subject, windows: int, frames: int, *, guided: bool) -> Callable[[], Tensor]:
    """One call of the denoiser on ``windows`` windows of ``frames`` latents, both branches of guidance together, on
    tensors that are on the device already: what no engine can be faster than."""
    model, spec = found.model, found.model.spec
    count = windows * (2 if guided else 1)
    x = torch.randn(count, spec.channels, frames, spec.cells, spec.cells, device=found.device)
    texts = [*found.prompts.encoded * windows, *[found.prompts.negative] * (count - windows)]
    views = [View(0.0, 1.5, 1 / found.entry.window.fps)] * count
    timestep = model.family.levels.native(0.7)[1]

    @torch.inference_mode()
    def call() -> Tensor:
        return model.family.raw(x, timestep, texts, views)

    return call


def canvas_of(found: Subject, width: int, latents: int) -> Canvas:
    """White noise on the finest charts of a sky of ``width`` pixels, a loop of ``latents`` in time."""
    spec = found.model.spec
    charts = sphere_charts(sphere_columns(width, 90.0, spec.cells, spec.ratio)[-1], spec.cells)
    noise = white_noise(charts, spec.channels, latents, torch.Generator().manual_seed(5))
    return Canvas(charts, noise, True, 1 / found.entry.window.fps)

"""From an id to a model that is ready to run: its files, where its parts go, and what was chosen."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..protocol import ErrorKind, SkyloopError
from . import memory_plan, placement, store, tuning
from .base import VideoModel, View
from .builtin import BuiltinModel
from .catalogue import Entry
from .catalogue import entry as entry_of
from .families import class_of
from .families.family import Family
from .foundation import FoundationModel
from .loras import panorama, part_of
from .memory_plan import Plan, Rung, Sizes
from .parts import FromFolder, Load, Parts, from_folder
from .placement import Placement
from .texts import TextCache

_logger = logging.getLogger(__name__)
_SAMPLE_BYTES = 1 << 20
_OWN_TEXTS = ("animatediff",)  # families whose checkpoints and LoRA files may have a text encoder of their own

LoraFile = tuple[Path, float]
"""A file and its strength."""


def load(
    model_id: str, device: torch.device, *, loras: Sequence[LoraFile] = (), plan: Plan | None = None
) -> VideoModel:
    """The model of that id on ``device``. Parts are read when first needed.

    ``plan``: how to lay it out instead of what the free memory asks for. Raises ``missing_model`` with the command
    that gets it, ``out_of_memory`` where the card is too small for every layout.
    """
    if model_id == "builtin":
        return BuiltinModel(device)
    entry, folder = entry_of(model_id), store.required(model_id)
    cls, files, loads = _found(entry, folder, device)
    shipped = [(folder / each.file, each.part, each.strength) for each in entry.lora]
    given = [(path, part_of(path, entry), strength) for path, strength in loras]
    mended = with_loras(cls.loads(loads), entry, [*shipped, *given])
    entry = replace(entry, panorama=panorama(entry, [path for path, strength in loras if strength]) or entry.panorama)
    own = (files, loras) if entry.family in _OWN_TEXTS else ({}, ())
    texts = TextCache(store.root() / "texts", fingerprint(folder, *own, cls.TEXT_PARTS))
    model = Placed(entry, cls, Parts(mended, device), texts, sizes_of(entry, cls, loads, device), plan)
    model.spec = replace(model.spec, revision=fingerprint(folder, files, loras))
    return model


def outlook(model_id: str, device: torch.device) -> Plan:
    """How a foundation model would be laid out now. Raises as :func:`load`."""
    entry = entry_of(model_id)
    cls, _, loads = _found(entry, store.required(model_id), device)
    return planned(entry, sizes_of(entry, cls, loads, device), device)


def _found(entry: Entry, folder: Path, device: torch.device) -> tuple[type[Family], dict[str, Path], dict[str, Load]]:
    """Its family, the parts that are single files, and how each part is loaded."""
    cls, files = class_of(entry.family), store.single_files(entry.id)
    return cls, files, from_folder(folder, cls.CLASSES, dtypes(cls, device), files)


class Placed(FoundationModel):
    """A foundation model that is laid out as planned, and can be laid out anew to take less of the card."""

    def __init__(
        self, entry: Entry, cls: type[Family], parts: Parts, texts: TextCache, sizes: Sizes, plan: Plan | None = None
    ) -> None:
        """``plan``: by default what fits now. Raises ``out_of_memory`` where nothing does."""
        plan = plan or planned(entry, sizes, parts.device)
        super().__init__(cls(parts, entry), texts)
        self.entry, self.sizes = entry, sizes
        self._lay(plan)

    def _lay(self, plan: Plan) -> None:
        family = self.family
        self.plan, self.together, self._compiled = plan, plan.together, False
        self._largest: dict[bool, int] = {}  # batch that a compiled denoiser has evaluated, with and without guidance
        # Without guidance there is room for as many windows as there were branches.
        unguided = plan.window_batch * (self.sizes.branches if plan.together else 1)
        self.spec = replace(
            self.spec, window_batch=plan.window_batch, unguided_batch=unguided, clip_cells=plan.clip_cells
        )
        self._placement = Placement(self.device, plan, self.entry.architecture.denoisers, family.TEXT_PARTS)
        family.parts.move(self._placement)
        _logger.info("%s", plan.sentence(self.entry.name))

    def expect(self, evaluations: int) -> None:
        """So many evaluations of a window are to come: compile the denoiser where that repays the minutes it takes."""
        if self._compiled or self.plan.rung not in (Rung.RESIDENT, Rung.SWAPPED):
            return
        again = tuning.was_compiled(self._what())
        if tuning.repays(evaluations * self.sizes.flops, self.device, unet=self.sizes.unet, again=again):
            self.compile()
            took = "some seconds, as it was before" if again else "a minute or two"
            _logger.info("the denoiser is compiled when it is first used, which takes %s", took)

    def compile(self) -> None:
        """Have the denoiser compiled when it is next used, for batches of one size."""
        self._compiled, self._placement.finish = True, tuning.compiled
        self.family.parts.release(*self.entry.architecture.denoisers)

    def _what(self) -> str:
        """What is compiled, and for which card."""
        card = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return f"{self.entry.id}, {self.spec.window_batch}, {self.together}, {self.sizes.quantised}, {card}"

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        """A compiled denoiser knows batches of one size: the last windows of a step are made as many by repeating."""
        if not self._compiled:
            return super().predict(x, sigma, views, prompts, negative, guidance)
        count, guided = len(x), guidance != 1
        missing = self._largest.get(guided, 0) - count
        if missing > 0:
            x = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
            views, prompts = [*views, *[views[-1]] * missing], [*prompts, *[prompts[-1]] * missing]
        try:
            found = super().predict(x, sigma, views, prompts, negative, guidance)[:count]
            if guided not in self._largest:
                tuning.note_compiled(self._what())
            self._largest[guided] = len(x)
            return found
        except tuning.failures() as error:
            _logger.warning("the denoiser cannot be compiled here, and runs as it is: %s", str(error).splitlines()[0])
        self._compiled, self._placement.finish = False, None
        self.family.parts.release(*self.entry.architecture.denoisers)
        return super().predict(x, sigma, views, prompts, negative, guidance)[:count]

    def leaner(self) -> None:
        """Take less of the card from now on, at the cost of time: the branches of guidance one after the other, then
        the next rung. Parts are loaded again when next used. Raises ``out_of_memory`` where nothing is left to try."""
        if self.together and self.sizes.branches > 1:
            self.together, self.plan = False, replace(self.plan, together=False)
            _logger.warning("out of memory; the branches of guidance go one after the other from now on")
            return
        self.family.parts.release()
        plan = planned(self.entry, self.sizes, self.device, below=self.plan.rung)
        self._lay(replace(plan, window_batch=1))


def planned(entry: Entry, sizes: Sizes, device: torch.device, *, below: Rung | None = None) -> Plan:
    """The layout for what is free now. Only a card has memory of its own to stream into, and can keep 8 bits: elsewhere
    everything is resident. Raises ``out_of_memory`` where none fits."""
    free, host = placement.free_bytes(device)
    if device.type == "cuda":
        plan = memory_plan.choose(sizes, free, host, below=below)
    else:
        plan = memory_plan.resident(sizes, free) if below is None else None
    if plan:
        return plan
    if below is None:
        raise memory_plan.too_small(entry.name, sizes, free, host)
    text = f"{entry.name} ran out of memory, whichever way it was laid out."
    raise SkyloopError(ErrorKind.OUT_OF_MEMORY, text, "Close other programs, or choose a smaller model (models list).")


def dtypes(cls: type[Family], device: torch.device) -> dict[str, torch.dtype]:
    """What each part of a family runs in."""
    usual = placement.compute_dtype(device)
    return {name: torch.float32 if name in cls.FP32_PARTS else usual for name in cls.CLASSES}


def sizes_of(entry: Entry, cls: type[Family], loads: Mapping[str, Load], device: torch.device) -> Sizes:
    """From the headers of the weight files. Raises ``missing_model``."""
    each = {name: 4 if dtype is torch.float32 else 2 for name, dtype in dtypes(cls, device).items()}
    weights = {name: part_bytes(load, each[name]) for name, load in loads.items() if isinstance(load, FromFolder)}
    denoisers = entry.architecture.denoisers
    quantised = [isinstance(f := loads[d], FromFolder) and bool(f.file) and f.file.suffix == ".gguf" for d in denoisers]
    others = {n: w for n, w in weights.items() if n not in (*denoisers, *cls.TEXT_PARTS) and w}
    own = max(weights[name] for name in denoisers)
    own += others.pop("motion_adapter", 0)  # becomes one network with the image model
    configs = {n: load.config() for n in (*denoisers[:1], "vae") if isinstance(load := loads.get(n), FromFolder)}
    return sized(entry, cls, own, tuple(others.values()), configs, quantised=any(quantised))


def sized(
    entry: Entry,
    cls: type[Family],
    denoiser_bytes: int,
    others: tuple[int, ...],
    configs: Mapping[str, Mapping[str, Any]],
    *,
    quantised: bool = False,
) -> Sizes:
    """The same from the bytes of the denoiser and the ``others``, and the configurations of denoiser and ``vae``."""
    denoiser = configs[entry.architecture.denoisers[0]]
    window, branches = entry.window, 1 if entry.preset.guidance == 1 else 2
    each = 4 if "vae" in cls.FP32_PARTS else 2
    return Sizes(
        denoiser=denoiser_bytes,
        blocks=int(denoiser.get("num_layers") or denoiser.get("num_visual_blocks") or 4),  # a UNet has few
        others=others,
        window=memory_plan.window_bytes(denoiser, window.frames, window.cells),
        branches=branches,
        flops=memory_plan.flops(denoiser, 1e9 * entry.parameters_b, window.frames, window.cells),
        cell=memory_plan.cell_bytes(configs.get("vae", {}), cls.DECODED, entry.architecture.ratio, each),
        least_cells=(3 * cls.halo) ** 2,
        # A small sky's charts are a window high: no larger tiles for large ones, so that they take no more memory.
        most_cells=min(memory_plan.MOST_CELLS, (window.cells + 2 * cls.halo) ** 2),
        unet=memory_plan.is_unet(denoiser),
        tokens=branches * memory_plan.tokens_of(denoiser, window.frames, window.cells),
        quantised=quantised,
    )


def part_bytes(load: FromFolder, bytes_each: int) -> int:
    """What a part's weights take once loaded; 0 of one that has none."""
    if load.file is None:
        return placement.weight_bytes(load.folder / load.name, bytes_each)
    if load.file.suffix == ".gguf":
        return load.file.stat().st_size
    return placement.header_bytes(load.file, bytes_each)


def with_loras(loads: Mapping[str, Load], entry: Entry, loras: Sequence[tuple[Path, str, float]]) -> dict[str, Load]:
    """``loads`` with LoRA files (path, part or "" for all, strength) added to the denoisers, and to the text encoder
    where such files change it, as these are loaded: before any of their weights are moved or rounded."""
    if not loras:
        return dict(loads)
    from .loras import apply, apply_to_text

    changed: dict[str, Callable[..., Any]] = dict.fromkeys(entry.architecture.denoisers, apply)
    if entry.family in _OWN_TEXTS:
        changed["text_encoder"] = apply_to_text

    def mended(name: str, load: Load) -> Load:
        mine = [(path, strength) for path, part, strength in loras if part in ("", name)]

        def with_mine() -> Any:
            return changed[name](load(), mine)

        return with_mine if mine else load

    return {n: mended(n, load) if n in changed else load for n, load in loads.items()}


def fingerprint(
    folder: Path, files: Mapping[str, Path], loras: Sequence[LoraFile], parts: Sequence[str] = ("",)
) -> str:
    """A digest that tells these weights from others: names, sizes and a sample of each file."""
    found = [path for part in parts for path in sorted((folder / part).rglob("*")) if path.is_file()]
    digest = hashlib.sha256(repr(sorted((str(path), strength) for path, strength in loras)).encode())
    for path in [*found, *sorted(files.values()), *(path for path, _ in loras)]:
        if path.suffix not in (".safetensors", ".gguf", ".json", ".model", ".txt"):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            file.seek(max(0, size // 2 - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]

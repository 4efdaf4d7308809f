"""The models there are, as ``catalogue.toml`` describes them. Standard library only; reading it takes milliseconds."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..protocol import bad_request
from ..sizes import GUIDED_ABOVE
from ..typed import field_types, typed

FILE = Path(__file__).with_name("catalogue.toml")
TASKS = ("text", "image", "both")
TAKES = ("text", "image")
SOLVERS = ("multistep", "euler", "renoise")
# A card sold as 8 GB has a little less of these for programs.
SOLD_AS = 0.93


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What all models of a family share: the parts in their folder, and how latents relate to pixels.

    A part is a subfolder. ``denoisers`` are of the diffusers class ``denoiser``, ``vae`` names that of the part
    ``vae`` (empty: none); ``parts`` are the others. A latent cell is ``ratio`` pixels wide, a latent frame
    ``time_ratio`` frames long, but for the first of a ``causal`` autoencoder, which is one frame. Windows are multiples
    of ``multiple`` cells, and may be as short as ``least_frames`` (0: only whole). ``guided_above``: the noise level
    down to which guidance matters. ``circular``: windows can be closed to a ring, in which it sees a whole panorama.
    """

    name: str
    denoiser: str
    vae: str
    denoisers: tuple[str, ...] = ("transformer",)
    parts: tuple[str, ...] = ()
    ratio: int = 8
    time_ratio: int = 4
    causal: bool = True
    multiple: int = 1
    least_frames: int = 0
    guided_above: float = GUIDED_ABOVE
    circular: bool = False


@dataclass(frozen=True, kw_only=True)
class Licence:
    """``limits``: what it forbids or asks, in plain words. ``accept``: only after the user has agreed to it."""

    name: str
    limits: str
    link: str = ""
    accept: bool = False


@dataclass(frozen=True, kw_only=True)
class Memory:
    """In GB, the text encoder freed: the least device memory that can do it, that with which nothing has to move
    between device and host, and the host memory needed meanwhile."""

    min_gb: float
    comfortable_gb: float
    host_gb: float

    def on(self, card_mb: float) -> Literal["whole", "parts", ""]:
        """How a card of so much memory has the model: as a whole, a part at a time, or not at all."""
        if card_mb < 1000 * SOLD_AS * self.min_gb:
            return ""
        return "parts" if card_mb < 1000 * SOLD_AS * self.comfortable_gb else "whole"


@dataclass(frozen=True, kw_only=True)
class Window:
    """A native window: ``frames`` x ``cells`` x ``cells`` latents, about as many as those of the ``width_px`` x
    ``height_px`` x ``frames_px`` frames, ``fps`` a second, that the model was trained on."""

    cells: int
    frames: int
    width_px: int
    height_px: int
    frames_px: int
    fps: float


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How to sample it. ``sigmas``: of a few-step variant, those it was trained on, falling from 1, without the last 0;
    ``shift`` 0: as the model's own scheduler says. ``guidance_late``: below ``boundary``, where a second expert takes
    over. ``decode_*``: noise level and timestep that the decoder was trained with."""

    steps: int
    guidance: float
    solver: str
    sigmas: tuple[float, ...] = ()
    shift: float = 0.0
    negative: str = ""
    boundary: float = 0.0
    guidance_late: float = 0.0
    decode_timestep: float = 0.0
    decode_noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """Files of one repository on the hub: those that match a pattern of ``files``, put into the subfolder ``into``.

    ``revision``: a commit, or empty where none could be verified: then the newest at the first download, which is
    recorded beside the model and kept from then on. ``variant``: weights that have it in their name (``fp16``) are
    taken instead of those without, and lose it.
    """

    repo: str
    files: tuple[str, ...]
    revision: str = ""
    into: str = ""
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA file in the model's folder that belongs to it, for the denoiser ``part``."""

    file: str
    part: str = "transformer"
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Single:
    """A file in the model's folder that holds the weights of several parts; their folders have only ``config.json``."""

    file: str
    parts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model. ``shape``: what its denoiser's ``config.json`` says, to tell it from others of its family.

    ``size_mb``: of the download, about. ``panorama``: rows and columns of a window in which it sees all of an
    equirectangular panorama. ``extends``: the model that this is a variant of.
    """

    id: str
    name: str
    family: str
    task: str
    parameters_b: float
    size_mb: int
    licence: Licence
    memory: Memory
    window: Window
    preset: Preset
    takes: tuple[str, ...]
    summary: str
    needs: str
    architecture: Architecture
    gated: bool = False
    shape: dict[str, Any] = field(default_factory=dict)
    source: tuple[Source, ...] = ()
    lora: tuple[Lora, ...] = ()
    single: tuple[Single, ...] = ()
    extends: str = ""
    panorama: tuple[int, int] | None = None


def entry(model_id: str) -> Entry:
    """The model of that id. Raises ``SkyloopError(bad_request)`` that names the nearest, and all, for another."""
    known = {found.id: found for found in entries()}
    if model_id in known:
        return known[model_id]
    near = difflib.get_close_matches(model_id.lower(), known, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise bad_request(f"There is no model {model_id[:60]!r}.", f"{meant}Known: {', '.join(known)}.")


def check_given(model_id: str, *, image: bool) -> None:
    """Raise ``SkyloopError(bad_request)`` where the model has nothing to start from: no ``image``, and it takes no
    text. A model that is not in the catalogue takes anything."""
    found = next((each for each in entries() if each.id == model_id), None)
    if found and not image and "text" not in found.takes:
        other = next(each.name for each in entries() if "text" in each.takes and each.source)
        text = f"{found.name} sets a picture in motion and takes no prompt, and there is no picture."
        raise bad_request(text, f"Give a picture as the image, or choose a model that takes a prompt, such as {other}.")


@cache
def entries() -> tuple[Entry, ...]:
    """All models, those that most people should try first in front."""
    return read(FILE.read_text(encoding="utf-8"))


def read(text: str) -> tuple[Entry, ...]:
    """The models that a catalogue describes. Raises ``ValueError``, in one line, that names the model and the field."""
    document = tomllib.loads(text)
    families = {name: _made(f"family.{name}", Architecture, raw | {"name": name})
                for name, raw in document["family"].items()}  # fmt: skip
    raws = {raw.get("id", ""): raw for raw in document["model"]}
    if len(raws) < len(document["model"]):
        raise ValueError("A model has no id, or that of another.")
    found = tuple(_entry(_complete(raws, raw), families) for raw in document["model"])
    for made in found:
        _check(made)
    return found


def _entry(raw: dict[str, Any], families: dict[str, Architecture]) -> Entry:
    if raw.get("family") not in families:
        raise ValueError(f"{raw['id']}.family must be one of {', '.join(families)}.")
    return _made(raw["id"], Entry, raw | {"architecture": families[raw["family"]]})


def _complete(raws: dict[str, dict[str, Any]], raw: dict[str, Any]) -> dict[str, Any]:
    """``raw`` with what it leaves out taken from the model that it is ``like``, or ``extends``: then sources too."""
    name = raw.get("like") or raw.get("extends")
    if not name:
        return raw
    if name not in raws or name == raw["id"]:
        raise ValueError(f"{raw['id']}: {name!r} is no other model.")
    base = _complete(raws, raws[name])
    tables = {key: base[key] | raw[key] for key in base.keys() & raw.keys() if isinstance(base[key], dict)}
    mixed = base | {"extends": ""} | raw | tables
    mixed["source"] = raw.get("source", [])
    if "extends" in raw:
        mixed["source"] = [*mixed["source"], *_left(base["source"], {p for s in mixed["source"] for p in _parts(s)})]
    return {key: value for key, value in mixed.items() if key != "like"}


def _parts(source: dict[str, Any]) -> set[str]:
    """The subfolders, or files at the top, that a source fills."""
    return {source.get("into") or pattern.partition("/")[0] for pattern in source["files"]}


def _left(sources: list[dict[str, Any]], taken: set[str]) -> list[dict[str, Any]]:
    """Sources without what fills the parts ``taken``: a part comes from one repository as a whole."""
    left = [s | {"files": [p for p in s["files"] if not _parts(s | {"files": [p]}) & taken]} for s in sources]
    return [source for source in left if source["files"]]


def _made(where: str, cls: Any, raw: dict[str, Any]) -> Any:
    """A dataclass of the values of a TOML table. Raises ``ValueError`` that names the place."""
    types = field_types(cls)
    if unknown := sorted(set(raw) - set(types)):
        raise ValueError(f"{where} has an unknown field {unknown[0]!r}: known are {', '.join(types)}.")
    ready: dict[str, Any] = {}
    for each in fields(cls):
        if each.name in raw:
            value = raw[each.name]
            as_is = each.name in ("shape", "architecture")
            ready[each.name] = value if as_is else typed(f"{where}.{each.name}", types[each.name], value)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{where}.{each.name} is missing.")
    return cls(**ready)


def _check(made: Entry) -> None:
    """Raise ``ValueError`` for what the types do not rule out."""
    window, preset, form = made.window, made.preset, made.architecture
    lead = 1 if form.causal else form.time_ratio
    frames_px = form.time_ratio * (window.frames - 1) + lead
    for ok, text in (
        (made.task in TASKS, f"task must be one of {', '.join(TASKS)}"),
        (made.takes and set(made.takes) <= set(TAKES), f"takes must be of {', '.join(TAKES)}"),
        (preset.solver in SOLVERS, f"preset.solver must be one of {', '.join(SOLVERS)}"),
        (not preset.sigmas or len(preset.sigmas) == preset.steps, "preset.sigmas must be as many as steps"),
        (list(preset.sigmas) == sorted(set(preset.sigmas), reverse=True), "preset.sigmas must fall"),
        (all(0 < s <= 1 for s in preset.sigmas), "preset.sigmas must be above 0 and at most 1"),
        (preset.steps >= 1 and preset.guidance >= 1, "preset.steps and guidance must be at least 1"),
        (window.cells % form.multiple == 0, f"window.cells must be a multiple of {form.multiple}"),
        (window.frames_px == frames_px, f"window.frames_px must be {frames_px} for {window.frames} latent frames"),
        (0 < made.memory.min_gb <= made.memory.comfortable_gb, "memory.min_gb must be at most comfortable_gb"),
        (made.source or made.family == "builtin", "source is missing"),
    ):
        if not ok:
            raise ValueError(f"{made.id}: {text}.")

"""``models``: what can generate, what of it is on this computer, and bringing it there."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from .. import models, runtime
from ..models import store
from ..models.catalogue import Entry
from ..models.catalogue import entry as entry_of
from ..protocol import ErrorKind, SkyloopError
from .errors import typed
from .inside import enter_runtime
from .jobs import megabytes
from .progress import Progress
from .tables import print_table

_STATES = {"ready": "ready", "partial": "not all here", "damaged": "damaged", "none": ""}
_MOST_PROBLEMS = 3  # that a sentence tells


_FITS = {"whole": "fits", "parts": "fits in parts", "": "too large", "slow": "no card: slow", "unknown": ""}


def run_list(options: argparse.Namespace, argv: list[str]) -> list[dict[str, Any]]:
    """Print a table of the models, or return them for ``--json``, each with ``fits``: what the card of this machine
    would do with it, as ``whole``, ``parts``, nothing where it is too small, ``slow`` without one, or ``unknown``.

    With ``--plan`` also ``plan`` of those that are here: their layout in the memory that is free now, or a ``problem``.
    """
    found = models.catalogue()
    if options.plan:
        enter_runtime(argv)
        Progress(sys.stderr).note("Looking at the free memory")
    plans = _plans([model["id"] for model in found if model["ready"]]) if options.plan else {}
    accelerators = runtime.status("backend").get("accelerators", [])
    for model in found:
        model["fits"] = _fits(entry_of(model["id"]), accelerators)
        if model["id"] in plans:
            model["plan"] = plans[model["id"]]
    if not options.json:
        print_table([("id", "", "download", "card from", "here", "licence", "summary"), *map(_row, found)])
    return found


def _fits(entry: Entry, accelerators: list[dict[str, Any]]) -> str:
    """``accelerators``: as found when the runtime was made, so that asking costs nothing."""
    card = next((a for a in accelerators if a["id"] != "cpu"), None)
    if entry.family == "builtin":
        return "whole"
    if card is None:
        return "slow" if accelerators else "unknown"
    return entry.memory.on(card["memory_mb"]) if card["memory_mb"] else "unknown"


def _plans(ids: list[str]) -> dict[str, dict[str, Any]]:
    """How those models would be laid out now. Takes seconds, as it imports torch and diffusers."""
    import torch

    from ..engine import devices
    from ..models.loading import outlook

    device, found = torch.device(devices()[0]["id"]), dict[str, dict[str, Any]]()
    for model_id in ids:
        if model_id != "builtin":
            try:
                found[model_id] = outlook(model_id, device).to_json()
            except SkyloopError as error:
                found[model_id] = {"problem": error.line}
    return found


def run_download(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Download a model, or go on with it; inside the private runtime, which has what it takes."""
    entry = entry_of(options.id)
    _agree(entry, options)
    os.environ["HF_HUB_OFFLINE"] = "0"  # whoever asks for a download wants one; everything else stays offline
    enter_runtime(argv)
    folder = store.download(entry.id, Progress(sys.stderr))
    return _done(options, f"{entry.name} is ready, in {folder}.", id=entry.id, folder=str(folder))


def run_add(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    """Use a folder or a file of the user's."""
    entry = entry_of(options.id)
    _agree(entry, options)
    store.add(entry.id, options.path, Progress(sys.stderr), part=options.part)
    condition = store.condition(entry.id)
    rest = "" if condition == "ready" else f" What it needs besides: models download {entry.id}."
    return _done(options, f"{entry.name} uses {options.path}.{rest}", id=entry.id, condition=condition)


def run_verify(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    """Read every file again."""
    entry = entry_of(options.id)
    if found := store.verify(entry.id, Progress(sys.stderr)):
        more = f" And {len(found) - _MOST_PROBLEMS} more." if len(found) > _MOST_PROBLEMS else ""
        text = f"{entry.name} is damaged: {' '.join(found[:_MOST_PROBLEMS])}{more}"
        raise SkyloopError(ErrorKind.MISSING_MODEL, text, f"Mend it with: models download {entry.id}.")
    return _done(options, f"{entry.name} is whole.", id=entry.id, problems=[])


def run_remove(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    entry = entry_of(options.id)
    freed = store.remove(entry.id)
    return _done(options, f"Removed {entry.name}: {megabytes(freed)} freed.", id=entry.id, bytes=freed)


def run_move(options: argparse.Namespace, _argv: list[str]) -> dict[str, Any]:
    folder = store.move(options.folder, Progress(sys.stderr))
    return _done(options, f"The models are in {folder} now.", folder=str(folder))


def _agree(entry: Entry, options: argparse.Namespace) -> None:
    """Ask whether the user accepts the licence, where that is needed and somebody can answer, or raise."""
    if store.accepted(entry):
        return
    agreed = options.accept_licence
    if not agreed and sys.stdin.isatty() and not options.json:
        about = entry.licence
        sys.stderr.write(f"{entry.name} comes with the {about.name}.\n{about.limits}\n{about.link}\nAccept it? [y/N] ")
        sys.stderr.flush()
        agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if agreed:
        store.accept(entry)
    store.require(entry)


def _done(options: argparse.Namespace, text: str, **document: Any) -> dict[str, Any]:
    if not options.json:
        print(typed(text))
    return document


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    size, memory = megabytes(round(model["size_mb"] * 1e6)), f"{model['memory']['min_gb']:g} GB"
    here, plan = _FITS[model["fits"]], model.get("plan", {})
    if "rung" in plan:
        here = f"fits: {plan['rung']}, {plan['device_gb']:.1f} GB"
    return model["id"], _STATES[model["condition"]], size, memory, here, model["licence"], model["summary"]


def add_options(command: argparse.ArgumentParser, finish: Any, parser_class: Any) -> None:
    """The actions of ``models``; ``finish(parser, run)`` adds what every command has."""
    actions = command.add_subparsers(required=True, metavar="ACTION", parser_class=parser_class)

    def add(name: str, run: object, text: str, *, licence: bool = False) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        if licence:
            action.add_argument("--accept-licence", action="store_true", help="you have read and accept its licence")
        finish(action, run)
        return action

    text = "also how those that are here would be laid out in the memory that is free now, which takes seconds"
    add("list", run_list, "the models there are").add_argument("--plan", action="store_true", help=text)
    add("download", run_download, "get a model, or go on with it", licence=True).add_argument("id", metavar="ID")
    add("remove", run_remove, "remove a model").add_argument("id", metavar="ID")
    add("verify", run_verify, "read every file of a model and compare").add_argument("id", metavar="ID")
    text = "keep all models in another folder, on another disk perhaps"
    add("move", run_move, text).add_argument("folder", type=Path, metavar="FOLDER")
    action = add("add", run_add, "use a folder of yours, or a .safetensors or .gguf file", licence=True)
    action.add_argument("id", metavar="ID", help="the model that it is")
    action.add_argument("path", type=Path, metavar="PATH", help="a folder in diffusers' layout, or a denoiser's file")
    action.add_argument("--part", default="", metavar="NAME", help="which denoiser a file is, where there are two")

"""Whether a folder holds a model that can be loaded: parts, classes, all shards, no pickles. Reads headers only."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from ...protocol import ErrorKind, SkyloopError
from ...typed import parse_json
from ..catalogue import Entry, entries
from ..header import check_header

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_WEIGHTLESS = re.compile(r"tokenizer(_\d)?|scheduler|feature_extractor|processor|guider")
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.safetensors")
_VARIANT = re.compile(r"\.(fp16|bf16|fp8|non_ema|ema)(?=[.-])")
_MAX_JSON_BYTES = 64 << 20


def check_folder(
    path: Path, entry: Entry, *, without: Collection[str] = (), kind: ErrorKind = ErrorKind.MISSING_MODEL
) -> list[Path]:
    """The weight files of the model in a folder in diffusers' layout, which ``path`` must be.

    ``without``: the parts whose weights are in single files elsewhere. Raises ``SkyloopError`` of that ``kind``, in one
    sentence with the way out, for what is not there, cut short, pickled, or another model.
    """
    if not path.is_dir():
        raise SkyloopError(kind, f"{path} is no folder.", "Give the folder that has model_index.json in it.")
    form = entry.architecture
    found: list[Path] = []
    try:
        for part in (*form.denoisers, *(["vae"] if form.vae else []), *form.parts):
            if not (path / part).is_dir():
                _refuse(f"{path} has no folder {part}", f"{entry.name} needs {', '.join(_needed(entry))}.")
        for part in form.denoisers:
            _check_class(path / part, form.denoiser, entry)
            _check_shape(path / part, entry)
        if form.vae:
            _check_class(path / "vae", form.vae, entry)
        for part in (*form.denoisers, *(["vae"] if form.vae else []), *form.parts):
            if part not in without and not _WEIGHTLESS.fullmatch(part):
                found += _weights(path / part)
    except _UnfitError as error:
        raise SkyloopError(kind, f"{error.args[0]}.", error.args[1]) from error
    for file in found:
        check_weights(file, kind)
    return found


def check_weights(path: Path, kind: ErrorKind) -> None:
    """Raise ``SkyloopError`` of that ``kind`` unless this is a safetensors file, as long as its header says."""
    try:
        check_header(path.resolve(), kind)
    except SkyloopError as error:
        reason = error.message.partition(": ")[2] or error.message
        raise SkyloopError(kind, f"{path} cannot be read: {reason}", "Download or copy it again.") from error


class _UnfitError(Exception):
    pass


def _refuse(text: str, hint: str) -> NoReturn:
    raise _UnfitError(text, hint)


def _needed(entry: Entry) -> list[str]:
    return [*entry.architecture.denoisers, "vae", *entry.architecture.parts]


def _check_class(part: Path, wanted: str, entry: Entry) -> None:
    have = str(_json(part / "config.json").get("_class_name", ""))
    if have == wanted:
        return
    others = [e.id for e in entries() if have and e.architecture.denoiser == have]
    hint = f"Add it as {' or '.join(others[:3])}." if others else "Choose another folder."
    _refuse(f"{part} holds a {have or 'network of no known class'}, where {entry.name} has a {wanted}", hint)


def _check_shape(part: Path, entry: Entry) -> None:
    config = _json(part / "config.json")
    for key, value in entry.shape.items():
        if config.get(key, value) != value:
            same = [e.id for e in entries() if e.family == entry.family and e.shape.get(key) == config[key]]
            hint = f"Add it as {' or '.join(same[:3])}." if same else "Choose another folder."
            _refuse(f"{part} has {key} {config[key]!r}, where {entry.name} has {value!r}", hint)


def _weights(part: Path) -> list[Path]:
    """The files that hold the weights of a part."""
    files = sorted(part.glob("*.safetensors"))
    plain = [f for f in files if not _VARIANT.search(f.name)]
    if not files:
        if any(f.suffix in PICKLED for f in part.iterdir()):
            text = f"{part} has its weights only as pickle files, which can run programs when they are read"
            _refuse(text, "Skyloop reads safetensors only: get the model in that format.")
        _refuse(f"{part} has no weights", "Download the model again, or copy its .safetensors files there.")
    if not plain:
        _refuse(f"{part} has its weights only as {files[0].name}", "Take the part after the first dot out of its name.")
    indices = [f for f in part.glob("*.safetensors.index.json") if not _VARIANT.search(f.name)]
    single = [f for f in plain if not _SHARD.fullmatch(f.name)]
    wanted = _indexed(indices[0]) if indices else [] if single else _counted(plain)
    missing = [name for name in wanted if not (part / name).is_file()]
    if missing:
        text = f"{part} lacks {len(missing)} of {len(wanted)} weight files, such as {missing[0]}"
        _refuse(text, "Download the model again, or copy the missing files there.")
    if wanted and not indices:
        _refuse(f"{part} has its weights in {len(wanted)} files and no index", "Copy the .index.json file there too.")
    return [part / name for name in wanted] or single


def _indexed(index: Path) -> list[str]:
    """The files that an index names: plain names only, so that it cannot lead out of its folder."""
    table = _json(index).get("weight_map")
    if not isinstance(table, dict) or not table or not all(isinstance(name, str) for name in table.values()):
        _refuse(f"{index} names no weight files", "Download the model again.")
    names = sorted(set(table.values()))
    if odd := [name for name in names if not name.endswith(".safetensors") or Path(name).name != name or "\\" in name]:
        _refuse(f"{index} names {odd[0][:80]!r}, which is no safetensors file beside it", "Download the model again.")
    return names


def _counted(files: list[Path]) -> list[str]:
    """The shards that the names of those there tell of."""
    found = [match for f in files if (match := _SHARD.fullmatch(f.name))]
    stem, total = found[0][1], int(found[0][3])
    return [f"{stem}-{i:05}-of-{total:05}.safetensors" for i in range(1, total + 1)]


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            _refuse(f"{path} is too large", "Download the model again.")
        document = parse_json(path.read_bytes())
    except FileNotFoundError:
        _refuse(f"{path} is missing", "Download the model again, or copy it there.")
    except (OSError, ValueError) as error:
        _refuse(f"{path} cannot be read ({str(error).rstrip('.')})", "Download the model again.")
    return document if isinstance(document, dict) else {}

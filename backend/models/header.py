"""What a safetensors file says of itself, judged before anything of it is mapped or allocated. Standard library only.

A file is a length (8 bytes, little-endian), so many bytes of JSON, and the tensors' bytes, which the JSON places: there
is nothing in it to execute. What claims more than the file holds, or says it in two ways, is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..media.files import open_read
from ..protocol import ErrorKind, SkyloopError
from ..typed import parse_json, shown

MAX_HEADER_BYTES = 16 << 20  # the largest public models need about one
MAX_TENSORS = 100_000
MAX_FILE_BYTES = 1 << 40
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
"""The types of numbers that are read, by their size."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the file: bytes ``start`` to ``stop`` of what follows the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def check_header(path: Path, kind: ErrorKind = ErrorKind.MISSING_MODEL) -> dict[str, TensorInfo]:
    """The tensors of a safetensors file, by name. Links are not followed; resolve ``path`` first where they may be.

    Raises ``SkyloopError`` of that ``kind``, in one line, for a file that is missing, none of this format, cut short,
    or at odds with itself: then it must not be given to a library.
    """
    try:
        with open_read(path, MAX_FILE_BYTES) as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
                _refuse("it is no safetensors file, or is cut short")
            return _tensors(file.read(length), size - 8 - length)
    except SkyloopError as error:
        raise _unreadable(path, kind, error.message) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, kind, str(getattr(error, "strerror", None) or error)) from error


def notes(path: Path, kind: ErrorKind = ErrorKind.MISSING_MODEL) -> dict[str, str]:
    """What the file's makers wrote into it, by name. Raises like :func:`check_header`."""
    check_header(path, kind)
    with open_read(path, MAX_FILE_BYTES) as file:
        document = parse_json(file.read(int.from_bytes(file.read(8), "little")))
    found = document.get("__metadata__")
    return {key: v for key, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _unreadable(path: Path, kind: ErrorKind, reason: str) -> SkyloopError:
    hint = "Install Skyloop again." if kind is ErrorKind.MISSING_MODEL else ""
    return SkyloopError(kind, f"{path.name} cannot be read: {reason.rstrip('.')}.", hint)


def _tensors(header: bytes, data_bytes: int) -> dict[str, TensorInfo]:
    if not header.startswith(b"{"):
        _refuse("it is no safetensors file")
    document = parse_json(header)
    document.pop("__metadata__", None)
    if len(document) > MAX_TENSORS:
        _refuse(f"it has {len(document)} tensors")
    found = {name: _tensor(name, entry) for name, entry in document.items()}
    end = 0
    for name, info in sorted(found.items(), key=lambda item: (item[1].start, item[1].stop)):
        if info.start != end:
            _refuse(f"tensor {shown(name)} overlaps another or leaves a gap")
        end = info.stop
    if end != data_bytes:
        _refuse(f"its tensors take {end} bytes and the file has {data_bytes}")
    return found


def _tensor(name: str, entry: Any) -> TensorInfo:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _refuse(f"tensor {shown(name)} is not described as one")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        _refuse(f"tensor {shown(name)} is of the unknown type {shown(dtype)}")
    if not _sizes(shape) or len(shape) > 16:
        _refuse(f"tensor {shown(name)} has no possible shape")
    if not _sizes(place) or len(place) != 2:
        _refuse(f"tensor {shown(name)} has no possible place")
    start, stop = place
    if (stop - start) * 8 != math.prod(shape) * BITS[dtype]:
        _refuse(f"tensor {shown(name)} is not as large as its shape")
    return TensorInfo(dtype, tuple(shape), start, stop)


def _sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**63 for v in values)


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)

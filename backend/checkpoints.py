"""Where a job's denoising is, kept in its folder, so that whatever ends the process costs a step or two of work.

A checkpoint is a safetensors file: the canvas, the solver's memory, the random generator, how many steps are done. It
is written beside its place, flushed and renamed; its numbers carry check sums; the one before stays until the next is
whole. It belongs to one identity (request, model, versions, device, input files), so that going on from it gives, bit
for bit, what an undisturbed run would have given.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .fields import Fields
from .media.files import discard, is_real_folder, own_folder, replacing
from .models.header import check_header
from .protocol import SkyloopError

SHARE = 0.02
"""The part of a job's time that writing checkpoints may take."""
FOLDER = "checkpoint"
_KEPT = 2
_ASSUMED_S, _ASSUMED_BYTES_PER_S = 0.02, 100e6  # until the first one was written
_CHUNK_BYTES = 32 << 20
_CRC_DIGITS = "0" * 8
_logger = logging.getLogger(__name__)


class UnusableStateError(Exception):
    """A checkpoint does not hold what the job needs."""


# What reading a file of anybody's making can raise.
_DAMAGED = (UnusableStateError, SafetensorError, OSError, ValueError, LookupError, TypeError, RuntimeError)


@dataclass(frozen=True)
class State:
    """Where denoising is after ``step`` steps of ``stage``: its tensors (C, F, rows, columns) by name, such as ``x.0``
    for the noisy latents of chart 0. They are the loop's own, so a state is good until the loop goes on."""

    stage: str
    step: int
    tensors: dict[str, Tensor] = field(repr=False)

    def of(self, name: str, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """The tensors of that name, one a chart. Raises ``UnusableStateError`` unless they have these shapes."""
        found = [self.tensors.get(f"{name}.{i}") for i in range(len(shapes))]
        if [t is not None and tuple(t.shape) for t in found] != list(shapes):
            raise UnusableStateError(f"no {name} of shapes {shapes}")
        return [t for t in found if t is not None]

    def steps_of(self, total: int) -> int:
        """The steps done, of ``total``. Raises ``UnusableStateError`` unless there can be so many."""
        if not 0 < self.step <= total:
            raise UnusableStateError(f"step {self.step} of {total}")
        return self.step


def named(name: str, tensors: list[Tensor]) -> dict[str, Tensor]:
    """One tensor a chart, as entries of :attr:`State.tensors`."""
    return {f"{name}.{i}": t for i, t in enumerate(tensors)}


@dataclass(frozen=True)
class Saved:
    """What a checkpoint gives back: the state, the random generator's, and the facts that were saved with it."""

    state: State
    generator: Tensor
    facts: dict[str, Any]


class Pace:
    """Grants a checkpoint whenever all of them together take less than ``share`` of the time since the beginning."""

    def __init__(self, share: float = SHARE, now: Callable[[], float] = time.monotonic) -> None:
        self.share, self.now = share, now
        self._began, self._spent = now(), 0.0
        self._seconds_a_byte, self._least = 1 / _ASSUMED_BYTES_PER_S, _ASSUMED_S

    def due(self, size_bytes: int) -> bool:
        expected = max(self._least, size_bytes * self._seconds_a_byte)
        return self._spent + expected <= self.share * (self.now() - self._began)

    @contextlib.contextmanager
    def taking(self, size_bytes: int) -> Iterator[None]:
        """Count the time of the body, which writes so much."""
        start = self.now()
        try:
            yield
        finally:
            seconds = self.now() - start
            self._spent += seconds
            self._least = min(seconds, _ASSUMED_S)
            self._seconds_a_byte = seconds / max(1, size_bytes)


@dataclass(frozen=True)
class Shelf:
    """Where the checkpoints of a job in ``folder`` are, of which only those of ``identity`` are used."""

    folder: Path
    identity: str
    pace: Pace

    def of(self, name: str) -> Checkpoints:
        """Those of one of the job's denoisings."""
        return Checkpoints(self, name)

    def clear(self) -> None:
        """Remove them all, with whatever else is there."""
        if self.folder.is_symlink():
            discard(self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def resumed(
    checkpoints: Checkpoints | None, fields: Fields, run: Callable[[Saved | None], Generator[Any, None, Any]]
) -> Generator[Any, None, Any]:
    """``run`` from the newest checkpoint that it can use, from its beginning (None) if there is none."""
    for saved in chain(checkpoints.saved(fields) if checkpoints else (), [None]):
        try:
            return (yield from run(saved))
        except UnusableStateError as error:
            _logger.warning("a checkpoint is not used: %s", error)
    raise UnusableStateError("not even the beginning can be used")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one denoising of a job, ``name`` telling it from others of the same job."""

    shelf: Shelf
    name: str

    def offer(self, state: State, generator: torch.Generator, facts: dict[str, Any]) -> None:
        """Save ``state`` if the time for it has come. A disk that will not take it is no reason to stop the job, which
        may well do without."""
        size, pace = sum(t.nbytes for t in state.tensors.values()), self.shelf.pace
        if not pace.due(size):
            return
        with pace.taking(size):
            try:
                self._save(Saved(state, generator.get_state(), facts))
            except (SkyloopError, OSError) as error:
                _logger.warning("no checkpoint after %s step %d: %s", state.stage, state.step, error)
                for path in self._files()[:-1]:  # room for the next
                    discard(path)

    def saved(self, fields: Fields) -> Iterator[Saved]:
        """What can be gone on from, the newest first. Files that are damaged, or not of this identity, are passed over
        and removed."""
        for path in reversed(self._files()):
            try:
                yield _read(path, self.shelf.identity, fields)
            except _DAMAGED as error:
                _logger.warning("checkpoint %s is not used: %s", path.name, error)
                discard(path)

    def _files(self) -> list[Path]:
        if not is_real_folder(self.shelf.folder):
            return []
        with contextlib.suppress(OSError):
            found = self.shelf.folder.glob(f"{self.name}-*.safetensors")
            return sorted(p for p in found if p.stem.rpartition("-")[2].isdecimal() and p.is_file())
        return []

    def _save(self, saved: Saved) -> None:
        folder = own_folder(self.shelf.folder)
        files = self._files()
        number = 1 + int(files[-1].stem.rpartition("-")[2]) if files else 0
        with replacing(folder / f"{self.name}-{number:06d}.safetensors") as beside, beside.open("wb") as file:
            _write(file, saved, self.shelf.identity)
        for path in files[: 1 - _KEPT]:
            discard(path)


def _write(file: BinaryIO, saved: Saved, identity: str) -> None:
    tensors = {name: t.movedim(-3, 0) for name, t in saved.state.tensors.items()}  # as it lies in memory
    facts = {"identity": identity, "stage": saved.state.stage, "step": saved.state.step, "facts": saved.facts}
    facts["generator"] = bytes(saved.generator.numpy()).hex()
    sums = dict.fromkeys(tensors, _CRC_DIGITS)
    file.write(_header(tensors, facts, sums))
    for name, tensor in tensors.items():
        crc = 0
        each = max(1, _CHUNK_BYTES // max(1, tensor[0].nbytes))
        for start in range(0, len(tensor), each):
            data = tensor[start : start + each].contiguous().numpy().data.cast("B")
            crc = zlib.crc32(data, crc)
            file.write(data)
        sums[name] = f"{crc:08x}"
    file.seek(0)
    file.write(_header(tensors, facts, sums))


def _header(tensors: dict[str, Tensor], facts: dict[str, Any], sums: dict[str, str]) -> bytes:
    """A safetensors header of a length that does not depend on the sums."""
    text = json.dumps(facts, sort_keys=True)
    document: dict[str, Any] = {"__metadata__": {"facts": text, "crc": f"{_crc(text):08x}", "sums": json.dumps(sums)}}
    at = 0
    for name, tensor in tensors.items():
        document[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    data = json.dumps(document).encode()
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def _read(path: Path, identity: str, fields: Fields) -> Saved:
    try:
        check_header(path)
    except SkyloopError as error:
        raise UnusableStateError(error.message) from error
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        text, sums = metadata["facts"], json.loads(metadata["sums"])
        if metadata["crc"] != f"{_crc(text):08x}":
            raise UnusableStateError("its description is damaged")
        facts = json.loads(text)
        if facts["identity"] != identity:
            raise UnusableStateError("it belongs to another request, model, device or version")
        tensors = {name: _tensor(file.get_slice(name), sums[name], fields) for name in file.keys()}  # noqa: SIM118
    generator = torch.frombuffer(bytearray.fromhex(facts["generator"]), dtype=torch.uint8)
    torch.Generator().set_state(generator)  # refuses what is none
    return Saved(State(str(facts["stage"]), int(facts["step"]), tensors), generator, dict(facts["facts"]))


def _tensor(stored: Any, crc: str, fields: Fields) -> Tensor:
    frames, *rest = stored.get_shape()
    if stored.get_dtype() != "F32" or len(rest) != 3:
        raise UnusableStateError("it holds other numbers than latents")
    tensor = fields.zeros(rest[0], frames, *rest[1:])
    frame_major, found = tensor.movedim(-3, 0), 0
    each = max(1, _CHUNK_BYTES // max(1, frame_major[0].nbytes))
    for start in range(0, frames, each):
        part = stored[start : start + each]
        found = zlib.crc32(part.numpy().data.cast("B"), found)
        if not bool(part.isfinite().all()):
            raise UnusableStateError("it holds NaN")
        frame_major[start : start + each] = part
        fields.release()
    if f"{found:08x}" != crc:
        raise UnusableStateError("its numbers are damaged")
    return tensor


def _crc(text: str) -> int:
    return zlib.crc32(text.encode())

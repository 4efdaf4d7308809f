"""Checkpoints that were damaged or planted: not used, and the one before is."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.checkpoints import Checkpoints, Pace, Shelf, State
from backend.fields import Fields

SHAPE = (2, 3, 4, 5)  # channels, frames, rows, columns


class Always(Pace):
    """Grants every checkpoint."""

    def due(self, size_bytes: int) -> bool:
        return True


def checkpoints(folder: Path, identity: str = "this job") -> Checkpoints:
    return Shelf(folder, identity, Always()).of("main")


def files(folder: Path) -> set[tuple[str, int]]:
    return {(path.name, path.stat().st_ino) for path in folder.glob("*")}


def save(folder: Path, step: int, identity: str = "this job", values: torch.Tensor | None = None) -> None:
    x = torch.full(SHAPE, float(step)) if values is None else values
    before = files(folder)
    checkpoints(folder, identity).offer(State("layout", step, {"x.0": x}), torch.Generator(), {"windows": step})
    assert files(folder) - before


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        header, body = parts(data)
        change(header)
        return joined(header, body)

    return changed


def with_facts(**facts: Any) -> Callable[[bytes], bytes]:
    """Facts changed by somebody who knows how to sum them up."""
    import zlib

    def change(header: dict[str, Any]) -> None:
        notes = header["__metadata__"]
        notes["facts"] = json.dumps(json.loads(notes["facts"]) | facts)
        notes["crc"] = f"{zlib.crc32(notes['facts'].encode()):08x}"

    return with_header(change)


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 if at != -1 else len(data) :]


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut in its length": lambda data: data[:5],
    "cut in its header": lambda data: data[:60],
    "cut by a byte": lambda data: data[:-1],
    "a byte longer": lambda data: data + b"\0",
    "noise": lambda data: random.Random(3).randbytes(len(data)),
    "zeros, as after a loss of power": lambda data: bytes(len(data)),
    "a bit flipped in its length": flipped(0),
    "a bit flipped in its header": flipped(40),
    "a bit flipped in its numbers": flipped(-1),
    "without its notes": with_header(lambda header: header.pop("__metadata__")),
    "sums of no tensor": with_header(lambda header: header["__metadata__"].update(sums="{}")),
    "facts that are no JSON": with_header(lambda header: header["__metadata__"].update(facts="{")),
    "facts nested": with_header(lambda header: header["__metadata__"].update(facts="[" * 100_000)),
    "of another job": with_facts(identity="another job"),
    "generator of nonsense": with_facts(generator="zz"),
    "generator too short": with_facts(generator="00"),
    "step is a word": with_facts(step="many"),
    "facts is a number": with_facts(facts=7),
    "other numbers": with_header(lambda header: header["x.0"].update(dtype="I32")),
    "flat": with_header(lambda header: header["x.0"].update(shape=[120])),
    "of no frames": lambda data: joined(
        parts(data)[0] | {"x.0": {"dtype": "F32", "shape": [0, 2, 4, 5], "data_offsets": [0, 0]}}, b""
    ),
    "of 2^62 frames": with_header(lambda header: header["x.0"].update(shape=[2**62, 2, 4, 5])),
    "tensors on one another": with_header(lambda header: header.update({"x.1": header["x.0"]})),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_checkpoint_is_not_used(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "checkpoint"
    save(folder, 1)
    save(folder, 2)
    newest = max(folder.iterdir())
    newest.write_bytes(KINDS[kind](newest.read_bytes()))
    assert [saved.state.step for saved in checkpoints(folder).saved(Fields())] == [1]
    assert not newest.exists()


def test_nan_is_not_gone_on_from(tmp_path: Path) -> None:
    save(tmp_path / "checkpoint", 1)
    save(tmp_path / "checkpoint", 2, values=torch.full(SHAPE, float("nan")))
    assert [saved.state.step for saved in checkpoints(tmp_path / "checkpoint").saved(Fields())] == [1]


def test_a_checkpoint_of_another_shape_or_name_does_not_fit(tmp_path: Path) -> None:
    from backend.checkpoints import UnusableStateError

    save(tmp_path / "checkpoint", 1)
    (saved,) = checkpoints(tmp_path / "checkpoint").saved(Fields())
    assert saved.state.of("x", [SHAPE])[0].equal(torch.ones(SHAPE))
    for name, shapes in (("x", [(2, 3, 4, 6)]), ("x", [SHAPE, SHAPE]), ("y", [SHAPE])):
        with pytest.raises(UnusableStateError):
            saved.state.of(name, shapes)


@pytest.mark.parametrize(
    "name", ["main-.safetensors", "main-9x.safetensors", "main--1.safetensors", "main-٣٤.safetensors"]
)
def test_files_of_odd_names_do_not_keep_a_job_from_saving(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / name).write_bytes(b"odd")
    save(folder, 1)
    assert [saved.state.step for saved in checkpoints(folder).saved(Fields())] == [1]


@pytest.mark.skipif(os.name != "posix", reason="makes links and pipes")
def test_checkpoints_are_neither_read_nor_written_through_a_link(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "checkpoint"
    save(outside, 5)
    content = {path.name: path.read_bytes() for path in outside.iterdir()}
    folder.symlink_to(outside)
    assert list(checkpoints(folder).saved(Fields())) == []
    save(folder, 1)
    assert not folder.is_symlink()
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == content
    os.mkfifo(folder / "main-000007.safetensors")
    (folder / "main-000008.safetensors").symlink_to(next(outside.iterdir()))
    (folder / "main-000009.safetensors").mkdir()
    assert [saved.state.step for saved in checkpoints(folder).saved(Fields())] == [1]
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == content

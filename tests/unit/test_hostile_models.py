"""Weights made to crash, to fill the memory or to execute something: refused in one line, before anything is mapped."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.models.header import MAX_HEADER_BYTES
from tests import hostile
from tests.unit.test_hostile_pictures import PLACES

MOST_MB = 100.0
WEIGHT = {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}
NOTHING = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
BIAS = {"dtype": "F32", "shape": [4], "data_offsets": [128, 144]}


def file_of(document: Any, data_bytes: int = 144, length: int | None = None) -> bytes:
    """A safetensors file of that header, which may be text, and so many zeros."""
    header = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(data_bytes)


def linear(**changes: Any) -> bytes:
    """The weights of ``torch.nn.Linear(8, 4)`` with some facts of one tensor changed."""
    return file_of({"weight": WEIGHT | changes, "bias": BIAS})


def torch_file() -> bytes:
    """What ``torch.save`` writes: an archive with a pickle in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": 1}))
    return file.getvalue()


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


BROKEN: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "seven bytes": lambda: bytes(7),
    "zeros": lambda: bytes(4096),
    "text": lambda: b"hello world " * 50,
    "pickle that runs a command": lambda: pickle.dumps(_Bomb()),
    "torch archive": torch_file,
    "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(200),
    "gguf": lambda: b"GGUF" + bytes(200),
    "length beyond the file": lambda: file_of({"weight": WEIGHT}, length=10**6),
    "length of 2^64": lambda: file_of({"weight": WEIGHT}, length=2**64 - 1),
    "header over its limit": lambda: file_of(b"{" + b" " * (MAX_HEADER_BYTES + 1) + b"}"),
    "header is no JSON": lambda: file_of(b'{"weight": '),
    "header is a list": lambda: file_of([WEIGHT]),
    "header nested": lambda: file_of(b'{"a":' * 50_000),
    "header of another encoding": lambda: file_of(b'{"\xff\xfe": 1}'),
    "header of a number": lambda: file_of(b"{}" * 4, 0),
    "name twice": lambda: file_of(f'{{"weight": {json.dumps(WEIGHT)}, "weight": {json.dumps(WEIGHT)}}}'.encode(), 128),
    "tensor is a number": lambda: file_of({"weight": 7}),
    "tensor without a shape": lambda: file_of({"weight": {"dtype": "F32", "data_offsets": [0, 144]}}),
    "tensor with more to say": lambda: linear(command="rm"),
    "type unknown": lambda: linear(dtype="PICKLE"),
    "type is a list": lambda: linear(dtype=["F32"]),
    "shape negative": lambda: linear(shape=[-4, -8]),
    "shape of fractions": lambda: linear(shape=[4.0, 8.0]),
    "shape of true": lambda: linear(shape=[True, 32]),
    "shape of 2^63 elements": lambda: linear(shape=[2**62, 2], data_offsets=[0, 2**63 - 1]),
    "shape that overflows to its bytes": lambda: linear(shape=[2**32, 2**32, 32]),
    "shape of 10^5000": lambda: file_of(json.dumps({"weight": WEIGHT}).replace("[4", "[1" + "0" * 5000).encode()),
    "shape of 100 dimensions": lambda: linear(shape=[1] * 98 + [4, 8]),
    "shape smaller than its bytes": lambda: linear(shape=[4, 7]),
    "offsets outside the file": lambda: file_of({"weight": WEIGHT}, 100),
    "offsets backwards": lambda: linear(data_offsets=[128, 0]),
    "offsets negative": lambda: linear(data_offsets=[-128, 0]),
    "offsets of three": lambda: linear(data_offsets=[0, 64, 128]),
    "tensors overlap": lambda: file_of({"weight": WEIGHT, "bias": BIAS | {"data_offsets": [64, 80]}}),
    "gap between tensors": lambda: file_of({"weight": WEIGHT, "bias": BIAS | {"data_offsets": [132, 148]}}, 148),
    "bytes after the tensors": lambda: file_of({"weight": WEIGHT, "bias": BIAS}, 200),
    "too many tensors": lambda: file_of({f"t{i}": NOTHING for i in range(100_001)}, 0),
}  # fmt: skip
UNFIT: dict[str, Callable[[], bytes]] = {
    "a tensor missing": lambda: file_of({"weight": WEIGHT}, 128),
    "a tensor too many": lambda: file_of({"weight": WEIGHT, "bias": BIAS, "x": NOTHING | {"data_offsets": [144, 144]}}),
    "another name": lambda: file_of({"weights": WEIGHT, "bias": BIAS}),
    "another shape": lambda: linear(shape=[8, 4]),
    "a scale of no tensor": lambda: file_of({"weight": WEIGHT, "bias.int8_scale": BIAS}),
    "a scale of another length": lambda: file_of({"weight": WEIGHT, "weight.int8_scale": BIAS | {"shape": [2, 2]}}),
}  # fmt: skip
REFUSED = [*BROKEN, *(name for name in PLACES if os.name == "posix")]
LOADED = ["empty", "pickle that runs a command", "torch archive", "name twice", "tensors overlap"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, make in (BROKEN | UNFIT).items():
        (folder / name).write_bytes(make())
    for name, place in PLACES.items() if os.name == "posix" else ():
        place(folder / name)
    (folder / "fine").write_bytes(linear())
    return folder


@pytest.fixture(scope="module")
def checked(folder: Path) -> dict[str, hostile.Answer]:
    return hostile.read_all("header", [folder / name for name in [*REFUSED, *UNFIT, "fine"]])


@pytest.fixture(scope="module")
def loaded(folder: Path) -> dict[str, hostile.Answer]:
    return hostile.read_all("weights", [folder / name for name in [*LOADED, *UNFIT, "fine"]])


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_model_is_refused(
    folder: Path, checked: dict[str, hostile.Answer], loaded: dict[str, hostile.Answer], name: str
) -> None:
    for answer in (checked[name], loaded.get(name, checked[name])):
        assert answer.kind == "missing_model", answer
        assert name in answer.line and "\n" not in answer.line and len(answer.line) < 600
        assert answer.megabytes < MOST_MB
    assert not (folder / "executed").exists() and not (hostile.ROOT / "executed").exists()


@pytest.mark.parametrize("name", UNFIT)
def test_weights_of_another_module_are_refused(loaded: dict[str, hostile.Answer], name: str) -> None:
    assert loaded[name].kind == "missing_model", loaded[name]
    assert name in loaded[name].line and "\n" not in loaded[name].line


def test_good_weights_are_read(checked: dict[str, hostile.Answer], loaded: dict[str, hostile.Answer]) -> None:
    assert checked["fine"].kind == loaded["fine"].kind == "read"


FACTS = {"latent_mean": [0.0] * 12, "latent_std": [1.0] * 12}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "nonsense", '{"a":' * 50_000,
        json.dumps(FACTS | {"latent_mean": [0.0] * 11}),
        json.dumps(FACTS | {"latent_std": [0.0] * 12}),
        json.dumps(FACTS | {"latent_std": ["1"] * 12}),
        json.dumps(FACTS | {"latent_mean": [float("nan")] * 12}),
        json.dumps(FACTS)[:-1] + ', "latent_std": [2.0]}',
    ],
    ids=["empty", "list", "object", "text", "nested", "eleven", "zero", "words", "NaN", "twice"],
)  # fmt: skip
def test_facts_about_the_latents_are_checked(tmp_path: Path, text: str) -> None:
    from backend.models.builtin import BuiltinModel
    from backend.protocol import ErrorKind, SkyloopError

    (tmp_path / "training.json").write_text(text)
    with pytest.raises(SkyloopError) as caught:
        BuiltinModel("cpu", tmp_path)
    assert caught.value.kind is ErrorKind.MISSING_MODEL
    assert "training.json" in caught.value.line and "\n" not in caught.value.line

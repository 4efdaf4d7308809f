"""Canvas-sized tensors: in memory or in files, with the same values, and without taking memory in the long run."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from backend import fields as module
from backend.fields import Fields
from backend.protocol import ErrorKind, SkyloopError

ROOT = Path(__file__).resolve().parents[2]
MB = 1 << 20

# Denoise, refine and render a canvas of the given length, and say what memory that took and a digest of the result.
LONG = """
import hashlib, json, re, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from backend.charts import Chart
from backend.conditioning import Prompts
from backend.canvas import Canvas, white_noise
from backend.denoise import Schedule, denoise
from backend.render import decode_frames
from backend.fields import Fields
from backend.motion_guidance import upsample
from tests.oracle import Oracle

folder, frames, memory = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

def drain(steps):
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value

model, fields, prompts = Oracle(window_batch=1), Fields(folder, memory), Prompts([""], "")
small, large = ([Chart("plane", 16, n, wrap=True)] for n in (16, 32))
before = peak()
generator = torch.Generator().manual_seed(0)
canvas = Canvas(small, white_noise(small, 2, frames, generator, fields), True, 0.1)
for _ in denoise(model, canvas, prompts, Schedule([1.0, 0.5, 0.0], [1.0, 1.0]), fields=fields):
    pass
fine = Canvas(large, drain(upsample(model, canvas, large, fields)), True, 0.1)
for _ in denoise(model, fine, prompts, Schedule([0.5, 0.0], [1.0]), fields=fields):
    pass
digest = hashlib.sha256()
for frame in decode_frames(model, fine, 32, 64, range(frames)):
    digest.update(frame)
    fields.release()
print(json.dumps({"bytes": peak() - before, "digest": digest.hexdigest()}))
"""


def long_run(folder: Path, frames: int, memory_bytes: int) -> dict[str, Any]:
    command = [sys.executable, "-c", LONG, str(folder), str(frames), str(memory_bytes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_host_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """In files a canvas of 3000 frames, 12 MB five times over, takes no more memory than one of 64 frames."""
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(long_run, tmp_path, *arguments) for arguments in ((64, 0), (3000, 0), (3000, 1 << 30))]
        short, on_disk, in_memory = (run.result() for run in runs)
    assert on_disk["digest"] == in_memory["digest"]
    again = (long_run(tmp_path, 3000, 0) for _ in range(2))  # on a busy machine pages stay longer, at times
    assert any(run["bytes"] - short["bytes"] < 16 * MB for run in chain([on_disk], again))
    assert in_memory["bytes"] - short["bytes"] > 24 * MB, "the test can tell the difference"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
def test_fields_are_zeros_with_frames_outermost(tmp_path: Path, memory_bytes: int) -> None:
    field = Fields(tmp_path, memory_bytes).zeros(3, 5, 4, 8)
    assert field.shape == (3, 5, 4, 8)
    assert not field.any()
    assert field[:, 2].is_contiguous(), "a frame of all channels is one piece of the file"
    weights = Fields(tmp_path, memory_bytes).zeros(5, 4, 8)
    assert weights.shape == (5, 4, 8)
    assert weights[2].is_contiguous()


def test_values_survive_a_release(tmp_path: Path) -> None:
    fields = Fields(tmp_path, 0)
    kept = [fields.zeros(2, 6, 8, 8) for _ in range(2)]
    values = torch.randn(2, 6, 8, 8)
    for field in kept:
        field.copy_(values)
        fields.release()
    assert all(torch.equal(field, values) for field in kept)


def test_memory_counts_until_the_last_view_is_gone(tmp_path: Path) -> None:
    fields = Fields(tmp_path, memory_bytes=100)

    def is_mapped() -> bool:
        before = len(fields._maps)
        field = fields.zeros(1, 1, 5, 5)  # a hundred bytes
        return len(fields._maps) > before and not field.any()

    field = fields.zeros(1, 1, 5, 5)
    view = field[:, :1]
    del field
    assert is_mapped()
    del view
    gc.collect()
    assert not is_mapped()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "posix_fallocate", full)
    with pytest.raises(SkyloopError) as refused:
        Fields(tmp_path, 0).zeros(2, 100, 64, 64)
    assert refused.value.kind is ErrorKind.DISK_FULL
    assert not list(tmp_path.iterdir())


def test_files_take_space_only_as_long_as_their_tensors_live(tmp_path: Path) -> None:
    fields = Fields(tmp_path, 0)
    field = fields.zeros(2, 16, 512, 512)
    assert len(fields._maps) == 1
    del field
    gc.collect()
    assert not fields._maps

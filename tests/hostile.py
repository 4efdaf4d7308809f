"""Reading hostile files in a process of its own, with its memory measured: ``python -m tests.hostile KIND FILE...``.

A reader must refuse each in one line; a crash, a hang or a traceback shows as what it is. One process reads many files,
as the backend does; it prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIMIT_S = 60
ADDRESS_SPACE_BYTES = 6 << 30
"""A net below the figures: what asks for more than that fails instead of filling the machine."""


@dataclass(frozen=True)
class Answer:
    """What became of a file: the refusal (kind, line) or why there is none, the memory it took, and the time."""

    kind: str
    line: str
    megabytes: float
    seconds: float


def read_all(kind: str, files: Sequence[Path]) -> dict[str, Answer]:
    """What each file came to, by its name; a file on which the process died has the kind ``died``."""
    found: dict[str, Answer] = {}
    left = list(files)
    while left:
        command = [sys.executable, "-m", "tests.hostile", kind, *map(str, left)]
        environ = os.environ | {"OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_THREADS": "1", "PYTHONUTF8": "1"}
        process = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=LIMIT_S, check=False)
        answers = [json.loads(line) for line in process.stdout.decode().splitlines()]
        found |= {name: Answer(**answer) for name, answer in answers}
        left = left[len(answers) :]
        if left and process.returncode:
            last_words = process.stderr.decode(errors="replace").strip().splitlines()[-1:]
            found[left.pop(0).name] = Answer("died", f"{process.returncode} {last_words}", 0, 0)
    return found


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with a few bytes changed, added or taken out, most of them near its beginning."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 20))):
        at = rng.randrange(max(1, len(found) if rng.random() < 0.4 else min(len(found), 300)))
        what = rng.random()
        if what < 0.7:
            found[at : at + 1] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))])
        elif what < 0.85:
            found[at : at + 4] = rng.choice((b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\0\1\0\0", b"\x80\0\0\0"))
        elif what < 0.95:
            del found[at : at + rng.randrange(1, 9)]
        else:
            found[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(found)


def _picture(path: Path) -> None:
    from backend.media.pictures import read_picture

    read_picture(path)


def _video(path: Path) -> None:
    from backend.media.video import probe, read_frames

    probe(path)
    for _ in read_frames(path, limit=20):
        pass


def _film(path: Path) -> None:
    from backend.evaluation.files import read_film

    read_film(path)


def _header(path: Path) -> None:
    from backend.models.header import check_header

    check_header(path)


def _weights(path: Path) -> None:
    import torch

    from backend.models.storage import load_into

    load_into(torch.nn.Linear(8, 4), path)


READERS: dict[str, Callable[[Path], None]] = {
    "picture": _picture,
    "video": _video,
    "film": _film,
    "header": _header,
    "weights": _weights,
}


def _answer(read: Callable[[Path], None], path: Path) -> dict[str, Any]:
    from backend.protocol import SkyloopError

    before, start_s = _peak_mb(reset=True), time.monotonic()
    try:
        read(path)
        kind, line = "read", ""
    except SkyloopError as error:
        kind, line = error.kind.value, error.line
    except BaseException as error:  # that is the finding
        kind, line = "escaped", f"{type(error).__name__}: {error}"
    return {"kind": kind, "line": line, "megabytes": _peak_mb() - before, "seconds": time.monotonic() - start_s}


def _peak_mb(*, reset: bool = False) -> float:
    """The most memory that was resident since the last reset, which only Linux has; 0 where there is no such figure."""
    if sys.platform == "linux":
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    return 0.0


def _main(kind: str, *files: str) -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    if kind == "weights":
        import torch  # noqa: F401  # its own memory is not the file's
    for file in files:
        print(json.dumps([Path(file).name, _answer(READERS[kind], Path(file))]), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])

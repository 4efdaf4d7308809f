"""What to do when the system itself ended a job because the machine's memory ran out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from .media.files import atomic_write, discard, read_bytes
from .protocol import SkyloopError

NOTE = ".memory"
_MOST_BYTES = 32


def out_of_memory_kills() -> int:
    """How many processes Linux has ended for want of memory since it started; 0 where it does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


@contextlib.contextmanager
def watched(job: Path) -> Iterator[bool]:
    """Run a job in that folder; yields whether memory ran out while an earlier run of it was at work.

    A note stays where the process is killed, with the count at the beginning, to compare with. It may have been
    another program's end: being careful without need costs little. A count that fell is of an earlier start of the
    machine.
    """
    note, now, before = job / NOTE, out_of_memory_kills(), sys.maxsize
    with contextlib.suppress(SkyloopError, FileNotFoundError, ValueError):
        before = int(read_bytes(note, _MOST_BYTES))
    atomic_write(note, str(min(before, now)).encode())
    try:
        yield before < now
    finally:
        discard(note)

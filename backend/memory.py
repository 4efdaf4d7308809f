"""What to do when the system itself ended a job because the machine's memory ran out."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .media.files import atomic_write, read_bytes
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


def ran_out(job: Path) -> bool:
    """Whether memory ran out while an earlier run of the job in that folder was at work.

    The first call leaves a note there to compare with. It may have been another program's end: being careful without
    need costs little. A count that fell is of an earlier start of the machine.
    """
    note, now = job / NOTE, out_of_memory_kills()
    with contextlib.suppress(SkyloopError, FileNotFoundError, ValueError):
        if int(read_bytes(note, _MOST_BYTES)) < now:
            return True
    atomic_write(note, str(now).encode())
    return False

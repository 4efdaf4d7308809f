"""A folder as one .zip: films and pictures are packed already, so nothing is again; the same files, the same bytes."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Generator
from pathlib import Path

from ..protocol import Event, phase
from .folder import written

_CHUNK = 4 << 20
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest there is


def archived(folder: Path, name: str) -> Generator[Event, None, None]:
    """Write ``folder / name`` with all files that are in ``folder`` by then, below a folder of the archive's own name.

    Yields phases in MB. Raises ``OSError``.
    """
    files, top = written(folder), Path(name).stem
    total, done = sum(files.values()), 0
    with zipfile.ZipFile(folder / name, "x", zipfile.ZIP_STORED) as archive:
        for file, size in files.items():
            about = zipfile.ZipInfo(f"{top}/{file}", _TIME)
            about.external_attr = 0o644 << 16
            with (folder / file).open("rb") as source, archive.open(about, "w", force_zip64=size > 1 << 31) as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    done += len(chunk)
                    yield phase("archive", math.ceil(done / 1e6), math.ceil(total / 1e6), "MB")

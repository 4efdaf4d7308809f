"""What is known of a model on the disk: ``skyloop.json`` in its folder names every file, its size and its sha256.

It is written before the first byte is downloaded, so that going on, mending and verifying keep to the same commit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from ...paths import form_problem
from ...runtime.places import write_json
from ...typed import parse_json, typed

NAME = "skyloop.json"
PARTIAL, READY, DAMAGED = "partial", "ready", "damaged"


@dataclass(frozen=True)
class File:
    """One file, by its path in the model's folder. ``sha256`` is empty until known, ``git`` where the hub gives only
    the sha1 that git names it by. ``repo``, ``commit`` and ``name`` say where it comes from; empty for the user's own.
    """

    path: str
    size: int
    sha256: str = ""
    git: str = ""
    repo: str = ""
    commit: str = ""
    name: str = ""


@dataclass(frozen=True)
class Own:
    """A file of the user's, anywhere, that stands for the weights of the denoiser ``part``."""

    part: str
    file: File


@dataclass(frozen=True)
class Record:
    """``local``: the user's own folder, used where it lies; ``own``: single files of the user's."""

    id: str
    state: str = PARTIAL
    files: tuple[File, ...] = ()
    local: str = ""
    own: tuple[Own, ...] = field(default=())

    def base(self, folder: Path) -> Path:
        """The folder that the paths of ``files`` are in."""
        return Path(self.local) if self.local else folder

    def all(self, folder: Path) -> list[tuple[Path, File]]:
        """Every file, and where it is."""
        return [(self.base(folder) / f.path, f) for f in self.files] + [(Path(o.file.path), o.file) for o in self.own]


def read(folder: Path) -> Record | None:
    """The record in a model's folder; None where there is none that can be read, or where it leads out of the folder:
    folders come from others too."""
    try:
        found = typed(NAME, Record, parse_json((folder / NAME).read_bytes()))
    except (OSError, ValueError):
        return None
    return found if all(inside(file.path) for file in found.files) else None


def inside(path: str) -> bool:
    """Whether a path, as a repository or a record has it, stays in its folder on every system."""
    pure = PurePosixPath(path)
    plain = str(pure) == path and ".." not in pure.parts and "\\" not in path and ":" not in path
    return plain and not pure.is_absolute() and not form_problem(f"/{path}", windows=False)


def write(folder: Path, record: Record) -> None:
    """Raises ``SkyloopError``: disk_full, bad_request, internal."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / NAME, asdict(record))


def whole(path: Path, file: File) -> bool:
    """Whether a file is there in its full size: a look, not a check of its content."""
    try:
        return path.stat().st_size == file.size and path.is_file()
    except OSError:
        return False

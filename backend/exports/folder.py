"""An export's folder: made beside its place, whole or not at all, and never over files that are not its own.

``skyloop-export.json`` in it lists what the export wrote, with hashes: a file that has changed since is the user's.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..media.files import atomic_write, private_folder, read_bytes, writing
from ..protocol import SkyloopError, bad_request
from ..typed import parse_json

MANIFEST = "skyloop-export.json"
_MAX_MANIFEST_BYTES = 64 << 20
_CHUNK = 1 << 20


def check_place(out: Path, *, force: bool) -> None:
    """Raises ``SkyloopError(bad_request)`` unless an export may become the folder ``out``: it is new or empty or, with
    ``force``, holds an earlier export, whose files will be replaced; all others stay as they are."""
    hint = "Choose a new or empty folder."
    try:
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise bad_request(f"{out} is no folder.", hint)
        first = next((path.name for path in out.iterdir()), "") if out.is_dir() else ""
    except OSError as error:
        raise bad_request(f"{str(out)[:200]} cannot be used ({error.strerror}).", hint) from error
    if first and not force:
        if (out / MANIFEST).is_file():
            raise bad_request(
                f"{out} holds an earlier export.", "Replace it with --force, or choose a new or empty folder."
            )
        raise bad_request(f"{out} has other files in it, such as {first[:60]}.", hint)
    if changed := [name for name, digest in _ours(out).items() if _changed(out / name, digest)]:
        raise bad_request(
            f"{changed[0]} in {out} was changed since it was exported, so it is not replaced.",
            "To keep your changes, move that file elsewhere and export again; or choose another folder.",
        )


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new folder beside ``out`` to write into; on a normal end its files are put in place, else it goes.

    Call :func:`check_place` before. Raises ``SkyloopError``: bad_request where a file that is not ours is in the way,
    disk_full, internal.
    """
    out = out.absolute()
    private_folder(out.parent)
    beside = out.parent / f"{_beside(out)}.{secrets.token_hex(4)}.part"
    with writing(beside):
        beside.mkdir()
    try:
        with writing(beside):
            yield beside
            _publish(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(out: Path) -> None:
    """Remove what an export to ``out`` that was killed has left beside it. Never raises."""
    with contextlib.suppress(OSError):
        for path in out.absolute().parent.glob(f"{glob.escape(_beside(out))}.{'[0-9a-f]' * 8}.part"):
            shutil.rmtree(path, ignore_errors=True)


def _beside(out: Path) -> str:
    return f".{out.name[:80]}"


def written(folder: Path) -> dict[str, int]:
    """The files of a folder, with their bytes, in order of their names."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _publish(beside: Path, out: Path) -> None:
    new = {name: _digest(beside / name) for name in written(beside)}
    old = _ours(out)
    _write_manifest(beside, new)
    if not out.exists() or not any(out.iterdir()):
        if out.exists():
            out.rmdir()
        beside.rename(out)
        return
    if taken := [name for name in new if name not in old and (out / name).exists()]:
        raise bad_request(f"{taken[0]} in {out} is not from an export, and in the way.", "Move it away first.")
    _write_manifest(out, old | new)  # should this be cut short, what is there then is known as ours
    for name in new:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (beside / name).replace(out / name)
    for name in old.keys() - new.keys():
        (out / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others' files are in it
            (out / name).parent.rmdir()
    _write_manifest(out, new)


def _write_manifest(folder: Path, files: dict[str, str]) -> None:
    atomic_write(folder / MANIFEST, json.dumps({"schema": 1, "files": files}, indent=1).encode())


def _ours(out: Path) -> dict[str, str]:
    """The files of an earlier export by name, with their hashes; empty where there was none, or its list is no list."""
    try:
        document = parse_json(read_bytes(out / MANIFEST, _MAX_MANIFEST_BYTES))
    except (OSError, ValueError, SkyloopError):
        return {}
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, dict):
        return {}
    return {n: d for n, d in files.items() if isinstance(n, str) and isinstance(d, str) and _inside(n)}


def _inside(name: str) -> bool:
    """Whether a name of the list stays in the folder: it may be a stranger's."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and ":" not in name


def _changed(path: Path, digest: str) -> bool:
    return path.is_symlink() or (path.is_file() and _digest(path) != digest)


def _digest(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            made.update(chunk)
    return made.hexdigest()

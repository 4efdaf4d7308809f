"""Move a home, with all that is in it, to another folder or disk.

``copy_home`` makes a whole, tested copy and leaves the old one as it is; ``retire`` takes the old one away and leaves
word of where everything went. In between the caller switches over. Copying can be killed and gone on with: files that
are there already are not copied again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..protocol import ErrorKind, SkyloopError, bad_request
from . import torch_build
from .disk import size_mb
from .install import layer
from .lock import is_used, locked
from .places import IN_USE, MOVED, READY, SPECS, find_ready, read_ready, write_json
from .verify import self_test
from .work import Work

OURS = frozenset({"envs", "downloads", "models", "logs", "install.log", "install.old.log", "install.lock", MOVED,
                  "serve-token"})  # fmt: skip
NOT_COPIED = frozenset({"install.lock", MOVED})
TELL_EVERY_S = 0.2
SUBFOLDER = "Skyloop"


def target_of(chosen: Path) -> Path:
    """The folder that becomes the home where a user chose ``chosen``: itself if it is empty or a home already, else
    a folder of our own in it, as what is there belongs to others."""
    try:
        names = {path.name for path in chosen.iterdir()}
    except FileNotFoundError:
        return chosen
    return chosen if names <= OURS else chosen / SUBFOLDER


def copy_home(work: Work, old: Path) -> None:
    """Copy the home ``old`` to ``work.home`` and test what is there. Raises ``SkyloopError``; when cancelled or failed,
    what was copied is removed again."""
    new = work.home
    check_target(old, new)
    fresh = not any(new.glob(f"envs/*/{READY}"))  # what a copy that was killed left is no loss
    work.run.log = old / "install.log"  # which stays when the copy goes
    done = False
    try:
        with work.alone(), locked(old / "install.lock", waiting=busy):
            _copy(work, old, new)
            _settle(work, new)
            (new / MOVED).unlink(missing_ok=True)  # it was moved away from here once
            done = True
    finally:
        if not done and fresh:
            clear(new)


def check_target(old: Path, new: Path) -> None:
    """Refuse what cannot be: ``bad_request`` that says what would be right."""
    if new == old or (new.exists() and old.exists() and new.samefile(old)):
        raise bad_request(f"The generator is in {new} already.", "Choose another folder.")
    if old in new.parents or new in old.parents:
        raise bad_request("One of the folders is inside the other.", "Choose a folder elsewhere.")
    if not old.is_dir():
        raise bad_request(f"{old} is not there.", "Connect its disk, then try again.")


def retire(old: Path, new: Path) -> int:
    """Remove the old home, but for a note that leads to ``new``. Returns the MB freed.

    Raises ``SkyloopError`` when something there is in use; the note is there already then.
    """
    write_json(old / MOVED, {"to": str(new)})
    refuse_used(old.glob("envs/*"))
    freed = size_mb(old)
    with locked(old / "install.lock", waiting=busy):
        clear(old, keep={MOVED, "install.lock"})
    (old / "install.lock").unlink(missing_ok=True)
    return freed


def clear(home: Path, keep: set[str] | frozenset[str] = frozenset()) -> None:
    """Remove what is ours in ``home``, and the folder if nothing else is in it. Raises ``SkyloopError``."""
    for env in home.glob(f"envs/*/{READY}"):
        env.unlink(missing_ok=True)  # first: half-removed must not look ready
    for name in OURS - set(keep):
        path = home / name
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise SkyloopError(
                ErrorKind.INTERNAL, f"{path} cannot be removed ({error.strerror}).", "Close other Blenders first."
            ) from error
    with contextlib.suppress(OSError):  # others' files are in it
        home.rmdir()


def refuse_used(envs: Iterable[Path]) -> None:
    """Raise ``SkyloopError`` when a generator runs from one of these environments."""
    if any(is_used(env / IN_USE) for env in envs):
        raise SkyloopError(
            ErrorKind.INTERNAL,
            "Another Blender or command is using the generator.",
            "Press Release Memory there or close it, then try again.",
        )


def busy(seconds: float) -> None:
    if seconds > 5:
        raise SkyloopError(ErrorKind.INTERNAL, "Another Skyloop is setting up the generator.", "Try again then.")


# --- copying ---------------------------------------------------------------------------------------------------------


def _copy(work: Work, old: Path, new: Path) -> None:
    there = {env.parent.name for env in new.glob(f"envs/*/{READY}") if read_ready(env.parent)}  # perhaps in use
    files = [path for path in _files(old) if path.parts[0] != "envs" or path.parts[1] not in there]
    files.sort(key=lambda path: path.name == READY)  # last: a part of a copy must not look ready
    sizes = {path: os.lstat(old / path).st_size for path in files}
    total = sum(sizes.values())
    linked = _one_disk(old, new)  # another name costs neither time nor room
    if not linked:
        have = sum(size for path, size in sizes.items() if _same(old / path, new / path))
        work.check_space(1.02 * (total - have) / 1e9)
    total_mb = max(1, total >> 20)
    done, last = 0, -1.0
    work.phase("copy", 0, total_mb, "MB")
    for path in files:
        _place(old / path, new / path, linked)
        done += sizes[path]
        if (now := time.monotonic()) - last > TELL_EVERY_S:
            last = now
            work.run.check()
            work.phase("copy", min(done >> 20, total_mb - 1), total_mb, "MB")
    work.phase("copy", total_mb, total_mb, "MB")


def _one_disk(old: Path, new: Path) -> bool:
    return old.stat().st_dev == new.stat().st_dev


def _files(home: Path) -> Iterator[Path]:
    """Everything in a home but folders, as relative paths; a link to a folder counts as a file."""
    for base, folders, names in os.walk(home):
        here = Path(base)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*names, *links):
            path = (here / name).relative_to(home)
            if path.parts[0] in OURS - NOT_COPIED:
                yield path


def _same(old: Path, new: Path) -> bool:
    """Whether a file was copied already."""
    try:
        a, b = os.lstat(old), os.lstat(new)
    except FileNotFoundError:
        return False
    return (a.st_size, a.st_mtime_ns // 10**9) == (b.st_size, b.st_mtime_ns // 10**9)


def _place(old: Path, new: Path, linked: bool) -> None:
    if _same(old, new):
        return
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    if old.is_symlink():
        new.symlink_to(old.readlink())
        return
    if linked and not _written_in_place(old):
        with contextlib.suppress(OSError):  # a disk without second names
            new.hardlink_to(old)
            return
    shutil.copy2(old, new)


def _written_in_place(path: Path) -> bool:
    """Two homes must not share a log that grows, or a download that goes on."""
    return path.suffix in (".log", ".part", ".json", ".lock")


def _settle(work: Work, new: Path) -> None:
    """Test each environment in its new place.

    Only what starts a package's own command or activates a shell names the old place, and Skyloop does neither: its
    Python finds its packages from where it lies itself.
    """
    kind = torch_build.accelerator()
    for spec in SPECS.values():
        env = find_ready(new, spec, kind)
        if env is None:
            continue
        if spec.on and (below := find_ready(new, SPECS[spec.on], kind)):
            layer(env, below)
        work.phase("self-test", 0, 1)
        self_test(env, spec, work.run)
        work.phase("self-test", 1, 1)

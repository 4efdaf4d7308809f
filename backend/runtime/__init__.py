"""The private runtime: virtual environments of Skyloop's own, outside the repository, Blender and the system.

Standard library only. The add-on's installer and the command lines are this same code. Environments: ``backend``
(torch and what generates), ``bpy`` (Blender as a module, where no Blender is installed), ``tests``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..protocol import ErrorKind, Event, SkyloopError
from . import torch_build
from .console import console_progress
from .lock import hold
from .places import (
    IN_USE,
    MOVED,
    ROOT,
    SPECS,
    condition,
    current,
    env_dir,
    find_ready,
    home,
    mendable,
    old_environments,
    python_in,
    read_ready,
    spec_of,
)

__all__ = ["console_progress", "enter", "ensure", "forget_move", "home", "inside", "move", "old_environments", "remove",
           "repair", "retire", "status", "target_of"]  # fmt: skip

Progress = Callable[[Event], None]
Cancelled = Callable[[], bool]


def ensure(
    env: str = "backend",
    *,
    home: Path | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Path:
    """The Python of a finished environment, which is made, gone on with or mended if need be.

    ``progress`` gets ``phase`` events from this thread: ``wait``, ``venv``, ``plan``, ``download`` (MB), ``check``
    (MB), ``install`` (MB), ``self-test``; ``total`` 0 means not known, a ``note`` is a sentence for the user.
    ``cancelled`` is polled. Raises ``SkyloopError``: ``cancelled``, ``disk_full``, ``bad_request`` (unknown name), else
    ``internal``.
    """
    spec, at = spec_of(env), _at(home)
    if ready := find_ready(at, spec, torch_build.accelerator()):
        return python_in(ready)
    from .install import Installer

    if spec.on:
        ensure(spec.on, home=at, progress=progress, cancelled=cancelled)
    return python_in(Installer(at, progress or _silent, cancelled or _never, spec=spec).install())


def repair(
    env: str = "backend",
    *,
    home: Path | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    online: bool = True,
) -> Path:
    """Check every file of an environment and mend what is damaged; returns its Python.

    What is good is not downloaded again. Where nothing can be mended it is made anew. Not ``online``: whatever needs a
    download is refused. Progress and errors are those of :func:`ensure`.
    """
    spec, at = spec_of(env), _at(home)
    from .install import Installer
    from .mending import mend
    from .moving import refuse_used

    kind = torch_build.accelerator()
    job = Installer(at, progress or _silent, cancelled or _never, spec=spec)
    with job.alone():
        if found := mendable(at, spec, kind) or find_ready(at, spec, kind):
            refuse_used([found])
            return python_in(mend(job, found, online=online))
    return ensure(env, home=at, progress=progress, cancelled=cancelled)


def move(
    to: Path, *, home: Path | None = None, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> None:
    """Copy a home with all its environments to the folder ``to`` and test them there; the old one stays in use.

    :func:`retire` then takes the old one away. Phases: ``copy`` (MB), ``self-test``. Errors as :func:`ensure`'s.
    """
    from .moving import copy_home
    from .work import Work

    copy_home(Work(to, progress or _silent, cancelled or _never), _at(home))


def target_of(chosen: Path) -> Path:
    """The folder that :func:`move` can take where a user chose this one: a new one in it, if it holds other things."""
    from .moving import target_of as target

    return target(chosen)


def retire(old: Path, to: Path) -> int:
    """Remove a home that was moved to ``to``, but for a note that leads there; returns the MB freed.

    Raises ``SkyloopError`` when something in it is used.
    """
    from .moving import retire as take_away

    return take_away(old, to)


def forget_move(home: Path | None = None) -> None:
    """Use a home again whose content was moved to a folder that is gone."""
    (_given(home) / MOVED).unlink(missing_ok=True)


def status(env: str = "backend", home: Path | None = None) -> dict[str, Any]:
    """What there is, from ``ready.json`` alone: starts no process and is cheap enough for a panel's redraw.

    ``ready, env, home, condition`` (:func:`.places.condition`), ``python`` (path or ""),
    ``size_mb, torch, torch_build, accelerators, notes, seconds, versions``.
    """
    spec, at, kind = spec_of(env), _at(home), torch_build.accelerator()
    found = find_ready(at, spec, kind)
    document = (read_ready(found) if found else None) or {}
    names = ("size_mb", "torch", "torch_build", "accelerators", "notes", "seconds", "versions")
    empty: dict[str, Any] = dict(zip(names, (0, "", "", [], [], 0.0, {}), strict=True))
    return {
        "ready": bool(document),
        "env": env,
        "home": str(at),
        "condition": condition(_given(home), spec, kind),
        "python": str(python_in(found)) if found else "",
        **{name: document.get(name, value) for name, value in empty.items()},
    }


def inside() -> bool:
    """Whether this process runs in a finished environment that has the backend's packages, in whatever home."""
    kind, prefix = torch_build.accelerator(), Path(sys.prefix)
    specs = [SPECS[env] for env in ("backend", "tests")]  # the tests' environment sees the backend's packages
    names = {env_dir(prefix, spec, kind, sys.version_info[:2]).name for spec in specs if spec.requirements.exists()}
    return prefix.name in names and read_ready(prefix) is not None


def enter(module: str, argv: list[str]) -> None:
    """Go on as ``python -m module argv`` inside the ``backend`` environment; returns only when already inside.

    Makes the environment if it is missing, with progress on stderr. Exits with the error's code when that fails.
    """
    if inside():
        hold(Path(sys.prefix) / IN_USE)
        return
    try:
        python = ensure("backend", progress=console_progress())
    except SkyloopError as error:
        print(f"\nskyloop: {error.line}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("\nskyloop: Cancelled. Start again to go on from here.", file=sys.stderr)
        raise SystemExit(130) from None
    from .child import clean_environ

    # The package must be found from any working directory, and nothing that lies in that one; the user's own PYTHONPATH
    # stays out.
    environ = clean_environ() | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    command = [str(python), "-m", module, *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        os.execve(python, command, environ)
    import subprocess

    raise SystemExit(subprocess.run(command, env=environ).returncode)


def remove(env: str | None = None, *, home: Path | None = None, old: bool = False) -> int:
    """Remove environments called ``env`` (or all) with their downloads; with ``old`` only those no longer current.

    Returns the MB freed. Raises ``SkyloopError`` when a file is in use.
    """
    from .disk import size_mb
    from .lock import locked
    from .moving import busy, refuse_used

    at, kind = _at(home), torch_build.accelerator()
    specs = [spec_of(env)] if env else list(SPECS.values())
    present = {find_ready(at, spec, kind) for spec in specs} if old else set()
    if not at.is_dir():
        return 0
    freed = 0
    with locked(at / "install.lock", waiting=busy):
        folders = [f for spec in specs for part in ("envs", "downloads") for f in at.glob(f"{part}/{spec.name}-*")]
        folders = [folder for folder in folders if folder not in present]
        refuse_used(folders)
        for folder in folders:
            freed += size_mb(folder)
            try:
                (folder / "ready.json").unlink(missing_ok=True)  # first: half-removed must not look ready
                shutil.rmtree(folder)
            except OSError as error:
                raise SkyloopError(
                    ErrorKind.INTERNAL, f"{folder} cannot be removed ({error.strerror}).", "Close Blender first."
                ) from error
    return freed


def _given(home_: Path | None) -> Path:
    return Path(home_).expanduser().absolute() if home_ else home()


def _at(home_: Path | None) -> Path:
    """Where that home's content is now."""
    return current(_given(home_))


def _silent(event: Event) -> None: ...


def _never() -> bool:
    return False

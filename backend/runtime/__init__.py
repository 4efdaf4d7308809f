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
from .places import ROOT, SPECS, find_ready, home, python_in, read_ready, spec_of

__all__ = ["console_progress", "ensure", "enter", "home", "remove", "status"]


def ensure(
    env: str = "backend",
    *,
    home: Path | None = None,
    progress: Callable[[Event], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """The Python of a finished environment, which is made or gone on with if need be.

    ``progress`` gets ``phase`` events from this thread: ``wait``, ``venv``, ``plan``, ``download`` (MB), ``install``
    (MB), ``self-test``; ``total`` 0 means not known, a ``note`` is a sentence for the user. ``cancelled`` is polled.
    Raises ``SkyloopError``: ``cancelled``, ``disk_full``, ``bad_request`` (unknown name), else ``internal``.
    """
    spec, at = spec_of(env), _at(home)
    if ready := find_ready(at, spec, torch_build.accelerator()):
        return python_in(ready)
    from .install import Installer

    report, stop = progress or (lambda event: None), cancelled or (lambda: False)
    if spec.on:
        ensure(spec.on, home=at, progress=report, cancelled=stop)
    return python_in(Installer(spec, at, report, stop).install())


def status(env: str = "backend", home: Path | None = None) -> dict[str, Any]:
    """What there is, from ``ready.json`` alone: starts no process and is cheap enough for a panel's redraw.

    ``ready, env, home, python`` (path or ""), ``size_mb, torch, accelerators, notes, seconds, versions``.
    """
    spec, at = spec_of(env), _at(home)
    found = find_ready(at, spec, torch_build.accelerator())
    document = (read_ready(found) if found else None) or {}
    names = ("size_mb", "torch", "torch_build", "accelerators", "notes", "seconds", "versions")
    empty: dict[str, Any] = dict(zip(names, (0, "", "", [], [], 0.0, {}), strict=True))
    return {
        "ready": bool(document),
        "env": env,
        "home": str(at),
        "python": str(python_in(found)) if found else "",
        **{name: document.get(name, value) for name, value in empty.items()},
    }


def enter(module: str, argv: list[str]) -> None:
    """Go on as ``python -m module argv`` inside the ``backend`` environment; returns only when already inside.

    Makes the environment if it is missing, with progress on stderr. Exits with the error's code when that fails.
    """
    kind = torch_build.accelerator()
    for env in ("backend", "tests"):  # the tests' environment sees the backend's packages
        found = find_ready(_at(None), SPECS[env], kind)
        if found and found.samefile(sys.prefix):
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

    at = _at(home)
    kind = torch_build.accelerator()
    specs = [spec_of(env)] if env else list(SPECS.values())
    current = {find_ready(at, spec, kind) for spec in specs} if old else set()
    freed = 0
    if not at.is_dir():
        return 0
    with locked(at / "install.lock", waiting=_busy):
        for spec in specs:
            for folder in [*at.glob(f"envs/{spec.name}-*"), *at.glob(f"downloads/{spec.name}-*")]:
                if folder in current:
                    continue
                freed += size_mb(folder)
                try:
                    (folder / "ready.json").unlink(missing_ok=True)  # first: half-removed must not look ready
                    shutil.rmtree(folder)
                except OSError as error:
                    raise SkyloopError(
                        ErrorKind.INTERNAL, f"{folder} cannot be removed ({error.strerror}).", "Close Blender first."
                    ) from error
    return freed


def _busy(seconds: float) -> None:
    if seconds > 5:
        raise SkyloopError(ErrorKind.INTERNAL, "Another Skyloop is setting up the runtime.", "Try again then.")


def _at(home_: Path | None) -> Path:
    return Path(home_).expanduser().absolute() if home_ else home()

"""Mend an environment that was finished once: check every file, bring back what is damaged, and only that."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from ..protocol import ErrorKind, SkyloopError
from . import fetch, interpreter, records
from .install import Installer
from .places import BROKEN, PLAN, READY, python_in, read_document, site_of

TELL_EVERY_S = 0.2


def mend(job: Installer, env: Path, *, online: bool = True) -> Path:
    """Make ``env`` whole again; returns it. Only to be called alone (:meth:`Work.alone`).

    Nothing that is good is downloaded. It does not count as ready until it has passed its self-test; killed in the
    middle, it is mended again. ``online`` False: refuse, with ``bad_request``, where something must be downloaded.
    Raises ``SkyloopError``.
    """
    document = read_document(env / READY) or read_document(env / BROKEN)
    plan = read_document(env / PLAN)
    if document is None or plan is None:
        raise job.error("What is installed here cannot be mended.", "Remove the generator and set it up again.")
    wheels = fetch.wheels_of(plan)
    base = _mend_python(job, env, document)
    site = site_of(env, str(document["python"]))
    lost = _check(job, site, {records.normal(wheel.name): wheel.version for wheel in wheels})
    for name, reason in lost.items():
        job.run.note(f"damaged: {name}: {reason}")
    broken = [wheel for wheel in wheels if records.normal(wheel.name) in lost]
    if broken and not online:
        raise SkyloopError(
            ErrorKind.BAD_REQUEST,
            f"{len(broken)} damaged packages must be downloaded again, and Blender is set to stay offline.",
            "Allow online access, then repair again.",
        )
    if broken:
        _invalidate(env)
        _bring_back(job, env, site, broken)
    report = job.self_test(env)
    job.finish(env, base, str(document.get("torch_build", "")), report)
    return env


def _invalidate(env: Path) -> None:
    """From now on nobody uses it, until it is whole."""
    if (env / READY).exists():
        (env / READY).replace(env / BROKEN)


def _mend_python(job: Installer, env: Path, document: dict[str, Any]) -> interpreter.Interpreter:
    """The Python that the environment stands on; where that is gone, another of the same version takes its place."""
    major, minor = (int(part) for part in str(document["python"]).split("."))
    site = site_of(env, str(document["python"]))
    if (base := interpreter.probe(Path(str(document["base_python"])))) is None or base.version != (major, minor):
        base = interpreter.find(((major, minor),), "Mending the generator")
    present = interpreter.probe(python_in(env))
    if present and present.version == (major, minor) and not records.damaged(site, _pip_of(site), lambda n: None):
        return base
    job.phase("venv", 0, 1)
    _invalidate(env)
    for folder in [info for name, info in records.packages(site).items() if name == "pip"] + [site / "pip"]:
        shutil.rmtree(folder, ignore_errors=True)
    refresh(job, env, base.path, with_pip=True)
    job.phase("venv", 1, 1)
    return base


def _pip_of(site: Path) -> dict[str, str]:
    """What pip there should be; a version that cannot be, where there is none."""
    info = records.packages(site).get("pip")
    return {"pip": info.name.removesuffix(".dist-info").partition("-")[2] if info else "?"}


def refresh(job: Installer, env: Path, python: Path, *, with_pip: bool) -> None:
    """Write anew what ties an environment to its place and its Python; its packages stay."""
    binaries = python_in(env).parent
    for path in binaries.glob("python*") if binaries.is_dir() else ():
        path.unlink()  # a link into nowhere would be kept
    command = [python, "-I", "-X", "utf8", "-m", "venv", env, *(() if with_pip else ("--without-pip",))]
    job.command(command, "Making the private Python environment failed.")


def _check(job: Installer, site: Path, want: dict[str, str]) -> dict[str, str]:
    total_mb = max(1, records.listed_bytes(site) >> 20)
    last = -1.0

    def on_bytes(n: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > TELL_EVERY_S:
            last = now
            job.run.check()
            job.phase("check", min(n >> 20, total_mb - 1), total_mb, "MB")

    job.phase("check", 0, total_mb, "MB")
    lost = records.damaged(site, want, on_bytes)
    job.phase("check", total_mb, total_mb, "MB")
    return lost


def _bring_back(job: Installer, env: Path, site: Path, wheels: list[fetch.Wheel]) -> None:
    folder = job.home / "downloads" / env.name
    folder.mkdir(parents=True, exist_ok=True)
    job.download(env, wheels, folder)
    have = records.packages(site)
    for wheel in wheels:  # pip cannot take away what has lost its list
        if info := have.get(records.normal(wheel.name)):
            _take_away(env, info)
    job.unpack(env, wheels, folder)
    shutil.rmtree(folder, ignore_errors=True)


def _take_away(env: Path, info: Path) -> None:
    """Remove a package's files, as far as its list names them."""
    for entry in records.entries(info) or ():
        if env.resolve() in entry.path.resolve().parents:
            entry.path.unlink(missing_ok=True)
    shutil.rmtree(info, ignore_errors=True)

"""Make one environment: lock, venv, plan, download, install, self-test, and only then ``ready.json``.

Each step can be killed at any moment. Downloads and the plan stay and are gone on with; a half-made environment is
thrown away and made again from them, because a half-copied package cannot be told from a whole one.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..protocol import ErrorKind, Event, SkyloopError
from . import fetch, interpreter, torch_build
from .child import Runner
from .disk import size_mb, unpacked_bytes
from .lock import locked
from .places import SPECS, Spec, env_dir, find_ready, python_in, write_json
from .verify import self_test

PIP = "pip==26.3"
PLAN_HOURS = 24.0  # an older plan is made anew: an index may have dropped its files, or one that was away be back
UNPACKED = 1.8  # installed files over wheels, at the least: CUDA's 1.8, torch for the CPU 3.3; exact once they are here
NO_NETWORK = (
    "Temporary failure in name resolution", "Name or service not known", "getaddrinfo failed", "nodename nor servname",
    "Network is unreachable", "NewConnectionError", "Failed to establish a new connection", "Connection refused",
    "ConnectTimeoutError", "ProxyError", "No route to host", "Max retries exceeded", "NameResolutionError",
    "Could not resolve host", "Failed to resolve", "ConnectionResetError", "ReadTimeoutError",
)  # fmt: skip


@dataclass
class Installer:
    """One run for one environment. ``progress`` gets ``phase`` events; a ``note`` in one is a sentence for the user."""

    spec: Spec
    home: Path
    progress: Callable[[Event], None]
    cancelled: Callable[[], bool]
    run: Runner = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.run = Runner(self.home / "install.log", self.cancelled)

    def install(self) -> Path:
        """The finished environment's folder. Raises ``SkyloopError`` in the user's words; the log has the rest."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.home).close()
        except OSError as error:
            raise SkyloopError(
                ErrorKind.INTERNAL,
                f"Skyloop cannot write to its folder {self.home} ({error.strerror}).",
                "Choose another with the SKYLOOP_HOME environment variable or --home.",
            ) from error
        try:
            return self._locked()
        except OSError as error:
            self.run.note(f"failed: {error!r}")
            raise self._os_error(error) from error
        except SkyloopError as error:
            self.run.note(f"failed: {error.line}")
            raise

    def _locked(self) -> Path:
        with locked(self.home / "install.lock", waiting=self._waiting) as fd:
            self.run.keep_fds = (fd,)
            if self.run.log.exists() and self.run.log.stat().st_size > 1 << 20:
                self.run.log.replace(self.run.log.with_suffix(".old.log"))
            build = torch_build.choose()
            if ready := find_ready(self.home, self.spec, build.accelerator):
                return ready  # the one we waited for has made it
            base, below = self._base(build.accelerator)
            env = env_dir(self.home, self.spec, build.accelerator, base.version)
            if env.exists():
                shutil.rmtree(env)  # half-made
            self._check_space(self.spec.need_gb.get(build.accelerator) or self.spec.need_gb[""])
            self._make_venv(env, base.path)
            wheels, folder = self._plan(env, build)
            self._download(env, wheels, folder)
            self._install(env, wheels, folder)
            if below:
                _layer(env, below)
            report = self._self_test(env)
            self._finish(env, base, torch_build.note_of(wheels, build), report)
            shutil.rmtree(folder, ignore_errors=True)
            return env

    # --- steps -------------------------------------------------------------------------------------------------------

    def _base(self, accelerator: str) -> tuple[interpreter.Interpreter, Path | None]:
        """The Python to use, and the environment below, whose packages this one sees; both have one Python version."""
        if not self.spec.on:
            what = "Blender as a Python module" if self.spec.name == "bpy" else "Skyloop"
            return interpreter.find(self.spec.pythons, what), None
        below = find_ready(self.home, SPECS[self.spec.on], accelerator)
        assert below is not None, "ensure() makes the environment below first"
        base = interpreter.probe(python_in(below))
        assert base is not None
        return base, below

    def _make_venv(self, env: Path, python: Path) -> None:
        self._phase("venv", 0, 1, note=f"Making a private Python environment in {env}")
        self._command([python, "-I", "-X", "utf8", "-m", "venv", env], "Making the private Python environment failed.")
        self._phase("venv", 1, 1)

    def _plan(self, env: Path, build: torch_build.TorchBuild) -> tuple[list[fetch.Wheel], Path]:
        """Which files make this environment: asked of pip once, and kept for a run that goes on later."""
        folder = self.home / "downloads" / env.name
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / "plan.json"
        if plan.exists() and time.time() - plan.stat().st_mtime < PLAN_HOURS * 3600:
            report = json.loads(plan.read_text(encoding="utf-8"))
            return fetch.wheels_of(report), folder
        self._phase("plan", 0, 0, "package")
        report = self._ask_pip(env, folder / "report.json", self._extra_index(build))
        write_json(plan, report)
        wheels = fetch.wheels_of(report)
        self._phase("plan", len(wheels), len(wheels), "package", note=torch_build.note_of(wheels, build))
        return wheels, folder

    def _extra_index(self, build: torch_build.TorchBuild) -> list[str]:
        """PyTorch's own index, if it has the build for this machine and answers; without it PyPI's build must do."""
        if self.spec.torch:
            for index in build.indexes:
                if torch_build.reachable(index):
                    return ["--extra-index-url", index]
                self.run.note(f"{index} does not answer; using the usual package index")
        return []

    def _ask_pip(self, env: Path, answer: Path, extra: list[str]) -> dict[str, Any]:
        """Name, version, address and checksum of every file, in the shape of pip's own installation report."""
        # An older pip, such as Debian's, downloads whole packages to learn what they need.
        self._command([*_pip(env), "install", "--upgrade", *_ONLINE, PIP], "Updating the environment's pip failed.")
        count = 0

        def on_line(line: str) -> None:
            nonlocal count
            if line.startswith("Collecting "):
                count += 1
                self._phase("plan", count, 0, "package")

        command = [*_pip(env), "install", "--dry-run", "--ignore-installed", "--only-binary", ":all:", *_ONLINE, *extra,
                   "--report", answer, "-r", self.spec.requirements]  # fmt: skip
        self._command(command, "The packages for the private runtime could not be found.", on_line)
        report = json.loads(answer.read_text(encoding="utf-8"))
        slim = [{"metadata": {k: i["metadata"][k] for k in ("name", "version")}, "download_info": i["download_info"]}
                for i in report["install"]]  # fmt: skip
        answer.unlink()
        return {"install": slim}

    def _download(self, env: Path, wheels: list[fetch.Wheel], folder: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(lambda wheel: fetch.size_of(wheel, folder), wheels))
        total_mb = max(1, sum(sizes) >> 20)
        left = sum(size for wheel, size in zip(wheels, sizes, strict=True) if not wheel.path(folder).exists())
        self._check_space((left + UNPACKED * sum(sizes)) / 1e9)
        before = 0
        last = -1.0

        def on_bytes(n: int) -> None:
            nonlocal last
            self.run.check()
            if (now := time.monotonic()) - last > 0.2:
                last = now
                self._phase("download", min((before + n) >> 20, total_mb - 1), total_mb, "MB")

        self._phase("download", 0, total_mb, "MB")
        for wheel, size in zip(wheels, sizes, strict=True):
            self.run.check()
            if not fetch.fetch(wheel, folder, on_bytes):
                self.run.note(f"{wheel.url}: leaving it to pip, which knows more about proxies and certificates")
                pip = [*_pip(env), "download", "--no-deps", "--only-binary", ":all:", *_ONLINE, "-d", folder]
                try:
                    self._command([*pip, f"{wheel.name}=={wheel.version}"], f"Downloading {wheel.filename} failed.")
                except SkyloopError as error:
                    if error.kind is not ErrorKind.CANCELLED:
                        (folder / "plan.json").unlink()  # its addresses may be out of date: the next run asks again
                    raise
            before += size
        self._phase("download", total_mb, total_mb, "MB")

    def _install(self, env: Path, wheels: list[fetch.Wheel], folder: Path) -> None:
        files = [wheel.path(folder) for wheel in wheels]
        unpacked = sum(unpacked_bytes(file) for file in files)
        self._check_space(1.02 * unpacked / 1e9)
        total_mb = max(1, unpacked >> 20)
        start_mb = size_mb(env)
        last = time.monotonic()

        def on_tick() -> None:  # pip says nothing while it copies: the folder's growth is the progress
            nonlocal last
            if time.monotonic() - last > 1.5:
                self._phase("install", min(max(0, size_mb(env) - start_mb), total_mb - 1), total_mb, "MB")
                last = time.monotonic()

        self._phase("install", 0, total_mb, "MB")
        # --no-compile: Python compiles what is really used on first import, which is a small part of torch.
        command = [*_pip(env), "install", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", *files]
        self._command(command, "Installing the downloaded packages failed.", on_tick=on_tick)
        self._phase("install", total_mb, total_mb, "MB")

    def _self_test(self, env: Path) -> dict[str, Any]:
        self._phase("self-test", 0, 1)
        report = self_test(env, self.spec, self.run)
        self._phase("self-test", 1, 1, note=" ".join(report["notes"]))
        return report

    def _finish(self, env: Path, base: interpreter.Interpreter, torch_note: str, report: dict[str, Any]) -> None:
        write_json(
            env / "ready.json",
            {
                "env": self.spec.name,
                "python": f"{base.version[0]}.{base.version[1]}",
                "base_python": str(base.path),
                "torch": report["torch"],
                "torch_build": torch_note,
                "accelerators": report["accelerators"],
                "notes": report["notes"],
                "versions": dict(sorted(report["versions"].items())),
                "size_mb": size_mb(env),
                "seconds": round(time.monotonic() - self.started, 1),
            },
        )

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _phase(self, name: str, done: int, total: int, unit: str = "step", note: str = "") -> None:
        data = {"name": name, "done": done, "total": total, "unit": unit}
        self.progress(Event(type="phase", data=data | ({"note": note} if note else {})))

    def _waiting(self, seconds: float) -> None:
        self.run.check()
        note = "" if seconds > 0.1 else "Another Skyloop is setting up the runtime; waiting for it to finish."
        self._phase("wait", int(seconds), 0, "s", note=note)

    def _check_space(self, need: float) -> None:
        free = shutil.disk_usage(self.home).free / 1e9
        if free < need:
            raise SkyloopError(
                ErrorKind.DISK_FULL,
                f"Setting up the runtime needs about {need:.1f} GB more, and {self.home} has {free:.1f} GB free.",
                "Free some space, or choose a folder on another disk with SKYLOOP_HOME or --home.",
            )

    def _command(
        self,
        command: list[str | Path],
        failure: str,
        on_line: Callable[[str], None] | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        if self.run.run(command, on_line=on_line, on_tick=on_tick) == 0:
            return
        text = "\n".join(self.run.tail)
        if "No space left on device" in text or "not enough space on the disk" in text:
            raise self._os_error(OSError(errno.ENOSPC, "No space left on device"))
        if any(sign in text for sign in NO_NETWORK):
            raise SkyloopError(
                ErrorKind.INTERNAL,
                "The Python package index cannot be reached, so the runtime cannot be downloaded.",
                f"Check the internet connection or proxy, then start again; nothing is lost. Log: {self.run.log}",
            )
        errors = [line for line in self.run.tail if line.lower().startswith("error")]
        detail = f" pip says: {errors[-1][6:].strip(': ')[:200]}." if errors else ""
        raise SkyloopError(ErrorKind.INTERNAL, failure + detail, f"Start again to go on from here. Log: {self.run.log}")

    def _os_error(self, error: OSError) -> SkyloopError:
        if error.errno == errno.ENOSPC:
            return SkyloopError(
                ErrorKind.DISK_FULL,
                f"The disk of {self.home} is full.",
                "Free some space, then start again: what is downloaded stays.",
            )
        return SkyloopError(
            ErrorKind.INTERNAL, f"Setting up the runtime failed: {error}.", f"Start again. Log: {self.run.log}"
        )


_ONLINE = ["--retries", "2", "--timeout", "30"]


def _pip(env: Path) -> list[str | Path]:
    return [python_in(env), "-I", "-X", "utf8", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color"]


def _layer(env: Path, below: Path) -> None:
    """Let ``env`` see the packages of ``below``, so that torch is on the disk once."""
    target = next(env.glob("Lib/site-packages"), None) or next(env.glob("lib/python3*/site-packages"))
    source = next(below.glob("Lib/site-packages"), None) or next(below.glob("lib/python3*/site-packages"))
    (target / "skyloop_backend.pth").write_text(f"{source}\n", encoding="utf-8")

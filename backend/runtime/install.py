"""Make one environment: lock, venv, plan, download, install, self-test, and only then ``ready.json``.

Each step can be killed at any moment. Downloads and the plan stay and are gone on with; a half-made environment is
thrown away and made again from them, because a half-copied package cannot be told from a whole one. A finished one
keeps the plan, by which what breaks later can be mended.
"""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol import ErrorKind, SkyloopError
from . import fetch, interpreter, torch_build
from .disk import size_mb, unpacked_bytes
from .places import (
    BROKEN,
    PLAN,
    READY,
    SPECS,
    Spec,
    contents,
    env_dir,
    find_ready,
    mendable,
    python_in,
    site_of,
    write_json,
)
from .verify import self_test
from .work import Work

PIP = "pip==26.3"
PLAN_HOURS = 24.0  # an older plan is made anew: an index may have dropped its files, or one that was away be back
UNPACKED = 1.8  # installed files over wheels, at the least: CUDA's 1.8, torch for the CPU 3.3; exact once they are here


@dataclass(kw_only=True)
class Installer(Work):
    """One run for one environment."""

    spec: Spec

    def install(self) -> Path:
        """The finished environment's folder. Raises ``SkyloopError`` in the user's words; the log has the rest."""
        with self.alone():
            build = torch_build.choose()
            if ready := find_ready(self.home, self.spec, build.accelerator):
                return ready  # the one we waited for has made it
            if broken := mendable(self.home, self.spec, build.accelerator):
                from .mending import mend

                return mend(self, broken)
            return self.make(build)

    def make(self, build: torch_build.TorchBuild) -> Path:
        """Make the environment anew, from what is downloaded already and the network; only to be called alone."""
        base, below = self._base(build.accelerator)
        env = env_dir(self.home, self.spec, build.accelerator, base.version)
        if env.exists():
            shutil.rmtree(env)  # half-made
        need_gb = self.spec.need_gb.get(build.accelerator) or self.spec.need_gb[""]
        self.check_space(need_gb - size_mb(self.home / "downloads" / env.name) / 1000)
        self._make_venv(env, base.path)
        wheels, folder = self._plan(env, build)
        self.download(env, wheels, folder)
        self.unpack(env, wheels, folder)
        if below:
            layer(env, below)
        shutil.copyfile(folder / PLAN, env / PLAN)
        self.finish(env, base, torch_build.note_of(wheels, build), self.self_test(env))
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
        self.phase("venv", 0, 1, note=f"Making a private Python environment in {env}")
        self.command([python, "-I", "-X", "utf8", "-m", "venv", env], "Making the private Python environment failed.")
        self.phase("venv", 1, 1)

    def _plan(self, env: Path, build: torch_build.TorchBuild) -> tuple[list[fetch.Wheel], Path]:
        """Which files make this environment: asked of pip once, and kept for a run that goes on later."""
        folder = self.home / "downloads" / env.name
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / PLAN
        if plan.exists() and time.time() - plan.stat().st_mtime < PLAN_HOURS * 3600:
            report = json.loads(plan.read_text(encoding="utf-8"))
            return fetch.wheels_of(report), folder
        self.phase("plan", 0, 0, "package")
        report = self._ask_pip(env, folder / "report.json", self._extra_index(build))
        write_json(plan, report)
        wheels = fetch.wheels_of(report)
        self.phase("plan", len(wheels), len(wheels), "package", note=torch_build.note_of(wheels, build))
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
        self.command([*pip(env), "install", "--upgrade", *ONLINE, PIP], "Updating the environment's pip failed.")
        count = 0

        def on_line(line: str) -> None:
            nonlocal count
            if line.startswith("Collecting "):
                count += 1
                self.phase("plan", count, 0, "package")

        command = [*pip(env), "install", "--dry-run", "--ignore-installed", "--only-binary", ":all:", *ONLINE, *extra,
                   "--report", answer, "-r", self.spec.requirements]  # fmt: skip
        self.command(command, "The packages for the private runtime could not be found.", on_line)
        report = json.loads(answer.read_text(encoding="utf-8"))
        slim = [{"metadata": {k: i["metadata"][k] for k in ("name", "version")}, "download_info": i["download_info"]}
                for i in report["install"]]  # fmt: skip
        answer.unlink()
        return {"install": slim}

    def download(self, env: Path, wheels: list[fetch.Wheel], folder: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(lambda wheel: fetch.size_of(wheel, folder), wheels))
        total_mb = max(1, sum(sizes) >> 20)
        left = sum(size for wheel, size in zip(wheels, sizes, strict=True) if not wheel.path(folder).exists())
        self.check_space((left + UNPACKED * sum(sizes)) / 1e9)
        before = 0
        last = -1.0

        def on_bytes(n: int) -> None:
            nonlocal last
            self.run.check()
            if (now := time.monotonic()) - last > 0.2:
                last = now
                self.phase("download", min((before + n) >> 20, total_mb - 1), total_mb, "MB")

        self.phase("download", 0, total_mb, "MB")
        for wheel, size in zip(wheels, sizes, strict=True):
            self.run.check()
            if not fetch.fetch(wheel, folder, on_bytes):
                self.run.note(f"{wheel.url}: leaving it to pip, which knows more about proxies and certificates")
                command = [*pip(env), "download", "--no-deps", "--only-binary", ":all:", *ONLINE, "-d", folder]
                try:
                    self.command([*command, f"{wheel.name}=={wheel.version}"], f"Downloading {wheel.filename} failed.")
                except SkyloopError as error:
                    if error.kind is not ErrorKind.CANCELLED:
                        (folder / PLAN).unlink(
                            missing_ok=True
                        )  # its addresses may be out of date: the next run asks again
                    raise
            before += size
        self.phase("download", total_mb, total_mb, "MB")

    def unpack(self, env: Path, wheels: list[fetch.Wheel], folder: Path) -> None:
        """Install what is downloaded."""
        files = [wheel.path(folder) for wheel in wheels]
        unpacked = sum(unpacked_bytes(file) for file in files)
        self.check_space(1.02 * unpacked / 1e9)
        total_mb = max(1, unpacked >> 20)
        start_mb = size_mb(env)
        last = time.monotonic()

        def on_tick() -> None:  # pip says nothing while it copies: the folder's growth is the progress
            nonlocal last
            if time.monotonic() - last > 1.5:
                self.phase("install", min(max(0, size_mb(env) - start_mb), total_mb - 1), total_mb, "MB")
                last = time.monotonic()

        self.phase("install", 0, total_mb, "MB")
        # --no-compile: Python compiles what is really used on first import, which is a small part of torch.
        command = [*pip(env), "install", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", *files]
        self.command(command, "Installing the downloaded packages failed.", on_tick=on_tick)
        self.phase("install", total_mb, total_mb, "MB")

    def self_test(self, env: Path) -> dict[str, Any]:
        self.phase("self-test", 0, 1)
        report = self_test(env, self.spec, self.run)
        self.phase("self-test", 1, 1, note=" ".join(report["notes"]))
        return report

    def finish(self, env: Path, base: interpreter.Interpreter, torch_note: str, report: dict[str, Any]) -> None:
        """Say that the environment is whole: from now on it is used."""
        document = {
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
        }
        document["contents"] = contents(site_of(env, document["python"]))
        write_json(env / READY, document)
        (env / BROKEN).unlink(missing_ok=True)


LAYER = "skyloop_backend.pth"
ONLINE = ["--retries", "2", "--timeout", "30"]


def pip(env: Path) -> list[str | Path]:
    return [python_in(env), "-I", "-X", "utf8", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color"]


def layer(env: Path, below: Path) -> None:
    """Let ``env`` see the packages of ``below``, so that torch is on the disk once."""
    target = next(env.glob("Lib/site-packages"), None) or next(env.glob("lib/python3*/site-packages"))
    source = next(below.glob("Lib/site-packages"), None) or next(below.glob("lib/python3*/site-packages"))
    (target / LAYER).write_text(f"{source}\n", encoding="utf-8")

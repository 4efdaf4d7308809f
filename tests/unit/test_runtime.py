"""The installer's state machine against a fake Python, venv, pip and index, in a folder with an awkward name."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from backend import runtime
from backend.protocol import ErrorKind, Event, SkyloopError
from backend.runtime import child, fetch, interpreter, lock, moving, places, torch_build, work
from backend.runtime.console import console_progress
from tests.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake Python is a script with a #! line")


class World(Machine):
    """The machine, as the one that this process runs on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.events: list[Event] = []
        monkeypatch.setenv("FAKE_DIR", str(self.fake))
        monkeypatch.setenv("SKYLOOP_HOME", str(self.home))
        monkeypatch.setattr(sys, "executable", str(self.python))
        monkeypatch.setattr(torch_build, "accelerator", lambda: "cpu")
        monkeypatch.setattr(torch_build, "reachable", lambda index: False)

    def ensure(self, env: str = "backend") -> Path:
        return runtime.ensure(env, progress=self.events.append)

    def site(self) -> Path:
        return Path(runtime.status()["python"]).parents[1] / "lib" / "python3.11" / "site-packages"

    def phases(self) -> list[str]:
        return list(dict.fromkeys(event.data["name"] for event in self.events))

    def notes(self) -> str:
        return " ".join(event.data.get("note", "") for event in self.events)

    def start(self) -> subprocess.Popen[bytes]:
        """The installer as a process of its own, which can be killed."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); from backend import runtime; "
            "from backend.runtime import torch_build; torch_build.accelerator = lambda: 'cpu'; "
            "torch_build.reachable = lambda index: False; sys.executable = sys.argv[2]; runtime.ensure()"
        )
        command = [os.path.realpath("/proc/self/exe") if Path("/proc/self/exe").exists() else sys.executable]
        return subprocess.Popen([*command, "-c", code, ROOT, self.python])

    def wait_for(self, step: str) -> None:
        deadline = time.monotonic() + 20
        while step not in self.calls():
            assert time.monotonic() < deadline, f"{step} was never reached: {self.calls()}"
            time.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    yield world
    world.close()


# --- the way through -------------------------------------------------------------------------------------------------


def test_makes_an_environment_and_then_only_reads_it(world: World) -> None:
    assert runtime.status() | {"ready": True} == runtime.status() | {"ready": True, "python": "", "size_mb": 0}
    python = world.ensure()
    assert world.phases() == ["venv", "plan", "download", "install", "self-test"]
    assert world.calls() == ["venv", "plan", "install", "install", "self-test"]
    assert (python.parents[1] / "lib/python3.11/site-packages/torch/data.bin").stat().st_size == 300_000
    status = runtime.status()
    assert status["ready"] and status["python"] == str(python) and status["torch"] == "2.13.0+cpu"
    assert status["accelerators"] == [{"id": "cpu"}]
    assert status["torch_build"] == "torch 2.13.0, CPU build: no NVIDIA driver found"
    assert not list((world.home / "downloads").iterdir())
    assert world.ensure() == python
    assert world.calls().count("venv") == 1


def test_every_phase_ends_at_its_total_and_never_goes_back(world: World) -> None:
    world.ensure()
    for name in world.phases():
        steps = [(e.data["done"], e.data["total"]) for e in world.events if e.data["name"] == name]
        assert steps[-1][0] == steps[-1][1] > 0
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert all(done <= total for done, total in steps if total)


@pytest.mark.parametrize("step", ["venv", "plan", "install", "self-test"])
def test_killed_at_any_step_then_run_again(world: World, step: str) -> None:
    hang = world.arrange(f"hang-{step}")
    process = world.start()
    world.wait_for(step)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not runtime.status()["ready"]
    fetched = list(world.index.log)
    # The orphan still holds the lock: a second run must wait for it, not work beside it.
    deadline = time.monotonic() + 0.4
    with pytest.raises(SkyloopError, match="cancelled"):
        runtime.ensure(progress=world.events.append, cancelled=lambda: time.monotonic() > deadline)
    assert "Another Skyloop" in world.notes()
    _kill_orphan(world)
    hang.unlink()
    world.ensure()
    assert runtime.status()["ready"]
    assert len(world.index.log) == 2, f"downloaded again: {fetched} then {world.index.log}"
    assert world.calls().count("plan") == (2 if step == "plan" else 1)


def _kill_orphan(world: World) -> None:
    line = [x for x in (world.home / "install.log").read_text().splitlines() if "hanging" in x]
    if line:
        os.kill(int(line[-1].split()[-1]), signal.SIGKILL)
        return
    # Killed before its last line reached the log: find it by the home folder in its command line.
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        if str(world.fake.parent).encode() in entry.read_bytes():
            os.kill(int(entry.parent.name), signal.SIGKILL)


def test_two_at_once_make_it_once(world: World) -> None:
    results: list[Path] = []
    threads = [threading.Thread(target=lambda: results.append(world.ensure())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1 and len(results) == 3
    assert world.calls().count("venv") == 1
    assert "waiting for it to finish" in world.notes()


def test_cancel_ends_the_child_at_once_and_keeps_the_downloads(world: World) -> None:
    hang = world.arrange("hang-install")
    start = time.monotonic()
    with pytest.raises(SkyloopError) as caught:
        runtime.ensure(cancelled=lambda: "install" in world.calls())
    assert caught.value.kind is ErrorKind.CANCELLED and caught.value.exit_code == 130
    assert time.monotonic() - start < 10
    hang.unlink()
    world.ensure()
    assert len(world.index.log) == 2
    assert world.calls().count("plan") == 1


# --- downloads -------------------------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_stopped(world: World) -> None:
    world.index.cut = 100_000
    world.ensure()
    ranges = [asked for name, asked in world.index.log if name.startswith("torch")]
    assert ranges == ["", "bytes=100000-"]


def test_killed_in_the_middle_of_a_download_it_goes_on_from_there(world: World) -> None:
    world.index.stall = 100_000
    process = world.start()
    deadline = time.monotonic() + 20
    while sum(part.stat().st_size for part in world.home.glob("downloads/*/*.part")) < 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    world.index.stall = 0
    assert runtime.status()["condition"] == "half"
    world.ensure()
    assert world.index.log == [
        ("torch-2.13.0-py3-none-any.whl", ""),
        ("torch-2.13.0-py3-none-any.whl", "bytes=100000-"),
        ("thing-1.0-py3-none-any.whl", ""),
    ]
    assert world.calls().count("plan") == 1


def test_a_server_without_ranges_starts_the_file_anew(world: World) -> None:
    world.index.cut, world.index.ranges = 100_000, False
    world.ensure()
    assert runtime.status()["ready"]


@pytest.mark.parametrize("rubbish", [b"rubbish", b"x" * 400_000], ids=["short", "longer than the file"])
def test_a_part_file_with_wrong_content_is_thrown_away(world: World, tmp_path: Path, rubbish: bytes) -> None:
    wheel = fetch.wheels_of(world.index.report())[0]
    (tmp_path / f"{wheel.filename}.part").write_bytes(rubbish)
    assert fetch.fetch(wheel, tmp_path, lambda n: None)
    assert hashlib.sha256((tmp_path / wheel.filename).read_bytes()).hexdigest() == wheel.sha256
    assert not list(tmp_path.glob("*.part"))


def test_what_cannot_be_fetched_directly_is_left_to_pip(world: World) -> None:
    world.index.gone = True
    world.ensure()
    assert world.calls().count("pip-download") == 2


def test_a_plan_whose_files_are_gone_is_asked_anew(world: World) -> None:
    world.index.gone = True
    fail = world.arrange("fail-pip-download", "ERROR: No matching distribution found for torch==2.13.0")
    with pytest.raises(SkyloopError, match="Downloading torch-2.13.0.* failed"):
        world.ensure()
    fail.unlink()
    world.index.gone = False
    world.ensure()
    assert world.calls().count("plan") == 2


# --- errors in the user's words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "output", "message"),
    [
        ("plan", "WARNING: Retrying ... NewConnectionError('...')", "package index cannot be reached"),
        ("plan", "ERROR: No matching distribution found for av==18", r"not be found\. pip says: No matching dist"),
        ("install", "ERROR: Could not install: [Errno 28] No space left on device", "disk of .* is full"),
        ("venv", "Error: broken", "Making the private Python environment failed"),
        ("self-test", "", "does not work: backend: the self-test ended with status 1"),
    ],
)
def test_failures_are_one_line_with_the_log(world: World, step: str, output: str, message: str) -> None:
    world.arrange(f"fail-{step}", output)
    with pytest.raises(SkyloopError, match=message) as caught:
        world.ensure()
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.line
    if caught.value.kind is not ErrorKind.DISK_FULL:
        assert str(world.home / "install.log") in caught.value.line
    assert not runtime.status()["ready"]
    (world.fake / f"fail-{step}").unlink()
    world.ensure()
    assert runtime.status()["ready"]


def test_a_small_disk_is_refused_before_anything_is_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1_000_000_000})
    monkeypatch.setattr(work.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SkyloopError, match="needs about 2.0 GB more, and .* has 1.0 GB free") as caught:
        world.ensure()
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert world.calls() == []


def test_a_home_that_cannot_be_written(world: World) -> None:
    world.home.write_text("a file is in the way")
    with pytest.raises(SkyloopError, match="cannot write to its folder"):
        world.ensure()


def test_an_unknown_environment_names_the_known_ones(world: World) -> None:
    with pytest.raises(SkyloopError, match="no environment 'torch'") as caught:
        runtime.ensure("torch")
    assert caught.value.exit_code == 2 and "backend, bpy, tests" in caught.value.hint


# --- what counts as ready --------------------------------------------------------------------------------------------


def _made(home: Path, env: str, python: tuple[int, int], accelerator: str = "cpu") -> Path:
    folder = places.env_dir(home, places.SPECS[env], accelerator, python)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    places.write_json(folder / "ready.json", {"env": env})
    return folder


def test_any_suitable_python_will_do_and_the_key_follows_the_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = places.SPECS["backend"]
    folder = _made(tmp_path, "backend", (3, 12))
    assert places.find_ready(tmp_path, spec, "cpu") == folder
    assert places.find_ready(tmp_path, spec, "cuda") is None
    changed = tmp_path / "requirements.txt"
    changed.write_text(spec.requirements.read_text() + "more==1\n")
    monkeypatch.setitem(places.SPECS, "backend", dataclasses.replace(spec, requirements=changed))
    assert places.find_ready(tmp_path, places.SPECS["backend"], "cpu") is None


def test_half_made_or_without_its_python_is_not_ready(tmp_path: Path) -> None:
    folder = _made(tmp_path, "backend", (3, 11))
    (folder / "ready.json").write_text('{"env": "back')
    assert places.read_ready(folder) is None
    places.write_json(folder / "ready.json", {"env": "backend"})
    assert places.read_ready(folder)
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(tmp_path / "removed")
    assert places.read_ready(folder) is None


def test_a_layer_needs_the_environment_below_with_the_same_python(tmp_path: Path) -> None:
    _made(tmp_path, "tests", (3, 11))
    assert places.find_ready(tmp_path, places.SPECS["tests"], "cpu") is None
    _made(tmp_path, "backend", (3, 12))
    assert places.find_ready(tmp_path, places.SPECS["tests"], "cpu") is None
    _made(tmp_path, "backend", (3, 11))
    assert places.find_ready(tmp_path, places.SPECS["tests"], "cpu")


def test_a_layer_sees_the_packages_below(world: World) -> None:
    python = world.ensure("tests")
    path = python.parents[1] / "lib/python3.11/site-packages/skyloop_backend.pth"
    assert Path(path.read_text(encoding="utf-8").strip()).joinpath("torch").is_dir()
    assert runtime.status("backend")["ready"]


def test_remove_old_keeps_the_current_one(world: World) -> None:
    python = world.ensure()
    old = world.home / "envs" / "backend-0123456789-py311"
    old.mkdir()
    (old / "ready.json").write_text("{}")
    runtime.remove(old=True)
    assert python.exists() and not old.exists()
    runtime.remove("backend")
    assert not python.exists() and not runtime.status()["ready"]


@pytest.mark.parametrize(
    ("platform", "environ", "want"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/skyloop"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "{home}/.local/share/skyloop"),
        ("linux", {}, "{home}/.local/share/skyloop"),
        ("darwin", {}, "{home}/Library/Application Support/Skyloop"),
        ("win32", {"LOCALAPPDATA": "/u/AppData/Local"}, "/u/AppData/Local/Skyloop"),
        ("win32", {"SKYLOOP_HOME": "/chosen"}, "/chosen"),
    ],
)
def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], want: str) -> None:
    for name in ("SKYLOOP_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(places.sys, "platform", platform)
    monkeypatch.setattr(places.sys, "prefix", "/usr")
    assert str(runtime.home()) == want.format(home=Path.home())


# --- mending ---------------------------------------------------------------------------------------------------------


def test_a_deleted_package_is_found_at_a_glance_and_only_it_is_brought_back(world: World) -> None:
    python = world.ensure()
    site = world.site()
    good = (site / "torch" / "data.bin").stat().st_ino
    shutil.rmtree(site / "thing")
    about = runtime.status()
    assert (about["ready"], about["condition"]) == (False, "broken")
    world.index.log.clear()
    assert runtime.repair(progress=world.events.append) == python
    assert world.fetched() == ["thing"]
    assert (site / "thing" / "data.bin").stat().st_size == 1000
    assert (site / "torch" / "data.bin").stat().st_ino == good
    assert runtime.status()["condition"] == "ready"


def test_whoever_needs_a_broken_environment_mends_it(world: World) -> None:
    python = world.ensure()
    shutil.rmtree(world.site() / "thing")
    world.index.log.clear()
    assert world.ensure() == python and world.fetched() == ["thing"]


def test_a_file_whose_bytes_changed_is_found(world: World) -> None:
    world.ensure()
    file = world.site() / "thing" / "data.bin"
    file.write_bytes(b"x" * 1000)
    world.index.log.clear()
    runtime.repair(progress=world.events.append)
    assert file.read_bytes() != b"x" * 1000 and world.fetched() == ["thing"]
    assert "damaged: thing: data.bin has changed" in (world.home / "install.log").read_text()
    assert {"check", "download", "install", "self-test"} <= set(world.phases())


def test_repairing_what_is_whole_downloads_and_changes_nothing(world: World) -> None:
    world.ensure()
    calls, log = len(world.calls()), list(world.index.log)
    runtime.repair(online=False)
    assert world.index.log == log and world.calls()[calls:] == ["self-test"]
    assert runtime.status()["ready"]


def test_offline_a_repair_that_needs_a_download_is_refused_and_says_so(world: World) -> None:
    world.ensure()
    shutil.rmtree(world.site() / "thing")
    with pytest.raises(SkyloopError, match="1 damaged packages must be downloaded") as caught:
        runtime.repair(online=False)
    assert caught.value.kind is ErrorKind.BAD_REQUEST and "online access" in caught.value.hint
    runtime.repair()
    assert runtime.status()["ready"]


def test_a_repair_that_is_killed_is_gone_on_with(world: World) -> None:
    python = world.ensure()
    shutil.rmtree(world.site() / "thing")
    fail = world.arrange("fail-self-test", "broken")
    with pytest.raises(SkyloopError, match="does not work"):
        runtime.repair()
    assert runtime.status()["condition"] == "broken"
    fail.unlink()
    world.index.log.clear()
    assert world.ensure() == python and world.fetched() == []


def test_a_python_that_is_gone_is_replaced_and_the_packages_stay(world: World) -> None:
    python = world.ensure()
    python.unlink()
    assert runtime.status()["condition"] == "broken"
    world.index.log.clear()
    assert runtime.repair() == python
    assert python.exists() and world.fetched() == [] and runtime.status()["ready"]


def test_what_is_in_use_is_neither_mended_nor_removed(world: World) -> None:
    env = world.ensure().parents[1]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from backend.runtime.lock import hold; import pathlib, time\n"
        "hold(pathlib.Path(sys.argv[2])); print('held', flush=True); time.sleep(60)"
    )
    command = [os.path.realpath("/proc/self/exe"), "-c", code, str(ROOT), str(env / places.IN_USE)]
    holders = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for holder in holders:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
    for attempt in (runtime.repair, runtime.remove, partial(runtime.retire, world.home, world.home / "x")):
        with pytest.raises(SkyloopError, match="using the generator"):
            attempt()
        holders[0].kill()  # one of two is still one
    assert env.exists()
    for holder in holders:
        holder.kill()
        holder.wait()
        assert holder.stdout
        holder.stdout.close()
    (world.home / places.MOVED).unlink()
    runtime.remove()
    assert not env.exists()


# --- moving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [True, False], ids=["same disk", "another disk"])
def test_moved_to_another_folder_it_works_there_and_the_old_one_leads_there(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", _no_links)
    world.ensure("tests")
    new, calls = tmp_path / "Größe 世界", len(world.calls())
    runtime.move(new, progress=world.events.append)
    assert runtime.status()["home"] == str(world.home), "the old one is in use until it is taken away"
    assert world.calls()[calls:] == ["self-test", "self-test"]
    freed = runtime.retire(world.home, new)
    assert freed >= 0 and [path.name for path in world.home.iterdir()] == [places.MOVED]
    about = runtime.status("tests")
    assert about["ready"] and about["home"] == str(new) and about["python"].startswith(str(new))
    path = Path(about["python"]).parents[1] / "lib/python3.11/site-packages/skyloop_backend.pth"
    assert path.read_text(encoding="utf-8").startswith(str(new))
    assert subprocess.run([runtime.status()["python"], "-c", ""], capture_output=True, text=True).stdout.endswith(
        f"{runtime.status()['python']}\n"
    )


def _no_links(self: Path, target: Path) -> None:
    raise OSError("another disk")


def test_moved_back_again(world: World, tmp_path: Path) -> None:
    world.ensure()
    for old, new in ((world.home, tmp_path / "b"), (tmp_path / "b", world.home)):
        runtime.move(new, home=old)
        runtime.retire(old, new)
    assert runtime.status()["ready"] and runtime.status()["home"] == str(world.home)
    assert runtime.status(home=tmp_path / "b")["ready"], "whoever still names the other folder finds it as well"


@pytest.mark.parametrize("stop", ["cancelled", "failed"])
def test_a_move_that_stops_leaves_the_old_one_in_use_and_nothing_behind(
    world: World, tmp_path: Path, stop: str
) -> None:
    world.ensure()
    new = tmp_path / "new"
    if stop == "failed":
        world.arrange("fail-self-test", "broken")
    with pytest.raises(SkyloopError, match="cancelled" if stop == "cancelled" else "does not work"):
        runtime.move(new, cancelled=lambda: stop == "cancelled" and (new / "envs").exists())
    assert not new.exists()
    assert runtime.status()["ready"] and runtime.status()["home"] == str(world.home)


def test_a_move_that_was_killed_is_no_obstacle_to_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ensure()
    new = tmp_path / "new"
    place = moving._place

    def killed(old: Path, new: Path, linked: bool) -> None:
        if old.name == places.READY:
            raise KeyboardInterrupt
        place(old, new, linked)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(moving, "clear", lambda home: None)  # who is killed tidies nothing up
        patch.setattr(moving, "_place", killed)
        runtime.move(new)
    assert runtime.status(home=new)["condition"] == "half" and runtime.status()["ready"]
    runtime.move(new)
    runtime.retire(world.home, new)
    assert runtime.status()["ready"] and runtime.status()["home"] == str(new)


def test_a_home_that_has_it_already_keeps_its_own(world: World, tmp_path: Path) -> None:
    world.ensure()
    new = tmp_path / "new"
    mine = runtime.ensure(home=new).parents[1] / "ready.json"
    before = mine.stat().st_ino
    runtime.move(new)
    runtime.retire(world.home, new)
    assert mine.stat().st_ino == before and runtime.status()["home"] == str(new)


def test_a_folder_with_other_things_gets_one_of_ours_in_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert runtime.target_of(tmp_path) == tmp_path / moving.SUBFOLDER
    assert runtime.target_of(tmp_path / "photos") == tmp_path / "photos"
    assert runtime.target_of(tmp_path / "new") == tmp_path / "new"


def test_moves_that_cannot_be_are_refused(world: World, tmp_path: Path) -> None:
    world.ensure()
    for new in (world.home, world.home / "inside", world.home.parent):
        with pytest.raises(SkyloopError) as caught:
            runtime.move(new)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
    with pytest.raises(SkyloopError, match="is not there"):
        runtime.move(tmp_path / "new", home=tmp_path / "nothing")
    assert runtime.status()["ready"]


def test_a_small_disk_is_refused_before_anything_is_copied(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ensure()
    monkeypatch.setattr(moving, "_one_disk", lambda old, new: False)
    monkeypatch.setattr(work.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(SkyloopError) as caught:
        runtime.move(tmp_path / "new")
    assert caught.value.kind is ErrorKind.DISK_FULL and not (tmp_path / "new").exists()


def test_a_disk_that_was_unplugged_is_gone_until_it_is_back_or_given_up(world: World, tmp_path: Path) -> None:
    world.ensure()
    new = tmp_path / "disk" / "Skyloop"
    runtime.move(new)
    runtime.retire(world.home, new)
    new.parent.rename(tmp_path / "unplugged")
    assert runtime.status()["condition"] == "gone"
    (tmp_path / "unplugged").rename(new.parent)
    assert runtime.status()["condition"] == "ready"
    new.parent.rename(tmp_path / "unplugged")
    runtime.forget_move()
    assert runtime.status()["condition"] == "none" and runtime.status()["home"] == str(world.home)


# --- conditions ------------------------------------------------------------------------------------------------------


def test_the_old_one_stays_until_the_new_one_has_passed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world.ensure().parents[1]
    spec = places.SPECS["backend"]
    changed = world.fake / "requirements.txt"
    changed.write_text(spec.requirements.read_text() + "more==1\n")
    monkeypatch.setitem(places.SPECS, "backend", dataclasses.replace(spec, requirements=changed))
    assert runtime.status()["condition"] == "outdated"
    fail = world.arrange("fail-self-test", "broken")
    with pytest.raises(SkyloopError):
        world.ensure()
    assert runtime.status()["condition"] == "half" and places.read_ready(old)
    fail.unlink()
    new = world.ensure().parents[1]
    assert runtime.status()["condition"] == "ready" and places.read_ready(old)
    assert runtime.old_environments(world.home, places.SPECS["backend"], "cpu") == [old]
    runtime.remove("backend", old=True)
    assert new.exists() and not old.exists()


def test_a_half_done_set_up_is_half(world: World) -> None:
    assert runtime.status()["condition"] == "none"
    world.index.cut = 100_000
    deadline = iter((False, False, False))
    with pytest.raises(SkyloopError, match="cancelled"):
        runtime.ensure(cancelled=lambda: next(deadline, True))
    assert runtime.status()["condition"] == "half"


def test_within_an_environment_its_own_home_is_the_default(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    env = world.ensure().parents[1]
    monkeypatch.delenv("SKYLOOP_HOME")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)  # whatever environment runs the tests is not the question
    assert not runtime.inside() and runtime.home() != world.home
    monkeypatch.setattr(sys, "prefix", str(env))
    assert runtime.home() == world.home
    monkeypatch.setattr(runtime, "sys", type("Sys", (), {"prefix": str(env), "version_info": (3, 11, 7)}))
    assert runtime.inside()


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "kind", "driver", "index", "why"),
    [
        ("linux", "cpu", None, "cpu", "no NVIDIA driver"),
        ("win32", "cpu", None, "cpu", "no NVIDIA driver"),
        ("linux", "cuda", 580, "", "driver 580"),
        ("linux", "cuda", 550, "cu129", "older than 580"),
        ("win32", "cuda", 590, "cu130", "driver 590"),
        ("win32", "cuda", None, "cu130", "driver found"),
        ("darwin", "apple", None, "", "Mac"),
    ],
)
def test_torch_build(
    monkeypatch: pytest.MonkeyPatch, platform: str, kind: str, driver: int | None, index: str, why: str
) -> None:
    monkeypatch.setattr(torch_build.sys, "platform", platform)
    monkeypatch.setattr(torch_build.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(torch_build, "accelerator", lambda: kind)
    monkeypatch.setattr(torch_build, "_driver_version", lambda: driver)
    build = torch_build.choose()
    assert [i.rsplit("/", 1)[1] for i in build.indexes] == ([index] if index else [])
    assert why in build.why


def test_intel_macs_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build, "accelerator", lambda: "apple")
    monkeypatch.setattr(torch_build.platform, "machine", lambda: "x86_64")
    with pytest.raises(SkyloopError, match="Intel"):
        torch_build.choose()


def test_cuda_where_only_the_cuda_build_was_in_reach_is_said() -> None:
    wheels = [fetch.Wheel("torch", "2.13.0", "", ""), fetch.Wheel("nvidia-cublas", "13", "", "")]
    build = torch_build.TorchBuild("cpu", "CPU build: no NVIDIA driver found")
    assert "only the CUDA build was in reach" in torch_build.note_of(wheels, build)
    assert "CPU build" in torch_build.note_of(wheels[:1], build)


def _script(folder: Path, name: str, answer: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {answer} {path}\n")
    path.chmod(0o755)
    return path


def _only_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(interpreter, "_folders", lambda: iter([folder]))


def test_another_python_is_found_when_the_running_one_is_unsuitable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(_script(tmp_path / "run", "python3", "3 14 1")))
    good = _script(tmp_path / "bin", "python3.12", "3 12 1")
    _script(tmp_path / "bin", "python3.13", "3 9 1")  # its name lies
    _only_path(monkeypatch, tmp_path / "bin")
    assert interpreter.find(places.PYTHONS, "Skyloop") == interpreter.Interpreter(good, (3, 12), True)


def test_the_running_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = _script(tmp_path / "run", "python3", "3 11 1")
    monkeypatch.setattr(sys, "executable", str(running))
    _script(tmp_path / "bin", "python3.13", "3 13 1")
    _only_path(monkeypatch, tmp_path / "bin")
    assert interpreter.find(places.PYTHONS, "Skyloop").path == running


def test_no_suitable_python_says_what_was_found_and_what_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(_script(tmp_path / "run", "python3", "3 14 1")))
    _only_path(monkeypatch, tmp_path / "bin")
    with pytest.raises(SkyloopError, match=r"Skyloop needs Python 3\.11, 3\.12 or 3\.13; this is Python"):
        interpreter.find(places.PYTHONS, "Skyloop")


def test_a_python_without_venv_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(_script(tmp_path / "run", "python3", "3 11 0")))
    _only_path(monkeypatch, tmp_path / "bin")
    with pytest.raises(SkyloopError, match="venv module is missing") as caught:
        interpreter.find(places.PYTHONS, "Skyloop")
    assert "apt install python3.11-venv" in caught.value.hint


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from backend.runtime.lock import locked\n"
        "with locked(__import__('pathlib').Path(sys.argv[2]), waiting=print): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(ROOT), str(tmp_path / "lock")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    waited: list[float] = []

    def waiting(seconds: float) -> None:
        waited.append(seconds)
        holder.kill()

    with lock.locked(tmp_path / "lock", waiting=waiting, poll_s=0.01):
        assert waited
    holder.wait()
    holder.stdout.close()


def test_children_get_no_python_of_blenders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_USER"):
        monkeypatch.setenv(name, "/blender")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    environ = child.clean_environ()
    assert not {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_USER"} & set(environ)
    assert environ["PYTHONUTF8"] == "1" and environ["PYTHONNOUSERSITE"] == "1" and environ["HTTPS_PROXY"] == "proxy:1"


def test_enter_goes_on_inside_with_the_same_arguments(world: World) -> None:
    world.ensure()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from backend import runtime; "
        "from backend.runtime import torch_build; torch_build.accelerator = lambda: 'cpu'; "
        "runtime.enter('backend', ['echo', 'a b', 'é'])"
    )
    python = os.path.realpath("/proc/self/exe") if Path("/proc/self/exe").exists() else sys.executable
    answer = subprocess.run([python, "-c", code, ROOT], capture_output=True, text=True, encoding="utf-8", cwd="/")
    assert answer.stdout.strip() == '["-m", "backend", "echo", "a b", "\\u00e9"] ' + str(ROOT), answer.stderr


def test_enter_returns_when_already_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(world.ensure().parents[1]))
    assert runtime.enter("backend", []) is None


def test_progress_without_a_terminal_is_a_line_per_phase(capsys: pytest.CaptureFixture[str]) -> None:
    show = console_progress()
    for done in range(101):
        data = {"name": "download", "done": done, "total": 100, "unit": "MB"}
        show(Event(type="phase", data=data | ({"note": "A sentence."} if done == 0 else {})))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "skyloop: Downloading: 0/100 MB",
        "skyloop: A sentence.",
        "skyloop: Downloading: 100/100 MB",
    ]


def test_the_installer_is_standard_library_only() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import backend.runtime, backend.runtime.install, "
        "backend.runtime.__main__\n"
        "print([m for m in sys.modules if m.split('.')[0] not in sys.stdlib_module_names | {'backend', '__main__'}])"
    )
    answer = subprocess.run([sys.executable, "-IS", "-c", code, ROOT], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr

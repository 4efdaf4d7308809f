"""Job folders of strangers: nothing is written or removed outside them, nothing is waited for, and nothing fills up."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.jobs import job_library as library
from backend.jobs import runner, store
from backend.media.files import atomic_write, own_folder, private_folder, sweep_parts
from backend.protocol import Event, GenerateRequest, SkyloopError, phase

pytestmark = pytest.mark.skipif(os.name != "posix", reason="makes pipes and links")
REQUEST = GenerateRequest(prompt="aurora")
TERABYTE = 1 << 40
NAMES = ("request.json", "events.jsonl", "log.txt", ".lock", "result.json", "sky.mp4", "poster.png", "preview.png")
NAMES += ("checkpoint",)
TRAPS: dict[str, Callable[[Path, Path], None]] = {
    "a link to a file": lambda path, outside: path.symlink_to(outside / "precious.txt"),
    "a link to no file yet": lambda path, outside: path.symlink_to(outside / "planted"),
    "a link to a folder": lambda path, outside: path.symlink_to(outside),
    "a link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a second name of a file": lambda path, outside: path.hardlink_to(outside / "precious.txt"),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "a terabyte": lambda path, _: path.touch() or os.truncate(path, TERABYTE),
}


def draw(_request: GenerateRequest, job: Path, *, engine: Any = None) -> Iterator[Event]:
    """An engine as far as files go."""
    del engine
    sweep_parts(job)
    yield phase("denoise", 0, 2)
    atomic_write(own_folder(job / "checkpoint") / "main-000001.safetensors", b"checkpoint")
    atomic_write(job / "preview.png", b"preview")
    yield Event(type="preview", data={"file": "preview.png"})
    for name in ("sky.mp4", "poster.png"):
        atomic_write(job / name, b"made")
    result = {"request": REQUEST.to_json()}
    atomic_write(job / "result.json", json.dumps(result).encode())
    yield Event(type="done", data={"result": result})


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious")
    return folder


@pytest.fixture
def in_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise AssertionError("it waits for ever")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def untouched(outside: Path) -> bool:
    names = [path.name for path in outside.iterdir()]
    return names == ["precious.txt"] and (outside / "precious.txt").read_text() == "precious"


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", NAMES)
def test_a_trap_in_a_job_folder_harms_nobody(tmp_path: Path, outside: Path, name: str, trap: str) -> None:
    root = private_folder(tmp_path / "library")
    job = store.create(root / "job", REQUEST)
    (job.path / name).unlink(missing_ok=True)
    TRAPS[trap](job.path / name, outside)
    seen: list[Event] = []

    last = runner.run(job, draw, seen.append)
    store.status(job.path)
    store.recorded(job.path)
    job.events()
    library.Library(root).list()

    assert untouched(outside)
    assert last.type in ("done", "failed")
    if last.type == "failed":
        line = f"{last.data['message']} {last.data['hint']}"
        assert last.data["kind"] == "bad_request" and "\n" not in line and str(job.path) in line
    else:
        assert (job.path / "sky.mp4").read_bytes() == b"made" and not (job.path / "sky.mp4").is_symlink()
    if store.is_file(job.path / "request.json"):
        library.Library(root).delete("job")
        assert not job.path.exists()
    else:
        with pytest.raises(SkyloopError, match="no job"):
            library.Library(root).delete("job")
    assert untouched(outside)


def test_deleting_never_goes_through_a_link(tmp_path: Path, outside: Path) -> None:
    root = private_folder(tmp_path / "library")
    (root / "job").symlink_to(outside)
    with pytest.raises(SkyloopError):
        library.Library(root).delete("job")
    assert untouched(outside)


@pytest.mark.parametrize("name", ["..", "../outside", "/etc", "a/../../outside", ".", "", "a\0b", "C:\\x"])
def test_no_name_leads_out_of_the_library(tmp_path: Path, outside: Path, name: str) -> None:
    root = private_folder(tmp_path / "library")
    with pytest.raises(SkyloopError) as caught:
        library.Library(root).delete(name)
    assert "\n" not in caught.value.line
    assert untouched(outside)


def test_folders_that_we_make_are_private(tmp_path: Path) -> None:
    os.umask(0o022)
    made = private_folder(tmp_path / "library")
    job = store.create(made / "job", REQUEST)
    assert [path.stat().st_mode & 0o777 for path in (made, job.path)] == [0o700, 0o700]
    (tmp_path / "theirs").mkdir(mode=0o755)
    assert private_folder(tmp_path / "theirs").stat().st_mode & 0o777 == 0o755


def test_only_parts_of_killed_writers_are_swept(tmp_path: Path, outside: Path) -> None:
    left = {".sky.0123abcd.part.mp4", ".request.ffffffff.part.json", ".log.00000000.part"}
    kept = {"sky.mp4", "part.mp4", ".sky.part.mp4", ".sky.0123abcd.part.mp4.txt.png", "a.0123abcd.part"}
    for name in left | kept:
        (tmp_path / name).touch()
    (tmp_path / ".linked.0123abcd.part").symlink_to(outside / "precious.txt")
    (tmp_path / ".folder.0123abcd.part").mkdir()
    assert sweep_parts(tmp_path) == len(left) + 1
    assert {path.name for path in tmp_path.iterdir()} == kept | {"outside", ".folder.0123abcd.part"}
    assert untouched(outside)
    assert sweep_parts(tmp_path / "nowhere") == 0

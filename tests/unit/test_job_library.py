"""A folder of job folders: what is listed, found, kept and removed, whatever lies in it and whatever its index says."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend import commands
from backend.jobs import folders, index, store
from backend.jobs import job_library as library
from backend.jobs.job_library import Library
from backend.jobs.migrations import migrate
from backend.jobs.store import Status
from backend.protocol import SCHEMA_VERSION, ErrorKind, Event, GenerateRequest, SkyloopError

REQUEST = GenerateRequest(prompt="Dusk over DUNES", seed=7)
ROOT = Path(__file__).parents[2]


def set_age(path: Path, age_s: float) -> None:
    then_s = time.time() - age_s
    os.utime(path, (then_s, then_s))


@pytest.fixture
def shelf(tmp_path: Path) -> Library:
    return Library(tmp_path / "skies")


def put(shelf: Library, name: str, status: Status = Status.DONE, size_bytes: int = 1000, **fields: Any) -> Path:
    """A job folder as it looks in that state, with a movie of that size if it is done."""
    request = replace(REQUEST, **fields)
    job = store.create(shelf.root / name, request)
    if status is Status.DONE:
        (job.path / "sky.mp4").write_bytes(b"x" * size_bytes)
        (job.path / "result.json").write_text(json.dumps({"request": request.to_json()}), encoding="utf-8")
    elif status in (Status.FAILED, Status.CANCELLED):
        job.record(Event(type=str(status)))
    elif status is Status.INTERRUPTED:
        job.log.touch()
    return job.path


def age(root: Path) -> None:
    """Make everything an hour old, so that an index may trust it."""
    for path in root.rglob("*"):
        if not path.is_symlink():
            set_age(path, 3600)


def names(shelf: Library, *arguments: Any) -> list[str]:
    return [entry.name for entry in shelf.list(*arguments)]


def checkpoint(folder: Path) -> None:
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "a.safetensors").write_bytes(b"x")


def test_jobs_are_listed_newest_first_by_the_time_in_their_names_or_of_their_request(shelf: Library) -> None:
    old = put(shelf, "sunset")  # made by the command line, named by its user
    os.utime(old / "request.json", (1e9, 1e9))  # 2001
    put(shelf, "20260301-120000-b")
    put(shelf, "20260301-120000-b-2")
    put(shelf, "20260228-235959-c")
    put(shelf, "99999999-999999-no-time")  # of now
    assert names(shelf) == [
        "99999999-999999-no-time", "20260301-120000-b-2", "20260301-120000-b", "20260228-235959-c", "sunset",
    ]  # fmt: skip


@pytest.mark.parametrize("status", Status)
def test_jobs_are_found_by_status(shelf: Library, status: Status) -> None:
    for each in Status:
        put(shelf, each, each)
    with store.load(str(shelf.root / "running")).locked():
        assert names(shelf, status) == [status]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("dusk", True), ("dunes DUSK", True), ("dawn", False), ("dusk dawn", False), ("77031", True), ("builtin", True),
        ("SkyLoop", True), ("monday", True), ("STRASSE", True), ("звезда", True), ("", True), ("  ", True),
    ],
)  # fmt: skip
def test_jobs_are_found_by_words(shelf: Library, words: str, found: bool) -> None:
    put(shelf, "monday-1", prompt="Dusk over DUNES, Straße, ЗВЕЗДА", seed=77031)
    assert names(shelf, None, words) == ["monday-1"] * found


def test_what_is_no_job_is_passed_over(shelf: Library, tmp_path: Path) -> None:
    outside = put(Library(tmp_path / "elsewhere"), "outside")
    folder = put(shelf, "job")
    for name in (".skyloop-1", ".hidden"):
        shutil.copytree(folder, shelf.root / name)
    (shelf.root / "linked").symlink_to(outside)
    (shelf.root / "empty").mkdir()
    (shelf.root / "file").write_text("x", encoding="utf-8")
    for name, text in {
        "broken": "{",
        "list": "[]",
        "wrong": '{"prompt": 5}',
        "newer": '{"prompt":"x","schema":99}',
    }.items():
        (shelf.root / name).mkdir()
        (shelf.root / name / "request.json").write_text(text, encoding="utf-8")
    (shelf.root / "piped").mkdir()
    os.mkfifo(shelf.root / "piped" / "request.json")
    (shelf.root / "borrowed").mkdir()
    (shelf.root / "borrowed" / "request.json").symlink_to(outside / "request.json")
    assert names(shelf) == ["job"]


def test_a_result_without_its_request_file_is_a_job(shelf: Library) -> None:
    (put(shelf, "headless") / "request.json").unlink()
    assert names(shelf, Status.DONE, "dusk") == ["headless"]
    assert shelf.request("headless") == REQUEST


def test_a_library_that_is_not_there_is_empty_and_one_that_is_a_file_is_said(shelf: Library) -> None:
    assert shelf.list() == []
    assert shelf.prune(0) == []
    assert not shelf.root.exists()
    shelf.root.write_text("mine", encoding="utf-8")
    for use in (shelf.list, lambda: shelf.add(REQUEST)):
        with pytest.raises(SkyloopError) as caught:
            use()
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        assert str(shelf.root) in caught.value.message


# the index


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The folders whose requests are read meanwhile."""
    read: list[Path] = []
    with monkeypatch.context() as patch:
        patch.setattr(index, "recorded", lambda folder: read.append(folder) or store.recorded(folder))
        yield read


def test_with_an_index_only_what_changed_is_read(shelf: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        put(shelf, f"job {i}", prompt=f"sky {i}")
    age(shelf.root)
    before = shelf.list()
    put(shelf, "job 3", prompt="changed")
    put(shelf, "new")
    shutil.rmtree(shelf.root / "job 4")
    with counted(monkeypatch) as read:
        after = shelf.list()
    assert sorted(p.name for p in read) == ["job 3", "new"]
    assert len(before) == 20
    assert {e.card.prompt for e in after} == {e.card.prompt for e in before} - {"sky 3", "sky 4"} | {
        "changed",
        "Dusk over DUNES",
    }


def test_a_card_says_what_a_finished_sky_took(shelf: Library) -> None:
    cost = {"seconds": {"load": 1, "layout": 20.5}, "evaluations": 92, "device": "Apple GPU"}
    peaks = {"unified": {"host": 700}, "card": {"host": 700, "device": 610}, "none": {}}
    for name, peak in peaks.items():
        path = put(shelf, name, fps=12.0, loop=False, steps=8) / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | cost | {"peak_memory_mb": peak}))
    for _ in range(2):  # read from the folders, then from the index
        cards = {entry.name: entry.card for entry in shelf.list()}
        assert {name: card.peak_memory_mb for name, card in cards.items()} == {"unified": 700, "card": 610, "none": 0}
        card = cards["card"]
        assert (card.fps, card.loop, card.steps) == (12.0, False, 8)
        assert (dict(card.seconds), card.evaluations, card.device) == (cost["seconds"], 92, "Apple GPU")
        age(shelf.root)


@pytest.mark.parametrize(
    "cost",
    [
        {},
        {"seconds": 5},
        {"seconds": {"load": "long"}},
        {"evaluations": "many"},
        {"device": 7},
        {"seconds": {"x": math.inf}},
    ],
)
def test_a_result_that_does_not_say_what_it_took_is_listed_all_the_same(shelf: Library, cost: dict[str, Any]) -> None:
    path = put(shelf, "odd") / "result.json"
    fine = {"seconds": {"load": 1.0}, "evaluations": 92, "device": "Apple GPU", "peak_memory_mb": {"host": 1}}
    path.write_text(json.dumps(json.loads(path.read_text()) | (fine | cost if cost else {})))
    (entry,) = shelf.list()
    assert (entry.card.seconds, entry.card.evaluations, entry.card.device) == ((), 0, "")


def test_a_request_that_was_just_written_is_not_trusted(shelf: Library) -> None:
    """Two writes within the clock's grain leave the same time, and here the same size and number."""
    path = put(shelf, "job", prompt="aaaa") / "request.json"
    (shelf.root / "job" / "result.json").unlink()
    about = path.stat()
    assert [e.card.prompt for e in shelf.list()] == ["aaaa"]
    path.write_text(path.read_text(encoding="utf-8").replace("aaaa", "bbbb"), encoding="utf-8")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert [e.card.prompt for e in shelf.list()] == ["bbbb"]


def _of_another_version(root: Path) -> None:
    text = (root / index.NAME).read_text(encoding="utf-8")
    (root / index.NAME).write_text(
        text.replace('"version": 2', '"version": 1').replace("Dusk", "Lies"), encoding="utf-8"
    )


def _cards(**changes: Any) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        document = json.loads((root / index.NAME).read_text(encoding="utf-8"))
        for card in document["jobs"].values():
            card |= changes
        (root / index.NAME).write_text(json.dumps(document), encoding="utf-8")

    return spoil


def _link_index(root: Path) -> None:
    (root / index.NAME).rename(root.parent / "elsewhere.json")
    (root / index.NAME).symlink_to(root.parent / "elsewhere.json")


def _write_index(content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / index.NAME).write_bytes(content)


SPOILED: dict[str, Callable[[Path], object]] = {
    "missing": lambda root: (root / index.NAME).unlink(),
    "empty": _write_index(b""),
    "cut": lambda root: os.truncate(root / index.NAME, 100),
    "not utf-8": _write_index(b"\xff\xfe\x00"),
    "nested": _write_index(b"[" * 100_000),
    "list": _write_index(b"[]"),
    "jobs a list": _write_index(b'{"version": 2, "jobs": []}'),
    "card a number": _write_index(b'{"version": 2, "jobs": {"job": 5}}'),
    "other version": _of_another_version,
    "prompt a number": _cards(prompt=5),
    "stamp of another time": _cards(prompt="Lies", stamp=[1, 1, 1, 1, 1, 1]),
    "no stamp": _cards(prompt="Lies", stamp=[]),
    "unknown field": _cards(prompt="Lies", folder="/etc"),
    "link": _link_index,
    "names outside": _write_index(b'{"version": 2, "jobs": {"../../etc": {"prompt": "Lies"}}}'),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_an_index_that_is_wrong_is_made_anew(shelf: Library, spoil: Callable[[Path], object]) -> None:
    put(shelf, "job")
    age(shelf.root)
    shelf.list()
    good = (shelf.root / index.NAME).read_bytes()
    spoil(shelf.root)
    assert [(e.name, e.card.prompt) for e in shelf.list()] == [("job", REQUEST.prompt)]
    assert (shelf.root / index.NAME).read_bytes() == good
    assert not (shelf.root / index.NAME).is_symlink()


def test_rebuilding_reads_everything(shelf: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    put(shelf, "job")
    age(shelf.root)
    shelf.list()
    _cards(prompt="Lies")(shelf.root)  # with the right stamp, as only malice makes it
    assert shelf.list()[0].card.prompt == "Lies"
    assert shelf.request("job") == REQUEST  # the index never is the truth
    assert shelf.rebuild() == 1
    assert shelf.list()[0].card.prompt == REQUEST.prompt


def test_an_index_that_cannot_be_written_is_no_error(shelf: Library) -> None:
    put(shelf, "job")
    age(shelf.root)
    (shelf.root / index.NAME).mkdir()
    assert names(shelf) == ["job"]


# adding, deleting, pinning, pruning


def test_an_added_job_has_a_readable_name_of_its_own_and_is_private(shelf: Library) -> None:
    jobs = [shelf.add(replace(REQUEST, prompt="Sea of clouds, at SUNRISE: über 雲海! " + "x" * 200)) for _ in range(3)]
    assert len({job.path for job in jobs}) == 3
    for job in jobs:
        stamp, slug = job.path.name[:15], job.path.name[16:]
        assert time.strptime(stamp, "%Y%m%d-%H%M%S")
        assert slug.startswith("sea-of-clouds-at-sunrise-ber-xxx")
        assert job.request().prompt.startswith("Sea of clouds")
        assert os.name == "nt" or job.path.stat().st_mode & 0o777 == 0o700
    assert os.name == "nt" or shelf.root.stat().st_mode & 0o777 == 0o700
    assert shelf.add(replace(REQUEST, prompt="雲海")).path.name[15:] == "-sky"
    assert sorted(names(shelf)) == sorted(p.name for p in shelf.root.iterdir())  # nothing else is left there


def test_a_job_appears_with_its_request_or_not_at_all(shelf: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    for target, name in ((store, "atomic_write"), (Path, "rename")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, kill)
            with pytest.raises(Killed):
                shelf.add(REQUEST)
    left = list(shelf.root.iterdir())
    assert len(left) == 2
    assert names(shelf) == []
    age(shelf.root)
    shelf.add(REQUEST)
    assert not any(path.exists() for path in left)


def test_settings_are_read_back(shelf: Library) -> None:
    request = replace(REQUEST, prompt="x\u2028🌌", height=256, width=512, guidance=3.5, loop=False)
    assert shelf.request(shelf.add(request).path.name) == request


def test_a_deleted_job_is_gone_as_a_whole(shelf: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    put(shelf, "job")
    put(shelf, "other")
    with monkeypatch.context() as patch:
        patch.setattr(folders.shutil, "rmtree", lambda *_, **__: None)  # as if killed here
        shelf.delete("job")
    assert names(shelf) == ["other"]
    (left,) = folders.inside(shelf.root, ".skyloop.scrap-")
    set_age(left, 3600)
    shelf.delete("other")
    assert not left.exists()
    assert names(shelf) == []


def test_what_is_worked_on_or_waits_in_a_queue_cannot_be_deleted(shelf: Library) -> None:
    folder = put(shelf, "job")
    for lock in (".lock", store.QUEUED):
        with library.Job(folder, "").locked() if lock == ".lock" else store.locked(folder / lock, waiting=print):
            with pytest.raises(SkyloopError) as caught:
                shelf.delete("job")
            assert caught.value.kind is ErrorKind.BAD_REQUEST
            assert shelf.prune(0) == []
        assert names(shelf) == ["job"]
    shelf.delete("job")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../skies/job", "/", "nothing", "job\0", "x" * 5000, ".hidden", "link"]
)
def test_only_jobs_of_the_library_can_be_named(shelf: Library, name: str) -> None:
    put(shelf, "job")
    put(shelf, ".hidden")
    (shelf.root / "link").symlink_to(shelf.root / "job")
    for use in (shelf.delete, shelf.pin, shelf.get, shelf.request):
        with pytest.raises(SkyloopError) as caught:
            use(name)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert (shelf.root / "job" / "sky.mp4").exists()


def test_a_job_that_cannot_be_read_can_be_deleted(shelf: Library) -> None:
    (put(shelf, "job") / "request.json").write_text("{", encoding="utf-8")
    (shelf.root / "job" / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(SkyloopError, match="cannot be read"):
        shelf.request("job")
    shelf.delete("job")
    assert not (shelf.root / "job").exists()


def test_a_pin_that_is_a_link_writes_nothing_elsewhere(shelf: Library, tmp_path: Path) -> None:
    (put(shelf, "job") / library.PIN).symlink_to(tmp_path / "elsewhere")
    assert not shelf.get("job").pinned
    with pytest.raises(SkyloopError):
        shelf.pin("job")
    assert not (tmp_path / "elsewhere").exists()


def test_pruning_removes_the_oldest_that_nobody_needs(shelf: Library, tmp_path: Path) -> None:
    put(shelf, "20260101-000000-pinned", size_bytes=100_000)
    shelf.pin("20260101-000000-pinned")
    put(shelf, "20260102-000000-used", size_bytes=100_000)
    put(shelf, "20260103-000000-waiting", Status.WAITING)
    for status in (Status.FAILED, Status.CANCELLED, Status.INTERRUPTED):
        checkpoint(put(shelf, f"20260104-000000-{status}", status))
    put(shelf, "20260105-000000-failed", Status.FAILED)
    put(shelf, "20260106-000000-old", size_bytes=100_000)
    put(shelf, "20260107-000000-new", size_bytes=100_000)
    (tmp_path / "way").symlink_to(shelf.root)
    used = [tmp_path / "way" / "20260102-000000-used"]  # the same folder, spelt in another way
    everything = set(names(shelf))
    assert shelf.prune(shelf.usage_bytes(), used) == []
    removed = shelf.prune(shelf.usage_bytes() - 50_000, used)
    assert [e.name for e in removed] == ["20260105-000000-failed", "20260106-000000-old"]
    assert [e.name for e in shelf.prune(0, used)] == ["20260107-000000-new"]
    assert set(names(shelf)) == {n for n in everything if not n.endswith(("05-000000-failed", "-old", "-new"))}
    shelf.pin("20260101-000000-pinned", False)
    assert {e.name[16:] for e in shelf.prune(0)} == {"pinned", "used"}


def test_usage_counts_every_file_once_and_follows_no_link(shelf: Library, tmp_path: Path) -> None:
    folder = put(shelf, "job", size_bytes=10_000)
    before = shelf.usage_bytes()
    assert before == sum(f.stat().st_size for f in folder.iterdir())
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    (folder / "big").symlink_to(tmp_path / "big")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "a").write_bytes(b"x" * 5000)
    assert before + 5000 <= shelf.usage_bytes() < before + 6000


# places


LONG = ["ü" * 60, "небо над морем", "空と海 " * 10, "with spaces and 'quotes'", "x" * 120]


def test_roots_of_any_name_and_length_work(tmp_path: Path) -> None:
    shelf = Library(tmp_path.joinpath(*LONG))
    assert len(str(shelf.root)) > 300
    job = shelf.add(REQUEST)
    assert store.load(job.id).request() == REQUEST
    with job.locked():
        assert names(shelf) == [job.path.name]
        assert names(shelf, Status.RUNNING) == [job.path.name]
    age(shelf.root)
    shelf.list()
    assert (shelf.root / index.NAME).is_file()
    shelf.pin(job.path.name)
    assert shelf.get(job.path.name).pinned
    shelf.delete(job.path.name)
    assert names(shelf) == []


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs Linux permissions")
def test_a_read_only_library_can_be_read(shelf: Library, tmp_path: Path) -> None:
    folder = put(shelf, "job")
    age(shelf.root)
    for path in (*tmp_path.parents[:2], tmp_path):
        path.chmod(0o755)
    for path in (folder, shelf.root):
        path.chmod(0o555)
    root = os.getuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        assert names(shelf, Status.DONE) == ["job"]
        assert shelf.request("job") == REQUEST
        for use in (lambda: shelf.add(REQUEST), lambda: shelf.delete("job"), lambda: shelf.pin("job")):
            with pytest.raises(SkyloopError) as caught:
                use()
            assert caught.value.kind is ErrorKind.BAD_REQUEST
            assert "cannot be written" in caught.value.message
        assert shelf.prune(0) == []
    finally:
        if root:
            os.setresuid(0, 0, 0)
        for path in (shelf.root, folder):
            path.chmod(0o755)
    assert sorted(p.name for p in shelf.root.iterdir()) == ["job"]


# migrations


def test_a_request_without_a_version_is_read(shelf: Library) -> None:
    path = put(shelf, "job") / "request.json"
    document = {"prompt": "dawn", "seed": 3}  # as written before there were versions
    path.write_text(json.dumps(document), encoding="utf-8")
    (shelf.root / "job" / "result.json").write_text(json.dumps({"request": document}), encoding="utf-8")
    dawn = GenerateRequest(prompt="dawn", seed=3)
    assert shelf.request("job") == store.load(str(path.parent)).request() == dawn
    assert dawn.schema == SCHEMA_VERSION


@pytest.mark.parametrize("version", [True, -1, "1", 0.0, None, [], 10**40])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    with pytest.raises(SkyloopError) as caught:
        migrate({"prompt": "x", "schema": version})
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_request_of_a_newer_skyloop_says_so(shelf: Library) -> None:
    path = put(shelf, "job", Status.WAITING) / "request.json"
    path.write_text(json.dumps({"prompt": "x", "schema": SCHEMA_VERSION + 1, "weather": "fine"}), encoding="utf-8")
    with pytest.raises(SkyloopError, match="newer Skyloop") as caught:
        store.load(str(path.parent)).request()
    assert caught.value.hint == "Update Skyloop."


def test_each_version_is_brought_to_the_next() -> None:
    def named(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"name": document.pop("title")}

    def split(document: dict[str, Any]) -> dict[str, Any]:
        first, last = document.pop("name").split()
        return document | {"first": first, "last": last}

    steps = {0: named, 1: split}
    for old in (
        {"title": "Ada Lovelace"},
        {"title": "Ada Lovelace", "schema": 0},
        {"name": "Ada Lovelace", "schema": 1},
    ):
        given = dict(old)
        assert migrate(old, steps, 2) == {"first": "Ada", "last": "Lovelace", "schema": 2}
        assert old == given
    current = {"first": "Ada", "schema": 2}
    assert migrate(current, steps, 2) == current
    with pytest.raises(SkyloopError, match="newer"):
        migrate({"schema": 3}, steps, 2)
    assert migrate([1], steps, 2) == [1]


# the command line


def jobs(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend", "jobs", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_command_line_does_all_of_it(shelf: Library, capsys: pytest.CaptureFixture[str]) -> None:
    put(shelf, "a", prompt="dawn \x1b[31m" + "y" * 80)
    put(shelf, "b", Status.FAILED, prompt="dusk")

    def run(*arguments: str) -> Any:
        assert commands.main(["jobs", *arguments, "--root", str(shelf.root), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert {job["name"]: job["status"] for job in run("list")} == {"a": "done", "b": "failed"}
    assert [job["name"] for job in run("list", "--status", "failed", "--search", "DUSK")] == ["b"]
    assert run("list", "--search", "noon") == []
    shown = run("show", "a/")
    assert shown["request"] == store.recorded(shelf.root / "a").to_json()  # type: ignore[union-attr]
    assert shown["bytes"] == shelf.usage_bytes() - folders.usage_bytes(shelf.root / "b")
    assert run("pin", "a") == {"pinned": ["a"]}
    assert run("prune", "0") == {"removed": ["b"], "bytes": folders.usage_bytes(shelf.root / "a")}
    assert run("unpin", "a") == {"unpinned": ["a"]}
    assert run("rebuild") == {"jobs": 1}
    assert run("prune", "1.5GB")["removed"] == []
    assert run("delete", "a") == {"deleted": ["a"]}
    assert run("list") == []


def test_the_command_line_is_for_people_too(shelf: Library) -> None:
    put(shelf, "a", prompt="dawn \x1b[31m" + "y" * 80)
    done = jobs("list", "--root", shelf.root)
    assert done.returncode == 0, done.stderr
    head, row = done.stdout.splitlines()
    assert head.split() == ["name", "status", "size", "frames", "seed", "prompt"]
    assert row.startswith("a     done      1024x512  16      7     dawn ?[31my")
    assert len(row) < 100
    done = jobs("show", "a", "--root", shelf.root)
    assert "prompt   dawn ?[31m" in done.stdout
    assert "\x1b" not in done.stdout
    assert jobs("prune", "1MB", "--root", shelf.root).stdout.startswith("Removed 0; the skies in")
    assert jobs("list", "--search", "noon", "--root", shelf.root).stdout == f"There is no such sky in {shelf.root}.\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["list", "--root", "nowhere"], "nowhere is no folder"),
        (["list", "--root", __file__], "is no folder"),
        (["list", "--status", "lost"], "lost"),
        (["show", "nothing", "--root", "."], "There is no job 'nothing'"),
        (["delete", "../x", "--root", "."], "There is no job '../x'"),
        (["prune", "much", "--root", "."], "'much' is not a size"),
        (["prune", "-1", "--root", "."], "-1"),
    ],
)
def test_a_wrong_command_is_one_clear_line(arguments: list[str], named: str) -> None:
    done = jobs(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert named in done.stderr

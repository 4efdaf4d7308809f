"""The quick versions of ``python3 -m tests.faults``, and what else can happen around a job while it runs."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from backend.jobs import store
from backend.media.files import atomic_write
from backend.protocol import Event, GenerateRequest
from tests.backend.test_stdio import started

if sys.platform != "linux":
    pytest.skip("forking, signals and /proc as Linux has them", allow_module_level=True)

from tests.faults import below, disk, fuzz, kills, soak
from tests.faults.shim import Shim
from tests.faults.work import (
    ROOT,
    Part,
    Send,
    eager,
    fingerprint,
    fork,
    oracle_engine,
    requests,
    run_command,
    run_job,
    tiniest,
    tiny,
    untidy,
)

LIMIT_S = 60.0
YEAR_S = 365 * 86_400.0


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part({}, time.monotonic() + 600, seed=7, scratch=tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the tiny job makes that nothing disturbs."""
    folder = tmp_path_factory.mktemp("made") / "job"
    _finished(folder, run)
    found = fingerprint(folder)
    assert found
    return found


def run(folder: Path, send: Send) -> Event:
    with eager():
        return run_job(folder, tiny(), oracle_engine(), send)


def command(folder: Path, send: Send) -> Event:
    with eager():
        return run_command(folder, tiny(), oracle_engine(), send)


Door = Callable[[Path, Send], Event]


def _finished(folder: Path, door: Door) -> Event:
    last = fork(lambda send: door(folder, send), Path(os.devnull)).finish(LIMIT_S)
    assert last is not None
    return last


def _is_clear(last: Event | None) -> bool:
    assert last is not None
    assert last.type == "failed", last
    message = last.data["message"]
    assert message
    assert "\n" not in message
    assert "did not expect" not in message
    return True


# ---- the quick versions


def test_a_job_killed_in_its_phases_ends_as_an_undisturbed_one(part: Part) -> None:
    kills.quick(part, 7)
    assert len(part.table(f"kills, {kills.ORACLE}")) > 3
    assert (part.list("lost"), part.list("different"), part.list("left over")) == ([], [], [])


def test_a_call_on_a_file_that_fails_ends_in_a_clear_error_or_in_recovery(part: Part) -> None:
    disk.quick(part, 6, random.Random(part.seed))
    assert part.table("violations") == {}
    assert part.so_far["sites"] > 50


@pytest.mark.skipif(bool(below.no_full_disks()), reason=below.no_full_disks() or "-")
@pytest.mark.parametrize("size_kb", [8, 64, 200])
def test_a_disk_that_is_really_full(part: Part, size_kb: int) -> None:
    below.full_disk(part, kills.undisturbed(part, "one window", tiniest(), oracle_engine()), size_kb)
    assert part.list("full disks violations") == []


def test_garbage_is_refused_by_name(part: Part) -> None:
    fuzz.round_of(part, 200)
    assert part.list("violations") == []
    assert part.so_far["longest_s"] < fuzz.LONGEST_S


def test_jobs_that_are_cancelled_paused_and_moved_leave_nothing(part: Part) -> None:
    one = replace(requests(part.scratch / "inputs")["flat"], width=128, height=128, steps=1)
    soak.soak(part, 5, [one])
    assert part.list("wrong") == []
    assert part.so_far["jobs"] == sum(part.so_far["ends"].values()) == 5


def test_growth_of_memory_is_seen_through_an_outlier() -> None:
    samples = [{"jobs": 10 * k, "kb": 1000 + 20 * k + (9000 if k == 3 else 0)} for k in range(10)]
    assert soak.slope_kb(samples) == pytest.approx(2.0)


# ---- what happens around a job


def test_a_folder_that_vanishes_in_mid_run_is_a_clear_error(tmp_path: Path, made: dict[str, str]) -> None:
    folder = tmp_path / "job"

    def vanishing(send: Send) -> None:
        def watch(event: Event) -> None:
            send(event)
            if event.type == "phase" and event.data["name"] == "decode" and folder.exists():
                shutil.rmtree(folder)

        run(folder, watch)

    assert _is_clear(fork(vanishing, tmp_path / "output.txt").finish(LIMIT_S))
    assert not folder.exists()
    assert _finished(folder, run).type == "done"
    assert fingerprint(folder) == made


def test_a_disk_that_turns_read_only_in_mid_run_is_a_clear_error(tmp_path: Path, made: dict[str, str]) -> None:
    folder = tmp_path / "job"

    def turning(send: Send) -> None:
        shim = Shim(folder, ROOT / "backend", fault=errno.EROFS, lasting=True)
        shim.install()

        def watch(event: Event) -> None:
            send(event)
            if event.type == "phase" and event.data["name"] == "decode":
                shim.struck = True  # from here on nothing can be written

        run(folder, watch)

    last = fork(turning, tmp_path / "output.txt").finish(LIMIT_S)
    assert _is_clear(last)
    assert last
    assert "only be read" in last.data["message"]
    assert _finished(folder, run).type == "done"
    assert fingerprint(folder) == made


@pytest.mark.parametrize("door", [run, command])
@pytest.mark.parametrize(
    "name",
    ["with a space and 'quotes'", "небо над озером", "湖の上の空", "/".join(["a folder of a longer name"] * 14)],
    ids=["spaces", "Cyrillic", "CJK", "long"],
)
def test_folders_of_any_name(tmp_path: Path, made: dict[str, str], name: str, door: Door) -> None:
    folder = tmp_path / name
    assert _finished(folder, door).type == "done"
    assert fingerprint(folder) == made


@pytest.mark.parametrize("door", [run, command])
@pytest.mark.parametrize("jump_s", [-YEAR_S, YEAR_S], ids=["a year back", "a year on"])
def test_a_clock_that_jumps_costs_no_work(tmp_path: Path, made: dict[str, str], jump_s: float, door: Door) -> None:
    """Killed while it decodes, so all steps are done; those are not done again whatever the clock says."""
    folder = tmp_path / "job"
    child = fork(lambda send: door(folder, send), tmp_path / "output.txt")
    while child.read(time.monotonic() + LIMIT_S):
        if any(event.data.get("name") == "decode" for _, event in child.events):
            break
    child.kill()
    now = time.time

    def later(send: Send) -> None:
        with mock.patch.object(time, "time", lambda: now() + jump_s):
            door(folder, send)

    again = fork(later, tmp_path / "output.txt")
    last = again.finish(LIMIT_S)
    assert last is not None
    assert last.type == "done"
    assert fingerprint(folder) == made
    assert "layout" not in {event.data.get("name") for _, event in again.events}


def test_two_processes_never_run_one_job(tmp_path: Path, made: dict[str, str]) -> None:
    folder = tmp_path / "job"
    first = fork(lambda send: run(folder, send), tmp_path / "output.txt")
    while not first.events:
        assert first.read(time.monotonic() + LIMIT_S)
    second = fork(lambda send: run(folder, send), tmp_path / "other.txt")
    refused = second.finish(LIMIT_S)
    assert _is_clear(refused)
    assert refused
    assert refused.data["kind"] == "bad_request"
    last = first.finish(LIMIT_S)
    assert last
    assert last.type == "done"
    assert fingerprint(folder) == made
    assert untidy(folder) == []


def test_a_process_that_was_stopped_for_longer_than_its_limits_goes_on(tmp_path: Path) -> None:
    """As in a suspended machine: what was not beaten is no silence of the device."""
    job = store.create(tmp_path / "job", GenerateRequest(prompt="x")).id
    with started("watched") as child:
        child.command("generate", job)
        child.until_type("preview")
        child.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # three times the limit
        child.process.send_signal(signal.SIGCONT)
        child.until_type("heartbeat")
        child.until_type("heartbeat")
        child.command("cancel", job)
        assert child.until_type("failed", "cancelled").type == "cancelled"


def test_the_shim_strikes_where_it_is_told(tmp_path: Path) -> None:
    """Without it, the tests above could not fail."""
    target = tmp_path / "job" / "file"
    target.parent.mkdir()

    def attempt(send: Send) -> None:
        shim = Shim(target.parent, ROOT / "backend")
        shim.install()
        atomic_write(target, b"whole")
        kind, site = next(call for call in shim.counts if call[0] == "fsync")
        shim.at, shim.fault = (kind, site, shim.counts[kind, site]), errno.EIO
        found: dict[str, Any] = {"calls": sorted({kind for kind, _ in shim.counts})}
        try:
            atomic_write(target, b"other")
        except Exception as error:
            found["error"] = str(error)
        found |= {"content": target.read_text(), "left": len(list(target.parent.iterdir()))}
        send(Event(type="done", data=found))

    last = fork(attempt, tmp_path / "output.txt").finish(LIMIT_S)
    assert last is not None, (tmp_path / "output.txt").read_text()
    assert "Input/output error" in last.data["error"]
    assert (last.data["content"], last.data["left"]) == ("whole", 1)
    assert {"create", "write", "fsync", "rename"} <= set(last.data["calls"])

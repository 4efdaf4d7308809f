"""The real engine and the built-in model behind both doors: the command line and the child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from backend.jobs import store
from backend.protocol import Command, Event, GenerateRequest

ROOT = Path(__file__).parents[2]
REQUEST = GenerateRequest(prompt="storm over the sea", width=256, height=128, frames=4, steps=2, fov_deg=110.0, seed=3)
DRAFT = replace(REQUEST, measure=False)  # figures take longer than the sky
ENVIRON = os.environ | {"OMP_NUM_THREADS": "1"}


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "backend", *map(str, arguments)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A sky made by the command line: its folder and what ``--json`` printed."""
    out = tmp_path_factory.mktemp("cli") / "storm"
    options = ("--size", "256x128", "--frames", "4", "--steps", "2", "--fov", "110", "--seed", "3", "--json")
    done = subprocess.run(
        _command("generate", REQUEST.prompt, "--out", out, *options),
        cwd=ROOT, env=ENVIRON, capture_output=True, text=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_the_folder_holds_the_result_and_its_record(made: tuple[Path, dict[str, Any]]) -> None:
    out, result = made
    assert {p.name for p in out.iterdir()} == set(store.OUTPUTS)
    assert result == json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert GenerateRequest.from_json(result["request"]) == REQUEST
    assert set(result) >= {"model", "versions", "seconds", "evaluations", "peak_memory_mb", "figures"}
    assert set(result["figures"]) >= {"seam", "loop", "detail", "motion"}
    assert [e.type for e in store.load(str(out)).events()][-1] == "done"


def test_the_video_is_what_was_asked_for(made: tuple[Path, dict[str, Any]]) -> None:
    with av.open(str(made[0] / "sky.mp4")) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
        assert (stream.width, stream.height, stream.average_rate) == (256, 128, 8)
    assert len(frames) == 4
    assert all(frame.std() > 4 for frame in frames)  # a picture, not a grey field


def test_the_child_process_makes_the_same_sky(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    cancelled = store.create(tmp_path / "cancelled", DRAFT).id
    job = store.create(tmp_path / "job", DRAFT).id
    with subprocess.Popen(
        _command("stdio"), cwd=ROOT, env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def send(kind: str, name: str) -> None:
            assert child.stdin is not None
            child.stdin.write(Command(type=kind, job=name).to_line().encode() + b"\n")
            child.stdin.flush()

        send("generate", cancelled)
        send("generate", job)
        seen: list[Event] = []
        for line in child.stdout:
            seen.append(Event.from_line(line.decode()))
            if seen[-1].type == "preview" and seen[-1].job == cancelled:
                send("cancel", cancelled)
            if seen[-1].type in ("done", "failed"):
                break
        child.stdin.close()
        assert child.wait(60) == 0
    ends = {e.job: e.type for e in seen if e.type in ("done", "failed", "cancelled")}
    assert ends == {cancelled: "cancelled", job: "done"}
    assert not (Path(cancelled) / "result.json").exists()
    assert (Path(job) / "preview.png").is_file()
    assert (Path(job) / "sky.mp4").read_bytes() == (made[0] / "sky.mp4").read_bytes()


def test_a_job_that_gave_its_memory_back_in_a_pause_makes_the_same_sky(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    job = store.create(tmp_path / "job", DRAFT).id
    with subprocess.Popen(
        _command("stdio"), cwd=ROOT, env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def send(*kinds: str) -> None:
            assert child.stdin is not None
            for kind in kinds:
                command = Command(type=kind, job=job if kind == "generate" else "")
                child.stdin.write(command.to_line().encode() + b"\n")
            child.stdin.flush()

        send("generate")
        queues, paused = [], False
        for line in child.stdout:
            event = Event.from_line(line.decode())
            if event.type == "preview" and not paused:
                paused = True
                send("pause", "unload")
            if event.type == "accepted" and not event.job:  # the memory is free
                send("resume")
            if event.type == "queue":
                queues.append((event.data["running"] == job, event.data["waiting"] == [job], event.data["paused"]))
            if event.type in ("done", "failed"):
                assert event.type == "done", event
                break
        child.stdin.close()
        assert child.wait(60) == 0
    assert (False, True, True) in queues  # it was out of the engine
    assert (Path(job) / "sky.mp4").read_bytes() == (made[0] / "sky.mp4").read_bytes()


def test_evaluate_measures_the_result(made: tuple[Path, dict[str, Any]]) -> None:
    done = subprocess.run(
        _command("evaluate", made[0], "--json"), cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) >= {"seam", "pole", "loop", "motion"}

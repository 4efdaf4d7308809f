"""The engine in a job folder that a stranger prepared: it makes the sky, and touches nothing outside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.jobs import runner, store
from backend.media.video import probe
from backend.pipeline import generate
from tests.backend.test_pipeline import OracleEngine
from tests.backend.test_resume import SMALL, events, interrupt
from tests.unit.test_hostile_checkpoints import with_facts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="makes pipes and links")


def plant(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "checkpoints elsewhere": lambda job, outside: (job / "checkpoint").symlink_to(outside),
    "a file for a folder": lambda job, _: plant(job / "checkpoint", b"no folder"),
    "a movie elsewhere": lambda job, outside: (job / "sky.mp4").symlink_to(outside / "precious"),
    "a movie of nothing": lambda job, _: plant(job / "sky.mp4", bytes(5000)),
    "a record that is a pipe": lambda job, _: os.mkfifo(job / "result.json"),
    "a movie that is a pipe": lambda job, _: os.mkfifo(job / "sky.mp4"),
    "checkpoints of noise": lambda job, _: plant(job / "checkpoint" / "canvas-000001.safetensors", os.urandom(5000)),
    "a segment of noise": lambda job, _: plant(job / "checkpoint" / "segment-00000-00000000.mp4", os.urandom(5000)),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_sky_is_made_all_the_same(tmp_path: Path, trap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.measuring.measured", lambda *_, **__: ())
    monkeypatch.setattr("backend.measuring.text_figures", lambda *_, **__: {})
    outside = tmp_path / "outside"
    plant(outside / "precious", b"precious")
    job = store.create(tmp_path / "job", SMALL)
    TRAPS[trap](job.path, outside)
    last = runner.run(job, generate, lambda _: None, engine=OracleEngine())
    assert last.type == "done", last.data
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"
    assert not any(path.is_symlink() for path in job.path.iterdir())
    assert probe(job.path / "sky.mp4")["frames"] == SMALL.frames
    assert not (job.path / "checkpoint").exists()


@pytest.mark.parametrize(
    "facts",
    [{}, [], {"evaluations": "x", "seconds": {}}, {"evaluations": 1e400, "seconds": {}},
     {"evaluations": 1, "seconds": []}, {"evaluations": 1, "seconds": {"a": float("nan")}}],
    ids=["none", "list", "word", "infinite", "no times", "NaN"],
)  # fmt: skip
def test_facts_that_make_no_sense_are_not_gone_on_from(
    tmp_path: Path, facts: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.measuring.measured", lambda *_, **__: ())
    monkeypatch.setattr("backend.measuring.text_figures", lambda *_, **__: {})
    job = store.create(tmp_path / "job", SMALL)
    interrupt(events(SMALL, job.path), 12)
    saved = list((job.path / "checkpoint").glob("*.safetensors"))
    assert saved
    for path in saved:
        path.write_bytes(with_facts(facts=facts)(path.read_bytes()))
    assert runner.run(job, generate, lambda _: None, engine=OracleEngine()).type == "done"

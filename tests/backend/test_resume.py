"""A job that is ended anywhere and called again gives, bit for bit, what an undisturbed one gives."""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.checkpoints import FOLDER, Pace
from backend.controls import CameraKey, Region
from backend.media.files import begin
from backend.media.stills import write_png
from backend.media.video import VideoWriter
from backend.pipeline import generate
from backend.protocol import METHODS, Event, GenerateRequest
from tests.backend.test_pipeline import OracleEngine

SMALL = GenerateRequest(prompt="anything", width=256, height=128, steps=3, seed=7)
DRAFT = replace(SMALL, measure=False)  # figures take long, and have a test of their own
STEP_WINDOWS, LAST_STEP_WINDOWS = 6, 14  # that the steps of SMALL take; the last heals its own borders


class Always(Pace):
    """Grants every checkpoint."""

    def due(self, size_bytes: int) -> bool:
        return True


class CountingEngine(OracleEngine):
    @property
    def windows(self) -> int:
        return sum(shape[0] for shape, _, _ in self.oracle.calls)


def essence(job: Path) -> tuple[bytes, bytes, bytes, dict[str, Any]]:
    """What must not depend on interruptions."""
    result = json.loads((job / "result.json").read_text())
    kept = {k: v for k, v in result.items() if k not in ("seconds", "peak_memory_mb")}
    light = (job / "light.json").read_bytes() if (job / "light.json").exists() else b""
    return (job / "sky.mp4").read_bytes(), (job / "poster.png").read_bytes(), light, kept


def events(request: GenerateRequest, job: Path, engine: OracleEngine | None = None) -> Generator[Event, None, None]:
    job.mkdir(exist_ok=True)
    yield from generate(request, job, engine=engine or OracleEngine(), pace=Always())


def interrupt(running: Generator[Event, None, None], after: int) -> None:
    """End a job after so many events."""
    for number, _ in enumerate(running, 1):
        if number == after:
            running.close()


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time."""
    monkeypatch.setattr("backend.measuring.measured", lambda *_, **__: ())
    monkeypatch.setattr("backend.measuring.text_figures", lambda *_, **__: {})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    write_png(folder / "still.png", rng.integers(0, 255, (64, 128, 3), np.uint8))
    with VideoWriter(folder / "sky.mp4", 256, 128, 8.0) as video:
        for _ in range(16):
            video.write(rng.integers(0, 255, (128, 256, 3), np.uint8))
    return folder


def cases(files: Path) -> dict[str, GenerateRequest]:
    still, movie = str(files / "still.png"), str(files / "sky.mp4")
    camera = (CameraKey(0, 10.0, 5.0, 60.0),)
    methods = {name: replace(DRAFT, method=name) for name in METHODS}
    return methods | {
        "long": replace(DRAFT, frames=40, loop=False, steps=2),
        "refined": replace(DRAFT, width=512, height=256, steps=4),
        "flat": replace(DRAFT, flat=True, wrap=True, width=320, height=160),
        "flat paper": replace(DRAFT, flat=True, width=320, height=288, method="dynamicscaler"),
        "paper": replace(DRAFT, width=512, height=256, method="dynamicscaler"),
        "image": replace(DRAFT, image=still, motion=0.5, width=512, height=256),
        "edit": replace(DRAFT, source=movie, mask_at=(20.0, 10.0, 30.0)),
        "variation": replace(DRAFT, source=movie, strength=0.6),
        "grown": replace(DRAFT, source=movie, strength=0.7, width=512, height=256),
        "touched up": replace(DRAFT, source=movie, strength=0.2, width=512, height=256, camera=camera),
        "camera": replace(DRAFT, width=512, height=256, camera=camera),
        "regions": replace(DRAFT, regions=(Region(yaw_deg=90.0, pitch_deg=0.0, radius_deg=40.0, prompt="fire"),)),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(cases(Path())))
def test_an_interrupted_job_ends_as_an_undisturbed_one(name: str, tmp_path: Path, files: Path) -> None:
    request = cases(files)[name]
    total = len(list(events(request, tmp_path / "whole")))
    rng = random.Random(name)
    for after in sorted(rng.randrange(1, total - 1) for _ in range(4)):
        interrupt(events(request, tmp_path / "cut"), after)
    list(events(request, tmp_path / "cut"))
    assert essence(tmp_path / "cut") == essence(tmp_path / "whole")
    assert not (tmp_path / "cut" / FOLDER).exists()


def test_the_figures_are_those_of_an_undisturbed_job(tmp_path: Path) -> None:
    total = len(list(events(SMALL, tmp_path / "whole")))
    interrupt(events(SMALL, tmp_path / "cut"), total - 2)
    list(events(SMALL, tmp_path / "cut"))
    assert essence(tmp_path / "cut") == essence(tmp_path / "whole")
    assert essence(tmp_path / "cut")[3]["figures"]["seam"] > 0


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A job that was ended in its last step, with the checkpoints of the two steps before it."""
    job = tmp_path / "job"
    running = events(SMALL, job)
    for event in running:
        if event.type == "phase" and event.data["name"] == "layout" and event.data["done"] > 2 * STEP_WINDOWS:
            break
    running.close()
    assert len(list((job / FOLDER).iterdir())) == 2
    return job


def windows_to_finish(job: Path, request: GenerateRequest = SMALL) -> int:
    """Of the sky, not of the references."""
    engine = CountingEngine()
    list(events(request, job, engine))
    return engine.windows - 5 * request.steps


@pytest.mark.usefixtures("no_figures")
def test_steps_that_were_saved_are_not_done_again(begun: Path) -> None:
    assert windows_to_finish(begun) == LAST_STEP_WINDOWS
    result = json.loads((begun / "result.json").read_text())
    assert result["evaluations"] == 2 * STEP_WINDOWS + LAST_STEP_WINDOWS


def spoil(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "cut":
            del data[len(data) // 2 :]
        case "empty":
            data.clear()
        case "flipped":
            data[-1000] ^= 4
        case "description":
            at = data.index(b"step")
            data[at] ^= 1
        case "huge":
            data[:8] = (2**62).to_bytes(8, "little")
        case "pickle":
            data = bytearray(b"\x80\x04cposix\nsystem\n")
    path.write_bytes(data)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "description", "huge", "pickle"])
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(begun: Path, how: str, both: bool, tmp_path: Path) -> None:
    for path in sorted((begun / FOLDER).iterdir())[0 if both else 1 :]:
        spoil(path, how)
    assert windows_to_finish(begun) == (2 if both else 1) * STEP_WINDOWS + LAST_STEP_WINDOWS
    list(events(SMALL, tmp_path / "whole"))
    assert essence(begun) == essence(tmp_path / "whole")


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("change", [{"seed": 8}, {"prompt": "else"}, {"steps": 4}])
def test_a_checkpoint_of_another_request_is_not_used(begun: Path, change: dict[str, Any], tmp_path: Path) -> None:
    other = replace(SMALL, **change)
    assert windows_to_finish(begun, other) == (other.steps - 1) * STEP_WINDOWS + LAST_STEP_WINDOWS
    list(events(other, tmp_path / "whole"))
    assert essence(begun) == essence(tmp_path / "whole")


@pytest.mark.usefixtures("no_figures")
def test_a_checkpoint_is_not_used_once_an_input_has_changed(tmp_path: Path, files: Path) -> None:
    picture = tmp_path / "still.png"
    picture.write_bytes((files / "still.png").read_bytes())
    request = replace(SMALL, image=str(picture))
    total = len(list(events(request, tmp_path / "first")))
    interrupt(events(request, tmp_path / "cut"), total // 2)
    write_png(picture, np.full((64, 128, 3), 90, np.uint8))
    list(events(request, tmp_path / "cut"))
    list(events(request, tmp_path / "whole"))
    assert essence(tmp_path / "cut") == essence(tmp_path / "whole")
    assert essence(tmp_path / "cut") != essence(tmp_path / "first")


@pytest.mark.usefixtures("no_figures")
def test_segments_of_the_movie_are_not_made_again_unless_damaged(tmp_path: Path) -> None:
    request = replace(SMALL, frames=40, loop=False, steps=1)
    list(events(request, tmp_path / "whole"))

    def cut(job: Path) -> list[Path]:
        running = events(request, job)
        next(e for e in running if e.type == "phase" and e.data["name"] == "decode" and e.data["done"] > 7)
        running.close()
        return sorted((job / FOLDER).glob("segment-*.mp4"))

    parts = cut(tmp_path / "cut")
    assert len(parts) >= 3
    parts[1].write_bytes(parts[1].read_bytes()[:-1])
    done = [e.data["total"] for e in events(request, tmp_path / "cut") if e.data.get("name") == "decode"]
    assert done[-1] == 8  # blocks of four frames: the four segments after the first
    assert essence(tmp_path / "cut") == essence(tmp_path / "whole")


def test_what_a_killed_writer_left_goes_at_the_next_start(begun: Path) -> None:
    left = [begin(begun / "poster.png"), begin(begun / FOLDER / "sky-000009.safetensors")]
    next(events(SMALL, begun))
    assert not any(path.exists() for path in left)


@pytest.mark.usefixtures("no_figures")
def test_a_job_that_the_system_ended_for_want_of_memory_goes_on_with_less(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (begun / ".memory").write_text("3")  # as a killed process leaves it
    engine = CountingEngine()
    monkeypatch.setattr("backend.memory.out_of_memory_kills", lambda: 10**9)
    list(events(SMALL, begun, engine))
    assert {shape[0] for shape, _, _ in engine.oracle.calls} == {1}
    assert (begun / "sky.mp4").is_file()
    assert not (begun / ".memory").exists()


def test_checkpoints_take_their_share_of_the_time() -> None:
    now_s = 0.0
    pace = Pace(share=0.02, now=lambda: now_s)
    size, granted = 1 << 20, 0
    for _ in range(1000):
        now_s += 1.0  # a step
        if pace.due(size):
            granted += 1
            with pace.taking(size):
                now_s += 0.5
    assert granted == pytest.approx(0.02 * now_s / 0.5, abs=1)

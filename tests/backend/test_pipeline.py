"""The whole method on a model that costs nothing: sizes, lengths, shapes, seeds, cancelling, and the folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.commands.progress import Progress
from backend.engine import Engine
from backend.media.stills import read_image
from backend.media.video import probe, read_frames
from backend.methods.skyloop import plan as stages_of
from backend.models.memory_plan import Plan, Rung
from backend.models.sparing import Sparing
from backend.pipeline import generate
from backend.protocol import Event, GenerateRequest, SkyloopError
from backend.sizes import REFINE_SIGMA, refine_levels
from tests.oracle import SPEC, Oracle

SMALL = GenerateRequest(prompt="anything", width=256, height=128, steps=4, seed=7)
DRAFT = replace(SMALL, measure=False)  # figures take long


class OracleEngine(Engine):
    """The engine with an oracle loaded."""

    def __init__(self, window_batch: int = 6) -> None:
        super().__init__()
        self.oracle = Oracle(window_batch=window_batch)

    def model(self, model_id: str, device: str, loras: Any = ()) -> Oracle:
        return self.oracle


Make = Callable[..., tuple[list[Event], Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(request: GenerateRequest, window_batch: int = 6) -> tuple[list[Event], Path]:
        job = tmp_path / f"job{len(list(tmp_path.iterdir()))}"
        job.mkdir()
        return list(generate(request, job, engine=OracleEngine(window_batch))), job

    return run


def pixels(job: Path) -> np.ndarray:
    return np.stack(list(read_frames(job / "sky.mp4")))


def test_the_folder_holds_the_result_and_nothing_half_made(make: Make) -> None:
    events, job = make(SMALL)
    assert {f.name for f in job.iterdir()} == {"sky.mp4", "poster.png", "light.json", "preview.png", "result.json"}
    result = json.loads((job / "result.json").read_text())
    assert events[-1].type == "done"
    assert events[-1].data["result"] == result
    assert result["request"] == SMALL.to_json()
    assert {"seam", "loop", "detail", "motion"} <= set(result["figures"])
    assert set(result["seconds"]) == {"load", "layout", "checkpoint", "preview", "decode", "light", "measure"}
    about = probe(job / "sky.mp4")
    assert (about["width"], about["height"], about["frames"], about["fps"]) == (256, 128, 16, 8.0)
    assert read_image(job / "poster.png").shape == (128, 256, 3)


def test_how_the_model_was_laid_out_is_told_at_the_start_and_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = OracleEngine()
    chosen = Plan(rung=Rung.FP8_LEAVES, window_batch=6, device_bytes=9_060_000_000, host_bytes=0)
    assert list(generate(SMALL, tmp_path, engine=engine))[-1].data["result"]["plan"] == {}
    crowded, limit = engine.oracle.predict, 3

    def predict(x: Any, *rest: Any) -> Any:
        if len(x) > limit:
            raise MemoryError
        return crowded(x, *rest)

    monkeypatch.setattr(engine.oracle, "predict", predict)
    monkeypatch.setattr(engine.oracle, "plan", chosen, raising=False)
    monkeypatch.setattr(engine, "model", lambda *_: Sparing(engine.oracle))
    show = Progress(sys.stderr)
    for event in generate(replace(SMALL, measure=False), tmp_path, engine=engine):
        show(event)
    assert "skyloop: Load: fp8 leaves, 6 windows at once, about 9.1 GB\n" in capsys.readouterr().err
    plan = json.loads((tmp_path / "result.json").read_text())["plan"]
    assert plan == chosen.to_json() | {"window_batch": limit}, "as it went on after memory ran out"
    assert set(plan) == {"rung", "window_batch", "together", "clip_cells", "device_gb", "host_gb"}


def test_evaluations_are_what_the_model_was_asked(make: Make, tmp_path: Path) -> None:
    engine = OracleEngine()
    result = list(generate(SMALL, tmp_path, engine=engine))[-1].data["result"]
    windows = sum(shape[0] for shape, _, _ in engine.oracle.calls)
    assert result["evaluations"] == windows - 5 * SMALL.steps  # five reference windows are not part of the method


def test_a_draft_has_no_figures(make: Make) -> None:
    events, job = make(replace(SMALL, measure=False))
    _, measured = make(SMALL)
    assert events[-1].data["result"]["figures"] == {}
    assert "measure" not in {e.data.get("name") for e in events}
    assert (job / "sky.mp4").read_bytes() == (measured / "sky.mp4").read_bytes()


@pytest.mark.parametrize(
    ("frames", "loop", "measure"),
    [(1, True, True), (8, True, False), (24, True, False), (40, True, False), (5, False, True), (20, False, False)],
)
def test_any_length(make: Make, frames: int, loop: bool, measure: bool) -> None:
    """The shortest have figures, too."""
    _, job = make(replace(SMALL, frames=frames, loop=loop, measure=measure))
    assert len(pixels(job)) == frames


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("size", [(128, 128), (400, 144), (144, 400), (640, 256)])
def test_flat_panoramas_of_any_shape(make: Make, size: tuple[int, int], wrap: bool) -> None:
    """A wide one and the narrowest one have figures, too."""
    measure = (size, wrap) in (((400, 144), True), ((144, 400), False))
    _, job = make(replace(SMALL, width=size[0], height=size[1], flat=True, wrap=wrap, measure=measure))
    assert pixels(job).shape[1:] == (size[1], size[0], 3)


def test_the_batch_does_not_change_the_result(make: Make) -> None:
    assert np.array_equal(pixels(make(DRAFT, window_batch=1)[1]), pixels(make(DRAFT, window_batch=50)[1]))


def test_the_seed_decides(make: Make) -> None:
    first, again, other = (pixels(make(replace(DRAFT, seed=s))[1]) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_larger_sizes_start_small() -> None:
    """Each stage at most doubles the one before, and the last has about a cell for each eight pixels."""
    for width in (256, 512, 1024, 2048, 4096, 8192):
        for fov in (40.0, 60.0, 90.0, 110.0):
            stages = stages_of(replace(SMALL, width=width, height=width // 2, fov_deg=fov), SPEC)
            columns = [charts[0].columns for charts in stages]
            assert columns[-1] >= width / 8 / 1.25
            assert all(a < b <= 3 * a for a, b in zip(columns, columns[1:], strict=False))
            assert all(c.rows >= 16 and c.columns >= 16 for charts in stages for c in charts)


def test_a_schedule_is_entered_where_it_is_promised() -> None:
    for steps in (4, 12, 30):
        levels = refine_levels(Oracle().sigmas, steps)
        assert levels[0] == REFINE_SIGMA
        assert levels[-1] == 0
        assert len(levels) == max(2, round(steps / 4)) + 1
        assert all(a > b for a, b in zip(levels, levels[1:], strict=False))


def test_cancelling_leaves_no_movie(tmp_path: Path) -> None:
    for stop_at in ("layout", "decode"):
        job = tmp_path / stop_at
        job.mkdir()
        events = generate(SMALL, job, engine=OracleEngine())
        for event in events:
            if event.type == "phase" and event.data["name"] == stop_at and event.data["done"] > 1:
                break
        events.close()
        assert {f.name for f in job.iterdir()} <= {"preview.png", "poster.png", "checkpoint"}


def test_progress_never_goes_back(make: Make) -> None:
    events, _ = make(replace(SMALL, width=1024, height=512))
    order, latest = [], -1
    for event in events:
        if event.type == "phase":
            name, done, total = event.data["name"], event.data["done"], event.data["total"]
            if not order or order[-1] != name:
                assert name not in order
                order.append(name)
                latest = -1
            assert latest <= done <= total
            latest = done
    assert order == ["load", "layout", "upsample", "refine", "decode", "light", "measure"]


def test_a_bad_request_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SkyloopError, match="twice as wide"):
        next(generate(replace(SMALL, width=300), tmp_path, engine=OracleEngine()))
    assert not list(tmp_path.iterdir())

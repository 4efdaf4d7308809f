"""What measures: that it measures what it says, goes on where a part fails, and keeps what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.bench import foundation, gauges, memory, parts, sides
from backend.bench.anywhere import ROOT, engine_over_bare, evaluations
from backend.bench.networks import MODELS, built
from backend.bench.report import markdown
from backend.bench.subject import bare, sizes_of, subject
from backend.conditioning import Prompts
from backend.methods import method
from backend.models import loading
from backend.models.base import View
from backend.models.catalogue import entry
from backend.models.memory_plan import Plan, Rung, choose
from tests.oracle import Oracle

CPU = torch.device("cpu")
BENCH = parts.Bench(CPU, True, float("inf"))


def test_networks_are_as_large_as_the_published_ones() -> None:
    """Of the denoisers, in billions, as counted from the published configurations."""
    counted = {"wan-1.3b": 1.419, "wan-5b": 5.0, "wan-14b": 14.288, "ltx-2b": 1.923, "animatediff": 1.313, "svd": 1.525,
               "videocrafter": 1.411}  # fmt: skip
    for name, billions in counted.items():
        network = next(iter(MODELS[name].parts.values()))
        made = built(network.where, network.config, torch.float32, torch.device("meta"))
        assert sum(p.numel() for p in made.parameters()) / 1e9 == pytest.approx(billions, abs=0.001)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_of_random_weights_answers_like_any_other(name: str) -> None:
    found = subject(name, CPU, tiny=True)
    spec = found.model.spec
    out = bare(found, 1, spec.frames, guided=found.guided)()
    assert out.shape == (2 if found.guided else 1, spec.channels, spec.frames, spec.cells, spec.cells)
    assert bool(out.isfinite().all())
    assert sizes_of(name, CPU, tiny=True).denoiser == sum(
        t.numel() * t.element_size() for t in (*found.denoiser.parameters(), *found.denoiser.buffers())
    )


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"videocrafter"}))
def test_there_is_a_layout_for_the_smallest_card_of_the_catalogue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.placement, "compute_dtype", lambda _: torch.bfloat16)
    memory, sizes = entry(MODELS[name].id).memory, sizes_of(name, CPU, tiny=False)
    assert choose(sizes, int(1e9 * memory.min_gb), int(1e9 * memory.host_gb))
    plan = choose(sizes, int(1e9 * memory.comfortable_gb), int(1e9 * memory.host_gb))
    assert plan and plan.rung in (Rung.RESIDENT, Rung.SWAPPED)


def test_weights_that_are_drawn_quickly_are_as_large_as_those_that_are_not() -> None:
    network = MODELS["wan-1.3b"].parts["transformer"]
    slow, quick = (
        built(network.where, {**network.config, **network.tiny}, torch.float32, CPU, quick=quick)
        for quick in (False, True)
    )
    for (name, a), (_, b) in zip(slow.named_parameters(), quick.named_parameters(), strict=True):
        assert a.shape == b.shape and bool(b.isfinite().all())
        if name.endswith("ffn.net.0.proj.weight"):
            assert float(b.std()) == pytest.approx(float(a.std()), rel=0.1)


def test_what_is_found_is_kept_and_a_part_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_: Any, __: str) -> Iterator[dict[str, Any]]:
        yield {"width": 1, "peak_mb": 1000.0}
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setitem(foundation.PARTS, "peak", failing)
    out = tmp_path / "found.json"
    arguments = ["wan-1.3b", "--tiny", "--device", "cpu", "--out", str(out)]
    assert foundation.main([*arguments, "--parts", "peak,engine"]) == 1
    found = json.loads(out.read_text())["found"]
    assert [(f["part"], "failed" in f) for f in found] == [
        ("rate", False), ("peak", False), ("peak", True), ("engine", False)
    ]  # fmt: skip
    monkeypatch.setitem(foundation.PARTS, "peak", lambda *_: iter([{"width": 2, "peak_mb": 2000.0}]))
    assert foundation.main([*arguments, "--parts", "peak"]) == 0
    found = json.loads(out.read_text())["found"]
    assert sorted(f["part"] for f in found) == ["engine", "peak", "rate"]
    capsys.readouterr()
    assert foundation.main(["--report", str(out)]) == 0
    report = capsys.readouterr().out
    assert "**Memory at several sizes**" in report and "| wan-1.3b | 2 |" in report and "2.00" in report


# As on a machine that has neither; a library that wants to know whether they are there asks in its own way.
HIDDEN = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ("av", "cv2") else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from backend.bench import foundation
assert type(sys.modules["av"]) is type(sys) and not hasattr(sys.modules["av"], "__version__")
sys.exit(foundation.main(sys.argv[1:]))
"""


def test_it_runs_where_nothing_reads_films(tmp_path: Path) -> None:
    arguments = ["ltx-2b", "--tiny", "--parts", "engine", "--device", "cpu", "--out", str(tmp_path / "found.json")]
    done = subprocess.run([sys.executable, "-c", HIDDEN, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "engine ltx-2b: " in done.stdout


def test_a_card_is_taken_with_and_without_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = ["cuda", "cuda:1", "cpu", None]
    assert [str(foundation.device_of(name)) for name in asked] == ["cuda:2", "cuda:1", "cpu", "cuda:2"]


def test_nothing_is_begun_when_time_is_up(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert foundation.main(["wan-1.3b", "--tiny", "--minutes", "0", "--out", str(out)]) == 0
    assert not out.exists()


def test_every_layout_that_a_limit_may_ask_for_completes() -> None:
    found = list(memory.limits(BENCH, "wan-1.3b"))
    assert [f["rung"] for f in found] == ["leaves", "blocks", "swapped", "resident"]
    assert all(f["completed"] for f in found)


def test_every_rung_completes_in_its_turn() -> None:
    found = list(memory.rungs(BENCH, "wan-1.3b"))
    assert [f["rung"] for f in found] == ["resident", "swapped", "blocks", "leaves", "fp8", "fp8_leaves"]
    assert all(f["completed"] and not f["went_down_to"] for f in found), found


def test_what_our_method_evaluates_is_counted_exactly() -> None:
    found = subject("videocrafter", CPU, tiny=True, plan=Plan(
        rung=Rung.RESIDENT, window_batch=4, device_bytes=0, host_bytes=0))  # fmt: skip
    task = sides._task(found.model, found, 16, BENCH)
    counted = sum(p.evaluations for p in method("skyloop")(task))
    assert sides.evaluations(task) == counted


def test_one_branch_after_the_other_is_what_both_together_are() -> None:
    found = subject("videocrafter", CPU, tiny=True)
    spec = found.model.spec
    x = torch.randn(1, spec.channels, spec.frames, spec.cells, spec.cells)
    view = View(0.0, 1.5, 0.125)
    args = x, 0.6, [view], found.prompts.encoded, found.prompts.negative, 7.0
    a, b = found.model.predict(*args), sides.InTurn(found).predict(*args)
    # Processors differ in how they sum up two at once and one: beyond that, nothing may differ.
    assert float((a - b).norm() / a.norm()) < 1e-3


def test_operations_are_counted() -> None:
    a = torch.randn(64, 32)
    assert gauges.operations(lambda: a @ a.T) == 2 * 64 * 64 * 32


def test_the_engine_is_set_against_the_bare_model() -> None:
    found = engine_over_bare(Oracle(), Prompts(["a"], ""))
    assert found["engine_over_bare"] == pytest.approx(found["engine_s"] / found["bare_s"])
    assert evaluations("builtin")["skyloop"] < evaluations("builtin")["dynamicscaler"]


def test_an_unknown_model_is_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backend", "bench", "--model", "nothing"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "nothing" in done.stderr


def test_markdown_has_no_empty_columns() -> None:
    document = {"device": "a card", "versions": {"torch": "2"}, "found": [
        {"part": "engine", "name": "wan-1.3b", "ratio": 1.02, "engine_s": 2.0, "bare_s": 1.96}]}  # fmt: skip
    text = markdown(document)
    assert "| model | engine s | bare s | ratio |" in text and "| wan-1.3b | 2.00 | 1.96 | 1.020 |" in text

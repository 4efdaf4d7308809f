"""The suite: what it makes, that it goes on where it ended, what the figures come to, and its page."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest

from backend import commands
from backend.commands import evaluate
from backend.evaluation import document, embeds, html, plots, references, report, scorers, suite, summary
from backend.evaluation.views import ALL_ROUND
from backend.jobs import store
from backend.media.video import VideoWriter
from backend.protocol import METHODS, Event, SkyloopError
from backend.training import captions
from tests.backend.test_pipeline import OracleEngine

SMALL = suite.Settings(
    prompts=("clear sky", "<b>storm</b> & lightning"), seeds=1, methods=("skyloop", "independent"), steps=(2,),
    width=256, height=128, frames=4,
)  # fmt: skip


def quiet(_tally: suite.Tally, _event: Event | None) -> None:
    pass


class CountingEngine(OracleEngine):
    """An oracle that fails for texts with a word in them."""

    bad_word = ""

    def model(self, model_id: str, device: str, loras: Any = ()) -> Any:
        model = super().model(model_id, device)
        encode = type(model).encode_text

        def encode_text(texts: Any) -> Any:
            if self.bad_word and any(self.bad_word in text for text in texts):
                raise RuntimeError("CUDA out of memory")
            return encode(model, texts)

        model.encode_text = encode_text  # type: ignore[method-assign]
        return model


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all skies of ``SMALL``."""
    folder = tmp_path_factory.mktemp("suite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references, "SEEDS", (0,))
        assert suite.run(SMALL, folder, quiet, make_engine=lambda threads: OracleEngine()) == {}
    return folder


@pytest.fixture
def one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "SEEDS", (0,))


def test_the_plan_has_a_job_for_every_combination(tmp_path: Path) -> None:
    tasks = suite.Settings(prompts=("a", "b"), seeds=3, steps=(8, 30)).skies(tmp_path)
    assert len({task.job for task in tasks}) == len(tasks) == 2 * 3 * 2 * len(METHODS)
    assert tmp_path / "jobs" / "skyloop-s30-02-seed3" in {task.job for task in tasks}
    named = next(task for task in tasks if task.name == "skyloop-s30-02-seed3").request
    assert (named.method, named.steps, named.prompt, named.seed) == ("skyloop", 30, "b", 3)


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"methods": ("magic",)}, "'magic'"), ({"steps": (1000,)}, "steps 1000"), ({"seeds": 0}, "seeds 0"),
     ({"width": 300}, "twice as wide"), ({"frames": 0}, "frames 0"), ({"device": "abacus"}, "abacus")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(SkyloopError, match=named):
        suite.Settings(**{"prompts": ("a",), **changed}).skies(tmp_path)


def test_the_builtin_prompts_are_twenty_in_words_that_the_model_learnt() -> None:
    prompts = suite.read_prompts(suite.PROMPTS)
    assert len(prompts) == 20
    tables = (captions.SKIES, captions.TIMES, captions.GROUNDS, captions.RIDGES, captions.WEATHERS, captions.FEATURES,
              captions.HUES)  # fmt: skip
    phrases = [phrase for table in tables for values in table.values() for phrase in values]
    known = {word for phrase in phrases for word in re.findall(r"\w+", phrase)}
    known |= {"over", "with", "under", "above", "at", "in", "sun", "rays"}  # joins, and the README's own prompt
    assert {word for prompt in prompts for word in re.findall(r"\w+", prompt)} <= known


def test_prompts_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeff# ours\n\n sea \nsky over 海\nsea\n".encode())
    assert suite.read_prompts(path) == ("sea", "sky over 海")


@pytest.mark.parametrize("content", [b"# nothing\n\n", b"\xff\xfe\xfa", None], ids=["empty", "binary", "missing"])
def test_a_file_without_prompts_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SkyloopError, match="prompts.txt"):
        suite.read_prompts(path)


def test_every_sky_is_a_finished_job_measured_by_references_that_it_shares(finished: Path) -> None:
    jobs = {path.name for path in (finished / "jobs").iterdir()}
    assert jobs == {f"{m}-s2-0{p}-seed1" for m in ("skyloop", "independent") for p in (1, 2)}
    for name in jobs:
        result = json.loads((finished / "jobs" / name / "result.json").read_text(encoding="utf-8"))
        assert {"seam", "loop", "detail", "motion_ratio", "detail_by_view"} <= set(result["figures"])
        assert not {part.name for part in (finished / "jobs" / name).iterdir() if part.name.startswith(".")}
    assert {path.name for path in (finished / "references").iterdir()} == {"01.npz", "02.npz"}
    views = references.load(finished / "references" / "01.npz")
    assert {view.pitch_deg for view in views} == {-90, -45, 0, 45, 90}
    assert all(view.frames.shape == (16, 128, 128, 3) for view in views)
    assert {round(view.fov_deg) for view in views} == {90}


@pytest.mark.usefixtures("one_seed")
def test_what_is_finished_is_not_made_again(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}

    def no_engine(threads: int) -> Any:
        pytest.fail("there is nothing to do")

    assert suite.run(SMALL, finished, quiet, make_engine=no_engine) == {}
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.usefixtures("one_seed")
def test_ctrl_c_keeps_what_is_finished_and_the_next_run_makes_the_rest(tmp_path: Path) -> None:
    settings = suite.Settings(**{**vars(SMALL), "prompts": ("clear sky",)})

    def stop(tally: suite.Tally, event: Event | None) -> None:
        if tally.name == "skies" and tally.done == 1 and event:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        suite.run(settings, tmp_path, stop, make_engine=lambda threads: OracleEngine())
    done = [task.name for task in settings.skies(tmp_path) if suite.finished(task)]
    assert done == ["skyloop-s2-01-seed1"]
    assert [path.name for path in (tmp_path / "jobs").glob("*/.skyloop-*")] == []
    made: list[str] = []

    def note(tally: suite.Tally, event: Event | None) -> None:
        if event is None:
            made.append(f"{tally.name} {tally.done} of {tally.total}")

    assert suite.run(settings, tmp_path, note, make_engine=lambda threads: OracleEngine()) == {}
    assert made == ["skies 0 of 1", "skies 1 of 1"]


@pytest.mark.usefixtures("one_seed")
def test_a_failed_sky_is_told_and_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = suite.Settings(**{**vars(SMALL), "methods": ("skyloop",), "prompts": ("bad luck", "clear sky")})
    monkeypatch.setattr(CountingEngine, "bad_word", "luck")
    failures = suite.run(settings, tmp_path, quiet, make_engine=lambda threads: CountingEngine())
    assert set(failures) == {"skyloop-s2-01-seed1"}  # not even begun, since the prompt has no references
    assert failures["skyloop-s2-01-seed1"]["kind"] == "out_of_memory"
    found = document.document(settings, tmp_path, failures)
    assert [("error" in sky, "figures" in sky) for sky in found["skies"]] == [(True, False), (False, True)]
    assert (found["groups"][0]["asked"], found["groups"][0]["skies"]) == (2, 1)
    assert "skyloop-s2-01-seed1" in html.page(found, tmp_path)


def test_a_folder_is_for_one_suite_at_a_time(tmp_path: Path) -> None:
    with store.Job(tmp_path, "").locked(), pytest.raises(SkyloopError, match="at work"):
        suite.run(SMALL, tmp_path, quiet, make_engine=lambda threads: OracleEngine())


def test_another_request_of_the_same_name_is_made_anew(finished: Path) -> None:
    changed = suite.Settings(**{**vars(SMALL), "frames": 5})
    assert all(suite.finished(task) for task in SMALL.skies(finished))
    assert not any(suite.finished(task) for task in changed.skies(finished))


Command = Callable[..., int]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_seed: None) -> Command:
    """``python3 -m backend evaluate --suite`` on ``SMALL`` in a folder, with the oracle; returns the exit code."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(SMALL.prompts), encoding="utf-8")
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's own handlers stay
    monkeypatch.setattr(evaluate, "enter_runtime", lambda argv: None)
    monkeypatch.setattr(suite, "_engine", lambda threads: CountingEngine())
    options = f"--seeds 1 --steps 2 --size 256x128 --frames 4 --methods {','.join(SMALL.methods)}".split()

    def run(folder: Path, *more: str) -> int:
        return commands.main(["evaluate", "--suite", "--out", str(folder), "--prompts", str(prompts), *options, *more])

    return run


def test_the_command_prints_the_tables_and_where_the_page_is(
    command: Command, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(finished) == 0
    out = capsys.readouterr().out
    assert "| seam |" in out
    assert out.splitlines()[-1] == str(finished / "report.html")
    assert command(finished, "--json", "--report-only") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((finished / "suite.json").read_text(encoding="utf-8"))


def test_the_command_begins_no_sky_when_its_minutes_are_over(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "out", "--minutes", "1e-9") == 0
    assert not (tmp_path / "out" / "jobs").exists()
    assert "0 of 4 skies" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def oracle_engine(threads: int) -> OracleEngine:
    assert threads > 0
    return OracleEngine()


@pytest.mark.usefixtures("one_seed")
def test_skies_are_made_in_other_processes_too(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "references", tmp_path / "references")
    assert suite.run(SMALL, tmp_path, quiet, workers=2, make_engine=oracle_engine) == {}
    for task in SMALL.skies(tmp_path):
        here, there = tmp_path / "jobs" / task.name, finished / "jobs" / task.name
        assert (here / "sky.mp4").read_bytes() == (there / "sky.mp4").read_bytes()


def test_the_command_fails_in_one_line_after_the_report_when_a_sky_failed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CountingEngine, "bad_word", "s")
    assert command(tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "4 of 4 skies failed" in said.err.splitlines()[-1]
    assert "out of memory" in said.err.splitlines()[-1]
    assert "No sky is finished" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_command_writes_a_page_on_one_sky(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(evaluate, "enter_runtime", lambda argv: None)
    job = finished / "jobs" / "skyloop-s2-01-seed1"
    assert commands.main(["evaluate", str(job), "--html", str(tmp_path / "sky.html")]) == 0
    assert "seam" in capsys.readouterr().out
    page = Page((tmp_path / "sky.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert (page.tags.count("video"), page.tags.count("img")) == (1, 1)


def test_the_time_left_is_that_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = suite.Tally("skies", 10, started_s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: 400.0)
    assert str(tally) == "Skies: 0 of 10"
    tally.done = 4
    tally.failed = 1
    assert str(tally) == "Skies: 4 of 10, 1 failed, 0:07:30 left"


FIGURES = {
    "seam": 1.0, "pole": {"zenith": 2.0, "nadir": 0.5}, "motion_islands": [[0.0, 45.0]], "loop_color": 0.5,
    "motion_by_view": [[0.0, 0.0, 3.0]], "detail": 0.5, "detail_by_view": [[0.0, 0.0, 0.5], [60.0, 0.0, 1.0]],
}  # fmt: skip


def test_ratios_are_averaged_as_logarithms_and_the_rest_as_they_are() -> None:
    other = {**FIGURES, "detail": 2.0, "loop_color": 1.5, "detail_by_view": [[0.0, 0.0, 2.0], [60.0, 0.0, 1.0]]}
    common = {"evaluations": 10, "seconds": {"layout": 1.0}, "peak_memory_mb": {"host": 5}}
    found = summary.group([{"figures": FIGURES, **common}, {"figures": other, **common, "evaluations": 20}], 1024)
    figures = found["figures"]
    assert figures["detail"]["mean"] == 1
    assert (figures["detail"]["low"], figures["detail"]["high"]) == (0.5, 2)
    assert figures["loop_color"]["mean"] == 1
    assert figures["pole.nadir"]["mean"] == 0.5
    assert figures["motion_islands"]["mean"] == 1
    assert "motion_by_view" not in figures
    assert found["views"] == {"detail_by_view": [[0, 0, 1, 0.5, 2], [60, 0, 1, 1, 1]]}
    assert found["evaluations"] == 15
    assert found["seconds"] == {"layout": 1}


def test_the_verdict_is_of_the_mean_and_the_share_of_single_skies() -> None:
    group = summary.group([{"figures": {"detail": value}} for value in (0.5, 2.0, 1.0, 1.05)], 1024)
    detail = group["figures"]["detail"]
    assert detail["verdict"] is True
    assert detail["inside"] == 0.5
    assert summary.group([{"figures": {"detail": 0.5}}], 1024)["figures"]["detail"]["verdict"] is False
    assert "verdict" not in summary.group([{"figures": {"motion": 0.5}}], 1024)["figures"]["motion"]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag == "text"]


def test_a_dot_stands_where_its_value_is() -> None:
    group = {"method": "a<b", "steps": 8, "figures": {"seam": {"mean": 2.0, "low": 1.0, "high": 4.0, "n": 3}}}
    svg = plots.dot_plot("seam", [group], "seam", [8], logarithmic=True)
    root = ElementTree.fromstring(svg)
    circle = next(element for element in root.iter("circle"))
    line = next(element for element in root.iter("line") if "class" not in element.attrib)
    x1, x2, x = (float(e) for e in (line.attrib["x1"], line.attrib["x2"], circle.attrib["cx"]))
    assert x == pytest.approx((x1 + x2) / 2, abs=0.1)  # on a logarithmic axis 2 is half way from 1 to 4
    assert "a<b" in texts(svg)
    assert plots.dot_plot("loop", [group], "loop", [8]) == ""


def test_axes_have_room_and_ticks_inside() -> None:
    for values in ([0.0], [5.0, 5.0], [-3.0, 1e6], [0.001, 0.002]):
        axis = plots.Axis.around(values, None, False)
        assert all(axis(axis.low) <= axis(one) <= axis(axis.high) for one in values)
        assert 1 <= len(axis.ticks()) <= 8
        assert all(axis.low <= tick <= axis.high for tick in axis.ticks())


def test_the_map_rings_views_outside_the_band() -> None:
    svg = plots.view_map("t", [[0, 0, 1.0, 0.9, 1.1], [180, 45, 0.5, 0.4, 0.6], [0, -90, 0.89, 0.8, 0.9]], (0.9, 1.1))
    assert svg.count('class="out"') == 2
    assert "0.50" in texts(svg)
    assert plots.diverging(1.0) == "#ffffff"
    assert plots.diverging(0.1) == plots.diverging(0.5) != plots.diverging(2.0)


class Page(HTMLParser):
    """Counts what opens and closes, and collects what the page refers to."""

    void = frozenset({"meta", "input", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)  # closes itself, as parts of a drawing do

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_whole_page_that_needs_nothing_else(finished: Path, tmp_path: Path) -> None:
    found = document.document(SMALL, finished, {}, (), "python3 -m backend evaluate --suite")
    events: list[Event] = []
    document.write(found, finished, events.append)
    assert [event.data["done"] for event in events] == [0, 1, 2]
    text = (finished / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.sources
    assert all(source.startswith("data:") for source in page.sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert page.tags.count("video") == 4  # two methods, two prompts
    assert page.tags.count("img") == 2
    assert page.tags.count("b") == text.count('<b class="')  # a prompt with markup in it stays text
    assert "script" not in page.tags
    assert "python3 -m backend evaluate --suite" in text
    assert len(text) < html.PAGE_BYTES
    assert json.loads((finished / "suite.json").read_text(encoding="utf-8")) == found
    for group in found["groups"]:
        for name, figure in group["figures"].items():
            if "_by_" not in name:
                assert f"{figure['mean']:.3g}" in text


def test_the_markdown_has_a_row_a_figure_and_a_column_a_method(finished: Path) -> None:
    found = document.document(SMALL, finished, {})
    lines = report.markdown(found).splitlines()
    header = next(line for line in lines if line.startswith("| figure"))
    assert header == "| figure | band | skyloop (2) | independent (2) |"
    for row in (line for line in lines if line.startswith("| ")):
        assert row.endswith(" |")
    seam = next(line for line in lines if line.startswith("| seam |"))
    mean = found["groups"][0]["figures"]["seam"]["mean"]
    assert f"| {mean:.3g} (" in seam
    views = next(line for line in lines if line.startswith("| method | 0, 0 |"))
    assert views.count("|") == len(ALL_ROUND) + 2
    cost = next(line for line in lines if line.startswith("| independent |"))
    ratio = found["groups"][1]["evaluations"] / found["groups"][0]["evaluations"]
    assert f"({ratio:.2g}x)" in cost


def test_views_outside_their_band_are_counted_and_bold() -> None:
    views = [[0, 0, 1.0, 1, 1], [60, 0, 0.89, 1, 1], [120, 0, 1.12, 1, 1]]
    assert report.view_span("detail_by_view", views) == "0.89 to 1.12, 1 of 3 pass"
    assert report.view_span("motion_ratio_by_view", views) == "0.89 to 1.12, 3 of 3 pass"


def movie(path: Path, frames: int = 20) -> Path:
    """A sky, blue above and green below, with a white dot that moves."""
    with VideoWriter(path, 256, 128, 8.0, frames) as video:
        for i in range(frames):
            picture = np.zeros((128, 256, 3), np.uint8)
            picture[:64], picture[64:] = (20, 40, 230), (20, 200, 40)
            cv2.circle(picture, (20 + 8 * i, 60), 6, (255, 255, 255), -1)
            video.write(picture)
    return path


def test_pictures_fit_their_budget(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    for most in (20_000, 200_000):
        uri = embeds.jpeg_uri(noise, most)
        assert uri.startswith("data:image/jpeg;base64,")
        assert len(uri) <= most + 30
    cell = embeds.sky_cell(movie(tmp_path / "sky.mp4"), "sky over 海")
    assert embeds.grid([cell] * 3).shape[0] == 2 * (cell.shape[0] + 6)
    up = cell[40:, -100:].mean(axis=(0, 1))
    assert up[2] > 180 > 80 > up[1]  # the view up is blue


def test_a_clip_plays(tmp_path: Path) -> None:
    import base64
    import io

    data = base64.b64decode(embeds.clip_uri(movie(tmp_path / "sky.mp4")).partition(",")[2])
    with av.open(io.BytesIO(data), "r") as clip:
        frames = list(clip.decode(video=0))
        assert (len(frames), frames[0].width, frames[0].height) == (20, 384, 192)
        assert clip.streams.video[0].codec_context.pix_fmt == "yuv420p"


SCORER = """
def blue(views, fps, prompt):
    assert len(views) == 14 and views[0].shape[1:] == (256, 256, 3) and str(views[0].dtype) == "uint8"
    return {"up": float(views[12][..., 2].mean()), "letters": len(prompt), "fps": fps}
def words(views, fps, prompt): return {"mood": "good"}
def nothing(views, fps, prompt): return None
def endless(views, fps, prompt): return {"x": float("nan")}
def broken(views, fps, prompt): raise ValueError("no weights here")
number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "my_scorer.py"
    path.write_text(SCORER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path


def test_a_scorer_is_given_the_views_of_the_whole_sky(module: Path, tmp_path: Path) -> None:
    for given in (f"mine={module}:blue", "mine=my_scorer:blue"):
        (scorer,) = scorers.load_scorers([given])
        views, fps = scorers.perspective_views(movie(tmp_path / "sky.mp4"))
        found = scorer.score(views, fps, "blue sky")
        assert found["mine.letters"] == 8
        assert found["mine.fps"] == 8
        assert found["mine.up"] > 200  # the zenith
        assert views[13][..., 1].mean() > 150  # the nadir
        assert len(views[0]) == 20


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("given", "named"),
    [("my_scorer:blue", "names no scorer"), ("a=nowhere:blue", "ModuleNotFoundError"), ("a=my_scorer:red", "red"),
     ("a=nowhere.py:blue", "FileNotFoundError"), ("a=my_scorer:number", "not callable"),
     ("a=my_scorer:words", "returned {'mood': 'good'}"), ("a=my_scorer:nothing", "returned None"),
     ("a=my_scorer:endless", "returned {'x': nan}"), ("a=my_scorer:broken", "no weights here")],
)  # fmt: skip
def test_a_wrong_scorer_is_one_line_before_any_work(given: str, named: str) -> None:
    with pytest.raises(SkyloopError) as error:
        scorers.load_scorers([given])
    assert named in error.value.message
    assert error.value.exit_code == 2
    assert "\n" not in error.value.line


@pytest.mark.usefixtures("module")
def test_scorers_of_one_name_are_refused() -> None:
    with pytest.raises(SkyloopError, match="same name"):
        scorers.load_scorers(["a=my_scorer:blue", "a=my_scorer:blue"])


@pytest.mark.usefixtures("module", "one_seed")
def test_scores_stand_beside_the_figures_and_are_kept(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = scorers.load_scorers(["mine=my_scorer:blue"])
    assert suite.run(SMALL, finished, quiet, scorers=loaded) == {}
    found = document.document(SMALL, finished, {}, ["mine=my_scorer:blue"])
    assert found["groups"][0]["figures"]["mine.letters"]["mean"] == np.mean([len(prompt) for prompt in SMALL.prompts])
    assert "mine.letters" in report.markdown(found)
    assert "mine.letters" in html.page(found, finished)
    monkeypatch.setattr(scorers, "perspective_views", lambda path: pytest.fail("all are scored"))
    assert suite.run(SMALL, finished, quiet, scorers=loaded) == {}
    assert "mine.letters" not in document.document(SMALL, finished, {})["groups"][0]["figures"]


def test_means_are_finite_whatever_stands_still() -> None:
    found = summary.summarise([0.0, 1.0], ratio=True)
    assert all(math.isfinite(value) for value in found.values())
    assert found["mean"] > 0
